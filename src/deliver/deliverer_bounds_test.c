// What one slow or hostile site, or one sender of much, can hold: never the others' mail.
#include <stdio.h>
#include <sys/resource.h>

#include "deliver/deliverer_private.h"
#include "deliver/test_fixture.h"

#define MAIL "Subject: hi\r\n\r\nbody\r\n"

enum { RECIPIENTS = 16 };

// So many recipients at domains of their own, START0.example and so on.
static void submit_many(struct world *world, const char *sender, const char *start, unsigned count)
{
	for (unsigned at = 0; at < count; at += RECIPIENTS) {
		struct buffer to = buffer_with_max(4096);

		for (unsigned i = at; i < count && i < at + RECIPIENTS; i++) {
			buffer_printf(&to, "x@%s%u.example ", start, i);
		}
		world_submit(world, sender, buffer_text(&to), MAIL);
		buffer_done(&to);
	}
}

static bool has_message(void *context)
{
	const struct world *world = context;

	return world->peer.messages >= 1;
}

// ---- questions to the DNS

static void a25_a_thousand_silent_domains_hold_up_nobody_else(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL);
	submit_many(&world, "many@example.org", "silent", DELIVERER_ASKING_MAX + 100);
	world_turn(&world, 20);
	assert_in_range(world.deliverer->asking.held, DELIVERER_ASKING_MAX / 3,
			DELIVERER_ASKING_MAX / 2);
	assert_in_range(deliverer_counters(world.deliverer).dns_waits, 100, 1000);
	world_submit(&world, "one@example.org", "b@live.example", MAIL);
	world_until(&world, has_message, &world);
	world_done(&world);
}

// ---- connections

static const struct peer_rule hang[] = { { "EHLO", "250 peer" },
					 { "RCPT TO:<x@hang", "" },
					 { NULL, NULL } };

static void a25_hanging_sites_of_one_sender_leave_room_for_another(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_stop(&world);
	world.peer.rules = hang;
	world.connections = 8;
	world_start(&world, NULL);
	submit_many(&world, "many@example.org", "hang", 20);
	world_turn(&world, 50);
	assert_in_range(deliverer_counters(world.deliverer).open, 2, 4);
	assert_true(deliverer_counters(world.deliverer).connection_waits > 0);
	world_submit(&world, "one@example.org", "b@live.example", MAIL);
	world_until(&world, has_message, &world);
	world_done(&world);
}

static bool has_second_message(void *context)
{
	const struct world *world = context;

	return world->peer.messages >= 2;
}

// Many senders hang on everything that is for untried sites; the site that took mail has the rest.
static void a25_a_site_that_takes_mail_keeps_its_share(void **state)
{
	char sender[32];
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_stop(&world);
	world.peer.rules = hang;
	world.connections = 8;
	world.outbound = ", site: { idle_time: 0s }";
	world_start(&world, NULL);
	world_submit(&world, "s@example.org", "b@live.example", MAIL);
	world_until_empty(&world);
	for (unsigned i = 0; i < 20; i++) {
		char domain[32];

		(void)snprintf(sender, sizeof sender, "s%u@example.org", i);
		(void)snprintf(domain, sizeof domain, "hang%u-", i);
		submit_many(&world, sender, domain, 1);
	}
	world_turn(&world, 50);
	assert_int_equal(world.deliverer->unproven.held, 6); // of the eight
	world_submit(&world, "s@example.org", "b@live.example", MAIL);
	world_until(&world, has_second_message, &world);
	world_done(&world);
}

// ---- time

