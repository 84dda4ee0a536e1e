// From queue id to message. Ids are our own, not strangers' choice, so a plain mix is enough; the
// memory is 8 bytes a slot. One thread.
#pragma once

#include "spool/store.h"

struct spool_index {
	struct spool_message **slots;
	size_t capacity; // a power of two, or 0
	size_t count;
};

void spool_index_done(struct spool_index *index); // frees the slots, not the messages
struct spool_message *spool_index_get(const struct spool_index *index, uint64_t id);
// The id is not in it. ERROR_NO_MEMORY.
enum error spool_index_add(struct spool_index *index, struct spool_message *message) must_check;
void spool_index_remove(struct spool_index *index, uint64_t id);
