// What a simulated disk keeps, loses, tears and refuses.
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/sim/sim.h"
#include "os/worker.h"

enum { SEEDS = 200, SECTOR = 512, BLOCKS = 16 };

struct world {
	struct sim *sim;
	struct sim_machine *machine;
	struct sim_process *process;
	int dir;
};

static void world_enter(struct world *world)
{
	world->process = sim_process_new(world->machine, "writer");
	sim_process_enter(world->process);
	assert_int_equal(os_dir_open("/disk", &world->dir), OK);
}

static void world_begin(struct world *world, uint64_t seed)
{
	world->sim = sim_new(seed);
	world->machine = sim_machine_new(world->sim, "machine");
	sim_machine_make_path(world->machine, "/disk");
	world_enter(world);
}

// Loses power, and goes on as a new process.
static void world_lose_power(struct world *world)
{
	sim_process_leave(world->sim);
	sim_machine_lose_power(world->machine);
	assert_false(sim_process_is_alive(world->process));
	world_enter(world);
}

static void world_end(struct world *world)
{
	sim_process_leave(world->sim);
	sim_free(world->sim);
}

static int file_make(struct world *world, const char *name)
{
	int file;

	assert_int_equal(
		os_file_open_at(world->dir, name, OS_READ | OS_WRITE | OS_CREATE, 0600, &file), OK);
	return file;
}

static bool name_exists(struct world *world, const char *name)
{
	struct os_file_info info;

	return os_file_info_at(world->dir, name, &info) == OK;
}

static void fill(int file, size_t size)
{
	char *zeros = calloc(1, size);

	assert_non_null(zeros);
	assert_int_equal(os_file_write_at(file, 0, view_of(zeros, size)), OK);
	free(zeros);
}

// A durable file of zeros.
static int file_make_durable(struct world *world, const char *name, size_t size)
{
	int file = file_make(world, name);

	fill(file, size);
	assert_int_equal(os_file_sync_data(file), OK);
	assert_int_equal(os_dir_sync(world->dir), OK);
	return file;
}

static void synced_bytes_are_kept_and_unsynced_ones_are_lost_sometimes(void **state)
{
	int kept = 0, lost = 0;
	char bytes[8];

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		int file;

		world_begin(&world, seed);
		file = file_make_durable(&world, "f", 8);
		assert_int_equal(os_file_write_at(file, 0, VIEW("sync")), OK);
		assert_int_equal(os_file_sync_data(file), OK);
		assert_int_equal(os_file_write_at(file, 4, VIEW("lost")), OK);
		world_lose_power(&world);
		file = file_make(&world, "f");
		assert_int_equal(os_file_read_at(file, 0, bytes, 8), OK);
		assert_memory_equal(bytes, "sync", 4);
		kept += !memcmp(bytes + 4, "lost", 4);
		lost += !memcmp(bytes + 4, "\0\0\0\0", 4);
		world_end(&world);
	}
	assert_int_equal(kept + lost, SEEDS);
	assert_true(kept > 0 && lost > 0);
}

static void unsynced_file_may_end_anywhere_it_ended_before(void **state)
{
	bool seen[4] = { false };

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		uint64_t size;
		int file;

		world_begin(&world, seed);
		file = file_make_durable(&world, "f", 0);
		for (uint64_t i = 0; i < 3; i++) {
			assert_int_equal(os_file_write_at(file, i * SECTOR, VIEW("x")), OK);
		}
		world_lose_power(&world);
		file = file_make(&world, "f");
		assert_int_equal(os_file_size(file, &size), OK);
		assert_true(size == 0 || size % SECTOR == 1);
		seen[(size + SECTOR - 1) / SECTOR] = true;
		world_end(&world);
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
}

static void write_is_torn_by_sectors_in_any_order_and_only_where_unsynced(void **state)
{
	char before[BLOCKS * SECTOR], after[BLOCKS * SECTOR], bytes[BLOCKS * SECTOR];
	int reordered = 0, whole = 0, none = 0;

	(void)state;
	memset(before, 'b', sizeof before);
	memset(after, 'a', sizeof after);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		int file, fresh = 0;
		bool gap = false;

		world_begin(&world, seed);
		file = file_make_durable(&world, "f", sizeof before);
		assert_int_equal(os_file_write_at(file, 0, view_of(before, sizeof before)), OK);
		assert_int_equal(os_file_sync_data(file), OK);
		assert_int_equal(
			os_file_write_at(file, 2 * SECTOR + 7, view_of(after, 10 * SECTOR)), OK);
		world_lose_power(&world);
		file = file_make(&world, "f");
		assert_int_equal(os_file_read_at(file, 0, bytes, sizeof bytes), OK);
		for (size_t i = 0; i < sizeof bytes; i++) {
			bool is_pending = i >= 2 * SECTOR + 7 && i < 12 * SECTOR + 7;
			bool is_start =
				i % SECTOR == 0 || i == 2 * SECTOR + 7 || i == 12 * SECTOR + 7;

			assert_true(bytes[i] == 'b' || (is_pending && bytes[i] == 'a'));
			assert_true(is_start || bytes[i] == bytes[i - 1]);
			if (is_pending && is_start) {
				gap = gap || (bytes[i] == 'a' && fresh == 0 && i > 2 * SECTOR + 7);
				fresh += bytes[i] == 'a';
			}
		}
		reordered += gap;
		whole += fresh == 11;
		none += fresh == 0;
		world_end(&world);
	}
	assert_true(reordered > 0 && whole > 0 && none > 0);
}

