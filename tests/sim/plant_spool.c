// Planted in the spool: between the files of its room.
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/wire.h"
#include "os/file.h"
#include "os/random.h"
#include "os/sim/private.h"
#include "sim/plant.h"
#include "spool/format.h"
#include "spool/id.h"
#include "spool/state.h"
#include "spool/store_private.h"

// ---- epochs and tags

enum { ANY_EPOCH = 1, ANY_TAG = 1 };

void __real_spool_record_header_encode(char ret_header[SPOOL_RECORD_HEADER_BYTES],
				       const struct spool_segment_header *segment,
				       uint64_t sequence, uint32_t batch_start,
				       struct spool_record_lengths lengths, uint32_t body_crc);
void __wrap_spool_record_header_encode(char ret_header[SPOOL_RECORD_HEADER_BYTES],
				       const struct spool_segment_header *segment,
				       uint64_t sequence, uint32_t batch_start,
				       struct spool_record_lengths lengths, uint32_t body_crc);
void __wrap_spool_record_header_encode(char ret_header[SPOOL_RECORD_HEADER_BYTES],
				       const struct spool_segment_header *segment,
				       uint64_t sequence, uint32_t batch_start,
				       struct spool_record_lengths lengths, uint32_t body_crc)
{
	struct spool_segment_header any = *segment;

	if (plant_is(PLANT_EPOCH_UNCHECKED)) {
		any.epoch = ANY_EPOCH;
		any.tag = ANY_TAG;
	}
	__real_spool_record_header_encode(ret_header, &any, sequence, batch_start, lengths,
					  body_crc);
}

struct spool_scan __real_spool_scan_of(const struct spool_segment_header *header);
struct spool_scan __wrap_spool_scan_of(const struct spool_segment_header *header);
struct spool_scan __wrap_spool_scan_of(const struct spool_segment_header *header)
{
	struct spool_scan scan = __real_spool_scan_of(header);

	if (plant_is(PLANT_EPOCH_UNCHECKED)) {
		scan.epoch = ANY_EPOCH;
		scan.tag = ANY_TAG;
	}
	return scan;
}

enum error __real_spool_segment_header_decode(const char *block,
					      struct spool_segment_header *ret_header) must_check;
enum error __wrap_spool_segment_header_decode(const char *block,
					      struct spool_segment_header *ret_header) must_check;
enum error __wrap_spool_segment_header_decode(const char *block,
					      struct spool_segment_header *ret_header)
{
	enum error error = __real_spool_segment_header_decode(block, ret_header);

	if (error == OK && plant_is(PLANT_ABANDONED_IGNORED)) {
		ret_header->abandoned_count = 0;
	}
	return error;
}

// ---- the checkpoint

enum { FAMILIES_AT = 16, FIRST_FAMILY_AT = 20, FAMILY_BYTES = 12, MORE_BYTES = 4096 };

static void cover_more(struct buffer *checkpoint)
{
	char *bytes = checkpoint->data;
	uint32_t families = wire_get_u32(bytes + FAMILIES_AT);
	size_t end = checkpoint->len - 4;

	for (uint32_t i = 0; i < families; i++) {
		char *offset = bytes + FIRST_FAMILY_AT + (size_t)i * FAMILY_BYTES + 8;

		wire_put_u32(offset, wire_get_u32(offset) + MORE_BYTES);
	}
	wire_put_u32(bytes + end, hash_crc32c(0, view_of(bytes, end)));
}

enum error __real_os_file_replace_at(int dir, const char *name, struct view bytes,
				     uint32_t mode) must_check;
enum error __wrap_os_file_replace_at(int dir, const char *name, struct view bytes,
				     uint32_t mode) must_check;
enum error __wrap_os_file_replace_at(int dir, const char *name, struct view bytes, uint32_t mode)
{
	struct buffer copy = buffer_with_max(bytes.len + 1);
	enum error error;

	if (!plant_is(PLANT_CHECKPOINT_COVERS_MORE) || strcmp(name, "checkpoint") != 0) {
		return __real_os_file_replace_at(dir, name, bytes, mode);
	}
	buffer_add(&copy, bytes);
	cover_more(&copy);
	error = __real_os_file_replace_at(dir, name, buffer_view(&copy), mode);
	buffer_done(&copy);
	return error;
}

// ---- the journal

// What it says is put in place of what was to be said: of a message that does not exist.
static void say_nothing(struct buffer *head)
{
	const struct spool_state nothing = { .id = 1,
					     .recipient_count = 1,
					     .flags = SPOOL_STATE_GONE };

	buffer_clear(head);
	spool_state_encode(head, &nothing, NULL);
}

