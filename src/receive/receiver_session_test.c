// Sessions as such: peers that vanish, stall or are too many, the orderly stop, reload, a full
// disk.
#include <stdlib.h>
#include <string.h>

#include "receive/session.h"
#include "receive/test_fixture.h"

static struct world world;

static int set_up(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ 0 });
	return 0;
}

static int set_up_impatient(void **state)
{
	(void)state;
	world_open(&world,
		   (struct world_options){ .config = "limits: { commands: 1000000, idle_time: 1s, "
						     "command_time: 1s, tls_time: "
						     "1s, data_stall: 1s, data_grace: 1s }\n" });
	return 0;
}

static int set_up_crowded(void **state)
{
	(void)state;
	world_open(&world,
		   (struct world_options){
			   .config = "limits: { connections: 4, connections_per_address: 3 }\n" });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_done(&world);
	return 0;
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)
#define TEST_IMPATIENT(fn_) cmocka_unit_test_setup_teardown(fn_, set_up_impatient, tear_down)
#define TEST_CROWDED(fn_) cmocka_unit_test_setup_teardown(fn_, set_up_crowded, tear_down)

static void begin_message(struct peer *peer)
{
	peer_ask(peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	peer_ask(peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(peer, "DATA\r\n", "354 ");
}

// ---- peers that go

static void a_peer_may_vanish_at_each_step(void **state)
{
	static const char *const steps[] = {
		"",
		"EHLO a\r\n",
		"EHL",
		"EHLO a\r\nMAIL FROM:<a@a.example>\r\n",
		"EHLO a\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<alice@example.org>\r\n",
		"EHLO a\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n",
		"EHLO a\r\nSTARTTLS\r\n",
	};
	struct peer peer;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		for (int reset = 0; reset < 2; reset++) {
			struct view rest = view_from_text(steps[i]), line;

			peer_open(&peer, &world, PORT_RELAY);
			peer_expect(&peer, "220 ");
			while (view_next_part(&rest, '\n', &line)) {
				peer_send(&peer, line);
				peer_send(&peer, VIEW("\n"));
				if (view_ends_nocase(line, VIEW("\r"))) {
					peer_expect(&peer, "");
				}
			}
			if (reset) {
				peer_reset(&peer);
			} else {
				peer_close(&peer);
			}
			world_until_sessions(&world, 0);
		}
	}
	assert_int_equal(world_body_bytes(&world), 0);
}

// The record becomes durable all the same; nobody is told.
static void a_peer_may_vanish_while_its_record_is_committed(void **state)
{
	struct peer peer;

	(void)state;
	for (int i = 0; i < 20; i++) {
		peer_greet(&peer, &world, PORT_RELAY);
		begin_message(&peer);
		peer_say(&peer, "x\r\n.\r\n");
		if (i % 2) {
			world_turn(&world, 0);
		}
		peer_reset(&peer);
	}
	world_until_sessions(&world, 0);
	world_stop(&world);
	for (int i = 0; i < 1000 && !world.stopped; i++) {
		world_turn(&world, 5);
	}
	assert_true(world.stopped);
	assert_int_equal(world_body_bytes(&world), 0);
	world_close_spool(&world);
	assert_true(world_records(&world) <= 20);
}

static void a25_a_peer_that_reads_nothing_is_not_read_from(void **state)
{
	struct peer peer;
	struct buffer flood = buffer_with_max(1 << 20);
	struct session *session;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer.is_deaf = true;
	for (int i = 0; i < 60000; i++) {
		buffer_add_text(&flood, "HELP\r\n");
	}
	peer_send(&peer, buffer_view(&flood));
	world_turn(&world, 100);
	assert_int_equal(receiver_counters(world.receiver).sessions, 1);
	session = CONTAINER_OF(world.receiver->sessions.next, struct session, link);
	assert_true(session->server.output.capacity <= 128 * 1024);
	assert_true(session->pending.capacity <= 64 * 1024);
	peer_reset(&peer);
	buffer_done(&flood);
}

// Its replies come in order, none is lost, once it reads again.
static void a_peer_that_reads_late_gets_all_replies(void **state)
{
	struct peer peer;
	struct buffer flood = buffer_with_max(1 << 20);

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer.is_deaf = true;
	for (int i = 0; i < 900; i++) {
		buffer_add_text(&flood, "HELP\r\n");
	}
	buffer_add_text(&flood, "QUIT\r\n");
	peer_send(&peer, buffer_view(&flood));
	world_turn(&world, 20);
	peer.is_deaf = false;
	peer_say(&peer, "");
	for (int i = 0; i < 900; i++) {
		peer_expect(&peer, "214");
	}
	peer_expect(&peer, "221 ");
	peer_expect_end(&peer);
	peer_close(&peer);
	buffer_done(&flood);
}

// ---- time

static void a25_a_silent_peer_is_told_and_left(void **state)
{
	struct peer silent, slow, handshake, body;

	(void)state;
	peer_greet(&silent, &world, PORT_RELAY);
	peer_greet(&slow, &world, PORT_RELAY);
	peer_say(&slow, "MAIL FR");
	peer_open(&handshake, &world, PORT_IMPLICIT);
	peer_greet(&body, &world, PORT_RELAY);
	begin_message(&body);
	peer_say(&body, "Subject: x\r\n");
	world_until_sessions(&world, 0);
	peer_expect(&silent, "421 4.4.2");
	peer_expect_end(&silent);
	peer_expect(&slow, "421 4.4.2");
	peer_expect_end(&slow);
	peer_expect_end(&handshake);
	peer_expect(&body, "421 4.4.2");
	peer_expect_end(&body);
	peer_close(&silent);
	peer_close(&slow);
	peer_close(&handshake);
	peer_close(&body);
}

static void a25_a_peer_that_never_reads_is_left(void **state)
{
	struct peer peer;
	struct buffer flood = buffer_with_max(4 << 20);

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer.is_deaf = true;
	while (flood.len < 2 << 20) {
		buffer_add_text(&flood, "EHLO again.example\r\n");
	}
	peer_send(&peer, buffer_view(&flood));
	world_until_sessions(&world, 0);
	peer_close(&peer);
	buffer_done(&flood);
}

// ---- many

static void a26_one_address_has_so_many_connections_and_no_more(void **state)
{
	struct peer peers[3], one_more, tls;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_greet(&peers[i], &world, PORT_RELAY);
	}
	peer_open(&one_more, &world, PORT_RELAY);
	peer_expect(&one_more, "421 4.7.0");
	peer_expect_end(&one_more);
	peer_close(&one_more);
	peer_open(&tls, &world, PORT_IMPLICIT);
	peer_expect_end(&tls); // no handshake for that
	peer_close(&tls);
	world_until_sessions(&world, 3);
	peer_ask(&peers[0], "QUIT\r\n", "221 ");
	peer_expect_end(&peers[0]);
	peer_close(&peers[0]);
	world_until_sessions(&world, 2);
	peer_greet(&peers[0], &world, PORT_RELAY);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_close(&peers[i]);
	}
	assert_int_equal(receiver_counters(world.receiver).refused_connections, 2);
}

