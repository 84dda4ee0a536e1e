#include "spool/store.h"

#include "os/clock.h"
#include "spool/store_private.h"
#include "spool/writer_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	JOURNAL_MS = 20,
	JOURNAL_MS_MAX = 100,
	CHECKPOINT_SEGMENTS = 4,
	COPY_FORWARD_SEGMENTS = 64,
	REASON_BYTES = 64 * 1024 * 1024,
	STATES_BYTES_MAX = 256 * 1024 * 1024, // with what is written again
};

struct spool_segment *spool_store_segment(const struct spool_store *store, uint16_t family,
					  uint32_t epoch)
{
	const struct list *head = &store->families[family].segments;

	for (struct list *link = head->previous; link != head; link = link->previous) {
		struct spool_segment *segment = CONTAINER_OF(link, struct spool_segment, link);

		if (segment->header.epoch == epoch) {
			return segment;
		}
	}
	return NULL;
}

enum error spool_store_add_segment(struct spool_store *store,
				   const struct spool_segment_header *header)
{
	struct list *head = &store->families[header->family].segments, *before = head->previous;
	struct spool_segment *segment = calloc(1, sizeof *segment);

	if (!segment) {
		return ERROR_NO_MEMORY;
	}
	segment->header = *header;
	segment->limit = header->segment_bytes;
	segment->file = -1;
	while (before != head &&
	       CONTAINER_OF(before, struct spool_segment, link)->header.epoch > header->epoch) {
		before = before->previous;
	}
	list_add_first(before, &segment->link);
	store->status.segments++;
	return OK;
}

void spool_store_remove_segment(struct spool_store *store, struct spool_segment *segment)
{
	list_remove(&segment->link);
	os_file_close(segment->file);
	free(segment);
	store->status.segments--;
}

bool spool_store_is_partial(const struct spool_store *store)
{
	bool is_partial = store->is_partial;

	for (uint32_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		const struct list *head = &store->families[i].segments;

		for (struct list *link = head->next; link != head; link = link->next) {
			is_partial |= CONTAINER_OF(link, struct spool_segment, link)->is_unreadable;
		}
	}
	return is_partial;
}

// What a later version wrote is kept for it: no checkpoint may pass it by, which cannot list it.
void spool_store_keep_record(struct spool_store *store, struct spool_segment *segment,
			     enum error error, bool is_covered)
{
	store->is_partial |= error == ERROR_UNSUPPORTED;
	segment->live += error == ERROR_UNSUPPORTED || !is_covered;
}

enum error spool_store_pin(struct spool_store *store, struct spool_segment *segment)
{
	if (segment->file < 0) {
		enum error error = spool_folder_open_segment(
			spool_store_folder(store, segment->header.family), segment->header.family,
			segment->header.segment, OS_READ, &segment->file);

		if (error) {
			return error;
		}
	}
	segment->pins++;
	return OK;
}

void spool_store_unpin(struct spool_store *store, struct spool_segment *segment)
{
	if (--segment->pins == 0) {
		os_file_close(segment->file);
		segment->file = -1;
		if (!store->is_closing) {
			spool_store_free_segments(store, segment->header.family);
		}
	}
}

enum error spool_store_read(struct spool_store *store, struct spool_segment *segment,
			    uint32_t offset, uint32_t len)
{
	enum error error;
	size_t got;
	char *room;

	buffer_clear(&store->window);
	room = buffer_reserve(&store->window, len);
	if (!room) {
		return buffer_error(&store->window);
	}
	error = spool_store_pin(store, segment);
	if (error) {
		return error;
	}
	error = os_file_read_some(segment->file, offset, room, len, &got);
	if (!error) {
		store->window.len = got;
	}
	segment->pins--; // the file stays open for the next look
	return error;
}

void spool_store_fault(struct spool_store *store, const char *what, struct spool_ref where)
{
	store->status.faults++;
	if (store->calls.on_fault) {
		store->calls.on_fault(store->calls.context, what, where);
	}
}

struct spool_message *spool_message_new(struct spool_store *store, uint64_t id,
					uint32_t recipient_count)
{
	struct spool_message *message =
		calloc(1, sizeof *message + recipient_count * sizeof *message->recipients);

	if (!message) {
		return NULL;
	}
	message->id = id;
	message->recipient_count = message->pending = recipient_count;
	if (spool_index_add(&store->index, message)) {
		free(message);
		return NULL;
	}
	return message;
}

