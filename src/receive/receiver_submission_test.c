// The ports for submission: TLS, logins, and whose address a login may use.
#include <string.h>

#include "receive/receiver_private.h"
#include "receive/test_fixture.h"

static struct world world;

static int set_up(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ 0 });
	return 0;
}

static int set_up_without_keeper(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ .no_keeper = true });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_done(&world);
	return 0;
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

static const char login_line[] = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n";

static void mail_by_login_over(unsigned port)
{
	struct peer peer;
	struct record record;

	peer_greet(&peer, &world, port);
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<alice+list@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<any@elsewhere.example>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "From: Alice <alice@example.org>\r\n\r\nx\r\n.\r\n", "250 ");
	peer_ask(&peer, "QUIT\r\n", "221 ");
	peer_expect_end(&peer);
	assert_true(peer.ended); // with close_notify, not broken off
	peer_close(&peer);
	world_close_spool(&world);
	world_read(&world, "alice+list@example.org", &record);
	assert_string_equal(record.login, "alice@example.org");
	assert_true(strncmp(record.tls, "TLSv1.3 TLS_", 12) == 0);
	assert_true(view_find_text(buffer_view(&record.fields), VIEW("\r\nDate: ")) <
		    record.fields.len);
	assert_true(view_find_text(buffer_view(&record.fields), VIEW("Message-ID: <")) <
		    record.fields.len);
	assert_true(view_find_text(buffer_view(&record.fields), VIEW("ESMTPSA")) <
		    record.fields.len);
	record_done(&record);
}

static void mail_by_login_over_implicit_tls(void **state)
{
	(void)state;
	mail_by_login_over(PORT_IMPLICIT);
}

static void mail_by_login_over_starttls(void **state)
{
	(void)state;
	mail_by_login_over(PORT_STARTTLS);
}

static void tls_before_login_before_mail(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, &world, PORT_STARTTLS);
	peer_expect(&peer, "220 ");
	peer_ask(&peer, "EHLO client.example\r\n", "250-");
	assert_null(strstr(peer.reply, "AUTH"));
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "530 5.7.0");
	peer_ask(&peer, login_line, "538 5.7.11");
	peer_ask(&peer, "STARTTLS\r\n", "220 ");
	peer_start_tls(&peer);
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "503 "); // EHLO is forgotten
	peer_ask(&peer, "EHLO client.example\r\n", "250-");
	assert_non_null(strstr(peer.reply, "AUTH PLAIN LOGIN"));
	assert_null(strstr(peer.reply, "STARTTLS"));
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "530 5.7.0");
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "250 ");
	peer_close(&peer);
}

static void a6_plaintext_behind_starttls_closes(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, &world, PORT_STARTTLS);
	peer_expect(&peer, "220 ");
	peer_ask(&peer, "EHLO client.example\r\n", "250-");
	peer_ask(&peer, "STARTTLS\r\nEHLO injected.example\r\n", "554 ");
	peer_expect_end(&peer);
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).hostile, 1);
}

static void a6_plaintext_in_place_of_the_handshake_fails(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, &world, PORT_STARTTLS);
	peer_expect(&peer, "220 ");
	peer_ask(&peer, "EHLO client.example\r\n", "250-");
	peer_ask(&peer, "STARTTLS\r\n", "220 ");
	peer_say(&peer, "MAIL FROM:<alice@example.org>\r\n");
	world_until_sessions(&world, 0);
	assert_int_equal(receiver_counters(world.receiver).tls_failures, 1);
	peer_close(&peer);
}

static void a35_a_login_sends_as_itself_only(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<bob@example.org>\r\n", "550 5.7.1");
	peer_ask(&peer, "MAIL FROM:<team@example.org>\r\n", "550 5.7.1");
	peer_ask(&peer, "MAIL FROM:<>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<bob@example.org>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "From: Bob <bob@example.org>\r\n\r\nx\r\n.\r\n", "550 5.7.1");
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<bob@example.org>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "From: alice@example.org, bob@example.org\r\n\r\nx\r\n.\r\n", "550 5.7.1");
	peer_close(&peer);
	world_close_spool(&world);
	assert_int_equal(world_records(&world), 0);
}

