// A55 on the simulated disk, the rest of the life of a message: large bodies in files of their own,
// two families at once, outcomes with a message, copies forward and checkpoints; power lost at
// every call, and start on a full disk.
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/sim/sim.h"
#include "spool/body.h"
#include "spool/id.h"
#include "spool/inspect.h"
#include "spool/store_private.h"

enum {
	FAMILIES = 2,
	MESSAGES = 24, // of each family in one life
	IDS_MAX = 4096,
	LARGE_EVERY = 6, // each so manieth message has a body of its own
	LARGE_BYTES = 300 * 1000,
	BOUNCE = 2048, // the id of the bounce of a message is this much higher
	TICK_MS = 3,
	CALLS_MAX = 900,
	CALLS_STEP = 31,
};

struct truth {
	bool is_acked[IDS_MAX], is_large[IDS_MAX];
	bool is_noted[IDS_MAX], is_committed[IDS_MAX];
	bool is_bounced[IDS_MAX]; // told that the bounce is durable
	bool is_tried_to_bounce[IDS_MAX];
	bool is_seen[IDS_MAX];
	unsigned faults, copied, bounced, large;
	uint64_t next_id;
};

struct sending {
	struct life *life;
	struct family *family;
	uint64_t id;
	struct spool_append append;
	struct spool_body *body;
	uint64_t left;
	struct view text;
};

struct family {
	struct spool_commit_page commits;
	struct spool_writer *writer;
	struct spool_port *port;
	struct os_pool *pool;
	struct sending sendings[MESSAGES];
	unsigned started, told;
};

struct ending {
	struct spool_wait wait;
	struct spool_submission submission;
	struct truth *truth;
	uint64_t id;
	bool is_used;
};

