// What goes wrong around deliveries: nothing that waits is forgotten, nothing is tried without end.
#include <sys/resource.h>
#include <sysexits.h>

#include "deliver/deliverer_private.h"
#include "deliver/test_fixture.h"
#include "spool/store_private.h"

#define MAIL "Subject: hi\r\n\r\n.dot\r\nlast\r\n"

enum { HOUR_MS = 3600 * 1000, DAY_S = 24 * 3600 };

static const struct peer_rule later[] = { { "RCPT", "450 4.2.1 later" }, { NULL, NULL } };
static const struct peer_rule kind[] = { { NULL, NULL } };

static unsigned count_of(const struct buffer *buffer, const char *text)
{
	struct view rest = buffer_view(buffer), wanted = view_from_text(text);
	unsigned count = 0;
	size_t place;

	while ((place = view_find_text(rest, wanted)) < rest.len) {
		rest = view_from(rest, place + wanted.len);
		count++;
	}
	return count;
}

static void a_soon_retry_does_not_wait_for_a_late_one(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, "queue: { retry_first: 2h }\n");
	world.peer.rules = later;
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world_turn(&world, 20);
	world_configure(&world, "queue: { retry_first: 1s }\n");
	world_submit(&world, "s@example.org", "c@y.example", MAIL);
	world_until_deferred(&world, 3); // the second one twice
	world_done(&world);
}

static void a_session_that_carries_nothing_is_an_attempt(void **state)
{
	static const struct peer_rule rules[] = { { "EHLO", "250 hello\r\n421 and goodbye" },
						  { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world.age_ms = HOUR_MS; // not fresh: its record is read by the pool
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(world.peer.session_count, 1);
	world_done(&world);
}

static bool has_message(void *context)
{
	const struct world *world = context;

	return world->peer.messages >= 1;
}

// One byte of the file of the first large message, as a disk may lose it; again, and it is whole.
static void flip_byte_of_body(struct world *world, uint64_t offset)
{
	char name[SPOOL_ID_TEXT_LEN + 1], byte;
	int dir, file;

	spool_id_format(world->next_id, name);
	assert_int_equal(os_dir_open_at(world->parts[SPOOL_RECEIVE], "body", &dir), OK);
	assert_int_equal(os_file_open_at(dir, name, OS_READ | OS_WRITE, 0, &file), OK);
	assert_int_equal(os_file_read_at(file, offset, &byte, 1), OK);
	byte = (char)~byte;
	assert_int_equal(os_file_write_at(file, offset, view_of(&byte, 1)), OK);
	os_file_close(file);
	os_dir_close(dir);
}

static void assert_is_held_and_whole_later(struct world *world)
{
	struct buffer text = buffer_with_max(65536);

	assert_int_equal(deliverer_counters(world->deliverer).delivered, 0);
	assert_int_equal(world->peer.messages, 0);
	assert_int_equal(world_command(world, CONTROL_QUEUE_LIST, "reason", "is damaged", &text),
			 EX_OK);
	assert_true(buffer_has(&text, "\"held\":true"));
	flip_byte_of_body(world, 1000000);
	assert_int_equal(world_command(world, CONTROL_QUEUE_RELEASE, "to", "*", &text), EX_OK);
	world_until_empty(world);
	assert_int_equal(deliverer_counters(world->deliverer).delivered, 1);
	buffer_done(&text);
}

static bool is_damaged(void *context)
{
	const struct world *world = context;

	return deliverer_counters(world->deliverer).damaged > 0;
}

static void a55_a_body_that_rotted_on_disk_is_held_not_delivered(void **state)
{
	static const char *const recipients[] = { "b@y.example", "alice@example.org" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(recipients); i++) {
		struct world world;

		world_open(&world, "queue: { hold: true }\n");
		world_submit_large(&world, recipients[i], 40000);
		flip_byte_of_body(&world, 1000000);
		world_configure(&world, NULL);
		world_until(&world, is_damaged, &world);
		world_turn(&world, 50);
		assert_int_equal(deliverer_counters(world.deliverer).damaged, 1);
		assert_is_held_and_whole_later(&world);
		world_done(&world);
	}
}

static void a55_nothing_is_tried_while_the_journal_fails(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL); // its domain is being asked for
	world.deliverer->store->status.journal_error = ERROR_IO;
	world_turn(&world, 100);
	assert_int_equal(world.peer.session_count, 0);
	world.deliverer->store->status.journal_error = OK;
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 1);
	world_done(&world);
}

