// What a fault, a stranger's page or an unlucky moment may do, and must not: A55, A27.
#include "os/file.h"
#include "os/worker.h"
#include "spool/body.h"
#include "spool/id.h"
#include "spool/store_private.h"
#include "spool/world_test.h"
#include "spool/writer_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct spool_recipient_state delivered = { .status = SPOOL_DELIVERED, .attempts = 1 };
static const struct spool_recipient_state deferred = { .attempts = 3 };

static void a55_a_mark_beyond_the_segment_ends_the_reading_not_deliver(void **state)
{
	struct world world;
	uint64_t mark;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, 3);
	world_follow(&world);
	mark = atomic_load(&world.commits[1].mark);
	atomic_store(&world.commits[1].mark, (mark & ~(uint64_t)UINT32_MAX) | 0xfffff000u);
	alarm(20);
	(void)spool_store_follow(world.store, 100);
	(void)spool_store_follow(world.store, 100);
	alarm(0);
	assert_int_equal(world.seen_count, 3);
	world_done(&world);
}

static uint64_t some(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 24;
}

static void a55_any_bytes_in_the_pages_do_no_harm(void **state)
{
	struct world world;
	uint64_t seed = 7;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, 100);
	world_follow(&world);
	alarm(60);
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t epoch = some(&seed) % 4, offset = some(&seed) % 20 * 4096;

		atomic_store(&world.commits[1].epochs[some(&seed) % 4],
			     (uint32_t)(some(&seed) % 6));
		atomic_store(&world.commits[1].mark,
			     round % 5 ? epoch << 32 | offset : some(&seed) << 24 | some(&seed));
		atomic_store(&world.queue.freed[1][some(&seed) % 8], (uint32_t)(some(&seed) % 8));
		atomic_store(&world.queue.sleep, (uint32_t)some(&seed));
		(void)spool_store_follow(world.store, 100);
		(void)spool_store_sleep(world.store);
	}
	alarm(0);
	assert_true(spool_store_status(world.store).segments < 50);
	world_done(&world);
}

static void many_outcomes_reach_the_journal_in_records_that_fit(void **state)
{
	enum { COUNT = 3000 };
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, COUNT);
	world_follow(&world);
	for (uint64_t id = 1; id <= COUNT; id++) { // more than a segment of these holds
		assert_int_equal(world_note(&world, id, 0, id % 2 ? delivered : deferred), OK);
	}
	world_commit(&world);
	assert_int_equal(spool_store_status(world.store).journal_error, OK);
	world_kill_store(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_int_equal(world.seen_count, COUNT / 2);
	world_done(&world);
}

// However large the batches get on a busy machine, the few bytes that stay are in enough segments,
// and few in each, for copies to be made.
static void a55_a_checkpoint_between_a_copy_and_its_news_loses_nothing(void **state)
{
	enum { ROUNDS = 20 };
	static char body[600];
	struct world world;
	uint64_t id = 1000;
	unsigned kept = 0;

	(void)state;
	memset(body, 'c', sizeof body);
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	for (int round = 0; round < ROUNDS; round++, id += 100) {
		for (unsigned i = 0; i < 100; i++) {
			world_append(&world, id + i, i < 5 ? view_of(body, sizeof body) : VIEW("x"),
				     1);
		}
		world_wait(&world);
		world_follow(&world);
		for (unsigned i = 5; i < 100; i++) {
			assert_int_equal(world_note(&world, id + i, 0, delivered), OK);
		}
		kept += 5;
		world_commit(&world);
	}
	for (int round = 0; round < 8; round++) {
		spool_store_copy_timer(world.store); // copies go to the writer,
		for (int i = 0; i < 1400; i++) {     // their segment ends behind them,
			assert_int_equal(world_note(&world, 1000, 0, deferred), OK);
		}
		spool_store_flush(world.store);
		usleep(50000);                                 // all are committed
		while (spool_store_follow(world.store, 100)) { // and passed by, but not told
		}
		world.store->checkpoint_epochs = 0;
		spool_checkpoint_when_due(world.store);
		usleep(20000);
		world_turn(&world, 20);
		world_append_many(&world, id, 100); // into what was freed
		kept += 100;
		id += 100;
	}
	world_follow(&world);
	for (int i = 0; i < 10000 && spool_store_status(world.store).copied_forward == 0; i++) {
		world_turn(&world, 1);
	}
	assert_true(spool_store_status(world.store).copied_forward > 0);
	world_kill_store(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_int_equal(world.seen_count, kept);
	world_done(&world);
}

static void a55_an_epoch_is_not_used_twice_behind_a_header_that_rotted(void **state)
{
	struct world world;
	char rot[SPOOL_RECORDS_AT];

	(void)state;
	memset(rot, 0x5a, sizeof rot);
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, 20);
	world_follow(&world);
	world_stop_writer(&world);
	world_overwrite(&world, "01-0000", 0, rot, sizeof rot);
	world_start_writer(&world);
	world_append_many(&world, 100, 5);
	world_follow(&world);
	assert_int_equal(world.seen_count, 25);
	world_stop_store(&world);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 5);
	world_done(&world);
}

