// What recovery gives, compared with the truth.
#include "spool/life_parts_test.h"

#include <stdlib.h>

#include "os/file.h"
#include "spool/folder.h"
#include "spool/inspect.h"

enum { WINDOW_MS = 100 }; // README: "Recovery"

static void check_envelope(struct truth *truth, uint64_t id, const struct spool_envelope *envelope)
{
	bool is_large = truth->told[id % LIFE_BOUNCE] & TRUTH_LARGE && id < LIFE_BOUNCE;
	struct letter letter;

	life_letter_of(id, is_large ? truth->large_bytes : 0, &letter);
	if (envelope->flags != letter.envelope.flags ||
	    envelope->arrival_ms != letter.envelope.arrival_ms ||
	    envelope->body_bytes != letter.envelope.body_bytes || envelope->recipient_count != 1 ||
	    !view_equal(envelope->reverse_path, letter.envelope.reverse_path) ||
	    !view_equal(envelope->recipients[0].address, letter.recipient.address) ||
	    !view_equal(envelope->helo, letter.envelope.helo)) {
		life_violated(truth, "another envelope than was given", id);
	}
}

static void check_bytes(struct truth *truth, uint64_t id, struct spool_source *source)
{
	char *bytes = malloc(source->body_bytes + 1);

	assert_non_null(bytes);
	if (spool_source_read_body(source, 0, bytes, source->body_bytes) != OK ||
	    !life_is_filled(id, 0, view_of(bytes, source->body_bytes))) {
		life_violated(truth, "other bytes than were given", id);
	}
	truth->large += source->body_file >= 0;
	free(bytes);
}

static void check_message(struct life *life, uint64_t id)
{
	struct arena arena = arena_with_max(1 << 20);
	struct buffer bytes = buffer_with_max(1 << 20);
	struct spool_envelope envelope;
	struct spool_source source;
	struct view small;

	if (spool_source_open(life->store, spool_store_find(life->store, id), &source) != OK) {
		life_violated(life->truth, "its body cannot be opened", id);
		return;
	}
	if (spool_source_read_envelope(&source, &bytes, &arena, &envelope, &small) != OK) {
		life_violated(life->truth, "its record cannot be read", id);
	} else {
		check_envelope(life->truth, id, &envelope);
		check_bytes(life->truth, id, &source);
	}
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
}

static void check_promise(struct life *life, uint64_t id)
{
	struct truth *truth = life->truth;
	uint8_t told = truth->told[id], told_of_bounce = truth->told[id + LIFE_BOUNCE];
	bool is_seen = life->seen[id] & SEEN_BY_STORE;
	bool has_bounce = life->seen[id + LIFE_BOUNCE] & SEEN_BY_STORE;
	bool bounce_ended = told_of_bounce & TRUTH_NOTED;

	if (told & TRUTH_ACKED && !(told & TRUTH_NOTED) && !is_seen && !has_bounce &&
	    !bounce_ended) {
		life_violated(truth, "answered 250 and lost", id);
	}
	if (told & TRUTH_COMMITTED && is_seen) {
		life_violated(truth, "has ended and is back", id);
	}
	if (told_of_bounce & TRUTH_COMMITTED && has_bounce) {
		life_violated(truth, "its bounce has ended and is back", id);
	}
	if (told & TRUTH_NOTED && is_seen && truth->now_ms > truth->noted_ms[id] + WINDOW_MS) {
		life_violated(truth, "ended longer ago than the window and is back", id);
	}
	if (is_seen && has_bounce) {
		life_violated(truth, "there, and its bounce too", id);
	}
	if (told & TRUTH_BOUNCED && is_seen) {
		life_violated(truth, "its bounce was durable and it is back", id);
	}
	if (told & TRUTH_BOUNCED && !has_bounce && !bounce_ended) {
		life_violated(truth, "its bounce is lost", id);
	}
	if (told & TRUTH_REFUSED && is_seen) {
		life_violated(truth, "was refused and is there", id);
	}
	if (!(told & TRUTH_GIVEN) && (is_seen || has_bounce)) {
		life_violated(truth, "there and was never given", id);
	}
}

