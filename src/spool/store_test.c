#include "os/file.h"
#include "spool/world_test.h"

#include <string.h>

static const struct spool_recipient_state delivered = { .status = SPOOL_DELIVERED, .attempts = 1 };
static const struct spool_recipient_state deferred = { .attempts = 3,
						       .next_attempt_s = 1795300000 };
static const struct spool_recipient_state trying = { .trying = true, .attempts = 1 };

static void what_was_committed_is_followed_in_order(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1000, 300);
	world_follow(&world);
	assert_int_equal(world.append_ok, 300);
	assert_int_equal(world.seen_count, 300);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(world.seen[i], 1000 + i);
	}
	assert_int_equal(world.faults, 0);
	assert_int_equal(atomic_load(&world.queue.queued_messages), 300);
	world_done(&world);
}

static void what_was_committed_is_recovered(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 1, 500);
	world_stop_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 500);
	assert_int_equal(world.faults, 0);
	world_done(&world);
}

static void outcomes_survive_with_and_without_a_checkpoint(void **state)
{
	for (int is_clean = 0; is_clean < 2; is_clean++) {
		struct world world;
		struct spool_message *message;

		(void)state;
		world_open(&world);
		world_start_writer(&world);
		assert_int_equal(world_start_store(&world), OK);
		world_append(&world, 7, VIEW("x"), 3);
		world_append(&world, 8, VIEW("y"), 1);
		world_append(&world, 9, VIEW("z"), 1);
		world_wait(&world);
		world_follow(&world);
		assert_int_equal(world_note(&world, 7, 1, delivered), OK);
		assert_int_equal(world_note(&world, 7, 2, deferred), OK);
		assert_int_equal(world_note(&world, 8, 0, delivered), OK);
		assert_null(spool_store_find(world.store, 8));
		world_commit(&world);
		is_clean ? world_stop_store(&world) : world_kill_store(&world);

		assert_int_equal(world_start_store(&world), OK);
		assert_int_equal(world.seen_count, 2);
		assert_int_equal(world.faults, 0);
		message = spool_store_find(world.store, 7);
		assert_non_null(message);
		assert_int_equal(message->pending, 2);
		assert_int_equal(message->recipients[1].status, SPOOL_DELIVERED);
		assert_int_equal(message->recipients[2].attempts, 3);
		assert_int_equal(message->recipients[2].next_attempt_s, 1795300000);
		assert_string_equal(message->reason, "250 2.0.0 ok");
		assert_true(world_saw(&world, 9));
		assert_int_equal(spool_store_is_careful(world.store), !is_clean);
		world_done(&world);
	}
}

static void two_deliver_never_run_at_once(void **state)
{
	struct world world;
	struct spool_store *first;

	(void)state;
	world_open(&world);
	assert_int_equal(world_start_store(&world), OK);
	first = world.store;
	assert_int_equal(world_start_store(&world), ERROR_BUSY);
	world.store = first;
	world_done(&world);
}

static void a_message_is_read_back_whole(void **state)
{
	static char body[200000];
	struct world world;
	struct spool_source source;
	struct spool_envelope envelope;
	struct arena arena = arena_with_max(1 << 20);
	struct buffer bytes = buffer_with_max(1 << 20);
	struct view small;
	char part[100];

	(void)state;
	for (size_t i = 0; i < sizeof body; i++) {
		body[i] = (char)(i * 7);
	}
	world_open(&world);
	world.segment_bytes = 1 << 20;
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append(&world, 70, view_of(body, sizeof body), 2);
	world_wait(&world);
	world_follow(&world);
	assert_int_equal(spool_source_open(world.store, world.last, &source), OK);
	assert_int_equal(spool_source_read_envelope(&source, &bytes, &arena, &envelope, &small),
			 OK);
	assert_true(view_equal(small, view_of(body, sizeof body)));
	assert_view(envelope.recipients[1].address, "1@x.example");
	assert_view(envelope.recipients[1].original, "1@x.example");
	assert_int_equal(spool_source_read_body(&source, 150000, part, sizeof part), OK);
	assert_memory_equal(part, body + 150000, sizeof part);
	assert_int_equal(spool_source_read_body(&source, sizeof body - 99, part, sizeof part),
			 ERROR_INVALID);
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
	world_done(&world);
}

static void free_segments_are_used_again_and_stale_records_never_reappear(void **state)
{
	struct world world;
	uint64_t id = 1;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	for (int round = 0; round < 30; round++) {
		world_append_many(&world, id, 100);
		world_follow(&world);
		for (unsigned i = 0; i < 100; i++) {
			assert_int_equal(world_note(&world, id + i, 0, delivered), OK);
		}
		world_commit(&world);
		id += 100;
	}
	assert_in_range(spool_writer_status(world.writer).segments, 1, 8);
	world_append_many(&world, id, 5);
	world_kill_store(&world);
	world_stop_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 5);
	assert_int_equal(world.seen[0], id);
	assert_int_equal(world.faults, 0);
	world_done(&world);
}

