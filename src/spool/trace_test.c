// The trace ring on the real disk: what is added is found, whatever happened to the files.
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/wire.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/test_folder.h"
#include "os/test_loop.h"
#include "spool/id.h"
#include "spool/layout.h"
#include "spool/trace_read.h"
#include "spool/trace_ring.h"

enum { SIZE_BYTES = 8 * 1024 * 1024, KEEP_MS = 3600 * 1000 };

struct world {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir, parts[SPOOL_PARTS];
	struct test_loop test;
	struct trace_ring *ring;
	struct buffer found; // of the last look, one array a line
	struct trace_report report;
};

static struct trace_ring_settings settings_of(uint16_t family)
{
	return (struct trace_ring_settings){ .family = family, .limits = { SIZE_BYTES, KEEP_MS } };
}

static void start(struct world *world, const struct trace_ring_settings *settings)
{
	assert_int_equal(trace_ring_new(world->parts[spool_part_of(settings->family)],
					world->test.loop, settings, &world->ring),
			 OK);
}

static void stop(struct world *world)
{
	trace_ring_free(world->ring);
	world->ring = NULL;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	assert_non_null(world);
	test_folder_make(world->path);
	assert_int_equal(os_dir_open(world->path, &world->dir), OK);
	assert_int_equal(spool_layout_make(world->dir, NULL, world->parts), OK);
	test_loop_init(&world->test);
	world->found = buffer_with_max(SIZE_BYTES * 2);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	stop(world);
	test_loop_done(&world->test);
	spool_layout_close(world->parts);
	os_dir_close(world->dir);
	test_folder_remove(world->path);
	buffer_done(&world->found);
	free(world);
	return 0;
}

static void add(struct world *world, uint64_t id, const char *event, struct view text)
{
	struct trace_steps steps = trace_ring_steps(world->ring);

	trace_steps_begin(&steps, 1000, event);
	trace_steps_text(&steps, "text", text);
	trace_steps_end(&steps);
	trace_ring_add(world->ring, id, &steps);
	trace_steps_done(&steps);
}

static enum error on_record(void *context, const struct trace_record *record)
{
	struct world *world = context;

	buffer_add(&world->found, record->steps);
	buffer_add_byte(&world->found, '\n');
	return OK;
}

static const char *look(struct world *world, uint64_t id)
{
	buffer_clear(&world->found);
	assert_int_equal(trace_find(world->dir, id, on_record, world, &world->report), OK);
	return buffer_text(&world->found);
}

static uint64_t id_at(uint64_t ms)
{
	struct spool_id_source source;

	spool_id_source_init(&source, 1, 0);
	return spool_id_next(&source, ms);
}

// ---- the files of receive as the tests see them

static void path_of(const struct world *world, const char *name, char *ret_path, size_t size)
{
	assert_in_range(snprintf(ret_path, size, "%s/receive/trace/%s", world->path, name), 1,
			size - 1);
}

static bool count_name(void *context, const char *name)
{
	unsigned *count = context;

	(void)name;
	++*count;
	return true;
}

static unsigned count_files(const struct world *world)
{
	unsigned count = 0;
	int dir;

	if (os_dir_open_at(world->parts[SPOOL_RECEIVE], "trace", &dir) == OK) {
		assert_int_equal(os_dir_list(dir, count_name, &count), OK);
		os_dir_close(dir);
	}
	return count;
}

static struct buffer read_file(const struct world *world, const char *name)
{
	struct buffer bytes = buffer_with_max(TRACE_SEGMENT_BYTES_MAX);
	char path[128];

	path_of(world, name, path, sizeof path);
	assert_int_equal(os_file_read_whole(path, &bytes), OK);
	return bytes;
}

static void write_file(const struct world *world, const char *name, struct view bytes)
{
	char path[128];
	int file;

	path_of(world, name, path, sizeof path);
	assert_int_equal(os_file_open_path(path, OS_WRITE | OS_TRUNCATE, 0600, &file), OK);
	assert_int_equal(os_file_write_at(file, 0, bytes), OK);
	os_file_close(file);
}

// Three records of three messages in one segment, whose ring is closed.
static struct buffer three_records(struct world *world)
{
	struct trace_ring_settings settings = settings_of(1);
	struct buffer bytes;

	start(world, &settings);
	add(world, 7, "first", VIEW("aaaaaaaaaaaaaaaa"));
	add(world, 8, "second", VIEW("bbbbbbbbbbbbbbbb"));
	add(world, 9, "third", VIEW("cccccccccccccccc"));
	stop(world);
	bytes = read_file(world, "01-0001");
	return bytes;
}