enum error __real_spool_writer_append_record(struct spool_port *port, struct spool_append *append,
					     struct buffer head, uint32_t outcomes_bytes,
					     uint64_t id, const struct view *body,
					     unsigned body_count, spool_append_fn *done,
					     void *context) must_check;
enum error __wrap_spool_writer_append_record(struct spool_port *port, struct spool_append *append,
					     struct buffer head, uint32_t outcomes_bytes,
					     uint64_t id, const struct view *body,
					     unsigned body_count, spool_append_fn *done,
					     void *context) must_check;
enum error __wrap_spool_writer_append_record(struct spool_port *port, struct spool_append *append,
					     struct buffer head, uint32_t outcomes_bytes,
					     uint64_t id, const struct view *body,
					     unsigned body_count, spool_append_fn *done,
					     void *context)
{
	if (plant_is(PLANT_JOURNAL_SKIPPED) && id == 0 && os_random_below(4) == 0) {
		say_nothing(&head);
		outcomes_bytes = (uint32_t)head.len;
	}
	return __real_spool_writer_append_record(port, append, head, outcomes_bytes, id, body,
						 body_count, done, context);
}

static bool is_delivery(const struct spool_change *change)
{
	for (uint32_t i = 0; i < change->outcome_count; i++) {
		if (change->outcomes[i].state.status == SPOOL_DELIVERED) {
			return true;
		}
	}
	return false;
}

static bool is_the_end(const struct spool_change *change)
{
	uint32_t final = 0;

	for (uint32_t i = 0; i < change->outcome_count; i++) {
		final += change->outcomes[i].state.status != SPOOL_PENDING;
	}
	return final == change->message->pending;
}

static void remove_body(const struct spool_store *store, uint64_t id)
{
	char name[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(id, name);
	(void)!os_file_remove_at(store->folders[SPOOL_RECEIVE].body, name);
}

enum error __real_spool_store_note(struct spool_store *store,
				   const struct spool_change *change) must_check;
enum error __wrap_spool_store_note(struct spool_store *store,
				   const struct spool_change *change) must_check;
enum error __wrap_spool_store_note(struct spool_store *store, const struct spool_change *change)
{
	if (plant_is(PLANT_OUTCOME_LOST) && is_delivery(change) && os_random_below(8) == 0) {
		return OK;
	}
	if (plant_is(PLANT_BODY_REMOVED_EARLY) && change->message->has_body_file &&
	    is_the_end(change)) {
		remove_body(store, change->message->id);
		if (os_random_below(4) == 0) { // by chance too rare to wait for
			sim_plan_crash(sim_current->process, SIM_ANY, 1);
		}
	}
	return __real_spool_store_note(store, change);
}

// ---- messages

enum error __real_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len) must_check;
enum error __wrap_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len) must_check;
enum error __wrap_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len)
{
	enum error error = __real_spool_source_read_body(source, offset, bytes, len);

	if (plant_is(PLANT_BODY_DAMAGED) && error == OK && len) {
		((char *)bytes)[len / 2] ^= 1;
	}
	return error;
}

// To one that only fails (badN.K@...), so that nothing shows before the report does.
static void give_sender(struct spool_envelope *envelope, char *sender, size_t size)
{
	struct view rest = envelope->recipients[0].address, number;

	if (envelope->reverse_path.len == 0 && envelope->recipient_count == 1 &&
	    view_starts(rest, VIEW("bad"))) {
		rest = view_from(rest, 3);
		(void)view_next_part(&rest, '.', &number);
		snprintf(sender, size, "s%.*s@senders.example", VIEW_ARG(number));
		envelope->reverse_path = view_from_text(sender);
	}
}

enum error __real_spool_writer_append(struct spool_port *port, struct spool_append *append,
				      const struct spool_envelope *envelope,
				      const struct view *body, unsigned body_count,
				      spool_append_fn *done, void *context) must_check;
enum error __wrap_spool_writer_append(struct spool_port *port, struct spool_append *append,
				      const struct spool_envelope *envelope,
				      const struct view *body, unsigned body_count,
				      spool_append_fn *done, void *context) must_check;
enum error __wrap_spool_writer_append(struct spool_port *port, struct spool_append *append,
				      const struct spool_envelope *envelope,
				      const struct view *body, unsigned body_count,
				      spool_append_fn *done, void *context)
{
	struct spool_envelope less = *envelope;
	char sender[64];

	if (plant_is(PLANT_NULL_SENDER_TOLD)) {
		give_sender(&less, sender, sizeof sender);
	}
	less.recipient_count -= plant_is(PLANT_RECIPIENT_LOST) && less.recipient_count > 1;
	return __real_spool_writer_append(port, append, &less, body, body_count, done, context);
}