static void a_restarted_writer_goes_on_behind_the_earlier_life(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 50, 10);
	world_stop_writer(&world);
	world_start_writer(&world);
	assert_int_equal(spool_writer_last_id(world.writer), 59);
	world_append_many(&world, 60, 10);
	world_follow(&world);
	assert_int_equal(world.seen_count, 20);
	assert_int_equal(world.faults, 0);
	world_done(&world);
}

static void a_message_in_hand_at_two_crashes_is_held(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 5, 2);
	for (int crash = 0; crash <= 2; crash++) {
		struct spool_message *message;

		assert_int_equal(world_start_store(&world), OK);
		world_follow(&world);
		message = spool_store_find(world.store, 5);
		assert_int_equal(message->crashes, crash);
		assert_int_equal(message->flags & SPOOL_HELD, crash == 2 ? SPOOL_HELD : 0);
		assert_int_equal(spool_store_is_careful(world.store), crash > 0);
		assert_int_equal(spool_store_find(world.store, 6)->crashes, 0);
		if (crash < 2) {
			assert_int_equal(world_note(&world, 5, 0, trying), OK);
			world_commit(&world);
			world_kill_store(&world);
		}
	}
	world_done(&world);
}

static void an_outcome_forgives_earlier_crashes(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 5, 1);
	for (int crash = 0; crash < 4; crash++) {
		assert_int_equal(world_start_store(&world), OK);
		world_follow(&world);
		assert_int_equal(world_note(&world, 5, 0, deferred), OK);
		assert_int_equal(world_note(&world, 5, 0, trying), OK);
		world_commit(&world);
		world_kill_store(&world);
	}
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(spool_store_find(world.store, 5)->crashes, 1);
	world_done(&world);
}

static void submitted(void *context, enum error error)
{
	*(enum error *)context = error;
}

static void an_outcome_and_its_message_are_one_step(void **state)
{
	struct world world;
	struct spool_submission submission;
	struct spool_recipient postmaster = { .address = VIEW("a@x.example") };
	struct spool_envelope bounce = {
		.id = 900, .recipients = &postmaster, .recipient_count = 1, .body_bytes = 6
	};
	struct view body = VIEW("report");
	enum error told = ERROR_AGAIN;
	struct spool_outcome outcome = { 0, { .status = SPOOL_FAILED, .attempts = 2 } };
	struct spool_change change = { .outcomes = &outcome, .outcome_count = 1 };

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 5, 1);
	world_follow(&world);
	change.message = spool_store_find(world.store, 5);
	assert_int_equal(world_note(&world, 5, 0, trying), OK);
	assert_int_equal(spool_store_submit(world.store, &submission, &change, &bounce, &body, 1,
					    submitted, &told),
			 OK);
	assert_non_null(spool_store_find(world.store, 5));
	while (told == ERROR_AGAIN) {
		world_turn(&world, 1);
	}
	assert_int_equal(told, OK);
	assert_null(spool_store_find(world.store, 5));
	world_follow(&world);
	assert_non_null(spool_store_find(world.store, 900));
	world_kill_store(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 1);
	assert_int_equal(world.seen[0], 900);
	world_done(&world);
}

static void long_lived_messages_are_copied_forward(void **state)
{
	struct world world;
	uint64_t id = 1000;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	for (int round = 0; round < 12; round++) {
		world_append_many(&world, id, 100);
		world_follow(&world);
		for (unsigned i = 1; i < 100; i++) { // the first of each round stays
			assert_int_equal(world_note(&world, id + i, 0, delivered), OK);
		}
		assert_int_equal(world_note(&world, id, 0, deferred), OK);
		world_commit(&world);
		id += 100;
	}
	for (int i = 0; i < 50 && spool_store_status(world.store).copied_forward < 3; i++) {
		world_turn(&world, 100);
		world_follow(&world);
	}
	assert_true(spool_store_status(world.store).copied_forward >= 3);
	world_commit(&world);
	world_kill_store(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 12);
	assert_int_equal(world.faults, 0);
	for (uint64_t kept = 1000; kept < id; kept += 100) {
		assert_int_equal(spool_store_find(world.store, kept)->recipients[0].attempts, 3);
	}
	world_done(&world);
}

static void corruption_in_the_middle_is_reported_and_the_rest_is_read(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	for (uint64_t id = 1; id <= 20; id++) {
		char body[32];

		memset(body, 0, sizeof body);
		memcpy(body, id == 7 ? "SEVENSEVEN" : "everything", 10);
		world_append(&world, id, view_of(body, sizeof body), 1);
		world_wait(&world);
	}
	world_stop_writer(&world);
	world_overwrite(&world, "01-0000", world_find(&world, "01-0000", "SEVENSEVEN"), "X", 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 1);
	assert_string_equal(world.last_fault, "records are corrupt");
	assert_int_equal(world.seen_count, 19);
	assert_false(world_saw(&world, 7));
	world_done(&world);
}

