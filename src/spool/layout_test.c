// The wall between the two parts of a spool: A54.
#include "base/hash.h"
#include "os/file.h"
#include "spool/layout.h"
#include "spool/trace_read.h"
#include "spool/trace_ring.h"
#include "spool/world_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct spool_recipient_state delivered = { .status = SPOOL_DELIVERED, .attempts = 1 };
static const struct spool_recipient_state put_off = { .attempts = 1, .next_attempt_s = 1 };

static struct stat info_of(const struct world *world, const char *name)
{
	struct stat info;
	char path[128];

	snprintf(path, sizeof path, "%s/%s", world->path, name);
	assert_int_equal(stat(path, &info), 0);
	return info;
}

static void a54_folders_are_for_their_owner_alone(void **state)
{
	static const char *const names[] = { "receive", "receive/log", "receive/body", "deliver",
					     "deliver/log" };
	struct world world;

	(void)state;
	world_open(&world);
	assert_int_equal(fchmod(world.parts[SPOOL_DELIVER], 0777), 0);
	spool_layout_close(world.parts);
	assert_int_equal(spool_layout_make(world.dir, NULL, world.parts), OK); // sets it right
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_int_equal(info_of(&world, names[i]).st_mode & 07777, 0700);
	}
	world_done(&world);
}

static void a54_with_users_of_their_own_receive_cannot_look_into_delivers_part(void **state)
{
	static const struct {
		const char *name;
		enum spool_part part;
		unsigned mode;
	} wanted[] = {
		{ "receive", SPOOL_RECEIVE, 02770 },      { "receive/log", SPOOL_RECEIVE, 02770 },
		{ "receive/body", SPOOL_RECEIVE, 02770 }, { "deliver", SPOOL_DELIVER, 0700 },
		{ "deliver/log", SPOOL_DELIVER, 0700 },
	};
	// Only root gives anything away; to others these are themselves.
	uint32_t uid = getuid(), group = getgid();
	struct os_user owners[SPOOL_PARTS] = { { uid ? uid : 1001, uid ? group : 1003 },
					       { uid ? uid : 1002, uid ? group : 1003 } };
	struct world world;

	(void)state;
	world_open(&world);
	spool_layout_close(world.parts);
	assert_int_equal(spool_layout_make(world.dir, owners, world.parts), OK);
	for (size_t i = 0; i < COUNT_OF(wanted); i++) {
		struct stat info = info_of(&world, wanted[i].name);

		assert_int_equal(info.st_mode & 07777, wanted[i].mode);
		assert_int_equal(info.st_uid, owners[wanted[i].part].uid);
		assert_int_equal(info.st_gid, owners[wanted[i].part].gid);
	}
	assert_int_equal(spool_part_file_mode(SPOOL_RECEIVE, true), 0660);
	assert_int_equal(spool_part_file_mode(SPOOL_DELIVER, true), 0600);
	world_done(&world);
}

static void a54_no_link_in_receives_part_is_followed(void **state)
{
	struct world world;
	char from[128], to[128];

	(void)state;
	world_open(&world);
	snprintf(from, sizeof from, "%s/receive/body", world.path);
	snprintf(to, sizeof to, "%s/deliver", world.path);
	assert_int_equal(rmdir(from), 0);
	assert_int_equal(symlink(to, from), 0);
	spool_layout_close(world.parts);
	assert_int_not_equal(spool_layout_make(world.dir, NULL, world.parts), OK);
	world_done(&world);
}

static void a_spool_of_before_there_were_parts_is_refused(void **state)
{
	struct spool_store_calls calls = { 0 };
	struct world world;

	(void)state;
	world_open(&world);
	spool_layout_close(world.parts);
	assert_int_equal(os_dir_make_at(world.dir, "log", 0700), OK);
	assert_int_equal(spool_layout_make(world.dir, NULL, world.parts), ERROR_UNSUPPORTED);
	assert_int_equal(spool_inspect(world.dir, 0, calls), ERROR_UNSUPPORTED);
	world_done(&world);
}

// ---- what deliver takes from receive's part

static void move_to_receive(const struct world *world, const char *folder, const char *name)
{
	int from, to;

	assert_int_equal(os_dir_open_at(world->parts[SPOOL_DELIVER], folder, &from), OK);
	assert_int_equal(os_dir_open_at(world->parts[SPOOL_RECEIVE], folder, &to), OK);
	assert_int_equal(os_file_rename_at(from, name, to, name), OK);
	os_dir_close(from);
	os_dir_close(to);
}

static void make_file(const struct world *world, enum spool_part part, const char *folder,
		      const char *name)
{
	int dir, file;

	assert_int_equal(os_dir_open_at(world->parts[part], folder, &dir), OK);
	assert_int_equal(os_file_open_at(dir, name, OS_WRITE | OS_CREATE, 0600, &file), OK);
	os_file_close(file);
	os_dir_close(dir);
}

// A journal that says that all is delivered; receive has put it where it may write.
static void a54_a_journal_in_receives_part_is_none(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 7, 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world_note(&world, 7, 0, delivered), OK);
	world_commit(&world);
	world_kill_store(&world);
	move_to_receive(&world, "log", "00-0000");
	make_file(&world, SPOOL_DELIVER, "log", "00-0000");
	assert_int_equal(os_file_remove_at(world.parts[SPOOL_DELIVER], "checkpoint"), OK);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(world.faults, 0);
	assert_true(world_saw(&world, 7));
	world_done(&world);
}