struct life {
	struct truth *truth;
	struct os_loop *loop;
	struct spool_queue_page queue;
	struct family families[FAMILIES];
	struct spool_store *store;
	struct os_timer tick;
	unsigned ticks;
	bool has_started;
	struct ending endings[IDS_MAX];
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

static void send_next(struct life *life, struct family *family);

static void told(void *context, struct spool_append *append, enum error error)
{
	struct sending *sending = context;

	(void)append;
	sending->life->truth->is_acked[sending->id] = error == OK;
	spool_body_free(sending->body, error == OK);
	sending->family->told++;
	send_next(sending->life, sending->family);
}

static void append(struct sending *sending, bool is_large)
{
	struct spool_recipient bob = { .address = VIEW("bob@x.example") };
	struct spool_envelope envelope = { .id = sending->id,
					   .recipients = &bob,
					   .recipient_count = 1,
					   .flags = is_large ? SPOOL_BODY_FILE : 0,
					   .body_bytes =
						   is_large ? LARGE_BYTES : sending->text.len };

	if (spool_writer_append(sending->family->port, &sending->append, &envelope, &sending->text,
				is_large ? 0 : 1, told, sending)) {
		told(sending, NULL, ERROR_IO);
	}
}

static void finished(void *context, enum error error)
{
	struct sending *sending = context;

	if (error) {
		told(sending, NULL, error);
	} else {
		append(sending, true);
	}
}

static void add_more(void *context)
{
	static const char part[50 * 1000];
	struct sending *sending = context;

	while (sending->left > 0 && !spool_body_is_full(sending->body)) {
		if (spool_body_add(sending->body, view_of(part, sizeof part))) {
			break;
		}
		sending->left -= sizeof part;
	}
	if (sending->left == 0) {
		sending->left = UINT64_MAX;
		spool_body_finish(sending->body);
	}
}

static void send_next(struct life *life, struct family *family)
{
	static const char text[2000] = "Subject: power\r\n\r\n";
	struct spool_body_calls calls = { add_more, finished, NULL };
	struct sending *sending = &family->sendings[family->started];

	if (family->started == MESSAGES) {
		return;
	}
	family->started++;
	*sending = (struct sending){ .life = life, .family = family };
	sending->id = life->truth->next_id++;
	sending->text = view_of(text, 20 + sending->id * 97 % 1900);
	sending->left = LARGE_BYTES;
	calls.context = sending;
	if (sending->id % LARGE_EVERY == 0) {
		life->truth->is_large[sending->id] = true;
		if (spool_body_new(family->writer, family->pool, sending->id, calls,
				   &sending->body)) {
			told(sending, NULL, ERROR_IO);
		} else {
			add_more(sending);
		}
	} else {
		append(sending, false);
	}
}

static void committed(void *context)
{
	struct ending *ending = context;

	ending->truth->is_committed[ending->id] = true;
}

static void bounced(void *context, enum error error)
{
	struct ending *ending = context;

	ending->is_used = error == OK;
	if (!error) {
		ending->truth->is_bounced[ending->id] = true;
		ending->truth->bounced++;
	}
}

static void bounce(struct life *life, struct spool_message *message, struct ending *ending)
{
	static const struct view report = VIEW("Subject: it failed\r\n\r\n");
	struct spool_recipient sender = { .address = VIEW("a@x.example") };
	struct spool_envelope envelope = { .id = message->id + BOUNCE,
					   .recipients = &sender,
					   .recipient_count = 1,
					   .body_bytes = report.len };
	struct spool_outcome outcome = { 0, { .status = SPOOL_FAILED, .attempts = 1 } };
	struct spool_change change = { .message = message,
				       .outcomes = &outcome,
				       .outcome_count = 1 };

	life->truth->is_tried_to_bounce[message->id] = true;
	if (spool_store_submit(life->store, &ending->submission, &change, &envelope, &report, 1,
			       bounced, ending)) {
		ending->is_used = false;
	}
}

// Of four messages one is delivered, one bounces, one is put off and one is left alone.
static void deliver(struct life *life)
{
	struct spool_message *message, *next;

	(void)spool_store_follow(life->store, 10);
	for (message = spool_store_next(life->store, NULL); message; message = next) {
		struct ending *ending = &life->endings[message->id];
		struct spool_outcome outcome = { 0, { .attempts = 1 } };
		struct spool_change change = { .message = message,
					       .outcomes = &outcome,
					       .outcome_count = 1 };

		next = spool_store_next(life->store, message);
		if (ending->is_used) {
			continue;
		}
		*ending = (struct ending){ .truth = life->truth, .id = message->id };
		ending->is_used = true;
		ending->wait = (struct spool_wait){ .done = committed, .context = ending };
		if (message->id % 4 == 1 && message->id < BOUNCE) {
			bounce(life, message, ending);
			continue;
		}
		if (message->id % 4 == 0) {
			outcome.state.status = SPOOL_DELIVERED;
			life->truth->is_noted[message->id] = true;
		}
		assert_int_equal(spool_store_note(life->store, &change), OK);
		if (outcome.state.status == SPOOL_DELIVERED) {
			spool_store_commit(life->store, &ending->wait);
		}
	}
}

static void tick(void *context)
{
	struct life *life = context;
	bool is_done = true;

	deliver(life);
	if (++life->ticks % 5 == 0) {
		spool_store_copy_timer(life->store);
	}
	for (unsigned i = 0; i < FAMILIES; i++) {
		is_done &= life->families[i].told == MESSAGES;
	}
	if (is_done && life->ticks > 60) {
		os_loop_stop(life->loop);
		return;
	}
	os_timer_set(&life->tick, TICK_MS);
}

static struct spool_store_settings store_settings(struct life *life)
{
	return (struct spool_store_settings){
		.segment_bytes = SPOOL_SEGMENT_BYTES_MIN,
		.checkpoint_segments = 1,
		.copy_forward_segments = 1,
		.journal_ms = 1,
		.queue = &life->queue,
		.commits = { NULL, &life->families[0].commits, &life->families[1].commits },
	};
}

static enum error start_family(struct life *life, int dir, uint16_t number)
{
	struct family *family = &life->families[number - 1];
	struct spool_writer_settings settings = spool_writer_defaults(number);
	enum error error;

