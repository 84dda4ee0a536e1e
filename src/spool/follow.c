// Takes in what the writers have committed since: never past a family's commit mark. Of what
// is known to be synced only heads are read and checked; a body is when it is sent.
#include "spool/store_private.h"

enum {
	HEAD_BYTES = 8 * 1024,        // enough for nearly every head
	LARGE_BODY_BYTES = 32 * 1024, // behind such a one only a head is read
};

static struct spool_ref place_of(uint16_t family, const struct spool_segment *segment,
				 uint32_t offset)
{
	return (struct spool_ref){ family, (uint16_t)segment->header.segment, segment->header.epoch,
				   offset, 0 };
}

static enum error take_message(struct spool_store *store, struct spool_ref ref,
			       const struct spool_envelope *envelope)
{
	struct spool_message *message = spool_index_get(&store->index, envelope->id);
	enum error error;

	if (message) {
		spool_store_fault(store, "a queue id was used twice", ref);
		return OK;
	}
	message = spool_message_new(store, envelope->id, envelope->recipient_count);
	if (!message) {
		return ERROR_NO_MEMORY;
	}
	message->has_body_file = (envelope->flags & SPOOL_BODY_FILE) != 0;
	spool_message_place(store, message, ref);
	error = store->calls.on_message(store->calls.context, message, envelope);
	if (error) {
		struct spool_segment *segment = spool_store_segment(store, ref.family, ref.epoch);

		segment->live--;
		segment->live_bytes -= ref.bytes;
		spool_message_drop(store, message);
	}
	return error;
}

static bool is_copy(const struct spool_record *record)
{
	struct wire_reader reader = wire_reader_of(record->outcomes);
	struct spool_state state;

	return spool_state_next(&reader, &state) && (state.flags & SPOOL_STATE_MOVED);
}

// OK: taken, or not to be had. Another error: to be offered again later.
static enum error take_record(struct spool_store *store, struct spool_segment *segment,
			      const struct spool_record *record)
{
	struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct spool_envelope envelope;
	enum error error = OK;

	if (record->envelope.len == 0 || is_copy(record)) {
		return OK; // what was copied forward is known: the copy's end moves it
	}
	error = spool_envelope_decode(record->envelope, &arena, &envelope);
	if (!error) {
		error = take_message(store, spool_ref_of(segment, record), &envelope);
	} else if (error != ERROR_NO_MEMORY) {
		spool_store_fault(store, "an envelope is not understood",
				  spool_ref_of(segment, record));
		spool_store_keep_record(store, segment, error, false);
		error = OK;
	}
	arena_done(&arena);
	return error;
}

// Where reading may go to in the segment of the position.
static uint32_t limit_of(const struct spool_segment *segment, uint64_t mark)
{
	uint32_t offset = (uint32_t)mark;

	if (segment->header.epoch != (uint32_t)(mark >> 32)) {
		return segment->limit; // its use is over
	}
	return offset < segment->limit ? offset : segment->limit;
}

// How much to read at the scan's offset: where bodies are large, little more than the next head.
static uint32_t window_bytes(const struct spool_scan *scan, uint32_t last_body_bytes)
{
	uint32_t wanted = last_body_bytes >= LARGE_BODY_BYTES ? HEAD_BYTES : SPOOL_FOLLOW_BYTES;

	if (scan->offset == scan->window_offset && scan->window.len > 0) {
		wanted = 2 * (uint32_t)scan->window.len; // it ended inside of what begins here
	}
	return wanted < scan->limit - scan->offset ? wanted : scan->limit - scan->offset;
}

static bool move_window(struct spool_store *store, struct spool_segment *segment,
			struct spool_scan *scan, uint32_t len)
{
	if (spool_store_read(store, segment, scan->offset, len) || store->window.len < len) {
		spool_store_fault(store, "a segment is not readable",
				  place_of(segment->header.family, segment, scan->offset));
		return false;
	}
	scan->window = buffer_view(&store->window);
	scan->window_offset = scan->offset;
	return true;
}

