// Checkpoints: README, "Checkpoint".
#include "spool/store_private.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, CLEAN = 1, PLACES_END = -1 };

static const char magic[8] = "PBCHECK1";

// All journal records before this are reflected in memory.
static struct spool_place own_floor(const struct spool_store *store)
{
	struct spool_place floor = store->families[0].position;

	if (!list_empty((struct list *)&store->waiting)) {
		const struct spool_waiting *first =
			CONTAINER_OF(store->waiting.next, struct spool_waiting, link);

		floor = (struct spool_place){ first->epoch, first->offset };
	}
	return floor;
}

// Until its end is told, no checkpoint may cover the record: memory does not know yet where its
// message is.
void spool_store_wait_for(struct spool_store *store, struct spool_waiting *waiting)
{
	waiting->epoch = store->families[0].position.epoch;
	waiting->offset = store->families[0].position.offset;
	list_add_last(&store->waiting, &waiting->link);
}

static void add_message(struct buffer *out, const struct spool_message *message)
{
	wire_add_u32(out, message->ref.family);
	wire_add_u32(out, message->ref.segment);
	wire_add_u32(out, message->ref.epoch);
	wire_add_u32(out, message->ref.offset);
	wire_add_u32(out, message->ref.bytes);
	spool_state_encode_message(out, message, 0);
}

static enum error encode(struct spool_store *store, bool is_clean, struct buffer *out)
{
	uint64_t count = 0;

	buffer_add(out, view_of(magic, sizeof magic));
	wire_add_u32(out, VERSION);
	wire_add_u32(out, is_clean ? CLEAN : 0);
	wire_add_u32(out, SPOOL_FAMILIES_MAX);
	for (uint32_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		struct spool_place place = i ? store->families[i].position : own_floor(store);

		wire_add_u32(out, i);
		wire_add_u32(out, place.epoch);
		wire_add_u32(out, place.offset);
	}
	for (struct list *link = store->messages.next; link != &store->messages;
	     link = link->next) {
		add_message(out, CONTAINER_OF(link, struct spool_message, link));
		count++;
	}
	wire_add_u32(out, (uint32_t)PLACES_END);
	wire_add_u64(out, count);
	wire_add_u32(out, hash_crc32c(0, buffer_view(out)));
	return buffer_error(out);
}

static bool read_message(struct spool_store *store, struct wire_reader *reader, uint32_t family,
			 enum error *ret_error)
{
	struct spool_message *message;
	struct spool_state state;
	struct spool_ref ref = { .family = (uint16_t)family };

	ref.segment = (uint16_t)wire_u32(reader);
	ref.epoch = wire_u32(reader);
	ref.offset = wire_u32(reader);
	ref.bytes = wire_u32(reader);
	if (family >= SPOOL_FAMILIES_MAX || !spool_state_next(reader, &state) ||
	    spool_index_get(&store->index, state.id)) {
		*ret_error = ERROR_CORRUPT;
		return false;
	}
	message = spool_message_new(store, state.id, state.recipient_count);
	if (!message) {
		*ret_error = ERROR_NO_MEMORY;
		return false;
	}
	message->ref = ref;
	spool_message_set_reason(store, message, state.reason);
	spool_state_apply(message, &state);
	return true;
}

static enum error decode(struct spool_store *store, struct view bytes,
			 struct spool_place *ret_covered)
{
	struct wire_reader reader;
	enum error error = OK;
	uint32_t family, families, flags;
	uint64_t count = 0;

	if (bytes.len < sizeof magic + 4 || memcmp(bytes.data, magic, sizeof magic) != 0 ||
	    hash_crc32c(0, view_first(bytes, bytes.len - 4)) !=
		    wire_get_u32(bytes.data + bytes.len - 4)) {
		return ERROR_CORRUPT;
	}
	reader = wire_reader_of(view_from(view_first(bytes, bytes.len - 4), sizeof magic));
	if (wire_u32(&reader) != VERSION) {
		return ERROR_UNSUPPORTED;
	}
	flags = wire_u32(&reader);
	families = wire_u32(&reader);
	for (uint32_t i = 0; i < families && !reader.failed; i++) {
		family = wire_u32(&reader);
		if (family >= SPOOL_FAMILIES_MAX) {
			return ERROR_CORRUPT;
		}
		ret_covered[family].epoch = wire_u32(&reader);
		ret_covered[family].offset = wire_u32(&reader);
	}
	while (!reader.failed && (family = wire_u32(&reader)) != (uint32_t)PLACES_END) {
		if (!read_message(store, &reader, family, &error)) {
			return error;
		}
		count++;
	}
	if (wire_u64(&reader) != count || !wire_finished(&reader)) {
		return ERROR_CORRUPT;
	}
	store->is_careful |= !(flags & CLEAN);
	return OK;
}

