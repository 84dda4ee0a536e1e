#include "spool/index.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 64 };

static size_t place_of(const struct spool_index *index, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (index->capacity - 1);
}

static size_t next_place(const struct spool_index *index, size_t place)
{
	return (place + 1) & (index->capacity - 1);
}

void spool_index_done(struct spool_index *index)
{
	free(index->slots);
	*index = (struct spool_index){ 0 };
}

// Where the id is, or the free slot where it would be.
static size_t find(const struct spool_index *index, uint64_t id)
{
	size_t place = place_of(index, id);

	while (index->slots[place] && index->slots[place]->id != id) {
		place = next_place(index, place);
	}
	return place;
}

struct spool_message *spool_index_get(const struct spool_index *index, uint64_t id)
{
	return index->count > 0 ? index->slots[find(index, id)] : NULL;
}

static enum error grow(struct spool_index *index)
{
	struct spool_index larger = {
		.capacity = index->capacity ? index->capacity * 2 : CAPACITY_FIRST,
		.count = index->count,
	};

	larger.slots = calloc(larger.capacity, sizeof *larger.slots);
	if (!larger.slots) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < index->capacity; i++) {
		if (index->slots[i]) {
			larger.slots[find(&larger, index->slots[i]->id)] = index->slots[i];
		}
	}
	free(index->slots);
	*index = larger;
	return OK;
}

enum error spool_index_add(struct spool_index *index, struct spool_message *message)
{
	if ((index->count + 1) * 4 > index->capacity * 3) {
		enum error error = grow(index);

		if (error) {
			return error;
		}
	}
	index->slots[find(index, message->id)] = message;
	index->count++;
	return OK;
}

void spool_index_remove(struct spool_index *index, uint64_t id)
{
	size_t hole;

	if (!spool_index_get(index, id)) {
		return;
	}
	hole = find(index, id);
	index->slots[hole] = NULL;
	index->count--;
	// Those behind it that were pushed past their own place move up.
	for (size_t place = next_place(index, hole); index->slots[place];
	     place = next_place(index, place)) {
		struct spool_message *message = index->slots[place];

		index->slots[place] = NULL;
		index->slots[find(index, message->id)] = message;
	}
}
