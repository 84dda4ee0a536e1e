#include "base/table.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 16 };

// Open addressing with linear probing; removal moves later entries back, so there are no
// tombstones.
struct table_slot {
	struct view key;
	uint64_t hash;
	void *value; // NULL: free
};

void table_done(struct table *table)
{
	if (!table) {
		return;
	}
	free(table->slots);
	*table = table_with_max(table->key, table->count_max);
}

// The slot that holds the key, or the free one where it belongs.
static struct table_slot *slot_for(const struct table *table, struct view key, uint64_t hash)
{
	size_t mask = table->capacity - 1;
	size_t i = hash & mask;

	while (table->slots[i].value) {
		if (table->slots[i].hash == hash && view_equal(table->slots[i].key, key)) {
			break;
		}
		i = (i + 1) & mask;
	}
	return &table->slots[i];
}

void *table_get(const struct table *table, struct view key)
{
	if (table->count == 0) {
		return NULL;
	}
	return slot_for(table, key, hash_siphash(table->key, key))->value;
}

static enum error grow(struct table *table)
{
	struct table larger = *table;

	larger.capacity = table->capacity ? table->capacity * 2 : CAPACITY_FIRST;
	larger.slots = calloc(larger.capacity, sizeof *larger.slots);
	if (!larger.slots) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < table->capacity; i++) {
		if (table->slots[i].value) {
			*slot_for(&larger, table->slots[i].key, table->slots[i].hash) =
				table->slots[i];
		}
	}
	free(table->slots);
	*table = larger;
	return OK;
}

enum error table_add(struct table *table, struct view key, void *value)
{
	uint64_t hash = hash_siphash(table->key, key);
	struct table_slot *slot;

	if (table->count && slot_for(table, key, hash)->value) {
		return ERROR_EXISTS;
	}
	if (table->count >= table->count_max) {
		return ERROR_LIMIT;
	}
	if ((table->count + 1) * 4 > table->capacity * 3) {
		enum error error = grow(table);

		if (error != OK) {
			return error;
		}
	}
	slot = slot_for(table, key, hash);
	*slot = (struct table_slot){ .key = key, .hash = hash, .value = value };
	table->count++;
	return OK;
}

void *table_remove(struct table *table, struct view key)
{
	size_t mask = table->capacity - 1;
	struct table_slot *slot;
	size_t hole, i;
	void *value;

	if (table->count == 0) {
		return NULL;
	}
	slot = slot_for(table, key, hash_siphash(table->key, key));
	value = slot->value;
	if (!value) {
		return NULL;
	}
	hole = (size_t)(slot - table->slots);
	for (i = (hole + 1) & mask; table->slots[i].value; i = (i + 1) & mask) {
		size_t home = table->slots[i].hash & mask;

		// An entry may move back unless its home lies cyclically between the hole and it.
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole] = (struct table_slot){ 0 };
	table->count--;
	return value;
}

void *table_next(const struct table *table, size_t *position)
{
	while (*position < table->capacity) {
		void *value = table->slots[(*position)++].value;

		if (value) {
			return value;
		}
	}
	return NULL;
}
