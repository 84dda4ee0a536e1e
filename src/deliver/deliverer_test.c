#include "deliver/test_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define MAIL "Subject: hi\r\n\r\n.dot\r\nlast\r\n"

static void local_mail_is_filed_with_its_trace_in_front(void **state)
{
	struct buffer mail = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@x.example", "alice@example.org bob@example.org", MAIL);
	world_until_empty(&world);
	world_read_mailbox(&world, "example.org", "alice", &mail);
	assert_view(buffer_view(&mail), "Return-Path: <s@x.example>\n"
					"Delivered-To: alice@example.org\n"
					"Received: from here\n"
					"Subject: hi\n\n.dot\nlast\n");
	buffer_clear(&mail);
	world_read_mailbox(&world, "example.org", "bob", &mail);
	assert_true(buffer_has(&mail, "Delivered-To: bob@example.org\n"));
	assert_int_equal(deliverer_counters(world.deliverer).delivered, 2);
	buffer_done(&mail);
	world_done(&world);
}

static void a38_mail_without_header_keeps_its_body(void **state)
{
	struct buffer mail = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@x.example", "alice@example.org b@y.example", "Note: no header\r\n");
	world_submit(&world, "s@x.example", "bob@example.org", " folded\r\n");
	world_submit(&world, "s@x.example", "b@y.example", "plain words\r\n");
	world_until_empty(&world);
	world_read_mailbox(&world, "example.org", "alice", &mail);
	assert_true(buffer_has(&mail, "\nReceived: from here\nNote: no header\n")); // is a field
	world_read_mailbox(&world, "example.org", "bob", &mail);
	assert_true(buffer_has(&mail, "\nReceived: from here\n\n folded\n"));
	assert_true(
		buffer_has(&world.peer.bodies, "Received: from here\r\n\r\nplain words\r\n.\r\n"));
	buffer_done(&mail);
	world_done(&world);
}

static void a28_mail_that_was_in_this_mailbox_before_goes_back(void **state)
{
	struct buffer mail = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "bob@example.org", "alice@example.org",
		     "Delivered-To: alice@example.org\r\n" MAIL);
	world_until_empty(&world);
	assert_int_equal(deliverer_counters(world.deliverer).failed, 1);
	world_read_mailbox(&world, "example.org", "bob", &mail);
	assert_true(buffer_has(&mail, "Status: 5.4.6\n"));
	buffer_done(&mail);
	world_done(&world);
}

static void mail_goes_to_the_mx_host_in_one_transaction_per_site(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "s@example.org", "b@y.example c@y.example", MAIL);
	world_until_empty(&world);
	assert_true(buffer_has(&world.peer.commands, "EHLO mail.example.org\r\n"
						     "MAIL FROM:<s@example.org>\r\n"
						     "RCPT TO:<b@y.example>\r\n"
						     "RCPT TO:<c@y.example>\r\n"
						     "DATA\r\n"));
	assert_view(buffer_view(&world.peer.bodies),
		    "Received: from here\r\nSubject: hi\r\n\r\n..dot\r\nlast\r\n.\r\n");
	world_done(&world);
}

static void a_connection_carries_many_messages(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	for (int i = 0; i < 50; i++) {
		world_submit(&world, "s@example.org", "b@y.example", MAIL);
	}
	world_stop(&world); // and start with all of them waiting
	world_start(&world, NULL);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 50);
	assert_in_range(world.peer.session_count, 1, 20);
	world_done(&world);
}

static void a_large_body_is_sent_as_it_was_stored(void **state)
{
	enum { LINES = 20000, LINE = 63 };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit_large(&world, "b@y.example", LINES);
	world_until_empty(&world);
	// Each line has its dot doubled; it has no header, so that an empty line stands before it.
	assert_int_equal(world.peer.bodies.len,
			 LINES * (LINE + 1) + sizeof "Received: from here\r\n\r\n" - 1 + 3);
	world_submit_large(&world, "alice@example.org", LINES);
	world_until_empty(&world);
	assert_int_equal(deliverer_counters(world.deliverer).delivered, 2);
	world_done(&world);
}