static enum error count_record(void *context, const struct trace_record *record)
{
	(void)record;
	++*(unsigned *)context;
	return OK;
}

static void trace_one(struct world *world, uint16_t family)
{
	struct trace_ring_settings settings = { .family = family, .limits = { 1 << 24, 1000000 } };
	struct trace_steps steps;
	struct trace_ring *ring;

	assert_int_equal(
		trace_ring_new(world->parts[spool_part_of(family)], world->loop, &settings, &ring),
		OK);
	steps = trace_ring_steps(ring);
	trace_steps_begin(&steps, 1000, "mail");
	trace_steps_end(&steps);
	trace_ring_add(ring, 7, &steps);
	trace_steps_done(&steps);
	trace_ring_free(ring);
}

static void a54_a_trace_of_deliver_in_receives_part_is_none(void **state)
{
	struct trace_report report;
	struct world world;
	unsigned count = 0;

	(void)state;
	world_open(&world);
	trace_one(&world, 0);
	trace_one(&world, 1);
	assert_int_equal(trace_find(world.dir, 7, count_record, &count, &report), OK);
	assert_int_equal(count, 2);
	move_to_receive(&world, "trace", "00-0001");
	assert_int_equal(trace_find(world.dir, 7, count_record, &count, &report), OK);
	assert_int_equal(count, 3);
	world_done(&world);
}

// Beside the true ones of the same names, which are not taken twice.
static void a54_names_of_delivers_files_in_receives_part_are_passed_by(void **state)
{
	struct trace_report report;
	struct world world;
	unsigned count = 0;

	(void)state;
	world_open(&world);
	assert_int_equal(world_start_store(&world), OK);
	world_kill_store(&world);
	trace_one(&world, 0);
	trace_one(&world, 1);
	make_file(&world, SPOOL_RECEIVE, "log", "00-0000");
	make_file(&world, SPOOL_RECEIVE, "trace", "00-0001");
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(trace_find(world.dir, 7, count_record, &count, &report), OK);
	assert_int_equal(count, 2);
	assert_int_equal(report.segments, 2);
	world_done(&world);
}

// ---- what deliver leaves alone

struct picture {
	const char *path;
	uint32_t sum; // of names and contents, in any order
	unsigned files;
};

static bool add_file(void *context, const char *name)
{
	struct picture *picture = context;
	struct buffer bytes = buffer_with_max(1 << 20);
	char path[256];

	snprintf(path, sizeof path, "%s/%s", picture->path, name);
	assert_int_equal(os_file_read_whole(path, &bytes), OK);
	buffer_add_text(&bytes, name);
	picture->sum += hash_crc32c(0, buffer_view(&bytes));
	picture->files++;
	buffer_done(&bytes);
	return true;
}

static struct picture picture_of_receives_log(const struct world *world)
{
	char path[128];
	struct picture picture = { .path = path };
	int dir;

	snprintf(path, sizeof path, "%s/receive/log", world->path);
	assert_int_equal(os_dir_open(path, &dir), OK);
	assert_int_equal(os_dir_list(dir, add_file, &picture), OK);
	os_dir_close(dir);
	return picture;
}

// Recovery, outcomes, copies forward, segments freed, checkpoints, the end.
static void live_over_what_receive_left(struct world *world)
{
	assert_int_equal(world_start_store(world), OK);
	for (uint64_t id = 100; id < 2000; id++) {
		assert_int_equal(world_note(world, id, 0, id % 200 ? delivered : put_off), OK);
	}
	world_commit(world);
	for (int i = 0; i < 50 && !spool_store_status(world->store).copied_forward; i++) {
		world_turn(world, 100);
	}
	assert_true(spool_store_status(world->store).copied_forward > 0);
	assert_true(spool_store_status(world->store).checkpoints > 0);
	world_stop_store(world);
}

static void a54_the_store_leaves_receives_log_as_it_is(void **state)
{
	struct picture before, after;
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 100, 1900);
	world_stop_writer(&world);
	before = picture_of_receives_log(&world);
	assert_true(before.files > 5);
	live_over_what_receive_left(&world);
	after = picture_of_receives_log(&world);
	assert_int_equal(after.files, before.files);
	assert_int_equal(after.sum, before.sum);
	world_done(&world);
}

static void a54_receives_segments_are_open_for_reading_only(void **state)
{
	struct spool_source source;
	struct world world;

	(void)state;
	world_open(&world);
	world_start_writer(&world);
	world_append_many(&world, 7, 1);
	assert_int_equal(world_start_store(&world), OK);
	assert_int_equal(spool_source_open(world.store, spool_store_find(world.store, 7), &source),
			 OK);
	assert_int_not_equal(os_file_write_at(source.segment_file, 0, VIEW("x")), OK);
	spool_source_close(&source);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a54_folders_are_for_their_owner_alone),
		cmocka_unit_test(
			a54_with_users_of_their_own_receive_cannot_look_into_delivers_part),
		cmocka_unit_test(a54_no_link_in_receives_part_is_followed),
		cmocka_unit_test(a_spool_of_before_there_were_parts_is_refused),
		cmocka_unit_test(a54_a_journal_in_receives_part_is_none),
		cmocka_unit_test(a54_a_trace_of_deliver_in_receives_part_is_none),
		cmocka_unit_test(a54_names_of_delivers_files_in_receives_part_are_passed_by),
		cmocka_unit_test(a54_the_store_leaves_receives_log_as_it_is),
		cmocka_unit_test(a54_receives_segments_are_open_for_reading_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