void spool_message_set_reason(struct spool_store *store, struct spool_message *message,
			      struct view reason)
{
	if (message->reason) {
		store->reason_bytes -= strlen(message->reason) + 1;
		free(message->reason);
		message->reason = NULL;
	}
	if (reason.len == 0) {
		return;
	}
	if (store->reason_bytes + reason.len + 1 <= store->settings.reason_bytes_max) {
		message->reason = strndup(reason.data, reason.len);
	}
	if (message->reason) {
		store->reason_bytes += strlen(message->reason) + 1;
	} else {
		store->status.reasons_dropped++;
	}
}

static void publish_queue(struct spool_store *store)
{
	atomic_store(&store->settings.queue->queued_messages, store->status.messages);
	atomic_store(&store->settings.queue->queued_bytes, store->status.bytes);
}

void spool_message_place(struct spool_store *store, struct spool_message *message,
			 struct spool_ref ref)
{
	struct spool_segment *segment = spool_store_segment(store, ref.family, ref.epoch);

	message->ref = ref;
	message->internal |= SPOOL_IS_FOUND;
	segment->live++;
	segment->live_bytes += ref.bytes;
	list_add_last(&store->messages, &message->link);
	store->status.messages++;
	store->status.bytes += ref.bytes;
	publish_queue(store);
}

void spool_message_drop(struct spool_store *store, struct spool_message *message)
{
	if (message->link.next && !list_empty(&message->link)) {
		list_remove(&message->link);
		store->status.messages--;
		store->status.bytes -= message->ref.bytes;
		publish_queue(store);
	}
	spool_index_remove(&store->index, message->id);
	spool_message_set_reason(store, message, (struct view){ 0 });
	free(message);
}

static void set_defaults(struct spool_store_settings *settings)
{
	if (settings->journal_ms == 0) {
		settings->journal_ms = JOURNAL_MS;
	}
	if (settings->journal_ms > JOURNAL_MS_MAX) {
		settings->journal_ms = JOURNAL_MS_MAX;
	}
	if (settings->checkpoint_segments == 0) {
		settings->checkpoint_segments = CHECKPOINT_SEGMENTS;
	}
	if (settings->copy_forward_segments == 0) {
		settings->copy_forward_segments = COPY_FORWARD_SEGMENTS;
	}
	if (settings->reason_bytes_max == 0) {
		settings->reason_bytes_max = REASON_BYTES;
	}
}

struct spool_store *spool_store_new(const struct spool_store_settings *settings,
				    struct spool_store_calls calls)
{
	struct spool_store *store = calloc(1, sizeof *store);

	if (!store) {
		return NULL;
	}
	store->settings = *settings;
	set_defaults(&store->settings);
	store->calls = calls;
	store->dir = store->lock_file = -1;
	for (unsigned i = 0; i < SPOOL_PARTS; i++) {
		store->folders[i].log = store->folders[i].body = -1;
	}
	store->window = buffer_with_max(SPOOL_SEGMENT_BYTES_MAX);
	store->states = buffer_with_max(STATES_BYTES_MAX);
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		list_init(&store->families[i].segments);
		store->families[i].commits = settings->commits[i];
	}
	list_init(&store->messages);
	list_init(&store->ended);
	list_init(&store->waits);
	list_init(&store->groups);
	list_init(&store->waiting);
	list_init(&store->works);
	store->own_commits = calloc(1, sizeof *store->own_commits);
	store->own_queue = settings->queue ? NULL : calloc(1, sizeof *store->own_queue);
	if (!settings->queue) {
		store->settings.queue = store->own_queue;
	}
	store->families[0].commits = store->own_commits;
	if (!store->own_commits || !store->settings.queue) {
		spool_store_free(store);
		return NULL;
	}
	return store;
}

void spool_store_free(struct spool_store *store)
{
	store->is_closing = true;
	for (size_t i = 0; i < store->index.capacity; i++) {
		if (store->index.slots[i]) {
			free(store->index.slots[i]->reason);
			free(store->index.slots[i]);
		}
	}
	spool_index_done(&store->index);
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		struct list *segments = &store->families[i].segments;

		while (!list_empty(segments)) {
			spool_store_remove_segment(
				store, CONTAINER_OF(segments->next, struct spool_segment, link));
		}
	}
	while (!list_empty(&store->ended)) {
		free(CONTAINER_OF(list_take_first(&store->ended), struct spool_ended, link));
	}
	while (!list_empty(&store->works)) {
		struct spool_work *work =
			CONTAINER_OF(list_take_first(&store->works), struct spool_work, link);

		buffer_done(&work->checkpoint);
		free(work);
	}
	buffer_done(&store->window);
	buffer_done(&store->states);
	os_file_close(store->lock_file);
	for (unsigned i = 0; i < SPOOL_PARTS; i++) {
		spool_folder_close(&store->folders[i]);
	}
	free(store->own_commits);
	free(store->own_queue);
	free(store);
}

