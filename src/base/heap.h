// A priority queue: the smallest key first. Entries are embedded in their owners and know their
// place, so that they can be removed or moved at once. One owner, one thread.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
	uint64_t key;
	size_t place; // 0: not in a heap; otherwise its index plus one
};

struct heap {
	struct heap_entry **entries;
	size_t count;
	size_t capacity;
};

void heap_done(struct heap *heap); // frees the array, not the entries

enum error heap_add(struct heap *heap, struct heap_entry *entry, uint64_t key) must_check;
void heap_remove(struct heap *heap, struct heap_entry *entry); // does nothing when it is in none
void heap_move(struct heap *heap, struct heap_entry *entry, uint64_t key);
struct heap_entry *heap_first(const struct heap *heap); // NULL when empty

static inline bool heap_holds(const struct heap_entry *entry)
{
	return entry->place != 0;
}
