// A55 on the simulated disk: the writer and the store as they are, a crash, a loss of power or a
// fault at every single call, then recovery. What was answered 250 is there; what has ended for
// good stays away.
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/sim/sim.h"
#include "spool/store.h"
#include "spool/writer.h"

enum {
	MESSAGES = 60,
	AT_ONCE = 6, // waiting callers
	IDS_MAX = 4 * MESSAGES,
	SEEDS = 2,
};

// What the checker knows; outlives every crash.
struct truth {
	bool is_acked[IDS_MAX], is_refused[IDS_MAX];
	bool is_noted[IDS_MAX], is_committed[IDS_MAX]; // delivered; and durably so
	bool is_seen[IDS_MAX];
	unsigned acked, refused, faults;
	uint64_t next_id;
};

// One life of receive and deliver together; abandoned where it stands at a crash.
struct life {
	struct truth *truth;
	struct os_loop *loop;
	struct spool_commit_page commits;
	struct spool_queue_page queue;
	struct spool_writer *writer;
	struct spool_port *port;
	struct spool_store *store;
	struct spool_append appends[MESSAGES];
	struct view bodies[MESSAGES];
	unsigned started, told, refused_at_once;
	struct os_timer tick;
	bool is_delivering;
	struct wait {
		struct spool_wait wait;
		struct life *life;
		uint64_t id;
		bool is_used;
	} waits[IDS_MAX];
};

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0"; // a crashed process frees nothing
}

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct life *life = context;

	(void)envelope;
	assert_true(message->id < IDS_MAX);
	assert_false(life->truth->is_seen[message->id]);
	life->truth->is_seen[message->id] = true;
	return OK;
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	print_error("%s: family %u segment %u epoch %u offset %u\n", what, where.family,
		    where.segment, where.epoch, where.offset);
	((struct life *)context)->truth->faults++;
}

static void append_next(struct life *life);

static void told(void *context, struct spool_append *append, enum error error)
{
	struct life *life = context;
	uint64_t id = append->id;

	life->told++;
	life->truth->is_acked[id] = error == OK;
	life->truth->is_refused[id] = error != OK;
	life->truth->acked += error == OK;
	life->truth->refused += error != OK;
	append_next(life);
}

static void append_next(struct life *life)
{
	struct spool_recipient bob = { .address = VIEW("bob@x.example") };
	struct spool_envelope envelope = { .recipients = &bob, .recipient_count = 1 };
	unsigned i = life->started;
	enum error error;

	if (i == MESSAGES) {
		return;
	}
	life->started++;
	life->bodies[i] =
		view_first(VIEW("Subject: power\r\n\r\nIt goes, it comes.\r\n"), 10 + i % 25);
	envelope.id = life->truth->next_id++;
	envelope.body_bytes = life->bodies[i].len;
	error = spool_writer_append(life->port, &life->appends[i], &envelope, &life->bodies[i], 1,
				    told, life);
	if (error) {
		life->truth->is_refused[envelope.id] = true;
		life->truth->refused++;
		life->told++;
		life->refused_at_once++;
		append_next(life);
	}
}

static void committed(void *context)
{
	struct wait *wait = context;

	wait->life->truth->is_committed[wait->id] = true;
}

// Delivers every message whose id is even.
static void deliver(struct life *life)
{
	struct spool_message *message, *next;

	(void)spool_store_follow(life->store, 10);
	for (message = spool_store_next(life->store, NULL); message; message = next) {
		struct spool_outcome outcome = { 0, { .status = SPOOL_DELIVERED, .attempts = 1 } };
		struct spool_change change = { .message = message,
					       .outcomes = &outcome,
					       .outcome_count = 1 };
		struct wait *wait = &life->waits[message->id];

		next = spool_store_next(life->store, message);
		if (message->id % 2 == 0) {
			wait->life = life;
			wait->id = message->id;
			wait->is_used = true;
			wait->wait = (struct spool_wait){ .done = committed, .context = wait };
			life->truth->is_noted[message->id] = true;
			assert_int_equal(spool_store_note(life->store, &change), OK);
			spool_store_commit(life->store, &wait->wait);
		}
	}
}

static void tick(void *context)
{
	struct life *life = context;

	if (life->is_delivering) {
		deliver(life);
	}
	if (life->told == MESSAGES) {
		os_loop_stop(life->loop);
		return;
	}
	os_timer_set(&life->tick, 3);
}

