// Rebuilds the live queue from disk: README, "Recovery".
#include "spool/store_private.h"

#include <string.h>

struct recovery {
	struct spool_store *store;
	struct spool_place covered[SPOOL_FAMILIES_MAX];
	enum error error; // that ends it
};

enum { READ_TRIES = 3 }; // a failed read may be one of the moment

// This process lacks something: the start must be tried again, nothing is wrong on disk.
static bool is_ours(enum error error)
{
	return error == ERROR_NO_MEMORY || error == ERROR_LIMIT;
}

static void find_segment(void *context, uint16_t family, uint32_t number)
{
	struct recovery *recovery = context;
	struct spool_segment_header header;
	enum error error = ERROR_IO;

	for (int tries = 0; error == ERROR_IO && tries < READ_TRIES; tries++) {
		error = spool_folder_read_header(spool_store_folder(recovery->store, family),
						 family, number, &header);
	}
	if (error == ERROR_NOT_FOUND) {
		return;
	}
	if (is_ours(error)) {
		recovery->error = error;
		return;
	}
	if (error) {
		// Where it may be readable later, what it holds must not be forgotten.
		recovery->store->is_partial |= error != ERROR_CORRUPT;
		spool_store_fault(recovery->store, "a segment's header is not readable",
				  (struct spool_ref){ family, (uint16_t)number, 0, 0, 0 });
		return;
	}
	error = spool_store_add_segment(recovery->store, &header);
	if (error) {
		recovery->error = error;
	}
}

// The header with the highest epoch speaks for its family.
static void apply_abandoned(struct spool_family *family)
{
	struct spool_segment *speaker;

	if (list_empty(&family->segments)) {
		return;
	}
	speaker = CONTAINER_OF(family->segments.previous, struct spool_segment, link);
	for (struct list *link = family->segments.next; link != &family->segments;
	     link = link->next) {
		struct spool_segment *segment = CONTAINER_OF(link, struct spool_segment, link);

		segment->limit = spool_segment_limit(&speaker->header, segment->header.segment,
						     segment->header.epoch, segment->limit);
	}
}

enum error spool_store_learn_segment(struct spool_store *store, uint16_t family, uint32_t segment)
{
	struct spool_segment_header header;
	enum error error = spool_folder_read_header(spool_store_folder(store, family), family,
						    segment, &header);

	if (error) {
		return error;
	}
	if (spool_store_segment(store, family, header.epoch)) {
		return ERROR_EXISTS;
	}
	error = spool_store_add_segment(store, &header);
	if (!error) {
		apply_abandoned(&store->families[family]);
	}
	return error;
}

// What the running writer has not synced is not read, except behind its last life.
static uint32_t limit_by_mark(const struct spool_family *family,
			      const struct spool_segment *segment)
{
	uint64_t mark = family->commits ? atomic_load(&family->commits->mark) : 0;
	uint32_t epoch = (uint32_t)(mark >> 32), offset = (uint32_t)mark;

	if (mark == 0 || segment->header.epoch < epoch || segment->limit < offset) {
		return segment->limit;
	}
	return segment->header.epoch == epoch ? offset : SPOOL_RECORDS_AT;
}

uint64_t spool_store_sequence_after(const struct spool_store *store,
				    const struct spool_segment *segment)
{
	const struct list *head = &store->families[segment->header.family].segments;
	const struct spool_segment *next =
		CONTAINER_OF(segment->link.next, struct spool_segment, link);

	if (segment->link.next == head || next->header.epoch != segment->header.epoch + 1) {
		return 0;
	}
	return next->header.sequence;
}

typedef void record_fn(struct recovery *recovery, struct spool_segment *segment,
		       const struct spool_record *record);

// The whole segment into the window.
static enum error read_whole(struct spool_store *store, struct spool_segment *segment)
{
	enum error error = ERROR_IO;

	for (int tries = 0; error == ERROR_IO && tries < READ_TRIES; tries++) {
		error = spool_store_read(store, segment, 0, segment->header.segment_bytes);
	}
	if (segment->pins == 0) {
		os_file_close(segment->file);
		segment->file = -1;
	}
	if (!error && store->window.len < segment->header.segment_bytes) {
		error = ERROR_CORRUPT;
	}
	return error;
}

// A fault may be one of the moment: the segment was read while its writer wrote, or is used again
// by now. So it is read once more before anything is called corrupt. False: its use is over.
static bool look_again(struct spool_store *store, struct spool_segment *segment,
		       struct spool_scan *scan)
{
	struct spool_segment_header header;
	enum error error = read_whole(store, segment);