static void older_bytes_of_a_sector_never_follow_newer_ones(void **state)
{
	char bytes[3];

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		int file;

		world_begin(&world, seed);
		file = file_make_durable(&world, "f", 3);
		assert_int_equal(os_file_write_at(file, 0, VIEW("1")), OK);
		assert_int_equal(os_file_write_at(file, 1, VIEW("2")), OK);
		assert_int_equal(os_file_write_at(file, 2, VIEW("3")), OK);
		world_lose_power(&world);
		file = file_make(&world, "f");
		assert_int_equal(os_file_read_at(file, 0, bytes, 3), OK);
		assert_true(bytes[0] || !bytes[1]);
		assert_true(bytes[1] || !bytes[2]);
		world_end(&world);
	}
}

static void name_is_durable_only_after_the_sync_of_its_folder(void **state)
{
	int kept = 0, renamed = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;

		world_begin(&world, seed);
		file_make_durable(&world, "old", 0);
		assert_int_equal(os_file_sync(file_make(&world, "fresh")), OK);
		assert_int_equal(os_file_rename_at(world.dir, "old", world.dir, "new"), OK);
		world_lose_power(&world);
		kept += name_exists(&world, "fresh");
		renamed += name_exists(&world, "new");
		assert_true(name_exists(&world, "new") != name_exists(&world, "old"));
		world_end(&world);
	}
	assert_true(kept > 0 && kept < SEEDS);
	assert_true(renamed > 0 && renamed < SEEDS);
}

static void rename_is_kept_after_the_sync_of_one_of_its_folders(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		int sub;

		world_begin(&world, seed);
		assert_int_equal(os_dir_make_at(world.dir, "sub", 0700), OK);
		assert_int_equal(os_dir_sync(world.dir), OK);
		assert_int_equal(os_dir_open_at(world.dir, "sub", &sub), OK);
		assert_int_equal(os_file_sync(file_make(&world, "tmp")), OK);
		assert_int_equal(os_file_rename_at(world.dir, "tmp", sub, "new"), OK);
		assert_int_equal(os_dir_sync(sub), OK);
		world_lose_power(&world);
		assert_int_equal(os_dir_open_at(world.dir, "sub", &sub), OK);
		world.dir = sub;
		assert_true(name_exists(&world, "new"));
		world_end(&world);
	}
}

static void data_of_a_failed_sync_is_not_durable_whatever_the_next_one_says(void **state)
{
	int lost = 0;
	char byte;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		int file;

		world_begin(&world, seed);
		file = file_make_durable(&world, "f", 1);
		assert_int_equal(os_file_write_at(file, 0, VIEW("x")), OK);
		sim_plan_fail(world.process, SIM_SYNC, 1, ERROR_IO);
		assert_int_equal(os_file_sync_data(file), ERROR_IO);
		assert_int_equal(os_file_sync_data(file), OK);
		assert_int_equal(os_file_read_at(file, 0, &byte, 1), OK);
		assert_int_equal(byte, 'x');
		world_lose_power(&world);
		file = file_make(&world, "f");
		assert_int_equal(os_file_read_at(file, 0, &byte, 1), OK);
		lost += !byte;
		world_end(&world);
	}
	assert_true(lost > 0 && lost < SEEDS);
}

static void full_disk_takes_what_fits_and_gives_room_back(void **state)
{
	struct world world;
	uint64_t size, inodes;
	int file;

	(void)state;
	world_begin(&world, 1);
	sim_machine_set_disk_size(world.machine, 100);
	file = file_make(&world, "f");
	fill(file, 90);
	assert_int_equal(os_file_write_at(file, 85, VIEW("0123456789abcdefghij")), ERROR_NO_SPACE);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 100);
	assert_int_equal(os_file_write_at(file, 0, VIEW("over what is there")), OK);
	assert_int_equal(os_file_remove_at(world.dir, "f"), OK);
	assert_int_equal(os_dir_free_bytes(world.dir, &size, &inodes), OK);
	assert_int_equal(size, 0);
	os_file_close(file);
	assert_int_equal(os_dir_free_bytes(world.dir, &size, &inodes), OK);
	assert_int_equal(size, 100);
	world_end(&world);
}

static void planned_call_fails_once_without_effect(void **state)
{
	struct world world;
	uint64_t size;
	int file;

	(void)state;
	world_begin(&world, 1);
	file = file_make(&world, "f");
	sim_plan_fail(world.process, SIM_WRITE, 2, ERROR_NO_SPACE);
	assert_int_equal(os_file_write_at(file, 0, VIEW("1")), OK);
	assert_int_equal(os_file_write_at(file, 1, VIEW("2")), ERROR_NO_SPACE);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 1);
	assert_int_equal(os_file_write_at(file, 1, VIEW("3")), OK);
	world_end(&world);
}

