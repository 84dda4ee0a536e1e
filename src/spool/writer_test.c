#include "os/clock.h"
#include "os/worker.h"
#include "spool/body.h"
#include "spool/format.h"
#include "spool/id.h"
#include "spool/world_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void a_family_has_one_writer_and_another_family_another(void **state)
{
	struct world world;
	struct spool_writer_settings settings = spool_writer_defaults(1);
	struct spool_writer *second;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	settings.segment_bytes = world.segment_bytes;
	settings.reserve_bytes = 0;
	settings.commit = &world.commits[2];
	assert_int_equal(
		spool_writer_open(world.parts[SPOOL_RECEIVE], world.loop, &settings, &second),
		ERROR_BUSY);
	settings.family = 2;
	assert_int_equal(
		spool_writer_open(world.parts[SPOOL_RECEIVE], world.loop, &settings, &second), OK);
	assert_int_equal(world_start_store(&world), OK);
	world_append_many(&world, 100, 5);
	spool_port_free(world.port);
	assert_int_equal(spool_port_new(second, world.loop, &world.port), OK);
	world_append_many(&world, 200, 5);
	spool_port_free(world.port);
	assert_int_equal(spool_port_new(world.writer, world.loop, &world.port), OK);
	world_follow(&world);
	assert_int_equal(world.seen_count, 10);
	assert_true(world_saw(&world, 104) && world_saw(&world, 204));
	spool_writer_close(second);
	world_done(&world);
}

static void a27_the_reserve_is_refused_before_it_is_touched(void **state)
{
	struct world world;
	struct spool_writer_settings settings = spool_writer_defaults(1);

	(void)state;
	world_open(&world);
	settings.segment_bytes = world.segment_bytes;
	settings.commit = &world.commits[1];
	settings.reserve_bytes = UINT64_MAX / 2;
	assert_int_equal(
		spool_writer_open(world.parts[SPOOL_RECEIVE], world.loop, &settings, &world.writer),
		OK);
	assert_int_equal(spool_writer_admit(world.writer), ERROR_NO_SPACE);
	spool_writer_close(world.writer);
	world.writer = NULL;
	assert_int_equal(world_start_store(&world), OK); // deliver can still write outcomes
	world_done(&world);
}

static void a27_the_bound_of_the_log_holds_and_lifts_when_segments_are_freed(void **state)
{
	struct world world;
	struct spool_writer_settings settings = spool_writer_defaults(1);
	uint64_t id = 1;

	(void)state;
	world_open(&world);
	settings.segment_bytes = world.segment_bytes;
	settings.reserve_bytes = 0;
	settings.log_bytes_max = 3 * (uint64_t)world.segment_bytes;
	settings.commit = &world.commits[1];
	settings.queue = &world.queue;
	assert_int_equal(
		spool_writer_open(world.parts[SPOOL_RECEIVE], world.loop, &settings, &world.writer),
		OK);
	assert_int_equal(spool_port_new(world.writer, world.loop, &world.port), OK);
	assert_int_equal(world_start_store(&world), OK);
	while (world.append_failed == 0 && id < 1000) {
		world_append_many(&world, id++, 1);
	}
	assert_int_equal(world.append_failed, 1);
	assert_int_equal(spool_writer_admit(world.writer), ERROR_NO_SPACE);
	world_follow(&world);
	for (uint64_t gone = 1; gone + 1 < id; gone++) {
		assert_int_equal(
			world_note(&world, gone, 0,
				   (struct spool_recipient_state){ .status = SPOOL_DELIVERED }),
			OK);
	}
	world_commit(&world);
	world_turn(&world, 1100);
	(void)!spool_writer_admit(world.writer); // asks for another try
	world_turn(&world, 100);
	assert_int_equal(spool_writer_admit(world.writer), OK);
	world_append_many(&world, 5000, 3);
	assert_int_equal(world.append_failed, 1);
	world_done(&world);
}

static void a54_files_are_for_the_owner_alone(void **state)
{
	static const char *const names[] = {
		"receive/log/01-0000", "receive/log/01.lock", "deliver/log/00-0000",
		"deliver/log/00.lock", "deliver/checkpoint",  "deliver/lock",
	};
	struct world world;
	struct stat info;
	char path[128];

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(world_start_store(&world), OK);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof path, "%s/%s", world.path, names[i]);
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 07777, 0600);
	}
	world_done(&world);
}

