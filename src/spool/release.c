// Giving room back: places of messages that have ended, segments that hold nothing any more, and
// long-lived messages copied forward so that their segments become free.
#include "spool/store_private.h"

#include "os/clock.h"
#include "spool/id.h"

#include <stdlib.h>

enum { COPY_EVERY_MS = 1000, COPY_AT_ONCE = 64, SPARSE_SHARE = 4 };

static const uint64_t orphan_age_ms = 24 * 3600 * 1000;

struct spool_work *spool_work_submit(struct spool_store *store, struct spool_work work,
				     void (*fn)(struct os_job *job),
				     void (*done)(struct os_job *job))
{
	struct spool_work *self = malloc(sizeof *self);

	if (!self) {
		return NULL;
	}
	*self = work;
	self->store = store;
	self->job = (struct os_job){ .work = fn, .done = done };
	if (os_pool_submit(store->pool, &self->job)) {
		free(self);
		return NULL;
	}
	list_add_last(&store->works, &self->link);
	return self;
}

static void remove_file(struct os_job *job)
{
	struct spool_work *self = CONTAINER_OF(job, struct spool_work, job);
	char name[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(self->body_id, name);
	self->error = os_file_remove_at(self->store->folders[SPOOL_RECEIVE].body, name);
}

static void removed(struct os_job *job)
{
	struct spool_work *self = CONTAINER_OF(job, struct spool_work, job);

	list_remove(&self->link);
	free(self);
}

static void remove_body(struct spool_store *store, uint64_t id)
{
	struct spool_work self = { .body_id = id };

	// Where it cannot be done now, the file is an orphan that a later start removes.
	(void)!spool_work_submit(store, self, remove_file, removed);
}

static void leave_place(struct spool_store *store, struct spool_ref ref)
{
	struct spool_segment *segment = spool_store_segment(store, ref.family, ref.epoch);

	segment->live--;
	segment->live_bytes -= ref.bytes;
	spool_store_free_segments(store, ref.family);
}

void spool_store_release(struct spool_store *store, const struct spool_ended *ended)
{
	leave_place(store, ended->ref);
	if (ended->has_body_file && !store->is_closing) {
		remove_body(store, ended->id);
	}
}

// The journal of family 0 is needed from the last checkpoint's position on.
static bool is_free(const struct spool_store *store, const struct spool_segment *segment)
{
	uint16_t family = segment->header.family;

	return segment->live == 0 && segment->pins == 0 && !segment->is_unreadable &&
	       segment->header.epoch < store->families[family].position.epoch &&
	       (family != 0 || segment->header.epoch < store->covered_epoch);
}

void spool_store_free_segments(struct spool_store *store, uint16_t family)
{
	struct list *head = &store->families[family].segments;

	for (struct list *link = head->next, *next; link != head; link = next) {
		struct spool_segment *segment = CONTAINER_OF(link, struct spool_segment, link);

		next = link->next;
		if (!store->is_closing && is_free(store, segment)) {
			atomic_store(&store->settings.queue->freed[family][segment->header.segment],
				     segment->header.epoch);
			spool_store_remove_segment(store, segment);
		}
	}
}

struct copy {
	struct spool_append append;
	struct spool_waiting waiting;
	struct spool_store *store;
	uint64_t id;
	struct buffer body; // of the record that is copied, whole
	struct view part;
};

static void copied(void *context, struct spool_append *append, enum error error)
{
	struct copy *copy = context;
	struct spool_store *store = copy->store;
	struct spool_message *message = spool_index_get(&store->index, copy->id);
	struct spool_ref before;

	list_remove(&copy->waiting.link);
	if (message) {
		message->internal &= (uint8_t)~SPOOL_IS_COPYING;
	}
	if (!error && message) {
		struct spool_segment *segment;

		before = message->ref;
		// The copy lies in a use that following has not reached yet, maybe.
		segment = spool_store_segment(store, 0, append->ref.epoch);
		if (!segment && spool_store_learn_segment(store, 0, append->ref.segment) == OK) {
			segment = spool_store_segment(store, 0, append->ref.epoch);
		}
		if (segment) {
			segment->live++;
			segment->live_bytes += append->ref.bytes;
			store->status.bytes += append->ref.bytes - (uint64_t)before.bytes;
			message->ref = append->ref;
			leave_place(store, before);
			store->status.copied_forward++;
			(void)!spool_store_note_whole(store, message);
		}
	}
	buffer_done(&copy->body);
	free(copy);
}

static enum error read_record(struct spool_store *store, const struct spool_message *message,
			      struct buffer *bytes, struct spool_record *ret_record)
{
	struct spool_segment *segment =
		spool_store_segment(store, message->ref.family, message->ref.epoch);
	struct spool_scan scan = spool_scan_of(&segment->header);
	char *room = buffer_reserve(bytes, message->ref.bytes);
	enum error error = room ? spool_store_pin(store, segment) : ERROR_NO_MEMORY;

	if (error) {
		return error;
	}
	error = os_file_read_at(segment->file, message->ref.offset, room, message->ref.bytes);
	segment->pins--;
	if (error) {
		return error;
	}
	bytes->len = message->ref.bytes;
	scan.window = buffer_view(bytes);
	scan.window_offset = scan.offset = message->ref.offset;
	return spool_record_at(&scan, message->ref.offset, ret_record) ? OK : ERROR_CORRUPT;
}

static enum error append_copy(struct spool_store *store, struct spool_message *message,
			      struct copy *copy)
{
	struct buffer head = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX + SPOOL_JOURNAL_BYTES);
	struct spool_record record;
	enum error error = read_record(store, message, &copy->body, &record);
	uint32_t outcomes;

	if (error) {
		return error;
	}
	spool_state_encode_message(&head, message, SPOOL_STATE_MOVED);
	outcomes = (uint32_t)head.len;
	buffer_add(&head, record.envelope);
	copy->part = record.body;
	return spool_writer_append_record(store->port, &copy->append, head, outcomes, message->id,
					  &copy->part, 1, copied, copy);
}