// Following reads heads alone; nothing damaged leaves all the same.
static void a_body_that_rots_in_the_queue_is_not_sent(void **state)
{
	struct world world;
	struct spool_source source;
	struct spool_envelope envelope;
	struct arena arena = arena_with_max(1 << 20);
	struct buffer bytes = buffer_with_max(1 << 20);
	struct view body;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append(&world, 1, VIEW("SOUNDSOUND"), 1);
	world_wait(&world);
	world_overwrite(&world, "01-0000", world_find(&world, "01-0000", "SOUNDSOUND"), "X", 1);
	world_follow(&world);
	assert_int_equal(world.faults, 0);
	assert_true(world_saw(&world, 1));
	assert_int_equal(spool_source_open(world.store, world.last, &source), OK);
	assert_int_equal(spool_source_read_envelope(&source, &bytes, &arena, &envelope, &body),
			 ERROR_CORRUPT);
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
	world_done(&world);
}

static void a_torn_tail_is_passed_over_quietly(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	for (uint64_t id = 1; id <= 5; id++) {
		world_append(&world, id, id == 5 ? VIEW("LASTLAST") : VIEW("other"), 1);
		world_wait(&world);
	}
	world_stop_writer(&world);
	world_overwrite(&world, "01-0000", world_find(&world, "01-0000", "LASTLAST"), "X", 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_int_equal(world.seen_count, 4);
	world_done(&world);
}

static enum error count_message(void *context, struct spool_message *message,
				const struct spool_envelope *envelope)
{
	(void)message;
	(void)envelope;
	++*(unsigned *)context;
	return OK;
}

static void the_queue_is_shown_while_the_server_is_up_and_down(void **state)
{
	struct world world;
	unsigned count = 0;
	struct spool_store_calls calls = { .on_message = count_message, .context = &count };
	struct buffer body = buffer_with_max(1000);
	int empty;

	(void)state;
	world_open(&world);
	assert_int_equal(os_dir_open_at(world.parts[SPOOL_RECEIVE], "body", &empty), OK);
	assert_int_equal(spool_inspect(empty, 0, calls), ERROR_NOT_FOUND);
	os_dir_close(empty);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append(&world, 41, VIEW("the body"), 1);
	world_append(&world, 42, VIEW("another"), 1);
	world_wait(&world);
	assert_int_equal(spool_inspect(world.dir, 0, calls), OK);
	assert_int_equal(count, 2);
	world_stop_store(&world);
	world_stop_writer(&world);
	assert_int_equal(spool_inspect(world.dir, 42, calls), OK);
	assert_int_equal(count, 3);
	assert_int_equal(spool_inspect(world.dir, 43, calls), ERROR_NOT_FOUND);
	assert_int_equal(spool_inspect_body(world.dir, 41, &body), OK);
	assert_view(buffer_view(&body), "the body");
	buffer_done(&body);
	world_done(&world);
}

static void a_sleeping_deliver_is_told(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_false(spool_store_sleep(world.store));
	assert_int_equal(atomic_load(&world.queue.sleep) & 1, 1);
	spool_store_awake(world.store);
	world_append_many(&world, 1, 1);
	assert_true(spool_store_sleep(world.store));
	assert_int_equal(atomic_load(&world.queue.sleep) & 1, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_is_followed_in_order),
		cmocka_unit_test(what_was_committed_is_recovered),
		cmocka_unit_test(outcomes_survive_with_and_without_a_checkpoint),
		cmocka_unit_test(two_deliver_never_run_at_once),
		cmocka_unit_test(a_message_is_read_back_whole),
		cmocka_unit_test(free_segments_are_used_again_and_stale_records_never_reappear),
		cmocka_unit_test(a_restarted_writer_goes_on_behind_the_earlier_life),
		cmocka_unit_test(a_message_in_hand_at_two_crashes_is_held),
		cmocka_unit_test(an_outcome_forgives_earlier_crashes),
		cmocka_unit_test(an_outcome_and_its_message_are_one_step),
		cmocka_unit_test(long_lived_messages_are_copied_forward),
		cmocka_unit_test(corruption_in_the_middle_is_reported_and_the_rest_is_read),
		cmocka_unit_test(a_body_that_rots_in_the_queue_is_not_sent),
		cmocka_unit_test(a_torn_tail_is_passed_over_quietly),
		cmocka_unit_test(the_queue_is_shown_while_the_server_is_up_and_down),
		cmocka_unit_test(a_sleeping_deliver_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