// ---- stop

static void turn_until_stopped(void)
{
	for (int i = 0; i < 1000 && !world.stopped; i++) {
		world_turn(&world, 5);
	}
	assert_true(world.stopped);
}

static void an_orderly_stop_lets_each_finish(void **state)
{
	struct peer idle, mail, body, handshake, closing;

	(void)state;
	peer_greet(&idle, &world, PORT_RELAY);
	peer_greet(&mail, &world, PORT_RELAY);
	peer_ask(&mail, "MAIL FROM:<a@a.example>\r\n", "250 ");
	peer_greet(&body, &world, PORT_RELAY);
	begin_message(&body);
	peer_say(&body, "Subject: x\r\n");
	peer_open(&handshake, &world, PORT_IMPLICIT);
	peer_greet(&closing, &world, PORT_RELAY);
	peer_ask(&closing, "GET / HTTP/1.1\r\n\r\n", "554 ");
	world_until_sessions(&world, 5);
	world_stop(&world);
	peer_expect(&idle, "421 4.3.2");
	peer_expect_end(&idle);
	peer_expect(&mail, "421 4.3.2");
	peer_expect_end(&mail);
	peer_expect_end(&handshake);
	peer_expect_end(&closing);
	world_turn(&world, 20);
	assert_false(world.stopped);
	peer_say(&body, "\r\nx\r\n.\r\nMAIL FROM:<b@a.example>\r\n");
	peer_expect(&body, "250 2.0.0 Queued as ");
	peer_expect(&body, "421 4.3.2");
	peer_expect_end(&body);
	peer_close(&idle);
	peer_close(&mail);
	peer_close(&body);
	peer_close(&handshake);
	peer_close(&closing);
	turn_until_stopped();
	world_close_spool(&world);
	assert_int_equal(world_records(&world), 1);
}

static void a_stop_with_nobody_there_is_at_once(void **state)
{
	(void)state;
	world_stop(&world);
	assert_true(world.stopped);
}

// ---- reload

static void sessions_keep_the_configuration_that_they_began_with(void **state)
{
	struct peer old, fresh;

	(void)state;
	peer_greet(&old, &world, PORT_RELAY);
	for (int i = 0; i < 3; i++) {
		world_configure(&world, "limits: { message_size: 64KiB }\n");
	}
	peer_greet(&fresh, &world, PORT_RELAY);
	assert_non_null(strstr(fresh.reply, "SIZE 65536"));
	peer_ask(&fresh, "MAIL FROM:<a@a.example> SIZE=70000\r\n", "552 ");
	peer_ask(&old, "MAIL FROM:<a@a.example> SIZE=70000\r\n", "250 ");
	peer_ask(&old, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&old, "DATA\r\n", "354 ");
	world_configure(&world, NULL);
	peer_ask(&old, "x\r\n.\r\n", "250 ");
	peer_close(&old);
	peer_close(&fresh);
}

// ---- the disk

static void a27_a_disk_at_its_reserve_is_452_and_the_connection_goes_on(void **state)
{
	struct peer peer;

	(void)state;
	world.queue.pressure = 100;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "452 4.3.1");
	peer_ask(&peer, "NOOP\r\n", "250 ");
	world.queue.pressure = 0;
	begin_message(&peer);
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_peer_may_vanish_at_each_step),
		TEST(a_peer_may_vanish_while_its_record_is_committed),
		TEST(a25_a_peer_that_reads_nothing_is_not_read_from),
		TEST(a_peer_that_reads_late_gets_all_replies),
		TEST_IMPATIENT(a25_a_silent_peer_is_told_and_left),
		TEST_IMPATIENT(a25_a_peer_that_never_reads_is_left),
		TEST_CROWDED(a26_one_address_has_so_many_connections_and_no_more),
		TEST(an_orderly_stop_lets_each_finish),
		TEST(a_stop_with_nobody_there_is_at_once),
		TEST(sessions_keep_the_configuration_that_they_began_with),
		TEST(a27_a_disk_at_its_reserve_is_452_and_the_connection_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