static enum error read_file(struct spool_store *store, struct buffer *bytes)
{
	uint64_t size;
	int file;
	enum error error = os_file_open_at(store->dir, "checkpoint", OS_READ, 0, &file);
	char *room;

	if (error) {
		return error;
	}
	error = os_file_size(file, &size);
	if (!error && size > SPOOL_CHECKPOINT_BYTES_MAX) {
		error = ERROR_CORRUPT;
	}
	if (!error) {
		room = buffer_reserve(bytes, size + 1);
		error = room ? os_file_read_at(file, 0, room, size) : ERROR_NO_MEMORY;
	}
	os_file_close(file);
	if (!error) {
		bytes->len = size;
	}
	return error;
}

enum error spool_checkpoint_load(struct spool_store *store, struct spool_place *ret_covered)
{
	struct buffer bytes = buffer_with_max(SPOOL_CHECKPOINT_BYTES_MAX + 1);
	struct spool_place covered[SPOOL_FAMILIES_MAX] = { 0 };
	enum error error = read_file(store, &bytes);

	if (!error) {
		error = decode(store, buffer_view(&bytes), covered);
	}
	buffer_done(&bytes);
	if (error == ERROR_CORRUPT) {
		spool_store_fault(store, "the checkpoint is corrupt", (struct spool_ref){ 0 });
		while (store->index.count > 0) {
			for (size_t i = 0; i < store->index.capacity; i++) {
				if (store->index.slots[i]) {
					spool_message_drop(store, store->index.slots[i]);
				}
			}
		}
	}
	if (!error) {
		memcpy(ret_covered, covered, sizeof covered);
		store->covered_epoch = covered[0].epoch;
	}
	return error;
}

enum error spool_checkpoint_write(struct spool_store *store, bool is_clean)
{
	struct buffer bytes = buffer_with_max(SPOOL_CHECKPOINT_BYTES_MAX);
	uint32_t covered_epoch = own_floor(store).epoch;
	enum error error;

	if (spool_store_is_partial(store)) {
		return OK; // what it holds could not be listed
	}
	error = encode(store, is_clean, &bytes);
	if (!error) {
		error = os_file_replace_at(store->dir, "checkpoint", buffer_view(&bytes),
					   store->folders[SPOOL_DELIVER].file_mode);
	}
	buffer_done(&bytes);
	if (!error) {
		store->covered_epoch = covered_epoch;
		store->status.checkpoints++;
	}
	return error;
}

static void work(struct os_job *job)
{
	struct spool_work *self = CONTAINER_OF(job, struct spool_work, job);

	self->error =
		os_file_replace_at(self->store->dir, "checkpoint", buffer_view(&self->checkpoint),
				   self->store->folders[SPOOL_DELIVER].file_mode);
}

static void done(struct os_job *job)
{
	struct spool_work *self = CONTAINER_OF(job, struct spool_work, job);
	struct spool_store *store = self->store;

	store->is_checkpointing = false;
	if (self->error == OK) {
		store->covered_epoch = self->covered_epoch;
		store->status.checkpoints++;
		spool_store_free_segments(store, 0);
	}
	list_remove(&self->link);
	buffer_done(&self->checkpoint);
	free(self);
}

void spool_checkpoint_when_due(struct spool_store *store)
{
	uint32_t epoch = store->families[0].position.epoch;
	struct spool_work self = { .checkpoint = buffer_with_max(SPOOL_CHECKPOINT_BYTES_MAX) };

	if (store->is_checkpointing || spool_store_is_partial(store) ||
	    epoch < store->checkpoint_epochs + store->settings.checkpoint_segments) {
		return;
	}
	store->checkpoint_epochs = epoch;
	self.covered_epoch = own_floor(store).epoch;
	if (encode(store, false, &self.checkpoint) || !spool_work_submit(store, self, work, done)) {
		buffer_done(&self.checkpoint);
		return;
	}
	store->is_checkpointing = true;
}
