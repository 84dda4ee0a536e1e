// Mail on the relay port, from the greeting to the record on disk.
#include <string.h>

#include "receive/test_fixture.h"

static struct world world;

static int set_up(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ 0 });
	return 0;
}

static int set_up_for_many(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){
				   .config = "limits: { recipients: 10000, commands: 100000 }\n" });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_done(&world);
	return 0;
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

static void send_message(struct peer *peer, const char *from, const char *to, const char *body)
{
	struct buffer text = buffer_with_max(1 << 16);

	buffer_printf(&text, "MAIL FROM:<%s>\r\n", from);
	peer_ask(peer, buffer_text(&text), "250 ");
	buffer_clear(&text);
	buffer_printf(&text, "RCPT TO:<%s>\r\n", to);
	peer_ask(peer, buffer_text(&text), "250 ");
	peer_ask(peer, "DATA\r\n", "354 ");
	peer_say(peer, body);
	peer_ask(peer, ".\r\n", "250 2.0.0 Queued as ");
	buffer_done(&text);
}

static void mail_is_on_disk_with_its_bytes_and_envelope(void **state)
{
	struct peer peer;
	struct record record;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	send_message(&peer, "joe@sender.example", "alice@example.org",
		     "Subject: x\r\n\r\n..dot\r\nsmall\r\n");
	peer_ask(&peer, "QUIT\r\n", "221 ");
	peer_expect_end(&peer);
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "joe@sender.example", &record);
	assert_string_equal(record.recipients, "alice@example.org");
	assert_string_equal(record.originals, "alice@example.org");
	assert_string_equal(record.login, "");
	assert_string_equal(record.tls, "");
	assert_view(buffer_view(&record.body), "Subject: x\r\n\r\n.dot\r\nsmall\r\n");
	assert_true(
		view_starts(buffer_view(&record.fields), VIEW("Received: from client.example (")));
	assert_true(view_ends_nocase(buffer_view(&record.fields), VIEW("\r\n")));
	record_done(&record);
}

static void a_message_of_no_bytes_is_a_message(void **state)
{
	struct peer peer;
	struct record record;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	send_message(&peer, "", "bob@example.org", "");
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "", &record);
	assert_int_equal(record.body.len, 0);
	assert_string_equal(record.recipients, "bob@example.org");
	record_done(&record);
}

static void a_pipelined_group_is_answered_in_order(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_say(&peer, "MAIL FROM:<a@a.example>\r\nRCPT TO:<nobody@example.org>\r\n"
			"RCPT TO:<alice@example.org>\r\nRCPT TO:<x@other.example>\r\nDATA\r\n");
	peer_expect(&peer, "250 2.1.0");
	peer_expect(&peer, "550 5.1.1");
	peer_expect(&peer, "250 2.1.5");
	peer_expect(&peer, "550 5.7.1");
	peer_expect(&peer, "354 ");
	// The end of the message and the next group, at once.
	peer_say(&peer, "one\r\n.\r\nMAIL FROM:<b@a.example>\r\nRCPT TO:<bob@example.org>\r\n"
			"NOOP\r\nRSET\r\nQUIT\r\n");
	peer_expect(&peer, "250 2.0.0 Queued as ");
	peer_expect(&peer, "250 2.1.0");
	peer_expect(&peer, "250 2.1.5");
	peer_expect(&peer, "250 ");
	peer_expect(&peer, "250 ");
	peer_expect(&peer, "221 ");
	peer_expect_end(&peer);
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).messages, 1);
	assert_int_equal(receiver_counters(world.receiver).refused_recipients, 2);
	world_close_spool(&world);
	assert_int_equal(world_records(&world), 1);
}

static void a_whole_session_in_one_segment_but_for_data(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	for (int i = 0; i < 3; i++) {
		peer_say(&peer, "MAIL FROM:<a@a.example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n");
		peer_expect(&peer, "250 ");
		peer_expect(&peer, "250 ");
		peer_expect(&peer, "354 ");
		peer_ask(&peer, "x\r\n.\r\n", "250 2.0.0 Queued as ");
	}
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).messages, 3);
}