static void each_recipient_has_its_own_outcome(void **state)
{
	static const struct peer_rule rules[] = {
		{ "RCPT TO:<no@", "550 5.1.1 nobody\x1b[31m here" },
		{ "RCPT TO:<later@", "450 4.2.1 come again" },
		{ NULL, NULL },
	};
	static const struct peer_rule kind[] = { { NULL, NULL } };
	struct buffer text = buffer_with_max(1 << 20);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "alice@example.org", "yes@y.example no@y.example later@y.example",
		     MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(world.peer.messages, 1);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_LIST, "", NULL, &text), EX_OK);
	assert_true(buffer_has(&text, "{\"to\":\"yes@y.example\",\"status\":\"delivered\""));
	assert_true(buffer_has(&text, "{\"to\":\"no@y.example\",\"status\":\"failed\""));
	assert_true(buffer_has(&text, "{\"to\":\"later@y.example\",\"status\":\"pending\""));
	world.peer.rules = kind;
	assert_int_equal(world_command(&world, CONTROL_QUEUE_FLUSH, "all", "yes", &text), EX_OK);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 2);
	// The bounce: what the peer said, made safe.
	buffer_clear(&text);
	world_read_mailbox(&world, "example.org", "alice", &text);
	assert_true(buffer_has(&text, "Return-Path: <>\n"));
	assert_true(buffer_has(&text, "Final-Recipient: rfc822; no@y.example\n"));
	assert_true(buffer_has(&text, "Status: 5.1.1\n"));
	assert_true(buffer_has(&text, "Remote-MTA: dns; mx.y.example\n"));
	assert_false(buffer_has(&text, "\x1b"));
	assert_false(buffer_has(&text, "later@y.example"));
	buffer_done(&text);
	world_done(&world);
}

static void a_bounce_is_never_bounced(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "550 no" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "", "b@y.example", MAIL);
	world_submit(&world, "nobody@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	assert_int_equal(deliverer_counters(world.deliverer).failed, 2);
	assert_int_equal(deliverer_counters(world.deliverer).bounces, 0);
	world_done(&world);
}

static void a29_one_report_tells_of_all_that_failed_together(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "alice@example.org",
		     "a@gone.example b@gone.example c@gone.example d@gone.example", MAIL);
	world_until_empty(&world);
	assert_int_equal(deliverer_counters(world.deliverer).failed, 4);
	assert_int_equal(deliverer_counters(world.deliverer).bounces, 1);
	world_done(&world);
}

static void domains_that_take_no_mail_fail_at_once(void **state)
{
	static const struct {
		const char *recipient, *status;
	} cases[] = {
		{ "b@null.example", "Status: 5.1.10\n" },
		{ "b@gone.example", "Status: 5.1.2\n" },
		{ "b@self.example", "Status: 5.4.6\n" }, // a28: we are its MX
		{ "nobody@example.org", "Status: 5.1.1\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer mail = buffer_with_max(65536);
		struct world world;

		world_open(&world, NULL);
		world_submit(&world, "alice@example.org", cases[i].recipient, MAIL);
		world_until_empty(&world);
		world_read_mailbox(&world, "example.org", "alice", &mail);
		assert_true(buffer_has(&mail, cases[i].status));
		buffer_done(&mail);
		world_done(&world);
	}
}

// Its MX has a name of its own, and our address.
static void a28_mail_whose_way_leads_to_our_own_port_goes_back(void **state)
{
	static const struct {
		const char *addresses; // that we listen on
		unsigned port_more;    // than the peer's
		bool is_ours;
	} cases[] = {
		{ "", 0, true },
		{ ", address: 127.0.0.1", 0, true },
		{ ", address: [\"::1\", 0.0.0.0]", 0, true },
		{ ", address: [\"::\", 127.0.0.2]", 0, false },
		{ "", 1, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer config = buffer_with_max(512), mail = buffer_with_max(65536);
		struct world world;

		world_open(&world, "queue: { hold: true }\n");
		world_submit(&world, "alice@example.org", "b@y.example", MAIL);
		buffer_printf(&config, "listeners: [{ port: %u, role: relay%s }]\n",
			      world.peer.address.port + cases[i].port_more, cases[i].addresses);
		world_configure(&world, buffer_text(&config));
		world_until_empty(&world);
		assert_int_equal(world.peer.messages, !cases[i].is_ours);
		if (cases[i].is_ours) {
			world_read_mailbox(&world, "example.org", "alice", &mail);
			assert_true(buffer_has(&mail, "Status: 5.4.6\n"));
			assert_true(buffer_has(&mail, "mail loops back to myself"));
		}
		buffer_done(&config);
		buffer_done(&mail);
		world_done(&world);
	}
}

static void a28_private_addresses_get_no_mail(void **state)
{
	struct buffer mail = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world_submit(&world, "alice@example.org", "b@y.example b@[127.0.0.1]", MAIL);
	world_stop(&world);
	world.closed_network = true;
	world_start(&world, NULL);
	world_until_empty(&world);
	assert_int_equal(world.peer.session_count, 0);
	world_read_mailbox(&world, "example.org", "alice", &mail);
	assert_true(buffer_has(&mail, "private addresses"));
	buffer_done(&mail);
	world_done(&world);
}

static void a_temporary_dns_failure_defers(void **state)
{
	struct buffer text = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world_submit(&world, "alice@example.org", "b@slow.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(world_command(&world, CONTROL_TRACE, "", "not an id", &text), EX_USAGE);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_LIST, "reason", "DNS", &text), EX_OK);
	assert_true(buffer_has(&text, "b@slow.example"));
	assert_int_equal(world_command(&world, CONTROL_QUEUE_REMOVE, "", NULL, &text), EX_USAGE);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_REMOVE, "to", "*@slow.example", &text),
			 EX_OK);
	assert_view(buffer_view(&text), "{\"messages\":1}");
	world_until_empty(&world);
	buffer_done(&text);
	world_done(&world);
}

static void the_ports_of_a_smarthost_are_tried_in_order(void **state)
{
	struct world world;
	struct buffer config = buffer_with_max(512);
	struct peer dead;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	peer_open(&dead, world.loop, world.peer.rules);
	peer_done(&dead); // nobody listens there any more
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_stop(&world);
	buffer_printf(&config,
		      "routes: [{ to: \"*\", via: { host: 127.0.0.1, ports: [%u, %u] } }]\n",
		      dead.address.port, world.peer.address.port);
	world_start(&world, buffer_text(&config));
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 1);
	buffer_done(&config);
	world_done(&world);
}