	settings.segment_bytes = SPOOL_SEGMENT_BYTES_MIN;
	settings.reserve_bytes = settings.reserve_inodes = 0;
	settings.commit = &family->commits;
	settings.queue = &life->queue;
	error = spool_writer_open(dir, life->loop, &settings, &family->writer);
	if (!error) {
		error = spool_port_new(family->writer, life->loop, &family->port);
	}
	return error ? error : os_pool_new(life->loop, "body", 1, 64, &family->pool);
}

static void live(void *context)
{
	struct life *life = context;
	struct spool_store_settings settings = store_settings(life);
	struct spool_store_calls calls = { on_message, on_fault, life };
	int dir;

	if (os_dir_open("/spool", &dir) || os_loop_new(&life->loop) ||
	    spool_store_open(dir, life->loop, &settings, calls, &life->store)) {
		return;
	}
	for (uint16_t i = 1; i <= FAMILIES; i++) {
		if (start_family(life, dir, i)) {
			return;
		}
	}
	life->has_started = true;
	for (unsigned i = 0; i < FAMILIES; i++) {
		send_next(life, &life->families[i]);
		send_next(life, &life->families[i]);
		send_next(life, &life->families[i]);
	}
	os_timer_init(&life->tick, life->loop, tick, life);
	os_timer_set(&life->tick, TICK_MS);
	os_loop_run(life->loop);
	life->truth->copied += (unsigned)spool_store_status(life->store).copied_forward;
	os_timer_stop(&life->tick);
	for (unsigned i = 0; i < FAMILIES; i++) {
		os_pool_free(life->families[i].pool);
		spool_port_free(life->families[i].port);
		spool_writer_close(life->families[i].writer);
	}
	spool_store_close(life->store);
}

static void check_body(struct life *life, uint64_t id)
{
	struct arena arena = arena_with_max(1 << 20);
	struct buffer bytes = buffer_with_max(1 << 20);
	struct spool_envelope envelope;
	struct spool_source source;
	struct view small;
	char last;

	assert_int_equal(spool_source_open(life->store, spool_store_find(life->store, id), &source),
			 OK);
	assert_int_equal(spool_source_read_envelope(&source, &bytes, &arena, &envelope, &small),
			 OK);
	if (life->truth->is_large[id]) {
		assert_int_equal(source.body_bytes, LARGE_BYTES);
		assert_int_equal(spool_source_read_body(&source, LARGE_BYTES - 1, &last, 1), OK);
		life->truth->large++;
	}
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
}

static void look(void *context)
{
	struct life *life = context;
	struct spool_store_settings settings = store_settings(life);
	struct spool_store_calls calls = { on_message, on_fault, life };
	struct truth *truth = life->truth;
	int dir;

	memset(truth->is_seen, 0, sizeof truth->is_seen);
	truth->faults = 0;
	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(os_loop_new(&life->loop), OK);
	assert_int_equal(spool_store_open(dir, life->loop, &settings, calls, &life->store), OK);
	for (uint64_t id = 1; id < truth->next_id; id++) {
		bool has_bounce = truth->is_seen[id + BOUNCE] || truth->is_noted[id + BOUNCE];

		if (truth->is_acked[id] && !truth->is_noted[id] && !truth->is_seen[id] &&
		    !has_bounce) {
			fail_msg("message %u was answered 250 and is lost", (unsigned)id);
		}
		if (truth->is_committed[id] && truth->is_seen[id]) {
			fail_msg("message %u has ended and is back", (unsigned)id);
		}
		if (truth->is_seen[id] && truth->is_seen[id + BOUNCE]) {
			fail_msg("message %u and its bounce are both there", (unsigned)id);
		}
		if (truth->is_bounced[id] && !has_bounce) {
			fail_msg("the bounce of message %u is lost", (unsigned)id);
		}
		if (truth->is_acked[id] && truth->is_seen[id]) {
			check_body(life, id);
		}
	}
	os_loop_stop(life->loop); // nothing of the store's may run while it closes
	spool_store_close(life->store);
}

static bool run(struct sim_machine *machine, struct truth *truth, void (*fn)(void *context),
		uint64_t crash_at)
{
	struct sim_process *process = sim_process_new(machine, "spool");
	struct life *life = calloc(1, sizeof *life);
	bool is_alive;

	assert_non_null(life);
	memset(truth->is_seen, 0, sizeof truth->is_seen);
	life->truth = truth;
	if (crash_at > 0) {
		sim_plan_crash(process, SIM_ANY, crash_at);
	}
	is_alive = sim_process_run(process, fn, life);
	sim_process_crash(process);
	return is_alive;
}

static void a55_power_lost_at_every_call_of_every_step_loses_nothing(void **state)
{
	unsigned copied = 0, bounces = 0, large = 0;

	(void)state;
	for (uint64_t nth = 1; nth < CALLS_MAX; nth += CALLS_STEP) {
		struct sim *sim = sim_new(77 * 1000003 + nth);
		struct sim_machine *machine = sim_machine_new(sim, "machine");
		struct truth truth = { .next_id = 1 };

		sim_machine_make_path(machine, "/spool");
		for (int round = 0; round < 3; round++) {
			(void)run(machine, &truth, live, round < 2 ? nth + (uint64_t)round : 0);
			sim_machine_lose_power(machine);
			assert_true(run(machine, &truth, look, 0));
			assert_int_equal(truth.faults, 0);
		}
		copied += truth.copied;
		bounces += truth.bounced;
		large += truth.large;
		sim_free(sim);
	}
	assert_true(copied > 0 && bounces > 0 && large > 0); // all of it was tried
}

static void a55_both_ends_start_on_a_full_disk(void **state)
{
	struct sim *sim = sim_new(5);
	struct sim_machine *machine = sim_machine_new(sim, "machine");
	struct truth truth = { .next_id = 1 };

	(void)state;
	sim_machine_make_path(machine, "/spool");
	assert_true(run(machine, &truth, live, 0));
	sim_machine_set_disk_size(machine, 1);
	assert_true(run(machine, &truth, look, 0)); // asserts that the store opens
	assert_int_equal(truth.faults, 0);
	sim_machine_set_disk_size(machine, 0);
	assert_true(run(machine, &truth, look, 0));
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
