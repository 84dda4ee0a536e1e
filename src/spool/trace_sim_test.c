// The trace ring on a disk that is full or fails, and under a loop that never waits for it.
#include "base/check.h"

#include <string.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/sim/sim.h"
#include "spool/layout.h"
#include "spool/trace_read.h"
#include "spool/trace_ring.h"

enum { SIZE_BYTES = 8 * 1024 * 1024, KEEP_MS = 24 * 3600 * 1000, RESERVE_BYTES = 1024 * 1024 };

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0"; // a crashed process frees nothing
}

// A process that adds count records when it is told to, and then waits.
struct life {
	struct sim *sim;
	struct sim_machine *machine;
	struct sim_process *process;
	struct os_loop *loop;
	struct trace_ring *ring;
	uint64_t next_id;
	unsigned count;
	unsigned look_step;       // of ids
	unsigned paused, resumed; // as it was told
	unsigned found;
	struct trace_report report;
};

static void on_changed(void *context, enum error error)
{
	struct life *life = context;

	life->paused += error != OK;
	life->resumed += error == OK;
}

static void open_ring(void *context)
{
	struct life *life = context;
	struct trace_ring_settings settings = { .family = 1,
						.limits = { SIZE_BYTES, KEEP_MS },
						.reserve_bytes = RESERVE_BYTES,
						.changed = on_changed,
						.context = life };
	int dir, parts[SPOOL_PARTS];

	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(spool_layout_make(dir, NULL, parts), OK);
	assert_int_equal(os_loop_new(&life->loop), OK);
	assert_int_equal(trace_ring_new(parts[SPOOL_RECEIVE], life->loop, &settings, &life->ring),
			 OK);
}

static void add(void *context)
{
	struct life *life = context;
	char text[TRACE_TEXT_BYTES_MAX - 8];

	memset(text, 'x', sizeof text);
	for (unsigned i = 0; i < life->count; i++) {
		struct trace_steps steps = trace_ring_steps(life->ring);

		trace_steps_begin(&steps, 1, "mail");
		trace_steps_text(&steps, "text", view_of(text, sizeof text));
		trace_steps_end(&steps);
		trace_ring_add(life->ring, ++life->next_id, &steps);
		trace_steps_done(&steps);
	}
}

static struct life begin(uint64_t disk_bytes)
{
	struct life life = { .sim = sim_new(7), .look_step = 1 };

	life.machine = sim_machine_new(life.sim, "box");
	sim_machine_make_path(life.machine, "/spool");
	sim_machine_set_disk_size(life.machine, disk_bytes);
	life.process = sim_process_new(life.machine, "receive");
	return life;
}

static void add_and_wait(struct life *life, unsigned count, uint64_t ms)
{
	life->count = count;
	assert_true(sim_process_run(life->process, add, life));
	sim_run_for(life->sim, ms);
}

static enum error on_record(void *context, const struct trace_record *record)
{
	struct life *life = context;

	(void)record;
	life->found++;
	return OK;
}

static void read_all(void *context)
{
	struct life *life = context;
	int dir;

	life->found = 0;
	assert_int_equal(os_dir_open("/spool", &dir), OK);
	for (uint64_t id = 1; id <= life->next_id; id += life->look_step) {
		assert_int_equal(trace_find(dir, id, on_record, life, &life->report), OK);
	}
	os_dir_close(dir);
}

// How many of those that were ever added, or of each look_step of them, are found.
static unsigned look(struct life *life)
{
	struct sim_process *reader = sim_process_new(life->machine, "reader");

	assert_true(sim_process_run(reader, read_all, life));
	return life->found;
}

static struct trace_ring_status status_of(const struct life *life)
{
	return trace_ring_status(life->ring);
}

static void a_full_buffer_drops_and_counts(void **state)
{
	struct life life = begin(0);

	(void)state;
	assert_true(sim_process_run(life.process, open_ring, &life));
	add_and_wait(&life, 5000, 1000); // 5 MiB, before the thread has had a turn
	assert_in_range(status_of(&life).dropped, 1100, 1200); // 4 MiB hold the rest
	assert_int_equal(status_of(&life).records + status_of(&life).dropped, 5000);
	add_and_wait(&life, 10, 1000); // there is room again
	assert_int_equal(status_of(&life).records + status_of(&life).dropped, 5010);
	sim_free(life.sim);
}