static void a36_no_login_without_a_verified_certificate(void **state)
{
	static const struct peer_rule rules[] = { { "EHLO", "250-peer\r\n250 AUTH PLAIN LOGIN" },
						  { NULL, NULL } };
	struct world world;
	struct buffer config = buffer_with_max(512);

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world.peer.rules = rules;
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_stop(&world);
	buffer_printf(&config,
		      "routes: [{ to: \"*\", via: { host: 127.0.0.1, ports: [%u], "
		      "username: me, password_file: /password } }]\n",
		      world.peer.address.port);
	world_start(&world, buffer_text(&config));
	world_until_deferred(&world, 1);
	buffer_done(&config);
	assert_false(buffer_has(&world.peer.commands, "AUTH"));
	assert_false(buffer_has(&world.peer.commands, "MAIL"));
	world_done(&world);
}

static void a32_a_site_that_refuses_is_left_alone(void **state)
{
	static const struct peer_rule rules[] = { { "", "421 4.3.2 not now" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	world.peer.rules = rules;
	for (int i = 0; i < 40; i++) {
		world_submit(&world, "s@example.org", "b@y.example", MAIL);
	}
	world_stop(&world);
	world_start(&world, NULL);
	world_until_deferred(&world, 40);
	world_turn(&world, 100);
	assert_in_range(world.peer.session_count, 1, 10);
	world_done(&world);
}

static void a_connection_that_breaks_between_messages_is_made_anew(void **state)
{
	static const struct peer_rule rules[] = { { "MAIL FROM:<second@", NULL }, { NULL, NULL } };
	static const struct peer_rule kind[] = { { NULL, NULL } };
	struct buffer text = buffer_with_max(4096);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "first@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	world_submit(&world, "second@example.org", "b@y.example", MAIL);
	while (world.peer.session_count < 2) { // the kept one was closed in its face
		world_turn(&world, 5);
	}
	world.peer.rules = kind;
	assert_int_equal(world_command(&world, CONTROL_QUEUE_FLUSH, "all", "yes", &text), EX_OK);
	buffer_done(&text);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 2);
	world_done(&world);
}

static void a55_what_waits_is_there_after_a_restart(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "450 4.2.1 later" }, { NULL, NULL } };
	static const struct peer_rule kind[] = { { NULL, NULL } };
	struct buffer text = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world_stop(&world);
	world.peer.rules = kind;
	world_start(&world, NULL);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_LIST, "", NULL, &text), EX_OK);
	assert_true(buffer_has(&text, "\"attempts\":1"));
	assert_int_equal(world_command(&world, CONTROL_QUEUE_HOLD, "all", "yes", &text), EX_OK);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_FLUSH, "all", "yes", &text), EX_OK);
	world_turn(&world, 50);
	assert_int_equal(world.peer.messages, 0);
	assert_int_equal(world_command(&world, CONTROL_QUEUE_RELEASE, "all", "yes", &text), EX_OK);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 1);
	buffer_done(&text);
	world_done(&world);
}

static void a_sender_of_many_does_not_delay_another(void **state)
{
	struct buffer *commands;
	struct world world;
	size_t place;

	(void)state;
	world_open(&world, "queue: { hold: true }\n");
	for (int i = 0; i < 200; i++) {
		world_submit(&world, "many@example.org", "b@y.example", MAIL);
	}
	world_submit(&world, "one@example.org", "b@y.example", MAIL);
	world_configure(&world, NULL);
	world_until_empty(&world);
	assert_int_equal(world.peer.messages, 201);
	commands = &world.peer.commands;
	place = view_find_text(buffer_view(commands), VIEW("MAIL FROM:<one@"));
	assert_in_range(place, 0, commands->len / 10);
	world_done(&world);
}