// ---- steps

static void steps_are_an_array_of_objects(void **state)
{
	struct trace_steps steps;

	(void)state;
	trace_steps_init(&steps);
	trace_steps_begin(&steps, 12, "mail");
	trace_steps_text(&steps, "from", VIEW("a@b.example"));
	trace_steps_text(&steps, "empty", VIEW(""));
	trace_steps_number(&steps, "size_bytes", 5);
	trace_steps_end(&steps);
	trace_steps_begin(&steps, 13, "done");
	trace_steps_flag(&steps, "good", true);
	trace_steps_end(&steps);
	assert_view(
		trace_steps_finish(&steps, 14),
		"[{\"time_ms\":12,\"event\":\"mail\",\"from\":\"a@b.example\",\"size_bytes\":5},"
		"{\"time_ms\":13,\"event\":\"done\",\"good\":true}]");
	trace_steps_clear(&steps);
	assert_int_equal(trace_steps_finish(&steps, 14).len, 0);
	trace_steps_done(&steps);
}

static void a24_remote_text_cannot_break_out_of_a_trace(void **state)
{
	struct trace_steps steps;

	(void)state;
	trace_steps_init(&steps);
	trace_steps_begin(&steps, 1, "helo");
	trace_steps_text(&steps, "name", VIEW("a\",\"event\":\"accepted\\\033[2J\r\n\0\xff"));
	trace_steps_end(&steps);
	assert_view(trace_steps_finish(&steps, 2),
		    "[{\"time_ms\":1,\"event\":\"helo\",\"name\":\"a\\\",\\\"event\\\":\\\"accepted"
		    "\\\\\\\\\\\\x1b[2J\\\\x0d\\\\x0a\\\\x00\\\\xff\"}]");
	trace_steps_done(&steps);
}

static void a_record_is_bounded_and_says_what_was_left_out(void **state)
{
	struct trace_steps steps;
	struct view json;

	(void)state;
	trace_steps_init(&steps);
	for (unsigned i = 0; i < 5000; i++) {
		trace_steps_begin(&steps, 1, "rcpt");
		trace_steps_text(&steps, "to", VIEW("somebody@some.example"));
		trace_steps_end_of_many(&steps);
	}
	trace_steps_begin(&steps, 2, "accepted"); // there is room for the end
	trace_steps_end(&steps);
	json = trace_steps_finish(&steps, 3);
	assert_in_range(json.len, TRACE_MANY_BYTES_MAX - 100, TRACE_MANY_BYTES_MAX + 200);
	json = view_from(json, json.len - 97);
	assert_true(
		view_find_text(json, VIEW("{\"time_ms\":2,\"event\":\"accepted\"},"
					  "{\"time_ms\":3,\"event\":\"left_out\",\"steps\":4")) <
		json.len);
	trace_steps_done(&steps);
}

static void a_step_too_large_for_any_record_is_left_out_whole(void **state)
{
	struct trace_steps steps;

	(void)state;
	trace_steps_init(&steps);
	trace_steps_begin(&steps, 1, "big");
	for (unsigned i = 0; i < 100; i++) {
		char text[TRACE_TEXT_BYTES_MAX];

		memset(text, 'x', sizeof text);
		trace_steps_text(&steps, "text", view_of(text, sizeof text));
	}
	trace_steps_end(&steps);
	assert_view(trace_steps_finish(&steps, 2),
		    "[{\"time_ms\":2,\"event\":\"left_out\",\"steps\":1}]");
	trace_steps_done(&steps);
}

// ---- the ring

static void what_is_added_is_found_by_its_id_alone(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings receive = settings_of(1), deliver = settings_of(0);

	start(world, &deliver);
	add(world, 7, "queued", VIEW("x"));
	stop(world);
	start(world, &receive);
	add(world, 7, "mail", VIEW("x"));
	add(world, 8, "other", VIEW("x"));
	add(world, 7, "again", VIEW("x"));
	stop(world);
	assert_string_equal(look(world, 7),
			    "[{\"time_ms\":1000,\"event\":\"mail\",\"text\":\"x\"}]\n"
			    "[{\"time_ms\":1000,\"event\":\"again\",\"text\":\"x\"}]\n"
			    "[{\"time_ms\":1000,\"event\":\"queued\",\"text\":\"x\"}]\n");
	assert_int_equal(world->report.segments, 2);
	assert_true(world->report.oldest_ms + 60000 > os_clock_wall_ms());
	assert_string_equal(look(world, 9), "");
}