static void a_use_whose_header_became_zeros_is_known_by_its_copy(void **state)
{
	struct world world;
	char zeros[SPOOL_BLOCK_BYTES] = { 0 };

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 1, 20);
	world_stop_writer(&world);
	world_overwrite(&world, "01-0000", 0, zeros, sizeof zeros);
	world_start_writer(&world);
	world_append_many(&world, 100, 5);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.seen_count, 25);
	world_done(&world);
}

// The next header names the range; until it can be read nothing behind the last mark is trusted.
static void a55_what_was_refused_is_not_taken_while_the_next_header_is_not_readable(void **state)
{
	struct world world;
	int log;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 1, 1);
	world_follow(&world);
	world_append_many(&world, 2, 1); // as one whose sync failed
	world.writer->abandoned[0] = (struct spool_abandoned){ 0, 1, world.appends[1].ref.offset };
	world.writer->abandoned_count = 1;
	while (world.appends[world.append_count - 1].ref.segment == 0) {
		world_append_many(&world, 100 + world.append_count, 1);
	}
	assert_int_equal(os_dir_open_at(world.parts[SPOOL_RECEIVE], "log", &log), OK);
	assert_int_equal(os_file_rename_at(log, "01-0001", world.dir, "hidden"), OK);
	world_follow(&world);
	assert_int_equal(world.seen_count, 1);
	assert_true(spool_store_is_behind(world.store));
	assert_int_equal(os_file_rename_at(world.dir, "hidden", log, "01-0001"), OK);
	os_dir_close(log);
	world_follow(&world);
	assert_int_equal(world.seen_count, 2);
	assert_true(world_saw(&world, 100 + world.append_count - 1));
	world_done(&world);
}

static void make_old_body(struct world *world, const char *name)
{
	struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	char path[128];
	int dir, file;

	snprintf(path, sizeof path, "%s/receive/body/%s", world->path, name);
	assert_int_equal(os_dir_open_at(world->parts[SPOOL_RECEIVE], "body", &dir), OK);
	assert_int_equal(os_file_open_at(dir, name, OS_WRITE | OS_CREATE, 0600, &file), OK);
	os_file_close(file);
	os_dir_close(dir);
	assert_int_equal(utimensat(-1, path, times, 0), 0);
}

static bool has_body(struct world *world, const char *name)
{
	struct stat info;
	char path[128];

	snprintf(path, sizeof path, "%s/receive/body/%s", world->path, name);
	return stat(path, &info) == 0;
}