static void faults_by_chance_come_as_often_as_they_should(void **state)
{
	struct world world;
	int file, refused = 0;

	(void)state;
	world_begin(&world, 1);
	file = file_make(&world, "f");
	sim_faults(world.sim)->write_no_space = 100000;
	for (int i = 0; i < 1000; i++) {
		refused += os_file_write_at(file, 0, VIEW("some bytes")) == ERROR_NO_SPACE;
	}
	assert_in_range(refused, 60, 140);
	world_end(&world);
}

// ---- a sync takes time ----------------------------------------------------------------------

struct syncing {
	int file;
	bool began, ended;
	int turns_meanwhile;
	struct os_timer timer;
};

static void sync_slowly(void *context)
{
	struct syncing *syncing = context;

	syncing->began = true;
	assert_int_equal(os_file_sync_data(syncing->file), OK);
	syncing->ended = true;
}

static void write_meanwhile(void *context)
{
	struct syncing *syncing = context;

	if (syncing->began && !syncing->ended) {
		syncing->turns_meanwhile++;
		assert_int_equal(os_file_write_at(syncing->file, 0, VIEW("B")), OK);
	}
	os_timer_set(&syncing->timer, 1);
}

static void loop_goes_on_while_a_worker_syncs_and_that_sync_covers_none_of_it(void **state)
{
	int older = 0;
	char byte;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct syncing syncing = { 0 };
		struct os_worker *worker;
		struct os_loop *loop;
		struct world world;

		world_begin(&world, seed);
		syncing.file = file_make_durable(&world, "f", 1);
		assert_int_equal(os_file_write_at(syncing.file, 0, VIEW("A")), OK);
		sim_faults(world.sim)->sync_slow = 1000000;
		assert_int_equal(os_loop_new(&loop), OK);
		assert_int_equal(os_worker_new(loop, "worker", sync_slowly, &syncing, &worker), OK);
		os_timer_init(&syncing.timer, loop, write_meanwhile, &syncing);
		os_timer_set(&syncing.timer, 1);
		os_worker_kick(worker);
		while (!syncing.ended) {
			sim_step(world.sim);
		}
		world_lose_power(&world);
		assert_int_equal(os_file_read_at(file_make(&world, "f"), 0, &byte, 1), OK);
		assert_true(byte == 'A' || (byte == 'B' && syncing.turns_meanwhile));
		older += byte == 'A' && syncing.turns_meanwhile;
		world_end(&world);
	}
	assert_true(older > 0);
}

// ---- mutexes --------------------------------------------------------------------------------

struct shared {
	pthread_mutex_t mutex;
	int file, inside, runs;
};

static void write_under_mutex(void *context)
{
	struct shared *shared = context;

	pthread_mutex_lock(&shared->mutex);
	assert_int_equal(shared->inside++, 0);
	assert_int_equal(os_file_sync_data(shared->file), OK);
	shared->inside--;
	shared->runs++;
	pthread_mutex_unlock(&shared->mutex);
}

static void mutex_held_in_a_sync_keeps_the_others_out(void **state)
{
	struct shared shared = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	struct os_worker *workers[3];
	struct os_loop *loop;
	struct world world;

	(void)state;
	world_begin(&world, 1);
	shared.file = file_make(&world, "f");
	assert_int_equal(os_loop_new(&loop), OK);
	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		assert_int_equal(
			os_worker_new(loop, "worker", write_under_mutex, &shared, &workers[i]), OK);
		os_worker_kick(workers[i]);
	}
	assert_true(sim_run_until_quiet(world.sim, 100, 100000));
	assert_int_equal(shared.runs, COUNT_OF(workers));
	world_end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_bytes_are_kept_and_unsynced_ones_are_lost_sometimes),
		cmocka_unit_test(unsynced_file_may_end_anywhere_it_ended_before),
		cmocka_unit_test(write_is_torn_by_sectors_in_any_order_and_only_where_unsynced),
		cmocka_unit_test(older_bytes_of_a_sector_never_follow_newer_ones),
		cmocka_unit_test(name_is_durable_only_after_the_sync_of_its_folder),
		cmocka_unit_test(rename_is_kept_after_the_sync_of_one_of_its_folders),
		cmocka_unit_test(data_of_a_failed_sync_is_not_durable_whatever_the_next_one_says),
		cmocka_unit_test(full_disk_takes_what_fits_and_gives_room_back),
		cmocka_unit_test(planned_call_fails_once_without_effect),
		cmocka_unit_test(faults_by_chance_come_as_often_as_they_should),
		cmocka_unit_test(loop_goes_on_while_a_worker_syncs_and_that_sync_covers_none_of_it),
		cmocka_unit_test(mutex_held_in_a_sync_keeps_the_others_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