static void a_spool_without_a_trace_is_empty(void **state)
{
	struct world *world = *state;

	assert_string_equal(look(world, 7), "");
	assert_int_equal(world->report.segments, 0);
}

static bool is_written(void *context)
{
	struct world *world = context;

	return trace_ring_status(world->ring).records == 1;
}

static void a_record_is_written_while_its_writer_goes_on(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);

	start(world, &settings);
	add(world, 7, "mail", VIEW("x"));
	test_loop_until(&world->test, is_written, world);
	assert_true(strlen(look(world, 7)) > 0);
}

static void each_life_begins_a_segment(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);

	for (unsigned life = 0; life < 3; life++) {
		start(world, &settings);
		add(world, 7, "mail", VIEW("x"));
		stop(world);
		start(world, &settings); // one that adds nothing makes no file
		stop(world);
		assert_int_equal(count_files(world), life + 1);
	}
	look(world, 7);
	assert_int_equal(world->found.len, 3 * strlen("[{\"time_ms\":1000,\"event\":\"mail\","
						      "\"text\":\"x\"}]\n"));
}

static void the_oldest_go_when_the_ring_is_full(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);
	char text[TRACE_TEXT_BYTES_MAX - 8];

	settings.limits.size_bytes = 4 * TRACE_SEGMENT_BYTES_MIN;
	memset(text, 'x', sizeof text);
	start(world, &settings);
	for (uint64_t id = 1; id <= 3000; id++) { // of about 1 KiB
		add(world, id, "mail", view_of(text, sizeof text));
		if (id % 100 == 0) {
			test_loop_turn(&world->test, 1);
		}
	}
	stop(world);
	assert_in_range(count_files(world), 3, 4);
	assert_string_equal(look(world, 1), "");
	assert_true(strlen(look(world, 3000)) > 1000);
	start(world, &settings); // those of an earlier life count too
	for (uint64_t id = 3001; id <= 6000; id++) {
		add(world, id, "mail", view_of(text, sizeof text));
		if (id % 100 == 0) {
			test_loop_turn(&world->test, 1);
		}
	}
	stop(world);
	assert_in_range(count_files(world), 3, 4);
	assert_string_equal(look(world, 3000), "");
	assert_true(strlen(look(world, 6000)) > 1000);
}

static bool is_empty(void *context)
{
	return count_files(context) == 0;
}

static void what_is_older_than_keep_goes(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);

	start(world, &settings);
	add(world, 7, "mail", VIEW("x"));
	test_loop_until(&world->test, is_written, world);
	test_loop_turn(&world->test, 5);
	trace_ring_set_limits(world->ring, (struct trace_limits){ SIZE_BYTES, 1 });
	test_loop_until(&world->test, is_empty, world);
	trace_ring_set_limits(world->ring, settings.limits);
	add(world, 8, "mail", VIEW("x")); // goes on
	stop(world);
	assert_true(strlen(look(world, 8)) > 0);
}

static void size_0_takes_nothing_and_removes_what_is_there(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);

	start(world, &settings);
	add(world, 7, "mail", VIEW("x"));
	stop(world);
	settings.limits.size_bytes = 0;
	start(world, &settings);
	add(world, 8, "mail", VIEW("x"));
	test_loop_until(&world->test, is_empty, world);
	stop(world);
	assert_true(is_empty(world));
	assert_int_equal(trace_steps_is_on(&(struct trace_steps){ 0 }), false);
}

static void a_segment_of_a_family_that_is_over_is_removed_by_the_next(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(2);

	start(world, &settings);
	add(world, 7, "mail", VIEW("x"));
	stop(world);
	settings = settings_of(0); // deliver's leaves it alone
	settings.limits.size_bytes = 0;
	start(world, &settings);
	stop(world);
	assert_int_equal(count_files(world), 1);
	settings.family = 1;
	start(world, &settings);
	stop(world);
	assert_int_equal(count_files(world), 0);
}

static void a54_trace_files_are_for_the_owner_alone(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);
	char path[128];
	struct stat info;

	start(world, &settings);
	add(world, 7, "mail", VIEW("x"));
	stop(world);
	path_of(world, "", path, sizeof path);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	path_of(world, "01-0001", path, sizeof path);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
}

// ---- what the disk does to the files

