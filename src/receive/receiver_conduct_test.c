// What clients do wrong, and how they and their neighbours fare then.
#include <string.h>

#include "receive/test_fixture.h"

static struct world world;

static const char limits[] = "limits:\n"
			     "  unknown_recipients_per_address: 5\n"
			     "  relay_attempts_per_address: 3\n"
			     "  discarded_per_address: 1MiB\n"
			     "  message_size: 2MiB\n"
			     "  body_memory: 1MiB\n"
			     "  errors: 1000\n";

static int set_up(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ .config = limits });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_done(&world);
	return 0;
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

static struct receiver_counters counters(void)
{
	return receiver_counters(world.receiver);
}

static void open_peer(struct peer *peer)
{
	peer_greet(peer, &world, PORT_RELAY);
	peer_ask(peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
}

static void guess(unsigned times)
{
	struct peer peer;

	open_peer(&peer);
	for (unsigned i = 0; i < times; i++) {
		peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 5.1.1");
	}
	peer_close(&peer);
}

static void a34_guesses_are_bounded_over_many_connections(void **state)
{
	struct peer peer;
	char known[sizeof peer.reply];

	(void)state;
	guess(3);
	guess(2);
	open_peer(&peer);
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "450 4.7.1");
	memcpy(known, peer.reply, sizeof known);
	peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "450 4.7.1");
	assert_string_equal(peer.reply, known);
	peer_ask(&peer, "RCPT TO:<PostMaster@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<postmaster>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<x@backup.example>\r\n", "250 "); // we do not know who is there
	peer_close(&peer);
	assert_int_equal(counters().unknown_recipients, 5);
	assert_int_equal(counters().limited_recipients, 2);
}

static void a34_who_logs_in_at_the_same_address_is_not_held_up(void **state)
{
	struct peer peer;

	(void)state;
	guess(5);
	peer_greet(&peer, &world, PORT_STARTTLS);
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<bob@example.org>\r\n", "250 ");
	for (unsigned i = 0; i < 5; i++) {
		peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 5.1.1");
	}
	peer_ask(&peer, "RCPT TO:<bob@example.org>\r\n", "450 4.7.1"); // but answers for itself
	peer_close(&peer);
}

static void a_message_taken_makes_up_for_a_guess(void **state)
{
	struct peer peer;

	(void)state;
	open_peer(&peer);
	peer_ask(&peer, "RSET\r\n", "250 ");
	for (unsigned i = 0; i < 12; i++) {
		peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
		peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 ");
		peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
		peer_ask(&peer, "DATA\r\n", "354 ");
		peer_ask(&peer, "x\r\n.\r\n", "250 ");
	}
	peer_close(&peer);
}

// Asking for a known one beside each guess earns nothing.
static void a34_accepted_recipients_alone_make_up_for_nothing(void **state)
{
	struct peer peer;

	(void)state;
	open_peer(&peer);
	for (unsigned i = 0; i < 5; i++) {
		peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
		peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 ");
	}
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "450 4.7.1");
	peer_close(&peer);
}

static void a37_attempts_to_relay_close_the_connection_and_harm_no_mail_of_ours(void **state)
{
	struct peer peer;

	(void)state;
	open_peer(&peer);
	for (unsigned i = 0; i < 3; i++) {
		peer_ask(&peer, "RCPT TO:<x@other.example>\r\n", "550 5.7.1");
	}
	peer_ask(&peer, "RCPT TO:<x@other.example>\r\n", "421 4.7.0");
	peer_expect_end(&peer);
	peer_close(&peer);
	open_peer(&peer);
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<x%other.example@example.org>\r\n", "421 4.7.0");
	peer_expect_end(&peer);
	peer_close(&peer);
	assert_int_equal(counters().relay_attempts, 3);
}

static void begin_body(struct peer *peer, const char *recipient)
{
	peer_ask(peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	peer_ask(peer, recipient, "250 ");
	peer_ask(peer, "DATA\r\n", "354 ");
}

static void send_lines(struct peer *peer, size_t size)
{
	struct buffer body = buffer_with_max(size + 1000);

	buffer_add_text(&body, "Subject: x\r\n\r\n");
	while (body.len < size) {
		buffer_printf(&body, "%0998d\r\n", 0);
	}
	peer_send(peer, buffer_view(&body));
	buffer_done(&body);
}

static bool has_discarded(void *context)
{
	return counters().discarded_bytes >= *(uint64_t *)context;
}

static void expect_put_off(void)
{
	struct peer peer;

	open_peer(&peer);
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "450 4.7.0");
	peer_ask(&peer, "RCPT TO:<postmaster@example.org>\r\n", "250 ");
	peer_close(&peer);
}

static void a27_bodies_broken_off_are_charged(void **state)
{
	struct peer peer;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		uint64_t bytes = i * 400 * 1024;

		peer_greet(&peer, &world, PORT_RELAY);
		begin_body(&peer, "RCPT TO:<alice@example.org>\r\n");
		send_lines(&peer, 400 * 1024);
		peer_close(&peer);
		world_until(&world, has_discarded, &bytes);
	}
	world_until_sessions(&world, 0);
	expect_put_off();
}

static void a27_a_body_too_big_is_charged(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	begin_body(&peer, "RCPT TO:<alice@example.org>\r\n");
	send_lines(&peer, 3 << 20);
	peer_ask(&peer, ".\r\n", "552 ");
	assert_true(counters().discarded_bytes >= 3 << 20);
	peer_close(&peer);
	expect_put_off();
}

static void a27_a_body_refused_for_its_header_is_charged(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	begin_body(&peer, "RCPT TO:<alice@example.org>\r\n");
	for (unsigned i = 0; i < 101; i++) {
		peer_say(&peer, "Received: x\r\n");
	}
	peer_ask(&peer, "\r\n.\r\n", "554 5.4.6");
	assert_int_equal(counters().discarded_bytes, 101 * 13 + 5);
	peer_close(&peer);
}

static void a_message_taken_is_not_charged(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	begin_body(&peer, "RCPT TO:<alice@example.org>\r\n");
	send_lines(&peer, 100 * 1024);
	peer_ask(&peer, ".\r\n", "250 ");
	peer_close(&peer);
	world_until_sessions(&world, 0);
	assert_int_equal(counters().discarded_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a34_guesses_are_bounded_over_many_connections),
		TEST(a34_who_logs_in_at_the_same_address_is_not_held_up),
		TEST(a_message_taken_makes_up_for_a_guess),
		TEST(a34_accepted_recipients_alone_make_up_for_nothing),
		TEST(a37_attempts_to_relay_close_the_connection_and_harm_no_mail_of_ours),
		TEST(a27_bodies_broken_off_are_charged),
		TEST(a27_a_body_too_big_is_charged),
		TEST(a27_a_body_refused_for_its_header_is_charged),
		TEST(a_message_taken_is_not_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