static void aliases_are_expanded_and_nobody_is_twice_in_the_envelope(void **state)
{
	struct peer peer;
	struct record record;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<joe@sender.example>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<ALICE+x@EXAMPLE.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<team@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<postmaster>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<someone@backup.example>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "joe@sender.example", &record);
	assert_string_equal(record.recipients, "alice@example.org bob@example.org "
					       "carl@elsewhere.example someone@backup.example");
	assert_string_equal(record.originals, "ALICE+x@example.org team@example.org "
					      "team@example.org someone@backup.example");
	record_done(&record);
}

static void many_recipients_are_each_once(void **state)
{
	struct peer peer;
	struct record record;
	struct buffer line = buffer_with_max(256);
	unsigned words = 0;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<joe@sender.example>\r\n", "250 ");
	for (int i = 0; i < 90; i++) {
		buffer_clear(&line);
		buffer_printf(&line, "RCPT TO:<%d@backup.example>\r\n", i % 30);
		peer_ask(&peer, buffer_text(&line), "250 ");
	}
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "joe@sender.example", &record);
	for (const char *at = record.recipients; at; at = strchr(at + 1, ' ')) {
		words++;
	}
	assert_int_equal(words, 30);
	record_done(&record);
	buffer_done(&line);
}

// They fit into one record; the others are told at RCPT, not at the end.
static void ten_thousand_recipients_are_taken_and_more_refused_one_by_one(void **state)
{
	struct peer peer;
	struct buffer lines = buffer_with_max(4 << 20);
	unsigned accepted = 0, refused = 0;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<joe@sender.example>\r\n", "250 ");
	for (int i = 0; i < 10000; i++) {
		buffer_printf(&lines, "RCPT TO:<%050d@backup.example>\r\n", i);
		buffer_printf(&lines, "RCPT TO:<\"%050d\"@backup.example>\r\n", i);
		peer_send(&peer, buffer_view(&lines));
		buffer_clear(&lines);
		for (int reply = 0; reply < 2; reply++) {
			peer_expect(&peer, "");
			accepted += strncmp(peer.reply, "250 ", 4) == 0;
			refused += strncmp(peer.reply, "452 ", 4) == 0;
		}
	}
	assert_true(accepted > 5000);
	assert_true(refused > 0);
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	buffer_done(&lines);
}

static void a5_what_one_transaction_said_is_gone_in_the_next(void **state)
{
	struct peer peer;
	struct record record;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<one@a.example>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "RSET\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "503 ");
	peer_ask(&peer, "MAIL FROM:<two@a.example>\r\n", "250 ");
	peer_ask(&peer, "EHLO again.example\r\n", "250-");
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "503 ");
	send_message(&peer, "three@a.example", "bob@example.org", "x\r\n");
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "three@a.example", &record);
	assert_string_equal(record.recipients, "bob@example.org");
	assert_int_equal(world_records(&world), 1);
	record_done(&record);
}

static void a37_address_tricks_do_not_relay(void **state)
{
	static const char *const tricks[] = {
		"RCPT TO:<x%other.example@example.org>\r\n",
		"RCPT TO:<other.example!x@example.org>\r\n",
		"RCPT TO:<@example.org:x@other.example>\r\n",
		"RCPT TO:<\"x@other.example\"@example.org>\r\n",
		"RCPT TO:<x@other.example@example.org>\r\n",
		"RCPT TO:<x@[127.0.0.1]>\r\n",
		"RCPT TO:<x@other.example.>\r\n",
		"RCPT TO:<x>\r\n",
	};
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	for (size_t i = 0; i < COUNT_OF(tricks); i++) {
		peer_ask(&peer, tricks[i], "5");
	}
	peer_ask(&peer, "DATA\r\n", "503 ");
	peer_close(&peer);
}

