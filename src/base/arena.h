// Memory that is given back all at once: one arena per connection, per transaction, per delivery,
// per configuration. Allocations are aligned for any type and zeroed. A maximum bounds the whole.
// One owner, one thread.
#pragma once

#include "base/error.h"
#include "base/view.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; // newest first
	size_t used;                // bytes handed out in all
	size_t max;                 // bytes handed out at the most
};

static inline struct arena arena_with_max(size_t max)
{
	return (struct arena){ .max = max };
}

void arena_done(struct arena *arena); // frees all; the arena can be used again

// Zeroed memory; NULL when the maximum is reached or memory is short.
void *arena_alloc(struct arena *arena, size_t size);
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);
#define ARENA_NEW(arena, type) ((type *)arena_alloc(arena, sizeof(type)))

// A copy with a NUL behind it (not counted). A failed copy has data NULL; a copy of an empty view
// has not.
struct view arena_copy(struct arena *arena, struct view bytes);
struct view arena_printf(struct arena *arena, const char *format, ...) printf_like(2, 3);
