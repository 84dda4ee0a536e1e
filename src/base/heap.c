#include "base/heap.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 16 };

void heap_done(struct heap *heap)
{
	if (!heap) {
		return;
	}
	for (size_t i = 0; i < heap->count; i++) {
		heap->entries[i]->place = 0;
	}
	free(heap->entries);
	*heap = (struct heap){ 0 };
}

static void put(struct heap *heap, size_t i, struct heap_entry *entry)
{
	heap->entries[i] = entry;
	entry->place = i + 1;
}

static void sift_up(struct heap *heap, size_t i, struct heap_entry *entry)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (heap->entries[parent]->key <= entry->key) {
			break;
		}
		put(heap, i, heap->entries[parent]);
		i = parent;
	}
	put(heap, i, entry);
}

static void sift_down(struct heap *heap, size_t i, struct heap_entry *entry)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap->count) {
			break;
		}
		if (child + 1 < heap->count &&
		    heap->entries[child + 1]->key < heap->entries[child]->key) {
			child++;
		}
		if (entry->key <= heap->entries[child]->key) {
			break;
		}
		put(heap, i, heap->entries[child]);
		i = child;
	}
	put(heap, i, entry);
}

enum error heap_add(struct heap *heap, struct heap_entry *entry, uint64_t key)
{
	if (heap->count == heap->capacity) {
		size_t capacity = heap->capacity ? heap->capacity * 2 : CAPACITY_FIRST;
		struct heap_entry **entries = reallocarray(heap->entries, capacity, sizeof(void *));

		if (!entries) {
			return ERROR_NO_MEMORY;
		}
		heap->entries = entries;
		heap->capacity = capacity;
	}
	entry->key = key;
	heap->count++;
	sift_up(heap, heap->count - 1, entry);
	return OK;
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
	size_t i = entry->place;
	struct heap_entry *last;

	if (i == 0) {
		return;
	}
	i--;
	entry->place = 0;
	last = heap->entries[--heap->count];
	if (last == entry) {
		return;
	}
	if (i > 0 && last->key < heap->entries[(i - 1) / 2]->key) {
		sift_up(heap, i, last);
	} else {
		sift_down(heap, i, last);
	}
}

void heap_move(struct heap *heap, struct heap_entry *entry, uint64_t key)
{
	bool earlier = key < entry->key;

	entry->key = key;
	if (earlier) {
		sift_up(heap, entry->place - 1, entry);
	} else {
		sift_down(heap, entry->place - 1, entry);
	}
}

struct heap_entry *heap_first(const struct heap *heap)
{
	return heap->count ? heap->entries[0] : NULL;
}
