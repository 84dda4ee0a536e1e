// A hash table from byte strings to pointers, keyed with a secret so that strangers cannot choose
// colliding keys. Bounded: a full table refuses. Keys are views that must stay alive while they are
// in it (usually inside the value). One owner, one thread.
#pragma once

#include "base/error.h"
#include "base/hash.h"

struct table_slot;

struct table {
	struct table_slot *slots;
	size_t capacity; // a power of two, or 0
	size_t count;
	size_t count_max;
	struct hash_key key;
};

static inline struct table table_with_max(struct hash_key key, size_t count_max)
{
	return (struct table){ .key = key, .count_max = count_max };
}

void table_done(struct table *table); // frees the slots, not the values

void *table_get(const struct table *table, struct view key); // NULL when absent
// value is not NULL. ERROR_EXISTS when the key is there, ERROR_LIMIT when full.
enum error table_add(struct table *table, struct view key, void *value) must_check;
void *table_remove(struct table *table, struct view key); // the value, or NULL

// Every value, in no order: start with *position 0; NULL at the end. Nothing may be added
// meanwhile; the value just returned may be removed only after the walk.
void *table_next(const struct table *table, size_t *position);
