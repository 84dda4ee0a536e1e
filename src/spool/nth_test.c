// A55: the Nth allocation of a life of the spool fails, once or all from there on; N = 1, 2 ...
// until a life needs fewer. No crash, no leak (the leak checker looks at the end), and a start with
// memory finds every message that was acknowledged and did not end.
#include "os/test_fail_nth.h"
#include "spool/world_test.h"

#include <errno.h>
#include <string.h>

enum { MESSAGES = 4, TURNS_MAX = 40, NTH_MAX = 2000 };

struct attempt {
	struct world world;
	struct spool_append appends[MESSAGES + 1]; // by id
	bool is_acked[MESSAGES + 1], is_noted[MESSAGES + 1], is_committed;
	unsigned waiting;
};

static void told(void *context, struct spool_append *append, enum error error)
{
	struct attempt *attempt = context;

	attempt->is_acked[append - attempt->appends] = error == OK;
	attempt->waiting--;
}

static void committed(void *context)
{
	((struct attempt *)context)->is_committed = true;
}

static void append_all(struct attempt *attempt)
{
	static const struct view body = VIEW("Subject: x\r\n\r\nhello\r\n");
	struct spool_recipient bob = { .address = VIEW("bob@x.example") };

	for (uint64_t id = 1; id <= MESSAGES; id++) {
		struct spool_envelope envelope = {
			.id = id, .recipients = &bob, .recipient_count = 1, .body_bytes = body.len
		};

		attempt->waiting += spool_writer_append(attempt->world.port, &attempt->appends[id],
							&envelope, &body, 1, told, attempt) == OK;
	}
	for (int i = 0; i < 1000 && attempt->waiting > 0; i++) {
		world_turn(&attempt->world, 1);
	}
	assert_int_equal(attempt->waiting, 0); // each is told, whatever fails
}

static void deliver_one(struct attempt *attempt)
{
	struct spool_store *store = attempt->world.store;
	struct spool_outcome outcome = { 0, { .status = SPOOL_DELIVERED, .attempts = 1 } };
	struct spool_wait wait = { .done = committed, .context = attempt };
	struct spool_change change = { .outcomes = &outcome,
				       .outcome_count = 1,
				       .reason = VIEW("250 2.0.0 ok") };

	for (int i = 0; i < TURNS_MAX && spool_store_follow(store, 1); i++) {
	}
	change.message = spool_store_find(store, 1);
	if (!change.message || spool_store_note(store, &change) != OK) {
		return;
	}
	attempt->is_noted[1] = true;
	spool_store_commit(store, &wait);
	for (int i = 0; i < TURNS_MAX && !attempt->is_committed; i++) {
		world_turn(&attempt->world, 1);
	}
	spool_wait_cancel(&wait);
}

static void live(struct attempt *attempt)
{
	struct world *world = &attempt->world;
	struct spool_writer_settings settings = spool_writer_defaults(1);

	settings.segment_bytes = world->segment_bytes;
	settings.reserve_bytes = 0;
	settings.commit = &world->commits[1];
	settings.queue = &world->queue;
	if (world_start_store(world) != OK ||
	    spool_writer_open(world->parts[SPOOL_RECEIVE], world->loop, &settings,
			      &world->writer) != OK ||
	    spool_port_new(world->writer, world->loop, &world->port) != OK) {
		return;
	}
	append_all(attempt);
	deliver_one(attempt);
}

// Whether there was an nth call.
static bool try_nth(uint64_t nth, bool is_lasting)
{
	static struct attempt attempt;
	bool has_struck;

	memset(&attempt, 0, sizeof attempt);
	world_open(&attempt.world);
	fail_nth_arm(1 << FAIL_ALLOC, nth, is_lasting, ENOMEM);
	live(&attempt);
	world_stop_store(&attempt.world);
	world_stop_writer(&attempt.world);
	has_struck = fail_nth_pause() > 0;

	assert_int_equal(world_start_store(&attempt.world), OK);
	assert_int_equal(attempt.world.faults, 0);
	for (uint64_t id = 1; id <= MESSAGES; id++) {
		if (attempt.is_acked[id] && !attempt.is_noted[id] &&
		    !world_saw(&attempt.world, id)) {
			fail_msg("allocation %u failed: message %u is lost", (unsigned)nth,
				 (unsigned)id);
		}
	}
	assert_false(attempt.is_committed && world_saw(&attempt.world, 1));
	world_done(&attempt.world);
	return has_struck;
}

static void fail_each(bool is_lasting)
{
	uint64_t nth = 1;

	while (try_nth(nth, is_lasting)) {
		assert_true(++nth < NTH_MAX);
	}
	assert_true(nth > 20);
	print_message("figures: spool allocations%s: %u points\n", is_lasting ? ", lasting" : "",
		      (unsigned)nth - 1);
}

static void a55_the_nth_allocation_fails(void **state)
{
	(void)state;
	fail_each(false);
}

static void a55_every_allocation_from_the_nth_on_fails(void **state)
{
	(void)state;
	fail_each(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a55_the_nth_allocation_fails),
		cmocka_unit_test(a55_every_allocation_from_the_nth_on_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
