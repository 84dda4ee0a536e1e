// A growable run of bytes with a stated maximum. Failure (maximum reached, no memory) is sticky:
// appends after it do nothing, and buffer_error tells at the end, so that a message is built
// without a check per line. One owner, one thread.
#pragma once

#include <stdarg.h>

#include "base/error.h"
#include "base/view.h"

struct buffer {
	char *data;
	size_t len;
	size_t capacity;
	size_t max; // bytes; 0 means nothing can be appended
	enum error error;
};

static inline struct buffer buffer_with_max(size_t max)
{
	return (struct buffer){ .max = max };
}

void buffer_done(struct buffer *buffer);  // frees, back to empty with the same maximum
void buffer_clear(struct buffer *buffer); // keeps the memory, forgets bytes and error

enum error buffer_error(const struct buffer *buffer) must_check;

static inline struct view buffer_view(const struct buffer *buffer)
{
	return view_of(buffer->data, buffer->len);
}

// Room for size more bytes at the end; NULL on failure. The caller fills it and adds to len.
char *buffer_reserve(struct buffer *buffer, size_t size);

void buffer_add(struct buffer *buffer, struct view bytes);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_byte(struct buffer *buffer, char byte);
void buffer_add_number(struct buffer *buffer, uint64_t number);
void buffer_printf(struct buffer *buffer, const char *format, ...) printf_like(2, 3);
void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments) printf_like(2, 0);

// Takes the first size bytes away; the rest moves to the front.
void buffer_consume(struct buffer *buffer, size_t size);

// The bytes with a NUL behind them (not counted in len), for the edge of the system; "" on failure.
const char *buffer_text(struct buffer *buffer);