static struct spool_scan scan_from(const struct spool_store *store,
				   const struct spool_family *family,
				   const struct spool_segment *segment, uint64_t mark)
{
	struct spool_scan scan = spool_scan_of(&segment->header);

	scan.heads_only = true;
	scan.offset = family->position.offset;
	scan.sequence = family->sequence;
	scan.limit = limit_of(segment, mark);
	scan.committed_below = segment->header.epoch == (uint32_t)(mark >> 32) ? scan.limit : 0;
	scan.sequence_end = spool_store_sequence_after(store, segment);
	return scan;
}

// Takes records from the position on; *budget counts messages. False: not all that is there.
static bool read_records(struct spool_store *store, struct spool_family *family,
			 struct spool_segment *segment, struct spool_scan *scan, unsigned *budget)
{
	uint32_t last_body_bytes = 0;
	enum spool_scan_result result = SPOOL_SCAN_MORE;

	while (*budget > 0 && scan->offset < scan->limit) {
		struct spool_record record;

		if (result == SPOOL_SCAN_MORE &&
		    !move_window(store, segment, scan, window_bytes(scan, last_body_bytes))) {
			return false;
		}
		result = spool_scan_next(scan, &record);
		if (result == SPOOL_SCAN_MORE) {
			continue;
		}
		if (result == SPOOL_SCAN_END) {
			break;
		}
		if (result == SPOOL_SCAN_FAULT) {
			spool_store_fault(store, "records are corrupt",
					  spool_ref_of(segment, &record));
		} else if (take_record(store, segment, &record)) {
			return false;
		} else {
			last_body_bytes = (uint32_t)record.body.len;
		}
		family->position.offset = scan->offset;
		family->sequence = scan->sequence;
		*budget -= result == SPOOL_SCAN_RECORD;
	}
	return *budget > 0;
}

// True: the segment is read to its limit.
static bool read_segment(struct spool_store *store, struct spool_family *family,
			 struct spool_segment *segment, uint64_t mark, unsigned *budget)
{
	struct spool_scan scan = scan_from(store, family, segment, mark);
	uint32_t limit = scan.limit; // a fault may lower the scan's own

	if (!read_records(store, family, segment, &scan, budget)) {
		return false;
	}
	if (scan.committed_below && spool_pad(family->position.offset, SPOOL_BLOCK_BYTES) < limit) {
		spool_store_fault(
			store, "records are corrupt",
			place_of(segment->header.family, segment, family->position.offset));
	}
	family->position.offset = limit;
	return true;
}

// The next use after the position, by the page and its header; NULL: none that can be had.
static struct spool_segment *next_segment(struct spool_store *store, uint16_t number,
					  uint32_t epoch_max)
{
	struct spool_family *family = &store->families[number];
	uint32_t best = 0, best_epoch = 0;

	for (uint32_t i = 0; i < SPOOL_SEGMENTS_MAX; i++) {
		uint32_t epoch = atomic_load(&family->commits->epochs[i]);

		if (epoch > family->position.epoch && epoch <= epoch_max &&
		    (best_epoch == 0 || epoch < best_epoch)) {
			best = i;
			best_epoch = epoch;
		}
	}
	if (best_epoch == 0) {
		return NULL;
	}
	if (!spool_store_segment(store, number, best_epoch)) {
		enum error error = spool_store_learn_segment(store, number, best);

		if (error && error != ERROR_EXISTS) {
			return NULL;
		}
	}
	return spool_store_segment(store, number, best_epoch);
}

static bool mark_is_sound(const struct spool_family *family, uint64_t mark)
{
	uint32_t epoch = (uint32_t)(mark >> 32), offset = (uint32_t)mark;

	return mark != 0 && offset % SPOOL_BLOCK_BYTES == 0 && offset >= SPOOL_RECORDS_AT &&
	       (epoch > family->position.epoch ||
		(epoch == family->position.epoch && offset >= family->position.offset));
}

static bool has_news(const struct spool_family *family)
{
	uint64_t mark = family->commits ? atomic_load(&family->commits->mark) : 0;

	return mark_is_sound(family, mark) && ((uint32_t)(mark >> 32) != family->position.epoch ||
					       (uint32_t)mark != family->position.offset);
}