	scan->window = buffer_view(&store->window);
	if (!error) {
		error = spool_folder_read_header(spool_store_folder(store, segment->header.family),
						 segment->header.family, segment->header.segment,
						 &header);
	}
	if (error) {
		scan->limit = scan->offset; // nothing more can be had
		return error != ERROR_NOT_FOUND;
	}
	return header.tag == segment->header.tag;
}

static void scan_records(struct recovery *recovery, struct spool_segment *segment,
			 struct spool_scan *scan, record_fn *fn)
{
	struct spool_record record;
	struct spool_scan before = *scan;
	bool is_second_look = false;
	enum spool_scan_result result;

	while (recovery->error == OK &&
	       (result = spool_scan_next(scan, &record)) != SPOOL_SCAN_END) {
		if (result == SPOOL_SCAN_RECORD) {
			fn(recovery, segment, &record);
		} else if (!is_second_look) {
			is_second_look = true;
			*scan = before;
			if (!look_again(recovery->store, segment, scan)) {
				return;
			}
		} else {
			spool_store_fault(recovery->store, "records are corrupt",
					  spool_ref_of(segment, &record));
		}
		before = *scan;
	}
}

static void scan_segment(struct recovery *recovery, struct spool_segment *segment, record_fn *fn)
{
	struct spool_store *store = recovery->store;
	struct spool_family *family = &store->families[segment->header.family];
	struct spool_scan scan = spool_scan_of(&segment->header);
	enum error error;

	// Before the bytes are read: what is committed meanwhile may be missing among them.
	scan.limit = limit_by_mark(family, segment);
	scan.sequence_end = spool_store_sequence_after(store, segment);
	error = read_whole(store, segment);
	if (is_ours(error)) {
		recovery->error = error;
		return;
	}
	if (error) {
		segment->is_unreadable = true;
		spool_store_fault(store, "a segment is not readable",
				  spool_ref_of(segment, &(struct spool_record){ 0 }));
		return;
	}
	scan.window = buffer_view(&store->window);
	scan_records(recovery, segment, &scan, fn);
	family->position = (struct spool_place){ segment->header.epoch, scan.offset };
	family->sequence = scan.sequence;
}

// Gathers one state of the journal: the newest wins, since this goes in order.
static void merge_state(struct recovery *recovery, struct spool_ref place,
			const struct spool_state *state)
{
	struct spool_store *store = recovery->store;
	struct spool_message *message = spool_index_get(&store->index, state->id);

	if (!message) {
		message = spool_message_new(store, state->id, state->recipient_count);
	}
	if (!message) {
		recovery->error = ERROR_NO_MEMORY;
		return;
	}
	if (message->recipient_count != state->recipient_count) {
		spool_store_fault(store, "an outcome does not fit its message", place);
		return;
	}
	if (state->flags & SPOOL_STATE_GONE) {
		message->internal |= SPOOL_IS_GONE;
	}
	if (state->flags & SPOOL_STATE_MOVED) {
		message->ref = place;
	}
	if (state->reason.len > 0) {
		spool_message_set_reason(store, message, state->reason);
	}
	spool_state_apply(message, state);
}

static void read_outcomes(struct recovery *recovery, struct spool_segment *segment,
			  const struct spool_record *record)
{
	struct wire_reader reader = wire_reader_of(record->outcomes);
	struct spool_state state;

	while (spool_state_next(&reader, &state)) {
		merge_state(recovery, spool_ref_of(segment, record), &state);
	}
	if (reader.failed) {
		spool_store_fault(recovery->store, "an outcome breaks its format",
				  spool_ref_of(segment, record));
	}
}

static bool is_covered(const struct recovery *recovery, const struct spool_segment *segment,
		       uint32_t offset)
{
	struct spool_place covered = recovery->covered[segment->header.family];

	return segment->header.epoch < covered.epoch ||
	       (segment->header.epoch == covered.epoch && offset < covered.offset);
}

static bool is_at(const struct spool_message *message, const struct spool_segment *segment,
		  uint32_t offset)
{
	return message->ref.family == segment->header.family &&
	       message->ref.epoch == segment->header.epoch && message->ref.offset == offset;
}

// By the rule of README, "Checkpoint".
static bool is_live(const struct recovery *recovery, const struct spool_message *message,
		    const struct spool_segment *segment, uint32_t offset)
{
	if (!message) {
		return !is_covered(recovery, segment, offset);
	}
	if (message->internal & (SPOOL_IS_GONE | SPOOL_IS_FOUND)) {
		return false;
	}
	if (message->ref.epoch != 0) {
		return is_at(message, segment, offset);
	}
	return !is_covered(recovery, segment, offset);
}