static void live(void *context)
{
	struct life *life = context;
	struct spool_writer_settings settings = spool_writer_defaults(1);
	struct spool_store_settings store_settings = {
		.segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
		.checkpoint_segments = 1,
		.copy_forward_segments = 1,
		.journal_ms = 1,
		.queue = &life->queue,
		.commits = { NULL, &life->commits },
	};
	struct spool_store_calls calls = { on_message, on_fault, life };
	int dir;

	settings.segment_bytes = SPOOL_SEGMENT_BYTES_MIN;
	settings.reserve_bytes = 0;
	settings.reserve_inodes = 0;
	settings.commit = &life->commits;
	settings.queue = &life->queue;
	if (os_dir_open("/spool", &dir) || os_loop_new(&life->loop)) {
		return;
	}
	if (life->is_delivering &&
	    spool_store_open(dir, life->loop, &store_settings, calls, &life->store)) {
		return; // a fault at the start: the supervisor would start it again
	}
	if (spool_writer_open(dir, life->loop, &settings, &life->writer) ||
	    spool_port_new(life->writer, life->loop, &life->port)) {
		return;
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		append_next(life);
	}
	os_timer_init(&life->tick, life->loop, tick, life);
	os_timer_set(&life->tick, 3);
	os_loop_run(life->loop);
	os_timer_stop(&life->tick);
	spool_port_free(life->port);
	spool_writer_close(life->writer);
	spool_store_close(life->store);
}

// Only looks: every acknowledged message is there or was noted as delivered, none is there twice
// (on_message), and none whose end was durable is there.
static void look(void *context)
{
	struct life *life = context;
	struct spool_store_settings settings = { .segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
						 .queue = &life->queue };
	struct spool_store_calls calls = { on_message, on_fault, life };
	struct truth *truth = life->truth;
	int dir;

	memset(truth->is_seen, 0, sizeof truth->is_seen);
	truth->faults = 0;
	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(os_loop_new(&life->loop), OK);
	assert_int_equal(spool_store_open(dir, life->loop, &settings, calls, &life->store), OK);
	for (uint64_t id = 1; id < truth->next_id; id++) {
		if (truth->is_acked[id] && !truth->is_noted[id] && !truth->is_seen[id]) {
			fail_msg("message %u was answered 250 and is lost", (unsigned)id);
		}
		if (truth->is_committed[id] && truth->is_seen[id]) {
			fail_msg("message %u has ended and is back", (unsigned)id);
		}
	}
	spool_store_close(life->store);
}

static void run(struct sim_machine *machine, struct truth *truth, bool is_delivering,
		void (*plan)(struct sim_process *process, uint64_t nth), uint64_t nth,
		bool *ret_alive)
{
	struct sim_process *process = sim_process_new(machine, "spool");
	struct life *life = calloc(1, sizeof *life);

	assert_non_null(life);
	memset(truth->is_seen, 0, sizeof truth->is_seen);
	life->truth = truth;
	life->is_delivering = is_delivering;
	if (plan) {
		plan(process, nth);
	}
	*ret_alive = sim_process_run(process, live, life);
	sim_process_crash(process);
}

static void check(struct sim_machine *machine, struct truth *truth)
{
	struct sim_process *process = sim_process_new(machine, "checker");
	struct life *life = calloc(1, sizeof *life);

	assert_non_null(life);
	life->truth = truth;
	assert_true(sim_process_run(process, look, life));
	assert_int_equal(truth->faults, 0);
	sim_process_crash(process);
}

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

// For each nth call: a life that meets the plan, loss of power, a look; then another life over what
// is left, loss of power, a look.
static void try_every_call(void (*plan)(struct sim_process *process, uint64_t nth),
			   bool is_delivering, uint64_t calls_max, uint64_t step)
{
	for (uint64_t nth = 1; nth < calls_max; nth += step) {
		for (uint64_t seed = 1; seed <= SEEDS; seed++) {
			struct sim *sim = sim_new(seed * 1000003 + nth);
			struct sim_machine *machine = sim_machine_new(sim, "machine");
			struct truth truth = { .next_id = 1 };
			bool is_alive;

			sim_machine_make_path(machine, "/spool");
			run(machine, &truth, is_delivering, plan, nth, &is_alive);
			sim_machine_lose_power(machine);
			check(machine, &truth);
			run(machine, &truth, is_delivering, NULL, 0, &is_alive);
			assert_true(is_alive);
			sim_machine_lose_power(machine);
			check(machine, &truth);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a55_power_lost_at_every_call_of_receive_loses_nothing_acknowledged),
		cmocka_unit_test(
			a55_power_lost_at_every_call_of_both_loses_nothing_and_repeats_nothing),
		cmocka_unit_test(a55_a_failed_sync_is_no_acknowledgement),
		cmocka_unit_test(a55_a_failed_write_is_no_acknowledgement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