static void a1_a_bare_lf_closes_and_nothing_is_kept(void **state)
{
	static const char *const ends[] = { "x\n.\r\n", "x\r\n.\nMAIL", "x\r.\r\n", "\r\n.\rx" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		struct peer peer;

		peer_greet(&peer, &world, PORT_RELAY);
		peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
		peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
		peer_ask(&peer, "DATA\r\n", "354 ");
		peer_ask(&peer, ends[i], "550 5.5.2");
		peer_expect_end(&peer);
		peer_close(&peer);
	}
	world_until_sessions(&world, 0);
	assert_int_equal(receiver_counters(world.receiver).hostile, COUNT_OF(ends));
	world_close_spool(&world);
	assert_int_equal(world_records(&world), 0);
}

static void a7_other_protocols_are_shown_out(void **state)
{
	static const char *const firsts[] = {
		"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"\x16\x03\x01\x02",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(firsts); i++) {
		struct peer peer;

		peer_open(&peer, &world, PORT_RELAY);
		peer_expect(&peer, "220 ");
		peer_ask(&peer, firsts[i], "554 ");
		peer_expect_end(&peer);
		peer_close(&peer);
	}
}

static void a7_who_speaks_before_the_banner_is_shown_out(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "EHLO early.example\r\n", "554 ");
	peer_expect_end(&peer);
	peer_close(&peer);
}

static void a28_a_loop_is_refused(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	for (int i = 0; i < 101; i++) {
		peer_say(&peer, "Received: by x; Sat, 21 Nov 2026 10:00:00 +0000\r\n");
	}
	peer_ask(&peer, "\r\nx\r\n.\r\n", "554 5.4.6");
	peer_ask(&peer, "NOOP\r\n", "250 ");
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).refused_messages, 1);
}

static void commands_that_the_machine_refuses_are_counted(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example> SIZE=999999999\r\n", "552 5.3.4");
	assert_int_equal(receiver_counters(world.receiver).commands_5xx, 1);
	peer_ask(&peer, "MAIL FROM:<a@@a.example>\r\n", "5");
	peer_ask(&peer, "DATA\r\n", "503 ");
	peer_ask(&peer, "WHAT\r\n", "500 ");
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 "); // not by the machine
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).commands_5xx, 4);
	assert_int_equal(receiver_counters(world.receiver).commands_4xx, 0);
}

static void logins_are_not_offered_where_mail_comes_in(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, &world, PORT_RELAY);
	peer_expect(&peer, "220 ");
	peer_ask(&peer, "EHLO client.example\r\n", "250-");
	assert_null(strstr(peer.reply, "AUTH"));
	assert_non_null(strstr(peer.reply, "STARTTLS"));
	peer_ask(&peer, "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n", "50");
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mail_is_on_disk_with_its_bytes_and_envelope),
		TEST(a_message_of_no_bytes_is_a_message),
		TEST(a_pipelined_group_is_answered_in_order),
		TEST(a_whole_session_in_one_segment_but_for_data),
		TEST(aliases_are_expanded_and_nobody_is_twice_in_the_envelope),
		TEST(many_recipients_are_each_once),
		cmocka_unit_test_setup_teardown(
			ten_thousand_recipients_are_taken_and_more_refused_one_by_one,
			set_up_for_many, tear_down),
		TEST(a5_what_one_transaction_said_is_gone_in_the_next),
		TEST(a37_address_tricks_do_not_relay),
		TEST(a1_a_bare_lf_closes_and_nothing_is_kept),
		TEST(a7_other_protocols_are_shown_out),
		TEST(a7_who_speaks_before_the_banner_is_shown_out),
		TEST(a28_a_loop_is_refused),
		TEST(commands_that_the_machine_refuses_are_counted),
		TEST(logins_are_not_offered_where_mail_comes_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