static void a_failing_disk_pauses_it_and_is_told_once(void **state)
{
	struct life life = begin(0);

	(void)state;
	assert_true(sim_process_run(life.process, open_ring, &life));
	add_and_wait(&life, 10, 1000);
	sim_faults(life.sim)->write_io = 1000000;
	for (unsigned i = 0; i < 200; i++) { // some of these try again, a minute later
		add_and_wait(&life, 1, 1000);
	}
	assert_int_equal(life.paused, 1);
	assert_int_equal(life.resumed, 0);
	assert_int_equal(status_of(&life).error, ERROR_IO);
	assert_in_range(status_of(&life).lost, 199, 200);
	sim_faults(life.sim)->write_io = 0;
	sim_run_for(life.sim, TRACE_PAUSE_MS);
	add_and_wait(&life, 10, 1000);
	add_and_wait(&life, 10, 1000); // so that it is told
	assert_int_equal(life.paused, 1);
	assert_int_equal(life.resumed, 1);
	assert_int_equal(status_of(&life).error, OK);
	assert_in_range(look(&life), 30, 31);
	sim_free(life.sim);
}

static void a_folder_that_cannot_be_made_is_met_later(void **state)
{
	struct life life = begin(0);

	(void)state;
	assert_true(sim_process_run(life.process, open_ring, &life));
	sim_plan_fail(life.process, SIM_NAME, 1, ERROR_PERMISSION);
	add_and_wait(&life, 10, 1000);
	assert_int_equal(status_of(&life).error, ERROR_PERMISSION);
	sim_run_for(life.sim, TRACE_PAUSE_MS);
	add_and_wait(&life, 10, 1000);
	assert_int_equal(status_of(&life).error, OK);
	assert_int_equal(look(&life), 10);
	sim_free(life.sim);
}

static void fill_disk(void *context)
{
	static const char block[64 * 1024];
	int dir, file;

	(void)context;
	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(os_file_open_at(dir, "mail", OS_WRITE | OS_CREATE, 0600, &file), OK);
	for (unsigned i = 0; i < 16 * 6; i++) { // 6 MiB of mail
		assert_int_equal(
			os_file_write_at(file, i * sizeof block, view_of(block, sizeof block)), OK);
	}
	os_file_close(file);
	os_dir_close(dir);
}

static void the_oldest_segments_go_for_the_reserve(void **state)
{
	struct life life = begin(14 * 1024 * 1024);

	(void)state;
	assert_true(sim_process_run(life.process, open_ring, &life));
	for (unsigned i = 0; i < 50; i++) {
		add_and_wait(&life, 100, 1000); // of about 1 KiB each
	}
	assert_in_range(status_of(&life).bytes, 4 << 20, 6 << 20);
	life.look_step = 500;
	assert_int_equal(look(&life), 10);
	assert_true(sim_process_run(sim_process_new(life.machine, "mail"), fill_disk, &life));
	sim_machine_set_disk_size(life.machine, 9 * 1024 * 1024); // too little for both
	add_and_wait(&life, 1, 1000);
	assert_int_equal(status_of(&life).error, OK);
	assert_in_range(status_of(&life).bytes, 1, 2 << 20);      // 9 - 6 of mail - 1 in reserve
	sim_machine_set_disk_size(life.machine, 6 * 1024 * 1024); // too little for mail alone
	add_and_wait(&life, 1, 1000);
	add_and_wait(&life, 1, 1000);
	assert_int_equal(status_of(&life).error, ERROR_NO_SPACE);
	assert_int_equal(life.paused, 1);
	sim_free(life.sim);
}

static void a_loss_of_power_costs_records_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 20; seed++) {
		struct life life = begin(0);
		unsigned found;

		life.look_step = 10;
		assert_true(sim_process_run(life.process, open_ring, &life));
		for (unsigned i = 0; i <= seed; i++) {
			add_and_wait(&life, 50, 100);
		}
		sim_machine_lose_power(life.machine);
		sim_machine_make_path(life.machine, "/spool");
		found = look(&life);
		life.process = sim_process_new(life.machine, "receive");
		assert_true(sim_process_run(life.process, open_ring, &life));
		add_and_wait(&life, 10, 1000); // it goes on with a new segment
		assert_int_equal(look(&life), found + 1);
		sim_free(life.sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_buffer_drops_and_counts),
		cmocka_unit_test(a_failing_disk_pauses_it_and_is_told_once),
		cmocka_unit_test(a_folder_that_cannot_be_made_is_met_later),
		cmocka_unit_test(the_oldest_segments_go_for_the_reserve),
		cmocka_unit_test(a_loss_of_power_costs_records_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