struct census {
	struct life *life;
	struct spool_folder folder; // receive's
	uint32_t newest[SPOOL_FAMILIES_MAX];
};

static void find_newest(void *context, uint16_t family, uint32_t segment)
{
	struct census *census = context;
	struct spool_segment_header header;

	if (spool_folder_read_header(&census->folder, family, segment, &header) == OK &&
	    header.epoch > census->newest[family]) {
		census->newest[family] = header.epoch;
	}
}

// A use of receive's that is over is free as soon as it holds no message.
static void check_segment(void *context, uint16_t family, uint32_t segment)
{
	struct census *census = context;
	struct life *life = census->life;
	struct spool_segment_header header;
	const struct spool_message *message = NULL;
	bool is_used = false;

	if (spool_folder_read_header(&census->folder, family, segment, &header) != OK ||
	    header.epoch == census->newest[family]) {
		return;
	}
	while ((message = spool_store_next(life->store, message))) {
		is_used |= message->ref.family == family && message->ref.epoch == header.epoch;
	}
	if (is_used == (atomic_load(&life->queue.freed[family][segment]) == header.epoch)) {
		life_violated(life->truth,
			      is_used ? "a segment in use is called free"
				      : "a free segment is lost",
			      family * 10000u + segment);
	}
}

static void check_segments(struct life *life, int receive_dir)
{
	struct census census = { .life = life };

	assert_int_equal(spool_folder_open(receive_dir, SPOOL_RECEIVE, false, &census.folder), OK);
	assert_int_equal(spool_folder_list_segments(&census.folder, find_newest, &census), OK);
	assert_int_equal(spool_folder_list_segments(&census.folder, check_segment, &census), OK);
	spool_folder_close(&census.folder);
}

static void look_without_touching(struct life *life, int dir, uint8_t see)
{
	struct spool_store_calls calls = { life_on_message, life_on_fault, life };
	enum error error;

	life->see = see;
	error = spool_inspect(dir, 0, calls);
	if (error && error != ERROR_NOT_FOUND) {
		life_violated(life->truth, "an inspection fails", 0);
	}
}

static void compare_looks(struct life *life)
{
	for (uint64_t id = 0; id < LIFE_IDS_MAX; id++) {
		if (life->seen[id] != 0 &&
		    life->seen[id] != (SEEN_BY_STORE | SEEN_BEFORE | SEEN_AFTER)) {
			life_violated(life->truth, "not seen by every look", id);
		}
	}
}

static void look(void *context)
{
	struct life *life = context;
	int dir, parts[SPOOL_PARTS];

	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(spool_layout_make(dir, NULL, parts), OK);
	assert_int_equal(os_loop_new(&life->loop), OK);
	if (life->is_thorough) {
		look_without_touching(life, dir, SEEN_BEFORE);
	}
	if (life_open_store(life, parts) != OK) {
		life_violated(life->truth, "recovery fails", 0);
		return;
	}
	os_loop_stop(life->loop); // nothing of the store's may run while this looks and closes it
	for (uint64_t id = 1; id < LIFE_BOUNCE; id++) {
		check_promise(life, id);
	}
	for (uint64_t id = 1; id < LIFE_IDS_MAX; id++) {
		if (life->seen[id] & SEEN_BY_STORE) {
			check_message(life, id);
		}
	}
	check_segments(life, parts[SPOOL_RECEIVE]);
	spool_store_close(life->store);
	if (life->is_thorough) {
		look_without_touching(life, dir, SEEN_AFTER);
		compare_looks(life);
	}
	os_loop_free(life->loop);
	spool_layout_close(parts);
	os_dir_close(dir);
}

void life_look(struct sim_machine *machine, struct truth *truth, bool is_thorough)
{
	struct life *life = life_new(truth);

	life->is_thorough = is_thorough;
	if (!life_run_process(machine, life, look, NULL, 0)) {
		life_violated(truth, "the look crashed", 0);
	}
}
