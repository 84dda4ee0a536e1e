#include "sim/scenario.h"

#include <stdlib.h>

#include "os/clock.h"
#include "sim/client.h"
#include "sim/remote.h"

enum {
	CLIENTS_MAX = 20,
	CLIENTS_FEW = 6,
	LETTERS_MAX = 25, // of each client
	LETTERS_FEW = 12,
	LOOK_TICKS = 50,
	ROUGH_MS_MIN = 5000,
	ROUGH_MS = 40000,
	CALM_MS = 5 * 24 * 3600 * 1000u, // then the queue must be empty
	CALM_STEP_MS = 10000,
	CALM_CLIENTS_MS = 3600 * 1000u,
	WALL_JUMP_MS = 20 * 60 * 1000, // in both directions, at the most
	CRASH_CALLS = 3000,
	DISK_BYTES_MIN = 2 * 1024 * 1024,
	DISK_BYTES = 10 * 1024 * 1024,
	DISK_FULL_MS = 10000,
	AFTERMATH_MS = 60000,
	QUIET_STEPS = 20000,
};

struct scenario {
	struct sim *sim;
	struct ledger *ledger;
	struct os_loop *loop;
	struct weather weather;
	struct box box;
	struct remote *remote;
	struct client *clients[CLIENTS_MAX];
	unsigned client_count;
	uint64_t power_due_ms; // 0: there is power
	uint64_t disk_due_ms;  // 0: there is room
	unsigned ticks;
};

static uint64_t below(struct scenario *scenario, uint64_t bound)
{
	return sim_random_below(scenario->sim, bound);
}

// ---- the weather

// Some seeds have none of a kind, some much.
static unsigned intensity(struct scenario *scenario, unsigned most)
{
	return below(scenario, 3) ? (unsigned)below(scenario, most + 1) : 0;
}

static void set_weather(struct scenario *scenario)
{
	struct sim_faults *faults = sim_faults(scenario->sim);

	scenario->weather = (struct weather){
		.client_vanishes = intensity(scenario, 60),
		.remote_defers = intensity(scenario, 200),
		.remote_resets = intensity(scenario, 100),
		.remote_stalls = intensity(scenario, 60),
		.remote_loses = intensity(scenario, 150),
		.remote_turns_off = intensity(scenario, 200),
		.dns_fails = intensity(scenario, 300),
	};
	faults->write_io = intensity(scenario, 3000);
	faults->write_no_space = intensity(scenario, 3000);
	faults->sync_io = intensity(scenario, 10000);
	faults->read_io = intensity(scenario, 1000);
	faults->open_limit = intensity(scenario, 1000);
	faults->sync_slow = intensity(scenario, 30000);
	faults->connect_refused = intensity(scenario, 100000);
	faults->connect_lost = intensity(scenario, 50000);
	faults->send_reset = intensity(scenario, 10000);
	faults->transfer_short = intensity(scenario, 300000);
}

static void set_calm(struct scenario *scenario)
{
	struct sim_faults *faults = sim_faults(scenario->sim);

	scenario->weather = (struct weather){ 0 };
	*faults = (struct sim_faults){ .latency_us_max = faults->latency_us_max,
				       .sync_us_max = faults->sync_us_max };
}

static void jump_clock(struct scenario *scenario)
{
	int64_t ms = (int64_t)below(scenario, 2 * WALL_JUMP_MS) - WALL_JUMP_MS;

	ledger_fault(scenario->ledger, "the wall clock jumps");
	sim_clock_jump_wall(scenario->sim, ms);
}

static void lose_power(struct scenario *scenario)
{
	if (scenario->box.supervisor) {
		box_lose_power(&scenario->box);
		scenario->power_due_ms = os_clock_mono_ms() + 1 + below(scenario, 5000);
	}
}

static void fill_disk(struct scenario *scenario)
{
	uint64_t bytes = DISK_BYTES_MIN + below(scenario, DISK_BYTES);

	ledger_fault(scenario->ledger, "the disk has %llu KiB from now on",
		     (unsigned long long)bytes / 1024);
	sim_machine_set_disk_size(scenario->box.machine, bytes);
	scenario->disk_due_ms = os_clock_mono_ms() + 1 + below(scenario, DISK_FULL_MS);
}