static void a25_a_session_that_never_stands_is_given_up(void **state)
{
	static const struct peer_rule rules[] = { { "", "" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_stop(&world);
	world.peer.rules = rules;
	world.outbound = ", session_time: 1s";
	world_start(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(deliverer_counters(world.deliverer).deadlines, 1);
	assert_int_equal(deliverer_counters(world.deliverer).open, 0);
	world_done(&world);
}

static void a25_a_transaction_that_never_ends_is_given_up(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_stop(&world);
	world.peer.rules = hang;
	world.outbound = ", transaction_time: 1s, data_rate: 1MiB";
	world_start(&world, NULL);
	world_submit(&world, "s@example.org", "x@hang.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(deliverer_counters(world.deliverer).deadlines, 1);
	world_done(&world);
}

static void a_connection_that_stood_long_takes_no_more(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	for (struct list *link = world.deliverer->all_lanes.next;
	     link != &world.deliverer->all_lanes; link = link->next) {
		struct lane *lane = CONTAINER_OF(link, struct lane, link);

		if (!list_empty(&lane->connections)) {
			struct connection *connection =
				CONTAINER_OF(lane->connections.next, struct connection, link);

			assert_true(connection->idle);
			connection->began_ms -=
				lane->generation->config->outbound.site.connection_ms;
		}
	}
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	assert_int_equal(world.peer.session_count, 2);
	world_done(&world);
}

static void a11_endless_replies_are_counted(void **state)
{
	static char reply[102 * 8];
	const struct peer_rule rules[] = { { "MAIL", reply }, { NULL, NULL } };
	struct world world;

	(void)state;
	for (unsigned i = 0; i < 101; i++) {
		(void)snprintf(reply + i * 7, 8, "250-a\r\n");
	}
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(deliverer_counters(world.deliverer).reply_limits, 1);
	world_done(&world);
}

// ---- ways

static const struct lane *lane_of(const struct world *world, const char *name)
{
	const struct list *all = &world->deliverer->all_lanes;

	for (const struct list *link = all->next; link != all; link = link->next) {
		const struct lane *lane = CONTAINER_OF(link, const struct lane, link);

		if (view_equal(lane->name, view_from_text(name))) {
			return lane;
		}
	}
	fail();
	return NULL;
}

static void start_with_ipv6_source(struct world *world)
{
	world_open(world, "queue: { hold: true }\n");
	world_stop(world);
	world->outbound = ", site: { idle_time: 0s }, source: [six], "
			  "sources: { six: { address: '2606:4700::9' } }";
	world_start(world, NULL);
}

static void ipv6_is_used_once_our_address_has_a_name(void **state)
{
	struct world world;

	(void)state;
	start_with_ipv6_source(&world);
	world.is_named = true;
	world_submit(&world, "s@example.org", "b@dual.example", MAIL);
	world_until_empty(&world);
	assert_int_equal(world.names_asked, 1);
	// Not while it was not known; and nothing waited for the answer.
	assert_int_equal(lane_of(&world, "mx1.six.example")->ways.items[0].failures, 0);
	world_submit(&world, "s@example.org", "b@dual.example", MAIL);
	world_until_empty(&world);
	assert_int_equal(lane_of(&world, "mx1.six.example")->ways.items[0].failures, 1);
	assert_int_equal(world.names_asked, 1); // kept for its time
	assert_int_equal(world.peer.messages, 2);
	assert_int_equal(deliverer_counters(world.deliverer).ipv6_nameless, 0);
	world_done(&world);
}

static void ipv6_without_a_name_is_passed_over_unless_there_is_nothing_else(void **state)
{
	struct world world;

	(void)state;
	start_with_ipv6_source(&world);
	for (unsigned i = 1; i <= 2; i++) {
		world_submit(&world, "s@example.org", "b@dual.example", MAIL);
		world_until_empty(&world);
		assert_int_equal(world.peer.messages, i);
	}
	assert_int_equal(lane_of(&world, "mx1.six.example")->ways.items[0].failures, 0);
	world_submit(&world, "s@example.org", "b@six.example", MAIL);
	world_until_deferred(&world, 1);
	assert_true(deliverer_counters(world.deliverer).ipv6_nameless > 0);
	world_done(&world);
}

static void what_is_known_of_a_way_outlives_the_answer_that_named_it(void **state)
{
	struct world world;
	struct lane *lane;
	struct os_address address;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	lane = (struct lane *)(uintptr_t)lane_of(&world, "mx.y.example");
	address = lane->ways.items[0].address;
	for (unsigned i = 1; i <= 3; i++) {
		struct way_list list;

		lane_way_failed(lane, &address);
		assert_int_equal(way_list_init(&list, 2), OK);
		assert_non_null(way_list_add(&list, &(struct os_address){ .family = 4, .port = 1 },
					     VIEW("other")));
		assert_non_null(way_list_add(&list, &address, VIEW("same")));
		assert_null(way_list_add(&list, &address, VIEW("too many")));
		lane_set_ways(lane, list);
		assert_int_equal(lane->ways.items[0].failures, 0);
		assert_int_equal(lane->ways.items[1].failures, i);
		assert_true(lane->ways.items[1].paused_until_ms > 0);
	}
	lane_way_worked(lane, &address);
	assert_int_equal(lane->ways.items[1].failures, 0);
	world_done(&world);
}

// Ten thousand strangers at our own domain, of whom nobody is told: all end in one turn.
static void the_end_of_many_recipients_takes_no_more_stack_than_of_one(void **state)
{
	struct buffer to = buffer_with_max(1 << 20);
	struct rlimit whole, little = { .rlim_cur = 192 * 1024 };
	struct world world;

	(void)state;
	for (unsigned i = 0; i < SPOOL_RECIPIENTS_MAX; i++) {
		buffer_printf(&to, "x%u@example.org ", i);
	}
	assert_int_equal(getrlimit(RLIMIT_STACK, &whole), 0);
	little.rlim_max = whole.rlim_max;
	world_open(&world, NULL);
	assert_int_equal(setrlimit(RLIMIT_STACK, &little), 0);
	world_submit(&world, "", buffer_text(&to), MAIL);
	world_until_empty(&world);
	assert_int_equal(setrlimit(RLIMIT_STACK, &whole), 0);
	assert_int_equal(deliverer_counters(world.deliverer).failed, SPOOL_RECIPIENTS_MAX);
	assert_int_equal(deliverer_counters(world.deliverer).bounces, 0);
	buffer_done(&to);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a25_a_thousand_silent_domains_hold_up_nobody_else),
		cmocka_unit_test(a25_hanging_sites_of_one_sender_leave_room_for_another),
		cmocka_unit_test(a25_a_site_that_takes_mail_keeps_its_share),
		cmocka_unit_test(a25_a_session_that_never_stands_is_given_up),
		cmocka_unit_test(a25_a_transaction_that_never_ends_is_given_up),
		cmocka_unit_test(a_connection_that_stood_long_takes_no_more),
		cmocka_unit_test(a11_endless_replies_are_counted),
		cmocka_unit_test(ipv6_is_used_once_our_address_has_a_name),
		cmocka_unit_test(ipv6_without_a_name_is_passed_over_unless_there_is_nothing_else),
		cmocka_unit_test(the_end_of_many_recipients_takes_no_more_stack_than_of_one),
		cmocka_unit_test(what_is_known_of_a_way_outlives_the_answer_that_named_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