// Goes on to the next use; the one before may be free now.
static bool go_on(struct spool_store *store, uint16_t number, uint32_t epoch_max)
{
	struct spool_segment *next = next_segment(store, number, epoch_max);
	struct spool_family *family = &store->families[number];
	struct spool_segment *before = spool_store_segment(store, number, family->position.epoch);

	if (!next) {
		return false;
	}
	if (before && before->pins == 0) {
		os_file_close(before->file);
		before->file = -1;
	}
	family->position = (struct spool_place){ next->header.epoch, SPOOL_RECORDS_AT };
	family->sequence = next->header.sequence;
	spool_store_free_segments(store, number);
	return true;
}

static bool has_fresh_news(const struct spool_family *family)
{
	return has_news(family) && atomic_load(&family->commits->mark) != family->stuck_mark;
}

// The header of that use tells the abandoned ranges before the rest of an older one is read. False:
// it cannot be read now; without it a message that was refused would pass for accepted. One that is
// corrupt for good keeps back nothing.
static bool learn_of(struct spool_store *store, uint16_t number, uint32_t epoch)
{
	struct spool_family *family = &store->families[number];

	if (epoch == family->position.epoch || spool_store_segment(store, number, epoch)) {
		return true;
	}
	for (uint32_t i = 0; i < SPOOL_SEGMENTS_MAX; i++) {
		if (atomic_load(&family->commits->epochs[i]) == epoch) {
			enum error error = spool_store_learn_segment(store, number, i);

			return !error || error == ERROR_EXISTS || error == ERROR_CORRUPT;
		}
	}
	return true;
}

// One segment's part of what lies before the mark. False: no more of it can be had now.
static bool follow_to(struct spool_store *store, uint16_t number, uint64_t mark, unsigned *budget)
{
	struct spool_family *family = &store->families[number];
	uint32_t epoch = (uint32_t)(mark >> 32);
	struct spool_segment *segment;

	if (!learn_of(store, number, epoch)) {
		return false;
	}
	segment = spool_store_segment(store, number, family->position.epoch);
	if (segment && !read_segment(store, family, segment, mark, budget)) {
		return false;
	}
	if (epoch == family->position.epoch) {
		return family->position.offset == (uint32_t)mark; // not beyond the segment's end
	}
	return go_on(store, number, epoch);
}

// What could not be taken in is no news until the mark moves: by the mark that was tried, for
// there may be a later one already.
static void follow_family(struct spool_store *store, uint16_t number, unsigned *budget)
{
	struct spool_family *family = &store->families[number];

	family->stuck_mark = 0;
	while (*budget > 0 && has_news(family)) {
		uint64_t mark = atomic_load(&family->commits->mark);

		if (mark_is_sound(family, mark) && !follow_to(store, number, mark, budget)) {
			family->stuck_mark = *budget > 0 ? mark : 0;
			return;
		}
	}
}

static bool any_news(const struct spool_store *store)
{
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		if (has_fresh_news(&store->families[i])) {
			return true;
		}
	}
	return false;
}

bool spool_store_follow(struct spool_store *store, unsigned messages_max)
{
	unsigned budget = messages_max;

	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		follow_family(store, i, &budget);
	}
	spool_checkpoint_when_due(store);
	return any_news(store);
}

bool spool_store_is_behind(const struct spool_store *store)
{
	for (uint16_t i = 0; i < SPOOL_FAMILIES_MAX; i++) {
		if (store->families[i].stuck_mark) {
			return true;
		}
	}
	return false;
}

bool spool_store_sleep(struct spool_store *store)
{
	uint32_t sleep = atomic_load(&store->settings.queue->sleep);

	atomic_store(&store->settings.queue->sleep, sleep + 1 + (sleep & 1));
	if (any_news(store)) {
		spool_store_awake(store);
		return true;
	}
	return false;
}

void spool_store_awake(struct spool_store *store)
{
	uint32_t sleep = atomic_load(&store->settings.queue->sleep);

	if (sleep & 1) {
		atomic_store(&store->settings.queue->sleep, sleep + 1);
	}
}