static void a_clock_that_steps_back_delays_nothing(void **state)
{
	struct spool_message *message;
	struct world world;
	uint64_t id;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = later;
	id = world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world.peer.rules = kind;
	// As if what is known was noted 30 days from now.
	message = spool_store_find(world.deliverer->store, id);
	message->recipients[0].next_attempt_s += 30 * DAY_S;
	queue_schedule(message->user);
	world.deliverer->wall_ms += 30ull * DAY_S * 1000;
	heap_move(&world.deliverer->due, &((struct entry *)message->user)->due,
		  message->recipients[0].next_attempt_s * 1000ull);
	queue_timer(world.deliverer);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 1);
	world_done(&world);
}

static void what_could_not_be_taken_in_comes_later(void **state)
{
	struct rlimit limit, none;
	struct world world;

	(void)state;
	world_open(&world, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	world_submit(&world, "s@example.org", "b@y.example", MAIL); // its segment is not opened
	world_turn(&world, 20);
	assert_true(spool_store_is_behind(world.deliverer->store));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	world_until(&world, has_message, &world);
	world_done(&world);
}

static void a_message_without_a_body_is_bounced(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "550 no" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "alice@example.org", "b@y.example", "");
	world_until_empty(&world);
	assert_int_equal(deliverer_counters(world.deliverer).bounces, 1);
	world_done(&world);
}

static void a_share_that_is_not_needed_goes_to_the_next(void **state)
{
	struct buffer text = buffer_with_max(4096);
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_stop(&world);
	world.connections = 1;
	world_start(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until(&world, has_message, &world);
	// The idle connection has the only share; two sites wait for it.
	world_submit(&world, "s@example.org", "b@z.example", MAIL);
	world_turn(&world, 50);
	world_submit(&world, "s@example.org", "b@w.example", MAIL);
	world_turn(&world, 50);
	assert_int_equal(world.peer.messages, 1);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_HOLD, "to", "*@z.example", &text),
			 EX_OK);
	world.peer.messages = 0;
	world_until(&world, has_message, &world);
	assert_true(buffer_has(&world.peer.commands, "b@w.example"));
	buffer_done(&text);
	world_done(&world);
}

static void a_server_that_takes_few_connections_gets_no_pause(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	for (int i = 0; i < 40; i++) {
		world_submit(&world, "s@example.org", "b@y.example", MAIL);
	}
	world.peer.at_once = 1;
	world_configure(&world, NULL);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 40);
	assert_int_equal(deliverer_counters(world.deliverer).deferred, 0);
	world_done(&world);
}

static bool has_failed(void *context)
{
	const struct world *world = context;

	return deliverer_counters(world->deliverer).failed >= 1;
}

static void too_many_recipients_go_on_in_a_second_transaction(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT TO:<c@", "452 4.5.3 too many" },
						  { "RCPT TO:<d@", "552 too many" },
						  { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "s@example.org", "b@y.example c@y.example", MAIL);
	world_until_deferred(&world, 1); // alone it is refused for its own sake
	assert_int_equal(world.peer.messages, 1);
	assert_int_equal(count_of(&world.peer.commands, "RCPT TO:<b@"), 1);
	assert_int_equal(count_of(&world.peer.commands, "RCPT TO:<c@"), 2);
	world_submit(&world, "", "b@z.example d@z.example", MAIL);
	world_until(&world, has_failed, &world);
	assert_int_equal(count_of(&world.peer.commands, "RCPT TO:<d@"), 2);
	world_done(&world);
}

static void a32_a_body_that_met_421_is_not_sent_again_at_once(void **state)
{
	static const struct peer_rule rules[] = { { ".", "421 4.3.2 closing" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until(&world, has_message, &world);
	world.peer.rules = rules; // the second one on the same connection
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(world.peer.session_count, 1);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_soon_retry_does_not_wait_for_a_late_one),
		cmocka_unit_test(a_session_that_carries_nothing_is_an_attempt),
		cmocka_unit_test(a55_a_body_that_rotted_on_disk_is_held_not_delivered),
		cmocka_unit_test(a55_nothing_is_tried_while_the_journal_fails),
		cmocka_unit_test(a_clock_that_steps_back_delays_nothing),
		cmocka_unit_test(what_could_not_be_taken_in_comes_later),
		cmocka_unit_test(a_message_without_a_body_is_bounced),
		cmocka_unit_test(a_share_that_is_not_needed_goes_to_the_next),
		cmocka_unit_test(a_server_that_takes_few_connections_gets_no_pause),
		cmocka_unit_test(too_many_recipients_go_on_in_a_second_transaction),
		cmocka_unit_test(a32_a_body_that_met_421_is_not_sent_again_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