static bool copy_forward(struct spool_store *store, struct spool_message *message)
{
	struct copy *copy = calloc(1, sizeof *copy);

	if (!copy) {
		return false;
	}
	copy->store = store;
	copy->id = message->id;
	copy->body = buffer_with_max(SPOOL_SEGMENT_BYTES_MAX);
	if (append_copy(store, message, copy)) {
		buffer_done(&copy->body);
		free(copy);
		return false;
	}
	message->internal |= SPOOL_IS_COPYING;
	spool_store_wait_for(store, &copy->waiting);
	return true;
}

// The oldest use that holds little, and is over; NULL: none, or there is no need.
static struct spool_segment *find_sparse(const struct spool_store *store)
{
	struct spool_segment *found = NULL;

	if (store->status.segments <= store->settings.copy_forward_segments) {
		return NULL;
	}
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		const struct spool_family *family = &store->families[i];
		struct spool_segment *segment;

		for (struct list *link = family->segments.next; link != &family->segments;
		     link = link->next) {
			segment = CONTAINER_OF(link, struct spool_segment, link);
			if (segment->header.epoch < family->position.epoch && segment->live > 0 &&
			    segment->live_bytes * SPARSE_SHARE < segment->header.segment_bytes &&
			    (!found || segment->header.begun_ms < found->header.begun_ms)) {
				found = segment;
			}
		}
	}
	return found;
}

void spool_store_copy_timer(void *context)
{
	struct spool_store *store = context;
	struct spool_segment *sparse = find_sparse(store);
	unsigned left = COPY_AT_ONCE;

	if (sparse) {
		spool_store_flush(store); // what was noted before goes before the copies
	}
	for (struct list *link = store->messages.next;
	     sparse && left > 0 && link != &store->messages; link = link->next) {
		struct spool_message *message = CONTAINER_OF(link, struct spool_message, link);

		if (message->ref.family == sparse->header.family &&
		    message->ref.epoch == sparse->header.epoch &&
		    !(message->internal & (SPOOL_IS_COPYING | SPOOL_IS_SUBMITTING)) &&
		    !copy_forward(store, message)) {
			break;
		}
		left -= (message->internal & SPOOL_IS_COPYING) != 0;
	}
	os_timer_set(&store->copy_timer, COPY_EVERY_MS);
}

static bool remove_if_orphan(void *context, const char *name)
{
	struct spool_store *store = context;
	struct os_file_info info;
	uint64_t id;

	if (spool_id_parse(view_from_text(name), &id) == OK &&
	    !spool_index_get(&store->index, id) &&
	    os_file_info_at(store->folders[SPOOL_RECEIVE].body, name, &info) == OK &&
	    info.modified_ms + orphan_age_ms < os_clock_wall_ms()) {
		(void)!os_file_remove_at(store->folders[SPOOL_RECEIVE].body, name);
	}
	return true;
}

void spool_store_remove_orphans(struct spool_store *store)
{
	if (store->status.faults > 0) {
		return; // what was not understood or not readable may name them
	}
	(void)!os_dir_list(store->folders[SPOOL_RECEIVE].body, remove_if_orphan, store);
}
