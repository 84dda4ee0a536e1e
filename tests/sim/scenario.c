#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "sim/client.h"
#include "sim/remote.h"
#include "sim/setup.h"

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
	QUIET_STEPS = 20000,
};

struct scenario {
	const struct spec *spec;
	struct sim *sim;
	struct ledger *ledger;
	struct os_loop *loop;
	struct weather weather;
	struct box box;
	struct remote *remote;
	struct tls_client *tls;        // of the clients
	struct tls_server *remote_tls; // NULL: remote servers have none
	bool client_tls, logins;
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

// Some seeds have none of a kind, some much. A part that is left out draws its chance all the same.
static unsigned intensity(struct scenario *scenario, enum spec_part part, unsigned most)
{
	unsigned chance = below(scenario, 3) ? (unsigned)below(scenario, most + 1) : 0;

	return spec_has(scenario->spec, part) ? chance : 0;
}

static void set_weather(struct scenario *scenario)
{
	struct sim_faults *faults = sim_faults(scenario->sim);

	scenario->weather = (struct weather){
		.client_vanishes = intensity(scenario, SPEC_CLIENTS_VANISH, 60),
		.remote_defers = intensity(scenario, SPEC_REMOTES_MISBEHAVE, 200),
		.remote_resets = intensity(scenario, SPEC_REMOTES_MISBEHAVE, 100),
		.remote_stalls = intensity(scenario, SPEC_REMOTES_MISBEHAVE, 60),
		.remote_loses = intensity(scenario, SPEC_REMOTES_MISBEHAVE, 150),
		.remote_turns_off = intensity(scenario, SPEC_REMOTES_MISBEHAVE, 200),
		.dns_fails = intensity(scenario, SPEC_DNS_FAILS, 300),
	};
	faults->write_io = intensity(scenario, SPEC_WRITE_ERRORS, 3000);
	faults->write_no_space = intensity(scenario, SPEC_WRITE_ERRORS, 3000);
	faults->sync_io = intensity(scenario, SPEC_SYNC_ERRORS, 10000);
	faults->read_io = intensity(scenario, SPEC_READ_ERRORS, 1000);
	faults->open_limit = intensity(scenario, SPEC_OPEN_ERRORS, 1000);
	faults->sync_slow = intensity(scenario, SPEC_SLOW_SYNCS, 30000);
	faults->connect_refused = intensity(scenario, SPEC_NETWORK_FAILS, 100000);
	faults->connect_lost = intensity(scenario, SPEC_NETWORK_FAILS, 50000);
	faults->send_reset = intensity(scenario, SPEC_NETWORK_FAILS, 10000);
	faults->transfer_short = intensity(scenario, SPEC_NETWORK_FAILS, 300000);
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

	scenario->ledger->deeds[DEED_CLOCK_JUMPED]++;
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

	scenario->ledger->deeds[DEED_DISK_FILLED]++;
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
		scenario->ledger->deeds[DEED_SYNC_FAILED_AND_DIED]++;
		sim_plan_fail(each->process, SIM_SYNC, nth, ERROR_IO);
		sim_plan_crash(each->process, SIM_SYNC, nth + 1);
	}
}

static void receive_dies(struct scenario *scenario)
{
	if (below(scenario, 2)) {
		crash_later(scenario, scenario->box.receiving);
	} else {
		box_crash(&scenario->box,
			  below(scenario, 4) ? scenario->box.receiving : CHILD_RECEIVE_2);
	}
}

static void deliver_dies(struct scenario *scenario)
{
	if (below(scenario, 2)) {
		crash_later(scenario, CHILD_DELIVER);
	} else {
		box_crash(&scenario->box, CHILD_DELIVER);
	}
}

static void facts_dies(struct scenario *scenario)
{
	box_crash(&scenario->box, below(scenario, 2) ? CHILD_FACTS : CHILD_KEEPER);
}

static void all_die(struct scenario *scenario)
{
	box_crash_all(&scenario->box);
}

static void one_leaves(struct scenario *scenario)
{
	box_stop(&scenario->box, below(scenario, 2) ? scenario->box.receiving : CHILD_DELIVER);
}

static void sync_death(struct scenario *scenario)
{
	fail_and_crash(scenario, below(scenario, 3) ? CHILD_DELIVER : scenario->box.receiving);
}

static void upgrade(struct scenario *scenario)
{
	box_upgrade(&scenario->box);
}

static void reload(struct scenario *scenario)
{
	box_reload(&scenario->box);
}

