// A55 on the simulated disk, the rest of the life of a message: large bodies in files of their own,
// two families at once, outcomes with a message, copies forward and checkpoints; power lost at
// every call, and start on a full disk.
#include "spool/life_sim_test.h"

enum { CALLS_MAX = 900, CALLS_STEP = 31 };

static const struct life_plan life = {
	.families = 2,
	.messages = 24,
	.at_once = 3,
	.ticks_min = 60,
	.is_delivering = true,
	.large_bytes = 300 * 1000,
};

static void crash_anywhere(struct sim_process *process, uint64_t nth)
{
	sim_plan_crash(process, SIM_ANY, nth);
}

static unsigned count_told(const struct truth *truth, uint8_t what)
{
	unsigned count = 0;

	for (unsigned id = 0; id < LIFE_IDS_MAX; id++) {
		count += (truth->told[id] & what) != 0;
	}
	return count;
}

static void a55_power_lost_at_every_call_of_every_step_loses_nothing(void **state)
{
	unsigned copied = 0, bounces = 0, large = 0;

	(void)state;
	for (uint64_t nth = 1; nth < CALLS_MAX; nth += CALLS_STEP) {
		struct sim *sim = sim_new(77 * 1000003 + nth);
		struct sim_machine *machine = sim_machine_new(sim, "machine");
		struct truth truth = truth_new();

		sim_machine_make_path(machine, "/spool");
		for (uint64_t round = 0; round < 3; round++) {
			(void)life_run(machine, &truth, &life, round < 2 ? crash_anywhere : NULL,
				       nth + round);
			sim_machine_lose_power(machine);
			life_look(machine, &truth, false);
			assert_string_equal(truth.violation, "");
		}
		copied += truth.copied;
		bounces += count_told(&truth, TRUTH_BOUNCED);
		large += truth.large;
		truth_done(&truth);
		sim_free(sim);
	}
	assert_true(copied > 0 && bounces > 0 && large > 0); // all of it was tried
}

static void a55_both_ends_start_on_a_full_disk(void **state)
{
	struct sim *sim = sim_new(5);
	struct sim_machine *machine = sim_machine_new(sim, "machine");
	struct truth truth = truth_new();

	(void)state;
	sim_machine_make_path(machine, "/spool");
	assert_true(life_run(machine, &truth, &life, NULL, 0));
	sim_machine_set_disk_size(machine, 1);
	life_look(machine, &truth, false); // the store must open
	assert_string_equal(truth.violation, "");
	sim_machine_set_disk_size(machine, 0);
	life_look(machine, &truth, false);
	assert_string_equal(truth.violation, "");
	truth_done(&truth);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a55_power_lost_at_every_call_of_every_step_loses_nothing),
		cmocka_unit_test(a55_both_ends_start_on_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
