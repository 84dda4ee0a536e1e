#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_FIRST = 512, CHUNK_LARGEST = 64 * 1024 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char data[];
};

void arena_done(struct arena *arena)
{
	if (!arena) {
		return;
	}
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
	arena->used = 0;
}

static struct arena_chunk *chunk_with_room(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t next_size, total;

	if (chunk && chunk->size - chunk->used >= size) {
		return chunk;
	}
	next_size = chunk ? chunk->size * 2 : CHUNK_FIRST;
	if (next_size > CHUNK_LARGEST) {
		next_size = CHUNK_LARGEST;
	}
	if (next_size < size) {
		next_size = size;
	}
	if (__builtin_add_overflow(sizeof *chunk, next_size, &total)) {
		return NULL;
	}
	chunk = calloc(1, total);
	if (!chunk) {
		return NULL;
	}
	chunk->size = next_size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t align = alignof(max_align_t);
	struct arena_chunk *chunk;
	void *memory;

	if (size == 0) {
		size = 1;
	}
	if (__builtin_add_overflow(size, align - 1, &size)) {
		return NULL;
	}
	size -= size % align;
	if (size > arena->max || arena->used > arena->max - size) {
		return NULL;
	}
	chunk = chunk_with_room(arena, size);
	if (!chunk) {
		return NULL;
	}
	memory = chunk->data + chunk->used;
	chunk->used += size;
	arena->used += size;
	return memory;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total)) {
		return NULL;
	}
	return arena_alloc(arena, total);
}

struct view arena_copy(struct arena *arena, struct view bytes)
{
	char *copy = NULL;

	if (bytes.len < SIZE_MAX) {
		copy = arena_alloc(arena, bytes.len + 1);
	}
	if (!copy) {
		return (struct view){ 0 };
	}
	if (bytes.len) {
		memcpy(copy, bytes.data, bytes.len);
	}
	return view_of(copy, bytes.len);
}

struct view arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments, again;
	char *text;
	int len;

	va_start(arguments, format);
	va_copy(again, arguments);
	len = vsnprintf(NULL, 0, format, arguments);
	text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
	if (text) {
		vsnprintf(text, (size_t)len + 1, format, again);
	}
	va_end(again);
	va_end(arguments);
	return text ? view_of(text, (size_t)len) : (struct view){ 0 };
}