static void crash_later(struct scenario *scenario, enum child_kind kind)
{
	struct box_child *each = &scenario->box.children[kind];
	uint64_t calls = 1 + below(scenario, CRASH_CALLS);

	if (each->process && sim_process_is_alive(each->process) && below(scenario, 2)) {
		sim_plan_crash(each->process, SIM_ANY, calls);
	} else {
		each->crash_after = calls;
	}
}

// A sync fails, and the process dies before it could make anything of that.
static void fail_and_crash(struct scenario *scenario, enum child_kind kind)
{
	const struct box_child *each = &scenario->box.children[kind];
	uint64_t nth = 1 + below(scenario, 4);

	if (each->process && sim_process_is_alive(each->process)) {
		sim_plan_fail(each->process, SIM_SYNC, nth, ERROR_IO);
		sim_plan_crash(each->process, SIM_SYNC, nth + 1);
	}
}

static void something_happens(struct scenario *scenario)
{
	struct box *box = &scenario->box;

	switch (below(scenario, 16)) {
	case 0: box_crash(box, CHILD_RECEIVE); break;
	case 1: box_crash(box, CHILD_DELIVER); break;
	case 2: box_crash(box, CHILD_FACTS); break;
	case 3:
	case 4: lose_power(scenario); break;
	case 5: jump_clock(scenario); break;
	case 6: box_stop(box, CHILD_RECEIVE); break;
	case 7: box_stop(box, CHILD_DELIVER); break;
	case 8: crash_later(scenario, CHILD_RECEIVE); break;
	case 9: crash_later(scenario, CHILD_DELIVER); break;
	case 10: box_crash_all(box); break;
	case 11: fill_disk(scenario); break;
	case 12: fail_and_crash(scenario, CHILD_RECEIVE); break;
	case 13:
	case 14: fail_and_crash(scenario, CHILD_DELIVER); break;
	default: set_weather(scenario); break;
	}
}

// ---- time

static void tick(struct scenario *scenario, uint64_t ms)
{
	sim_run_for(scenario->sim, ms);
	if (scenario->power_due_ms && os_clock_mono_ms() >= scenario->power_due_ms) {
		scenario->power_due_ms = 0;
		box_power_on(&scenario->box);
	}
	if (scenario->disk_due_ms && os_clock_mono_ms() >= scenario->disk_due_ms) {
		scenario->disk_due_ms = 0;
		sim_machine_set_disk_size(scenario->box.machine, 0); // no bound
	}
	box_tick(&scenario->box);
	if (scenario->ticks++ % LOOK_TICKS == 0) {
		box_look(&scenario->box, false);
	}
}

static bool clients_done(const struct scenario *scenario)
{
	for (unsigned i = 0; i < scenario->client_count; i++) {
		if (!client_is_done(scenario->clients[i])) {
			return false;
		}
	}
	return true;
}

static void be_rough(struct scenario *scenario)
{
	uint64_t end_ms = os_clock_mono_ms() + ROUGH_MS_MIN + below(scenario, ROUGH_MS);
	uint64_t pace = 50 + below(scenario, 400); // ticks between two events, about

	set_weather(scenario);
	while (os_clock_mono_ms() < end_ms) {
		tick(scenario, BOX_TICK_MS);
		if (below(scenario, pace) == 0) {
			something_happens(scenario);
		}
	}
}

static void forget_plans(struct scenario *scenario)
{
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		struct box_child *each = &scenario->box.children[kind];

		each->crash_after = 0;
		if (each->process && sim_process_is_alive(each->process)) {
			sim_plan_crash(each->process, SIM_ANY, UINT64_MAX);
			sim_plan_fail(each->process, SIM_ANY, UINT64_MAX, ERROR_IO);
		}
	}
}

// Until the clients have gone and the queue is empty.
static void be_calm(struct scenario *scenario)
{
	uint64_t start_ms = os_clock_mono_ms();

	ledger_note(scenario->ledger, LEDGER_ALL, "calm begins");
	set_calm(scenario);
	scenario->disk_due_ms = os_clock_mono_ms();
	forget_plans(scenario);
	do {
		tick(scenario, BOX_TICK_MS);
	} while (!box_is_whole(&scenario->box) && os_clock_mono_ms() - start_ms < CALM_CLIENTS_MS);
	scenario->box.reliable = true;
	while (!clients_done(scenario) && os_clock_mono_ms() - start_ms < CALM_CLIENTS_MS) {
		tick(scenario, BOX_TICK_MS * 10);
	}
	if (!clients_done(scenario)) {
		ledger_violation(scenario->ledger, LEDGER_ALL,
				 "clients are not served in calm weather");
	}
	tick(scenario, CALM_STEP_MS);
	box_release(&scenario->box);
	do {
		tick(scenario, CALM_STEP_MS);
	} while (box_queued(&scenario->box) && os_clock_mono_ms() - start_ms < CALM_MS);
	if (box_queued(&scenario->box)) {
		ledger_violation(scenario->ledger, LEDGER_ALL, "%llu messages stay in the queue",
				 (unsigned long long)box_queued(&scenario->box));
	}
}