// It was in hand when deliver ended.
static void count_crash(struct spool_store *store, struct spool_message *message)
{
	bool was_trying = false;

	for (uint32_t i = 0; i < message->recipient_count; i++) {
		was_trying |= message->recipients[i].trying;
		message->recipients[i].trying = false;
	}
	if (!was_trying) {
		return;
	}
	store->is_careful = true;
	message->internal |= SPOOL_IS_CHANGED;
	if (++message->crashes >= SPOOL_CRASHES_MAX) {
		message->flags |= SPOOL_HELD;
	}
}

static void offer(struct recovery *recovery, struct spool_segment *segment,
		  const struct spool_record *record, const struct spool_envelope *envelope)
{
	struct spool_store *store = recovery->store;
	struct spool_message *message = spool_index_get(&store->index, envelope->id);

	if (!is_live(recovery, message, segment, record->offset)) {
		return;
	}
	if (!message) {
		message = spool_message_new(store, envelope->id, envelope->recipient_count);
	}
	if (!message) {
		recovery->error = ERROR_NO_MEMORY;
		return;
	}
	if (message->recipient_count != envelope->recipient_count) {
		spool_store_fault(store, "an outcome does not fit its message",
				  spool_ref_of(segment, record));
		return;
	}
	message->has_body_file = (envelope->flags & SPOOL_BODY_FILE) != 0;
	spool_message_place(store, message, spool_ref_of(segment, record));
	if (!store->is_inspecting) {
		count_crash(store, message);
	}
	recovery->error = store->calls.on_message(store->calls.context, message, envelope);
}

static void read_message(struct recovery *recovery, struct spool_segment *segment,
			 const struct spool_record *record)
{
	struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct spool_envelope envelope;
	enum error error;

	if (record->envelope.len == 0) {
		return;
	}
	error = spool_envelope_decode(record->envelope, &arena, &envelope);
	if (!error) {
		offer(recovery, segment, record, &envelope);
	} else {
		spool_store_fault(recovery->store, "an envelope is not understood",
				  spool_ref_of(segment, record));
		spool_store_keep_record(recovery->store, segment, error,
					is_covered(recovery, segment, record->offset));
	}
	arena_done(&arena);
}

// Those that the index has a place for but no record was found, and those that have ended.
static void sweep_index(struct recovery *recovery)
{
	struct spool_store *store = recovery->store;
	bool is_whole = !spool_store_is_partial(store);

	for (size_t i = 0; i < store->index.capacity;) {
		struct spool_message *message = store->index.slots[i];

		if (!message || (message->internal & SPOOL_IS_FOUND) ||
		    (!is_whole && !(message->internal & SPOOL_IS_GONE))) {
			i++;
			continue;
		}
		if (!(message->internal & SPOOL_IS_GONE) && message->ref.epoch != 0) {
			spool_store_fault(store, "a message is missing", message->ref);
		}
		spool_message_drop(store, message); // another may move to this slot
	}
}

static void scan_family(struct recovery *recovery, uint16_t family, bool only_behind, record_fn *fn)
{
	struct list *segments = &recovery->store->families[family].segments;

	for (struct list *link = segments->next; link != segments && recovery->error == OK;
	     link = link->next) {
		struct spool_segment *segment = CONTAINER_OF(link, struct spool_segment, link);

		if (only_behind && segment->header.epoch < recovery->covered[family].epoch) {
			continue;
		}
		scan_segment(recovery, segment, fn);
	}
}

enum error spool_store_recover(struct spool_store *store)
{
	struct recovery recovery = { .store = store };
	enum error error = OK;

	for (unsigned i = 0; !error && i < SPOOL_PARTS; i++) {
		error = spool_folder_list_segments(&store->folders[i], find_segment, &recovery);
	}
	if (error || recovery.error) {
		return error ? error : recovery.error;
	}
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		apply_abandoned(&store->families[i]);
	}
	error = spool_checkpoint_load(store, recovery.covered);
	if (error && error != ERROR_NOT_FOUND && error != ERROR_CORRUPT) {
		return error;
	}
	store->is_careful |= error == ERROR_CORRUPT;
	scan_family(&recovery, 0, true, read_outcomes);
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		scan_family(&recovery, i, false, read_message);
	}
	if (recovery.error == OK) {
		sweep_index(&recovery);
	}
	return recovery.error;
}
