// The bytes of the trace ring's files (README.md, "The trace"): headers, record heads, and the walk
// through a segment that finds the records of one message by their heads alone. Pure; any thread.
#pragma once

#include "base/error.h"
#include "base/view.h"

enum {
	TRACE_HEADER_BYTES = 64,
	TRACE_HEAD_BYTES = 32,                // in front of a record's steps
	TRACE_STEPS_BYTES_MAX = 64 * 1024,    // of one record
	TRACE_SEGMENT_BYTES_MIN = 256 * 1024, // when a writer begins another
	TRACE_SEGMENT_BYTES_MAX = 16 * 1024 * 1024,
};

struct trace_header {
	uint16_t family;
	uint64_t sequence; // of this use in the family
	uint64_t tag;
	uint64_t start_ms; // wall clock
};

void trace_header_encode(char ret_bytes[TRACE_HEADER_BYTES], const struct trace_header *header);
// ERROR_CORRUPT: no such header.
enum error trace_header_decode(const char bytes[TRACE_HEADER_BYTES],
			       struct trace_header *ret_header) must_check;

struct trace_record {
	uint64_t id;
	uint64_t time_ms;  // wall clock, when it was added
	struct view steps; // a JSON array of objects
};

// With its head and padding.
size_t trace_record_bytes(size_t steps_len);
size_t trace_record_steps_len(const char *bytes); // of an encoded one
// All of the head but what trace_record_seal fills in; room for trace_record_bytes, all of it is
// written.
void trace_record_encode(char *bytes, const struct trace_record *record);
// Tag and checksum, over a record that lies at bytes. Returns its length.
size_t trace_record_seal(char *bytes, uint64_t tag);

// A walk through the bytes of a segment behind its header, for the records of one message.
struct trace_scan {
	struct view bytes; // of the whole segment
	uint64_t tag;
	uint64_t id;
	size_t offset;
	unsigned damaged; // places passed over that are neither records nor zeros
};

struct trace_scan trace_scan_of(struct view bytes, const struct trace_header *header, uint64_t id);
// The next record of the message, its checksum right. False at the end.
bool trace_scan_next(struct trace_scan *scan, struct trace_record *ret_record);