// What has ended has ended on disk: after one more loss of power nothing comes back.
static void lose_power_at_last(struct scenario *scenario)
{
	struct box *box = &scenario->box;

	tick(scenario, CALM_STEP_MS);
	box->reliable = false;
	box_lose_power(box);
	box_power_on(box);
	do {
		tick(scenario, BOX_TICK_MS);
	} while (!box_is_whole(box));
	tick(scenario, AFTERMATH_MS);
	if (box_queued(box)) {
		ledger_violation(scenario->ledger, LEDGER_ALL, "%llu messages come back",
				 (unsigned long long)box_queued(box));
	}
	if (!sim_run_until_quiet(scenario->sim, 0, QUIET_STEPS)) {
		ledger_violation(scenario->ledger, LEDGER_ALL, "it does not get quiet");
	}
}

static void settle(struct scenario *scenario)
{
	ledger_forget_files(scenario->ledger);
	box_look(&scenario->box, true);
	ledger_check(scenario->ledger);
}

// ---- the whole

static void add_people(struct scenario *scenario)
{
	struct client_parts parts = { .loop = scenario->loop,
				      .ledger = scenario->ledger,
				      .weather = &scenario->weather };
	bool is_crowded = below(scenario, 8) == 0;

	scenario->remote = remote_new(scenario->loop, scenario->ledger, &scenario->weather);
	scenario->client_count =
		1 + (unsigned)below(scenario, is_crowded ? CLIENTS_MAX : CLIENTS_FEW);
	for (unsigned i = 0; i < scenario->client_count; i++) {
		parts.number = i + 1;
		parts.letters =
			1 + (unsigned)below(scenario, is_crowded ? LETTERS_MAX : LETTERS_FEW);
		scenario->clients[i] = client_new(&parts, below(scenario, 10000));
	}
}

static struct scenario_result result_of(struct scenario *scenario, struct buffer *text)
{
	const struct ledger *ledger = scenario->ledger;
	struct scenario_result result = {
		.seed = ledger->seed,
		.faults = sim_fault_count(scenario->sim) + ledger->faults,
		.steps = sim_step_count(scenario->sim),
		.virtual_ms = os_clock_mono_ms(),
		.trace_hash = sim_trace_hash(scenario->sim),
		.violations = ledger->violations,
		.letters = ledger->letter_count,
		.crashes = ledger->death_count,
		.repeats = ledger->repeats,
	};

	for (unsigned i = 0; i < ledger->letter_count; i++) {
		result.accepted += ledger->letters[i]->state == LETTER_ACCEPTED;
	}
	if (ledger->violations) {
		buffer_printf(text, "seed %llu:\n", (unsigned long long)ledger->seed);
		buffer_add(text, buffer_view(&ledger->text));
		ledger_tell(ledger, sim_machine_log(scenario->box.machine), text);
	}
	return result;
}

struct scenario_result scenario_run(uint64_t seed, const struct scenario_setup *setup,
				    struct buffer *text)
{
	struct scenario *scenario = child_alloc(sizeof *scenario);
	struct scenario_result result;

	scenario->sim = sim_new(seed);
	sim_trace_print(scenario->sim, setup->print);
	scenario->ledger = ledger_new(scenario->sim, seed);
	if (os_loop_new(&scenario->loop) != OK) {
		abort();
	}
	box_init(&scenario->box, scenario->ledger, &scenario->weather, &setup->box);
	box_power_on(&scenario->box);
	add_people(scenario);
	be_rough(scenario);
	be_calm(scenario);
	lose_power_at_last(scenario);
	settle(scenario);
	result = result_of(scenario, text);
	for (unsigned i = 0; i < scenario->client_count; i++) {
		client_free(scenario->clients[i]);
	}
	remote_free(scenario->remote);
	os_loop_free(scenario->loop);
	ledger_free(scenario->ledger);
	sim_free(scenario->sim);
	free(scenario);
	return result;
}
