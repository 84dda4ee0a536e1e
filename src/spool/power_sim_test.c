// A55 on the simulated disk: the writer and the store as they are, a crash, a loss of power or a
// fault at every single call, then recovery. What was answered 250 is there; what has ended for
// good stays away.
#include "spool/life_sim_test.h"

enum { SEEDS = 2 };

static void crash_anywhere(struct sim_process *process, uint64_t nth)
{
	sim_plan_crash(process, SIM_ANY, nth);
}

static void fail_sync(struct sim_process *process, uint64_t nth)
{
	sim_plan_fail(process, SIM_SYNC, nth, ERROR_IO);
}

static void fail_write(struct sim_process *process, uint64_t nth)
{
	sim_plan_fail(process, SIM_WRITE, nth, nth % 2 ? ERROR_IO : ERROR_NO_SPACE);
}

static void look(struct sim_machine *machine, struct truth *truth)
{
	sim_machine_lose_power(machine);
	life_look(machine, truth, false);
	assert_string_equal(truth->violation, "");
}

// For each nth call: a life that meets the plan, loss of power, a look; then another life over what
// is left, loss of power, a look.
static void try_every_call(void (*plan)(struct sim_process *process, uint64_t nth),
			   bool is_delivering, uint64_t calls_max, uint64_t step)
{
	struct life_plan life = {
		.families = 1, .messages = 60, .at_once = 6, .is_delivering = is_delivering
	};

	for (uint64_t nth = 1; nth < calls_max; nth += step) {
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_new(seed * 1000003 + nth);
			struct sim_machine *machine = sim_machine_new(sim, "machine");
			struct truth truth = truth_new();

			sim_machine_make_path(machine, "/spool");
			(void)life_run(machine, &truth, &life, plan, nth);
			look(machine, &truth);
			assert_true(life_run(machine, &truth, &life, NULL, 0));
			look(machine, &truth);
			truth_done(&truth);
			sim_free(sim);
		}
	}
}

static void a55_power_lost_at_every_call_of_receive_loses_nothing_acknowledged(void **state)
{
	(void)state;
	try_every_call(crash_anywhere, false, 120, 2);
}

static void a55_power_lost_at_every_call_of_both_loses_nothing_and_repeats_nothing(void **state)
{
	(void)state;
	try_every_call(crash_anywhere, true, 500, 7);
}

static void a55_a_failed_sync_is_no_acknowledgement(void **state)
{
	(void)state;
	try_every_call(fail_sync, true, 60, 2);
}

static void a55_a_failed_write_is_no_acknowledgement(void **state)
{
	(void)state;
	try_every_call(fail_write, true, 60, 2);
}

static void crash_in_sync(struct sim_process *process, uint64_t nth)
{
	sim_plan_crash(process, SIM_SYNC, nth);
}

static void fail_first_write(struct sim_process *process, uint64_t nth)
{
	(void)nth;
	sim_plan_fail(process, SIM_WRITE, 1, ERROR_NO_SPACE);
}

// The kernel shows the batch of deliver's whose sync was cut off. The next life, which a full disk
// does not keep from beginning, writes it again before it rests on it, also when a write fails.
static void a55_a_batch_cut_off_in_its_sync_is_written_again_in_spite_of_a_failure(void **state)
{
	struct life_plan life = {
		.families = 1, .messages = 20, .at_once = 6, .ticks_min = 30, .is_delivering = true
	};

	(void)state;
	for (uint64_t nth = 1; nth < 80; nth++) {
		struct sim *sim = sim_new(nth);
		struct sim_machine *machine = sim_machine_new(sim, "machine");
		struct truth truth = truth_new();

		sim_machine_make_path(machine, "/spool");
		(void)life_run(machine, &truth, &life, crash_in_sync, nth);
		(void)life_run(machine, &truth, &life, fail_first_write, 0);
		look(machine, &truth);
		truth_done(&truth);
		sim_free(sim);
	}
}

// Its batch was written, and only the sync failed: the bytes may well be on the disk.
static void a55_what_was_refused_stays_away_when_power_is_lost_right_after(void **state)
{
	struct life_plan life = {
		.families = 1, .messages = 20, .at_once = 6, .ends_refused = true
	};
	unsigned refused = 0;

	(void)state;
	for (uint64_t nth = 1; nth < 40; nth++) {
		struct sim *sim = sim_new(nth);
		struct sim_machine *machine = sim_machine_new(sim, "machine");
		struct truth truth = truth_new();

		sim_machine_make_path(machine, "/spool");
		refused += !life_run(machine, &truth, &life, fail_sync, nth);
		look(machine, &truth);
		truth_done(&truth);
		sim_free(sim);
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a55_power_lost_at_every_call_of_receive_loses_nothing_acknowledged),
		cmocka_unit_test(
			a55_power_lost_at_every_call_of_both_loses_nothing_and_repeats_nothing),
		cmocka_unit_test(a55_a_failed_sync_is_no_acknowledgement),
		cmocka_unit_test(a55_a_failed_write_is_no_acknowledgement),
		cmocka_unit_test(
			a55_a_batch_cut_off_in_its_sync_is_written_again_in_spite_of_a_failure),
		cmocka_unit_test(a55_what_was_refused_stays_away_when_power_is_lost_right_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