static void a_reload_takes_along_what_waits(void **state)
{
	static const struct peer_rule rules[] = { { "", "421 not now" }, { NULL, NULL } };
	struct buffer config = buffer_with_max(512);
	struct world world;
	struct peer other;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	peer_open(&other, world.loop, (const struct peer_rule[]){ { NULL, NULL } });
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	world_submit(&world, "s@example.org", "b@y.example", MAIL); // waits for the site
	world_turn(&world, 20);
	buffer_printf(&config, "routes: [{ to: \"*\", via: { host: 127.0.0.1, ports: [%u] } }]\n",
		      other.address.port);
	world_configure(&world, buffer_text(&config));
	while (other.messages < 1) {
		world_turn(&world, 5);
	}
	buffer_done(&config);
	world_stop(&world);
	peer_done(&other);
	world_done(&world);
}

static void the_sender_is_warned_once_of_a_delay(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "450 4.2.1 later" }, { NULL, NULL } };
	struct buffer text = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world.age_ms = 5 * 3600 * 1000;
	world_submit(&world, "alice@example.org", "b@y.example", MAIL);
	while (deliverer_counters(world.deliverer).delivered < 1) { // the warning
		world_turn(&world, 5);
	}
	world_read_mailbox(&world, "example.org", "alice", &text);
	assert_true(buffer_has(&text, "Action: delayed\n"));
	assert_int_equal(world_command(&world, CONTROL_QUEUE_FLUSH, "all", "yes", &text), EX_OK);
	world_until_deferred(&world, 2);
	world_turn(&world, 20);
	assert_int_equal(deliverer_counters(world.deliverer).warnings, 1);
	buffer_done(&text);
	world_done(&world);
}

static void mail_expires_and_the_sender_is_told(void **state)
{
	static const struct peer_rule rules[] = { { "RCPT", "450 4.2.1 later" }, { NULL, NULL } };
	struct buffer mail = buffer_with_max(65536);
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world.age_ms = 6ull * 24 * 3600 * 1000;
	world_submit(&world, "alice@example.org", "b@y.example", MAIL);
	world_until_empty(&world);
	world_read_mailbox(&world, "example.org", "alice", &mail);
	assert_true(buffer_has(&mail, "Action: failed\n"));
	assert_true(buffer_has(&mail, "Status: 4.4.7\n"));
	assert_true(buffer_has(&mail, "450 4.2.1 later"));
	buffer_done(&mail);
	world_done(&world);
}

static void a11_a_peer_that_breaks_the_protocol_is_left(void **state)
{
	static const struct peer_rule rules[] = { { "MAIL", "250-ok\r\n550 no" }, { NULL, NULL } };
	struct world world;

	(void)state;
	world_open(&world, NULL);
	world.peer.rules = rules;
	world_submit(&world, "s@example.org", "b@y.example", MAIL);
	world_until_deferred(&world, 1);
	assert_int_equal(world.peer.messages, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_mail_is_filed_with_its_trace_in_front),
		cmocka_unit_test(a38_mail_without_header_keeps_its_body),
		cmocka_unit_test(a28_mail_that_was_in_this_mailbox_before_goes_back),
		cmocka_unit_test(mail_goes_to_the_mx_host_in_one_transaction_per_site),
		cmocka_unit_test(a_connection_carries_many_messages),
		cmocka_unit_test(a_large_body_is_sent_as_it_was_stored),
		cmocka_unit_test(each_recipient_has_its_own_outcome),
		cmocka_unit_test(a_bounce_is_never_bounced),
		cmocka_unit_test(a29_one_report_tells_of_all_that_failed_together),
		cmocka_unit_test(domains_that_take_no_mail_fail_at_once),
		cmocka_unit_test(a28_mail_whose_way_leads_to_our_own_port_goes_back),
		cmocka_unit_test(a28_private_addresses_get_no_mail),
		cmocka_unit_test(a_temporary_dns_failure_defers),
		cmocka_unit_test(the_ports_of_a_smarthost_are_tried_in_order),
		cmocka_unit_test(a36_no_login_without_a_verified_certificate),
		cmocka_unit_test(a32_a_site_that_refuses_is_left_alone),
		cmocka_unit_test(a_connection_that_breaks_between_messages_is_made_anew),
		cmocka_unit_test(a_sender_of_many_does_not_delay_another),
		cmocka_unit_test(a_reload_takes_along_what_waits),
		cmocka_unit_test(the_sender_is_warned_once_of_a_delay),
		cmocka_unit_test(mail_expires_and_the_sender_is_told),
		cmocka_unit_test(a11_a_peer_that_breaks_the_protocol_is_left),
		cmocka_unit_test(a55_what_waits_is_there_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
