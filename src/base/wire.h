// Reading and writing of little-endian binary formats: spool records, messages between processes,
// the typed configuration, the directory table. A reader never passes its end: a read beyond it
// gives zero and sets failed, so a decoder checks once, at its end (wire_finished).
#pragma once

#include "base/buffer.h"

struct wire_reader {
	struct view rest;
	bool failed;
};

static inline struct wire_reader wire_reader_of(struct view bytes)
{
	return (struct wire_reader){ .rest = bytes };
}

uint8_t wire_u8(struct wire_reader *reader);
uint16_t wire_u16(struct wire_reader *reader);
uint32_t wire_u32(struct wire_reader *reader);
uint64_t wire_u64(struct wire_reader *reader);
// The next len bytes, without a copy; empty when there are fewer.
struct view wire_bytes(struct wire_reader *reader, size_t len);
// A u32 length, then as many bytes.
struct view wire_string(struct wire_reader *reader);
// True when all was read and nothing failed.
bool wire_finished(const struct wire_reader *reader);

void wire_add_u8(struct buffer *out, uint8_t value);
void wire_add_u16(struct buffer *out, uint16_t value);
void wire_add_u32(struct buffer *out, uint32_t value);
void wire_add_u64(struct buffer *out, uint64_t value);
void wire_add_string(struct buffer *out, struct view text); // at most UINT32_MAX bytes

// Numbers in place, at any alignment.
uint32_t wire_get_u32(const void *bytes);
uint64_t wire_get_u64(const void *bytes);
void wire_put_u32(void *bytes, uint32_t value);
void wire_put_u64(void *bytes, uint64_t value);