static void operator_flushes(struct scenario *scenario)
{
	box_order(&scenario->box, false, true);
}

static void something_happens(struct scenario *scenario)
{
	static const struct {
		unsigned weight;
		enum spec_part part; // SPEC_PART_COUNT: of none
		void (*fn)(struct scenario *scenario);
	} events[] = {
		{ 2, SPEC_RECEIVE_DIES, receive_dies },
		{ 2, SPEC_DELIVER_DIES, deliver_dies },
		{ 1, SPEC_FACTS_DIES, facts_dies },
		{ 2, SPEC_POWER_LOSSES, lose_power },
		{ 1, SPEC_POWER_LOSSES, all_die },
		{ 1, SPEC_CLOCK_JUMPS, jump_clock },
		{ 2, SPEC_STOPS, one_leaves },
		{ 1, SPEC_FULL_DISKS, fill_disk },
		{ 3, SPEC_SYNC_DEATHS, sync_death },
		{ 1, SPEC_UPGRADES, upgrade },
		{ 1, SPEC_RELOADS, reload },
		{ 1, SPEC_PART_COUNT, operator_flushes },
		{ 1, SPEC_PART_COUNT, set_weather },
	};
	enum { EVENTS = sizeof events / sizeof *events };
	unsigned all = 0, chosen, i = 0;

	for (unsigned k = 0; k < EVENTS; k++) {
		all += events[k].weight;
	}
	chosen = (unsigned)below(scenario, all);
	while (chosen >= events[i].weight) {
		chosen -= events[i++].weight;
	}
	if (events[i].part == SPEC_PART_COUNT || spec_has(scenario->spec, events[i].part)) {
		events[i].fn(scenario);
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
	box_check_bounds(&scenario->box);
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

// Until the queue is empty, by the server's own doing.
static void be_patient(struct scenario *scenario)
{
	uint64_t end_ms = os_clock_mono_ms() + CALM_MS;

	do {
		tick(scenario, CALM_STEP_MS);
	} while (box_queued(&scenario->box) && os_clock_mono_ms() < end_ms);
	if (box_queued(&scenario->box)) {
		ledger_violation(scenario->ledger, PROMISE_QUIET, LEDGER_ALL,
				 "%llu messages stay in the queue",
				 (unsigned long long)box_queued(&scenario->box));
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
		ledger_violation(scenario->ledger, PROMISE_QUIET, LEDGER_ALL,
				 "clients are not served in calm weather");
	}
	tick(scenario, CALM_STEP_MS);
	box_order(&scenario->box, true, false); // all else must come by itself
	be_patient(scenario);
}

// What has ended has ended on disk: after one more loss of power nothing arrives a second time. (A
// letter that was refused may arrive a first time, see may_survive in ledger_check.c.)
static void lose_power_at_last(struct scenario *scenario)
{
	struct box *box = &scenario->box;

	tick(scenario, CALM_STEP_MS);
	box_check_rest(box);
	box->reliable = false;
	box_lose_power(box);
	box_power_on(box);
	do {
		tick(scenario, BOX_TICK_MS);
	} while (!box_is_whole(box));
	tick(scenario, CALM_STEP_MS);
	be_patient(scenario);
	if (!sim_run_until_quiet(scenario->sim, 0, QUIET_STEPS)) {
		ledger_violation(scenario->ledger, PROMISE_QUIET, LEDGER_ALL,
				 "it does not get quiet");
	}
}

static void settle(struct scenario *scenario)
{
	ledger_forget_files(scenario->ledger);
	box_look(&scenario->box, true);
	ledger_check(scenario->ledger);
}

// ---- the whole

// A handshake costs as much as a hundred letters: some runs have none.
static void add_tls(struct scenario *scenario, const struct box_setup *setup)
{
	const struct tls_identity identity = { setup->certificate, setup->key };
	const struct tls_server_options options = { .identities = &identity,
						    .identity_count = 1,
						    .role = VIEW("relay") };

	setup_seed_tls(scenario->spec->seed);
	scenario->client_tls = below(scenario, 3) == 0 && spec_has(scenario->spec, SPEC_TLS);
	scenario->logins = below(scenario, 3) == 0 && spec_has(scenario->spec, SPEC_LOGINS);
	if (below(scenario, 4) == 0 && spec_has(scenario->spec, SPEC_TLS) &&
	    tls_server_new(&options, NULL, &scenario->remote_tls) != OK) {
		abort();
	}
	if (tls_client_new((struct view){ 0 }, &scenario->tls) != OK) {
		abort();
	}
}

static void add_people(struct scenario *scenario)
{
	struct client_parts parts = { .loop = scenario->loop,
				      .ledger = scenario->ledger,
				      .weather = &scenario->weather };
	bool is_crowded = below(scenario, 8) == 0;

	parts.tls = scenario->tls;
	parts.may_use_tls = scenario->client_tls;
	parts.may_log_in = scenario->logins;
	scenario->remote = remote_new(scenario->loop, scenario->ledger, &scenario->weather,
				      scenario->remote_tls);
	scenario->client_count =
		1 + (unsigned)below(scenario, is_crowded ? CLIENTS_MAX : CLIENTS_FEW);
	for (unsigned i = 0; i < scenario->client_count; i++) {
		parts.number = i + 1;
		parts.letters =
			1 + (unsigned)below(scenario, is_crowded ? LETTERS_MAX : LETTERS_FEW);
		scenario->clients[i] = client_new(&parts, below(scenario, 10000));
	}
}

static void count_failed_calls(const struct sim *sim, uint64_t *deeds)
{
	const struct sim_faults *struck = sim_faults_struck(sim);

	deeds[DEED_WRITE_NO_SPACE] = struck->write_no_space;
	deeds[DEED_WRITE_IO] = struck->write_io;
	deeds[DEED_READ_IO] = struck->read_io;
	deeds[DEED_SYNC_IO] = struck->sync_io;
	deeds[DEED_OPEN_LIMIT] = struck->open_limit;
	deeds[DEED_SYNC_SLOW] = struck->sync_slow;
	deeds[DEED_CONNECT_REFUSED] = struck->connect_refused;
	deeds[DEED_CONNECT_LOST] = struck->connect_lost;
	deeds[DEED_SEND_RESET] = struck->send_reset;
	deeds[DEED_TRANSFER_SHORT] = struck->transfer_short;
}

static struct scenario_result result_of(struct scenario *scenario, struct buffer *text)
{
	const struct ledger *ledger = scenario->ledger;
	struct scenario_result result = {
		.spec = *scenario->spec,
		.faults = sim_fault_count(scenario->sim) + ledger->faults,
		.steps = sim_step_count(scenario->sim),
		.virtual_ms = os_clock_mono_ms(),
		.digest =
			sim_trace_hash(scenario->sim) ^ sim_random_below(scenario->sim, UINT64_MAX),
		.violations = ledger->violations,
		.broken = ledger->broken,
		.letters = ledger->letter_count,
		.crashes = ledger->death_count,
		.repeats = ledger->repeats,
	};

	memcpy(result.deeds, ledger->deeds, sizeof result.deeds);
	count_failed_calls(scenario->sim, result.deeds);
	if (ledger->violations) {
		buffer_add(text, buffer_view(&ledger->text));
		ledger_tell(ledger, text);
	}
	return result;
}

static uint64_t seed_of(const struct spec *spec)
{
	return spec->seed ^ spec->variation * 0x9e3779b97f4a7c15;
}

static void free_all(struct scenario *scenario)
{
	for (unsigned i = 0; i < scenario->client_count; i++) {
		client_free(scenario->clients[i]);
	}
	remote_free(scenario->remote);
	tls_client_unref(scenario->tls);
	tls_server_unref(scenario->remote_tls);
	os_loop_free(scenario->loop);
	ledger_free(scenario->ledger);
	sim_free(scenario->sim);
	free(scenario);
}

struct scenario_result scenario_run(const struct spec *spec, const struct scenario_setup *setup,
				    struct buffer *text)
{
	struct scenario *scenario = child_alloc(sizeof *scenario);
	struct scenario_result result;

	scenario->spec = spec;
	scenario->sim = sim_new(seed_of(spec));
	sim_trace_print(scenario->sim, setup->print);
	scenario->ledger = ledger_new(scenario->sim, spec);
	if (os_loop_new(&scenario->loop) != OK) {
		abort();
	}
	box_init(&scenario->box, scenario->ledger, &scenario->weather, &setup->box);
	box_power_on(&scenario->box);
	add_tls(scenario, &setup->box);
	add_people(scenario);
	be_rough(scenario);
	be_calm(scenario);
	lose_power_at_last(scenario);
	settle(scenario);
	result = result_of(scenario, text);
	free_all(scenario);
	return result;
}