static void a_torn_tail_is_passed_over(void **state)
{
	struct world *world = *state;
	struct buffer bytes = three_records(world);
	size_t third = view_find_text(buffer_view(&bytes), VIEW("third"));

	for (size_t len = bytes.len - 9; len > third - 60; len--) { // cut inside the last record
		write_file(world, "01-0001", view_first(buffer_view(&bytes), len));
		assert_true(strlen(look(world, 8)) > 0);
		assert_string_equal(look(world, 9), "");
		assert_int_equal(world->report.damaged, 0);
	}
	// Zeros where its end was not written: known by its checksum.
	memset(bytes.data + third, 0, bytes.len - third);
	write_file(world, "01-0001", buffer_view(&bytes));
	assert_string_equal(look(world, 9), "");
	assert_true(strlen(look(world, 7)) > 0);
	buffer_done(&bytes);
}

static void rot_costs_one_record_and_is_counted(void **state)
{
	struct world *world = *state;
	struct buffer bytes = three_records(world);
	size_t second = view_find_text(buffer_view(&bytes), VIEW("bbbb"));
	size_t head = 64 + (second - 64) / 8 * 8;

	bytes.data[second] ^= 1;
	write_file(world, "01-0001", buffer_view(&bytes));
	assert_string_equal(look(world, 8), "");
	assert_int_equal(world->report.damaged, 1);
	assert_true(strlen(look(world, 9)) > 0);
	bytes.data[second] ^= 1;
	while (wire_get_u64(bytes.data + head + 16) != 8) {
		head -= 8;
	}
	bytes.data[head + 12] ^= 64; // its length: the next one is found all the same
	write_file(world, "01-0001", buffer_view(&bytes));
	assert_true(strlen(look(world, 9)) > 0);
	assert_int_equal(world->report.damaged, 1);
	bytes.data[20] ^= 1; // the segment's header
	write_file(world, "01-0001", buffer_view(&bytes));
	assert_string_equal(look(world, 9), "");
	assert_int_equal(world->report.unreadable, 1);
	buffer_done(&bytes);
}

static void leftovers_and_forgeries_are_no_records(void **state)
{
	struct world *world = *state;
	struct buffer first = three_records(world), second, joined;
	int dir;

	second = three_records(world); // the file is number 2, but the bytes of 1 are read
	buffer_done(&second);
	second = read_file(world, "01-0002");
	joined = buffer_with_max(TRACE_SEGMENT_BYTES_MAX);
	buffer_add(&joined, buffer_view(&second));
	buffer_add(&joined, view_from(buffer_view(&first), TRACE_HEADER_BYTES)); // another tag
	write_file(world, "01-0002", buffer_view(&joined));
	assert_int_equal(os_dir_open_at(world->parts[SPOOL_RECEIVE], "trace", &dir), OK);
	assert_int_equal(os_file_remove_at(dir, "01-0001"), OK);
	os_dir_close(dir);
	assert_string_equal(
		look(world, 7),
		"[{\"time_ms\":1000,\"event\":\"first\",\"text\":\"aaaaaaaaaaaaaaaa\"}]\n");
	buffer_done(&first);
	buffer_done(&second);
	buffer_done(&joined);
}

static void a_clock_that_stepped_hides_nothing(void **state)
{
	struct world *world = *state;
	struct trace_ring_settings settings = settings_of(1);
	uint64_t later = id_at(os_clock_wall_ms() + 10 * 24 * 3600 * 1000ull);

	for (unsigned life = 0; life < 2; life++) {
		start(world, &settings);
		add(world, life == 0 ? later : 7, "mail", VIEW("x"));
		stop(world);
	}
	assert_true(strlen(look(world, later)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_an_array_of_objects),
		cmocka_unit_test(a24_remote_text_cannot_break_out_of_a_trace),
		cmocka_unit_test(a_record_is_bounded_and_says_what_was_left_out),
		cmocka_unit_test(a_step_too_large_for_any_record_is_left_out_whole),
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		WITH_WORLD(what_is_added_is_found_by_its_id_alone),
		WITH_WORLD(a_spool_without_a_trace_is_empty),
		WITH_WORLD(a_record_is_written_while_its_writer_goes_on),
		WITH_WORLD(each_life_begins_a_segment),
		WITH_WORLD(the_oldest_go_when_the_ring_is_full),
		WITH_WORLD(what_is_older_than_keep_goes),
		WITH_WORLD(size_0_takes_nothing_and_removes_what_is_there),
		WITH_WORLD(a_segment_of_a_family_that_is_over_is_removed_by_the_next),
		WITH_WORLD(a54_trace_files_are_for_the_owner_alone),
		WITH_WORLD(a_torn_tail_is_passed_over),
		WITH_WORLD(rot_costs_one_record_and_is_counted),
		WITH_WORLD(leftovers_and_forgeries_are_no_records),
		WITH_WORLD(a_clock_that_stepped_hides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
