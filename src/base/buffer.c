#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

void buffer_done(struct buffer *buffer)
{
	if (!buffer) {
		return;
	}
	free(buffer->data);
	*buffer = buffer_with_max(buffer->max);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->len = 0;
	buffer->error = OK;
}

enum error buffer_error(const struct buffer *buffer)
{
	return buffer->error;
}

static bool grow(struct buffer *buffer, size_t needed)
{
	size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
	char *data;

	while (capacity < needed) {
		if (__builtin_mul_overflow(capacity, 2, &capacity)) {
			capacity = needed;
		}
	}
	data = realloc(buffer->data, capacity);
	if (!data) {
		buffer->error = ERROR_NO_MEMORY;
		return false;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

char *buffer_reserve(struct buffer *buffer, size_t size)
{
	size_t needed;

	if (buffer->error != OK) {
		return NULL;
	}
	if (__builtin_add_overflow(buffer->len, size, &needed) || needed > buffer->max) {
		buffer->error = ERROR_LIMIT;
		return NULL;
	}
	if ((needed > buffer->capacity || !buffer->data) && !grow(buffer, needed)) {
		return NULL;
	}
	return buffer->data + buffer->len;
}

void buffer_add(struct buffer *buffer, struct view bytes)
{
	char *room;

	if (bytes.len == 0) {
		return;
	}
	room = buffer_reserve(buffer, bytes.len);
	if (room) {
		memcpy(room, bytes.data, bytes.len);
		buffer->len += bytes.len;
	}
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, view_from_text(text));
}

void buffer_add_byte(struct buffer *buffer, char byte)
{
	buffer_add(buffer, view_of(&byte, 1));
}

void buffer_add_number(struct buffer *buffer, uint64_t number)
{
	char digits[20];
	size_t start = sizeof digits;

	do {
		digits[--start] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buffer_add(buffer, view_of(digits + start, sizeof digits - start));
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments)
{
	va_list again;
	char small[256];
	char *large;
	int len;

	va_copy(again, arguments);
	len = vsnprintf(small, sizeof small, format, arguments);
	if (len < 0) {
		buffer->error = ERROR_INVALID;
	} else if ((size_t)len < sizeof small) {
		buffer_add(buffer, view_of(small, (size_t)len));
	} else {
		large = malloc((size_t)len + 1);
		if (large) {
			vsnprintf(large, (size_t)len + 1, format, again);
			buffer_add(buffer, view_of(large, (size_t)len));
			free(large);
		} else {
			buffer->error = ERROR_NO_MEMORY;
		}
	}
	va_end(again);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	buffer_vprintf(buffer, format, arguments);
	va_end(arguments);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	if (size >= buffer->len) {
		buffer->len = 0;
		return;
	}
	memmove(buffer->data, buffer->data + size, buffer->len - size);
	buffer->len -= size;
}

const char *buffer_text(struct buffer *buffer)
{
	if (buffer->error != OK) {
		return "";
	}
	if (buffer->len + 1 > buffer->capacity && !grow(buffer, buffer->len + 1)) {
		return "";
	}
	buffer->data[buffer->len] = '\0';
	return buffer->data;
}