static void a33_nobody_acts_for_another(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	// bob NUL alice@example.org NUL secret
	peer_ask(&peer, "AUTH PLAIN Ym9iAGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n", "535 5.7.8");
	peer_ask(&peer, "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n\r\n", "535 5.7.8");
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "530 ");
	peer_log_in(&peer);
	peer_ask(&peer, login_line, "503 ");
	peer_close(&peer);
	assert_int_equal(receiver_counters(world.receiver).logins, 1);
	assert_int_equal(receiver_counters(world.receiver).failed_logins, 1);
}

static bool has_question(void *context)
{
	(void)context;
	return world.keeper_question != 0;
}

static void what_follows_a_slow_login_waits_for_its_answer(void **state)
{
	struct peer peer;

	(void)state;
	world.keeper_is_slow = true;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_say(&peer, "AUTH LOGIN\r\n");
	peer_expect(&peer, "334 VXNlcm5hbWU6");
	peer_ask(&peer, "YWxpY2VAZXhhbXBsZS5vcmc=\r\n", "334 UGFzc3dvcmQ6");
	peer_say(&peer, "c2VjcmV0\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<a@b.example>\r\n");
	world_until(&world, has_question, NULL);
	peer_say(&peer, "DATA\r\n");
	world_turn(&world, 20);
	assert_int_equal(peer.in.len, 0);
	world_keeper_answers(&world);
	peer_expect(&peer, "235 ");
	peer_expect(&peer, "250 ");
	peer_expect(&peer, "250 ");
	peer_expect(&peer, "354 ");
	peer_close(&peer);
}

static void a_peer_that_vanishes_during_its_login_harms_nobody(void **state)
{
	struct peer peer;

	(void)state;
	world.keeper_is_slow = true;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_say(&peer, login_line);
	world_until(&world, has_question, NULL);
	peer_reset(&peer);
	world_turn(&world, 10);
	world_keeper_answers(&world);
	world_until_sessions(&world, 0);
}

static void a_lost_keeper_is_a_temporary_failure(void **state)
{
	struct peer peer;

	(void)state;
	world.keeper_is_slow = true;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_say(&peer, login_line);
	world_until(&world, has_question, NULL);
	os_channel_free(world.keeper_end);
	world.keeper_end = NULL;
	peer_expect(&peer, "454 4.7.0");
	peer_ask(&peer, login_line, "454 4.7.0");
	peer_close(&peer);
}

static void no_keeper_is_a_temporary_failure(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_ask(&peer, login_line, "454 4.7.0");
	peer_close(&peer);
}

// Each line in a TLS record of its own, all in one segment: none may wait for the next bytes.
static void small_records_do_not_stall(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	for (int i = 0; i < 100; i++) {
		peer_say(&peer, "NOOP\r\n");
	}
	for (int i = 0; i < 100; i++) {
		peer_expect(&peer, "250 ");
	}
	peer_close(&peer);
}

static void a54_a_login_leaves_nothing_in_memory_that_is_reused(void **state)
{
	struct peer peer;

	(void)state;
	peer_greet(&peer, &world, PORT_IMPLICIT);
	peer_say(&peer, "NOOP\r\nAUTH PLA");
	peer_expect(&peer, "250 ");
	peer_ask(&peer, "IN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n", "235 ");
	for (size_t i = 0; i < RECEIVER_SCRATCH_BYTES; i++) {
		assert_int_equal(world.receiver->scratch[i], 0);
	}
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mail_by_login_over_implicit_tls),
		TEST(mail_by_login_over_starttls),
		TEST(tls_before_login_before_mail),
		TEST(a6_plaintext_behind_starttls_closes),
		TEST(a6_plaintext_in_place_of_the_handshake_fails),
		TEST(a35_a_login_sends_as_itself_only),
		TEST(a33_nobody_acts_for_another),
		TEST(what_follows_a_slow_login_waits_for_its_answer),
		TEST(a_peer_that_vanishes_during_its_login_harms_nobody),
		TEST(a_lost_keeper_is_a_temporary_failure),
		TEST(small_records_do_not_stall),
		TEST(a54_a_login_leaves_nothing_in_memory_that_is_reused),
		cmocka_unit_test_setup_teardown(no_keeper_is_a_temporary_failure,
						set_up_without_keeper, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