static void a55_leftover_bodies_go_only_when_every_message_is_known(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	for (uint64_t id = 1; id <= 5; id++) {
		world_append(&world, id, id == 2 ? VIEW("TWOTWOTWO") : VIEW("other"), 1);
		world_wait(&world);
	}
	make_old_body(&world, "0000000000zzz");
	world_overwrite(&world, "01-0000", world_find(&world, "01-0000", "TWOTWOTWO"), "X", 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 1);
	assert_true(has_body(&world, "0000000000zzz"));
	world_stop_store(&world);
	world_overwrite(&world, "01-0000", world_find(&world, "01-0000", "XWOTWOTWO"), "T", 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_false(has_body(&world, "0000000000zzz"));
	world_done(&world);
}

static void never(void *context, enum error error)
{
	(void)context;
	(void)error;
	fail_msg("told of a body that was dropped");
}

static void a27_a_body_dropped_while_it_is_written_leaves_no_file(void **state)
{
	static char half[SPOOL_BODY_BUFFER_BYTES];
	struct spool_body_calls calls = { NULL, never, NULL };
	struct world world;
	struct os_pool *pool;
	char name[SPOOL_ID_TEXT_LEN + 1];

	(void)state;
	spool_id_format(0x1234, name);
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(os_pool_new(world.loop, "body", 1, 10, &pool), OK);
	for (unsigned pause_us = 0; pause_us <= 50000; pause_us += 10000) {
		struct spool_body *body;

		assert_int_equal(spool_body_new(world.writer, pool, 0x1234, calls, &body), OK);
		assert_int_equal(spool_body_add(body, view_of(half, sizeof half)), OK);
		usleep(pause_us);
		spool_body_free(body, false);
		world_turn(&world, 20);
		for (int i = 0; i < 200 && has_body(&world, name); i++) {
			world_turn(&world, 10);
		}
		assert_false(has_body(&world, name));
	}
	os_pool_free(pool);
	world_done(&world);
}

static void too_many_abandoned_ranges_are_said_and_end(void **state)
{
	struct world world;
	struct spool_writer_settings settings = spool_writer_defaults(1);

	(void)state;
	world_open(&world);
	settings.segment_bytes = world.segment_bytes;
	settings.reserve_bytes = 0;
	settings.retry_ms = 200;
	settings.commit = &world.commits[1];
	settings.queue = &world.queue;
	assert_int_equal(
		spool_writer_open(world.parts[SPOOL_RECEIVE], world.loop, &settings, &world.writer),
		OK);
	assert_int_equal(spool_port_new(world.writer, world.loop, &world.port), OK);
	world_append_many(&world, 1, 1);
	for (uint32_t i = 0; i < SPOOL_ABANDONED_MAX; i++) { // all in the use that is open
		world.writer->abandoned[i] = (struct spool_abandoned){ 0, 1, 61440 };
	}
	world.writer->abandoned_count = SPOOL_ABANDONED_MAX;
	for (uint64_t id = 2; world.append_failed == 0 && id < 1000; id++) {
		world_append_many(&world, id, 1);
	}
	assert_int_equal(world.append_failed, 1);
	assert_int_equal(spool_writer_status(world.writer).error, ERROR_LIMIT);
	assert_int_equal(spool_writer_admit(world.writer), ERROR_LIMIT);
	world.writer->slots[0].epoch = 0; // as when that use is over and its file removed
	usleep(250000);
	assert_int_equal(spool_writer_admit(world.writer), OK);
	world_append_many(&world, 2000, 1);
	assert_int_equal(world.append_failed, 1);
	world_done(&world);
}

struct feed {
	struct world *world;
	unsigned count;
};

static void feed(void *context)
{
	struct feed *self = context;

	for (unsigned i = 0; i < self->count; i++) {
		world_append(self->world, 1 + i, VIEW("one by one"), 1);
		usleep(20);
	}
}

static void a55_a_start_of_deliver_while_mail_comes_in_misses_nothing(void **state)
{
	enum { COUNT = 1500 };

	for (int round = 0; round < 4; round++) {
		struct world world;
		struct feed self = { &world, COUNT };
		struct os_worker *worker;

		(void)state;
		world_open(&world);
		world.segment_bytes = SPOOL_SEGMENT_BYTES;
		world_start_writer(&world);
		assert_int_equal(os_worker_new(world.loop, "feed", feed, &self, &worker), OK);
		os_worker_kick(worker);
		usleep(20000);
		assert_int_equal(world_start_store(&world), OK);
		os_worker_free(worker);
		world_turn(&world, 50);
		world_wait(&world);
		world_follow(&world);
		assert_int_equal(world.append_ok, COUNT);
		assert_int_equal(world.faults, 0);
		assert_int_equal(world.seen_count, COUNT);
		world_done(&world);
	}
}

static void told_of_record(void *context, struct spool_append *append, enum error error)
{
	(void)append;
	*(bool *)context = error == OK;
}

static void append_of_a_later_version(struct world *world)
{
	struct spool_recipient bob = { .address = VIEW("b@x.example") };
	struct spool_envelope envelope = { .id = 5, .recipients = &bob, .recipient_count = 1 };
	struct buffer head = buffer_with_max(1000);
	struct spool_append append;
	bool is_done = false;

	assert_int_equal(spool_envelope_encode(&head, &envelope), OK);
	wire_add_u16(&head, 0x80ff);
	wire_add_string(&head, VIEW("tenant"));
	assert_int_equal(spool_writer_append_record(world->port, &append, head, 0, 5, NULL, 0,
						    told_of_record, &is_done),
			 OK);
	for (int i = 0; i < 1000 && !is_done; i++) {
		world_turn(world, 1);
	}
	assert_true(is_done);
}

static void what_a_later_version_wrote_is_kept_for_it(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	append_of_a_later_version(&world);
	for (int start = 0; start < 3; start++) {
		assert_int_equal(world_start_store(&world), OK);
		assert_int_equal(world.faults, 1);
		world_stop_store(&world);
	}
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 100, 1000);
	world_follow(&world);
	for (uint64_t id = 100; id < 1100; id++) {
		assert_int_equal(world_note(&world, id, 0, delivered), OK);
	}
	world_commit(&world);
	assert_int_equal(atomic_load(&world.queue.freed[1][0]), 0);
	assert_int_equal(atomic_load(&world.queue.freed[1][1]), 2);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a55_a_mark_beyond_the_segment_ends_the_reading_not_deliver),
		cmocka_unit_test(a55_any_bytes_in_the_pages_do_no_harm),
		cmocka_unit_test(many_outcomes_reach_the_journal_in_records_that_fit),
		cmocka_unit_test(a55_a_checkpoint_between_a_copy_and_its_news_loses_nothing),
		cmocka_unit_test(a55_an_epoch_is_not_used_twice_behind_a_header_that_rotted),
		cmocka_unit_test(a_use_whose_header_became_zeros_is_known_by_its_copy),
		cmocka_unit_test(
			a55_what_was_refused_is_not_taken_while_the_next_header_is_not_readable),
		cmocka_unit_test(a55_leftover_bodies_go_only_when_every_message_is_known),
		cmocka_unit_test(a27_a_body_dropped_while_it_is_written_leaves_no_file),
		cmocka_unit_test(too_many_abandoned_ranges_are_said_and_end),
		cmocka_unit_test(what_a_later_version_wrote_is_kept_for_it),
		cmocka_unit_test(a55_a_start_of_deliver_while_mail_comes_in_misses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