// It may name ids that are higher than all that is known, and the clock may have been set back.
static void after_a_segment_that_cannot_be_read_no_id_is_used_twice(void **state)
{
	char rot[SPOOL_RECORDS_AT];
	struct spool_id_source ids;
	uint64_t before;
	struct world world;

	(void)state;
	memset(rot, 'x', sizeof rot);
	world_open(&world);
	world_start_writer(&world);
	spool_id_source_init(&ids, 0, spool_writer_last_id(world.writer));
	before = spool_id_next(&ids, os_clock_wall_ms() + 3600 * 1000);
	world_append_many(&world, before, 1);
	world_stop_writer(&world);
	world_overwrite(&world, "01-0000", 0, rot, sizeof rot);
	world_start_writer(&world);
	spool_id_source_init(&ids, 0, spool_writer_last_id(world.writer));
	assert_true(spool_id_next(&ids, os_clock_wall_ms()) > before);
	world_done(&world);
}

static void refused(void *context, struct spool_append *append, enum error error)
{
	(void)append;
	(void)error;
	*(bool *)context = true;
}

static void records_beyond_their_bounds_are_refused_at_once(void **state)
{
	static char large[SPOOL_BODY_INLINE_BYTES + 1];
	struct world world;
	struct spool_recipient bob = { .address = VIEW("b@x") };
	struct spool_envelope envelope = {
		.id = 1, .recipients = &bob, .recipient_count = 1, .body_bytes = sizeof large
	};
	struct view body = view_of(large, sizeof large);
	struct spool_append append;
	bool is_told = false;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(
		spool_writer_append(world.port, &append, &envelope, &body, 1, refused, &is_told),
		ERROR_INVALID);
	body.len = 10; // not what the envelope says
	assert_int_equal(
		spool_writer_append(world.port, &append, &envelope, &body, 1, refused, &is_told),
		ERROR_INVALID);
	assert_false(is_told);
	world_done(&world);
}

struct large_body {
	struct world *world;
	struct spool_body *body;
	enum error error;
	uint64_t left;
};

static char chunk[64 * 1024];

static void add_more(void *context)
{
	struct large_body *large = context;

	while (large->left > 0 && !spool_body_is_full(large->body)) {
		size_t len = large->left < sizeof chunk ? large->left : sizeof chunk;

		assert_int_equal(spool_body_add(large->body, view_of(chunk, len)), OK);
		large->left -= len;
	}
	if (large->left == 0) {
		large->left = UINT64_MAX;
		spool_body_finish(large->body);
	}
}

static void finished(void *context, enum error error)
{
	struct large_body *large = context;

	large->error = error;
	os_loop_stop(large->world->loop);
}

static void a_large_body_has_a_file_of_its_own_until_its_end(void **state)
{
	struct world world;
	struct os_pool *pool;
	struct large_body large = { .world = &world, .error = ERROR_AGAIN, .left = 3000000 };
	struct spool_recipient bob = { .address = VIEW("b@x") };
	struct spool_envelope envelope = { .id = 0x123456,
					   .recipients = &bob,
					   .recipient_count = 1 };
	struct spool_append append;
	struct buffer body = buffer_with_max(4000000);
	struct stat info;
	char path[128];
	bool is_told = false;

	(void)state;
	memset(chunk, 'm', sizeof chunk);
	world_open(&world);
	world_start_writer(&world);
	assert_int_equal(os_pool_new(world.loop, "body", 1, 10, &pool), OK);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(spool_body_new(world.writer, pool, envelope.id,
					(struct spool_body_calls){ add_more, finished, &large },
					&large.body),
			 OK);
	add_more(&large);
	os_loop_run(world.loop);
	assert_int_equal(large.error, OK);
	spool_body_describe(large.body, &envelope);
	assert_int_equal(envelope.body_bytes, 3000000);
	assert_int_equal(
		spool_writer_append(world.port, &append, &envelope, NULL, 0, refused, &is_told),
		OK);
	for (int i = 0; i < 1000 && !is_told; i++) {
		world_turn(&world, 1);
	}
	spool_body_free(large.body, true);
	world_follow(&world);
	assert_int_equal(spool_inspect_body(world.dir, envelope.id, &body), OK);
	assert_int_equal(body.len, 3000000);
	buffer_done(&body);
	snprintf(path, sizeof path, "%s/receive/body/", world.path);
	spool_id_format(envelope.id, path + strlen(path));
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(world_note(&world, envelope.id, 0,
				    (struct spool_recipient_state){ .status = SPOOL_DELIVERED }),
			 OK);
	world_commit(&world);
	world_turn(&world, 50);
	assert_int_not_equal(stat(path, &info), 0);
	os_pool_free(pool);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_has_one_writer_and_another_family_another),
		cmocka_unit_test(a27_the_reserve_is_refused_before_it_is_touched),
		cmocka_unit_test(a27_the_bound_of_the_log_holds_and_lifts_when_segments_are_freed),
		cmocka_unit_test(a54_files_are_for_the_owner_alone),
		cmocka_unit_test(after_a_segment_that_cannot_be_read_no_id_is_used_twice),
		cmocka_unit_test(records_beyond_their_bounds_are_refused_at_once),
		cmocka_unit_test(a_large_body_has_a_file_of_its_own_until_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