static enum error open_writer(struct spool_store *store)
{
	struct spool_writer_settings settings = {
		.segment_bytes = store->settings.segment_bytes,
		.commit = store->own_commits,
		.queue = store->settings.queue,
	};
	enum error error = spool_writer_open(store->dir, store->loop, &settings, &store->writer);

	if (!error) {
		error = spool_port_new(store->writer, store->loop, &store->port);
	}
	if (!error) {
		error = os_pool_new(store->loop, "spool", 1, SPOOL_JOBS_MAX, &store->pool);
	}
	return error;
}

// The crashes that recovery has counted must be on disk before any attempt.
static enum error note_crashes(struct spool_store *store)
{
	enum error error = OK;

	for (struct list *link = store->messages.next; !error && link != &store->messages;
	     link = link->next) {
		struct spool_message *message = CONTAINER_OF(link, struct spool_message, link);

		if (message->internal & SPOOL_IS_CHANGED) {
			message->internal &= (uint8_t)~SPOOL_IS_CHANGED;
			error = spool_store_note_whole(store, message);
		}
	}
	return error;
}

enum error spool_store_open_folders(struct spool_store *store, const int parts[SPOOL_PARTS])
{
	enum error error = OK;

	store->dir = parts[SPOOL_DELIVER];
	for (enum spool_part part = 0; !error && part < SPOOL_PARTS; part++) {
		error = spool_folder_open(parts[part], part, false, &store->folders[part]);
	}
	return error;
}

static enum error open_all(struct spool_store *store, const int parts[SPOOL_PARTS])
{
	enum error error = spool_store_open_folders(store, parts);

	if (!error) {
		error = spool_folder_lock(store->dir, "lock",
					  store->folders[SPOOL_DELIVER].file_mode,
					  &store->lock_file);
	}
	if (!error) {
		error = spool_store_recover(store);
	}
	if (!error) {
		spool_store_remove_orphans(store);
		error = open_writer(store);
	}
	if (!error) {
		error = note_crashes(store);
	}
	if (!error) {
		// On a full disk the one before goes on to hold; the next follow tries again.
		(void)!spool_checkpoint_write(store, false);
	}
	return error;
}

static void close_writer(struct spool_store *store)
{
	if (store->writer) {
		spool_store_flush(store);
		spool_writer_stop(store->writer);
		spool_port_free(store->port);
	}
	os_timer_stop(&store->journal_timer); // the last completions may have set it
	os_timer_stop(&store->copy_timer);
	os_pool_free(store->pool);
}

enum error spool_store_open(const int parts[SPOOL_PARTS], struct os_loop *loop,
			    const struct spool_store_settings *settings,
			    struct spool_store_calls calls, struct spool_store **ret_store)
{
	struct spool_store *store = spool_store_new(settings, calls);
	enum error error;

	if (!store) {
		return ERROR_NO_MEMORY;
	}
	store->loop = loop;
	os_timer_init(&store->journal_timer, loop, spool_store_group_timer, store);
	os_timer_init(&store->copy_timer, loop, spool_store_copy_timer, store);
	error = open_all(store, parts);
	if (error) {
		store->is_closing = true;
		close_writer(store);
		spool_writer_close(store->writer);
		spool_store_free(store);
		return error;
	}
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		spool_store_free_segments(store, i);
	}
	spool_store_copy_timer(store);
	*ret_store = store;
	return OK;
}

void spool_store_close(struct spool_store *store)
{
	if (!store) {
		return;
	}
	store->is_closing = true;
	close_writer(store);
	if (store->status.journal_error == OK) {
		(void)!spool_checkpoint_write(store, true);
	}
	spool_writer_close(store->writer);
	spool_store_free(store);
}

void spool_store_set_pressure(struct spool_store *store, uint32_t percent)
{
	atomic_store(&store->settings.queue->pressure, percent);
}

struct spool_message *spool_store_find(const struct spool_store *store, uint64_t id)
{
	struct spool_message *message = spool_index_get(&store->index, id);

	return message && (message->internal & SPOOL_IS_FOUND) ? message : NULL;
}

struct spool_message *spool_store_next(const struct spool_store *store,
				       const struct spool_message *message)
{
	const struct list *link = message ? message->link.next : store->messages.next;

	return link == &store->messages ? NULL : CONTAINER_OF(link, struct spool_message, link);
}

bool spool_store_is_careful(const struct spool_store *store)
{
	return store->is_careful;
}

struct spool_store_status spool_store_status(const struct spool_store *store)
{
	return store->status;
}

struct spool_writer *spool_store_writer(struct spool_store *store)
{
	return store->writer;
}
