// What the trace holds of a transaction, whatever its end was.
#include <string.h>

#include "receive/session.h"
#include "receive/test_fixture.h"

static struct world world;
static struct buffer trace;

static int set_up(void **state)
{
	(void)state;
	trace = buffer_with_max(1 << 20);
	world_open(&world, (struct world_options){ 0 });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buffer_done(&trace);
	world_done(&world);
	return 0;
}

// Of the transaction that is open now.
static uint64_t open_id(void)
{
	struct session *session = CONTAINER_OF(world.receiver->sessions.next, struct session, link);

	assert_non_null(session->transaction);
	return transaction_id(session->transaction);
}

static bool has(const char *text)
{
	return view_find_text(buffer_view(&trace), view_from_text(text)) < trace.len;
}

static void has_all(const char *const *texts)
{
	for (; *texts; texts++) {
		if (!has(*texts)) {
			print_error("%s is not in %s\n", *texts, buffer_text(&trace));
			fail();
		}
	}
}

static void an_accepted_message_tells_all_of_its_way(void **state)
{
	static const char *const steps[] = {
		"\"event\":\"connection\",\"client\":\"127.0.0.1\",\"listener\":",
		"\"role\":\"relay\",\"ehlo\":\"",
		"\"open_ms\":",
		"\"event\":\"mail\",\"from\":\"joe@sender.example\",\"declared_bytes\":20,"
		"\"body\":\"8BITMIME\",\"reply\":\"250 2.1.0 Sender ok\"}",
		"\"event\":\"rcpt\",\"to\":\"team@example.org\",\"verdict\":\"accept\","
		"\"reason\":\"directory\",\"destination\":\"here\",\"expanded\":"
		"\"alice@example.org, bob@example.org, carl@elsewhere.example\","
		"\"reply\":\"250 2.1.5 Recipient ok\"}",
		"\"event\":\"rcpt\",\"to\":\"nobody@example.org\",\"verdict\":\"refuse\","
		"\"reason\":\"unknown_recipient\",\"reply\":\"550 5.1.1 No such mailbox here\"}",
		"\"event\":\"command\",\"verb\":\"RCPT\",\"verdict\":\"refuse\",\"reply\":\"5",
		"\"event\":\"command\",\"verdict\":\"refuse\",\"reply\":\"500 5.",
		"\"event\":\"data\"}",
		"\"event\":\"header\",\"verdict\":\"accept\",\"added\":\"Received\"}",
		"\"event\":\"stored\",\"where\":\"the log\",\"size_bytes\":17,\"took_us\":",
		"\"event\":\"accepted\",\"reply\":\"250 2.0.0 Queued as ",
		"\"took_ms\":",
		NULL,
	};
	struct peer peer;
	uint64_t id;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<joe@sender.example> SIZE=20 BODY=8BITMIME\r\n", "250 ");
	id = open_id();
	peer_ask(&peer, "RCPT TO:<team@example.org>\r\n", "250 ");
	peer_ask(&peer, "RCPT TO:<nobody@example.org>\r\n", "550 ");
	peer_ask(&peer, "RCPT TO:<bob@@example.org>\r\n", "5");
	peer_ask(&peer, "c2VjcmV0\r\n", "500 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "Subject: x\r\n\r\ny\r\n.\r\n", "250 ");
	peer_close(&peer);
	world_read_trace(&world, id, &trace);
	has_all(steps);
	assert_false(has("c2VjcmV0")); // what is no command may be a password
}

static void a54_neither_password_nor_body_is_traced(void **state)
{
	struct peer peer;
	uint64_t id;

	(void)state;
	peer_greet(&peer, &world, PORT_STARTTLS);
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "250 ");
	id = open_id();
	peer_ask(&peer, "RCPT TO:<any@elsewhere.example>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "From: alice@example.org\r\n\r\nconfidential\r\n.\r\n", "250 ");
	peer_close(&peer);
	world_read_trace(&world, id, &trace);
	has_all((const char *const[]){ "\"role\":\"submission\"",
				       "\"tls\":\"TLSv1.3\",\"cipher\":\"TLS_",
				       "\"login\":\"alice@example.org\"",
				       "\"reason\":\"login\",\"destination\":\"onward\"",
				       "\"added\":\"Received, Message-ID, Date\"", NULL });
	assert_false(has("secret"));
	assert_false(has("AGFsaWNl")); // the AUTH line
	assert_false(has("confidential"));
}

static void a_refused_message_says_why(void **state)
{
	struct peer peer;
	uint64_t id;

	(void)state;
	peer_greet(&peer, &world, PORT_STARTTLS);
	peer_log_in(&peer);
	peer_ask(&peer, "MAIL FROM:<alice@example.org>\r\n", "250 ");
	id = open_id();
	peer_ask(&peer, "RCPT TO:<any@elsewhere.example>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "From: boss@example.net\r\n\r\nx\r\n.\r\n", "5");
	peer_close(&peer);
	world_read_trace(&world, id, &trace);
	has_all((const char *const[]){ "\"event\":\"header\",\"verdict\":\"refuse\",\"reason\":\"",
				       "\"event\":\"refused\",\"reply\":\"5", NULL });
	assert_false(has("\"event\":\"stored\""));
	assert_false(has("\"event\":\"lost\""));
}

static void a_reset_and_a_lost_connection_are_ends_too(void **state)
{
	struct peer peer;
	uint64_t reset, lost;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	reset = open_id();
	peer_ask(&peer, "RCPT TO:<any@elsewhere.example>\r\n", "550 ");
	peer_ask(&peer, "RSET\r\n", "250 ");
	peer_ask(&peer, "MAIL FROM:<b@b.example>\r\n", "250 ");
	lost = open_id();
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_reset(&peer);
	world_until_sessions(&world, 0);
	world_read_trace(&world, reset, &trace);
	has_all((const char *const[]){ "\"reason\":\"relaying_denied\"", "\"event\":\"reset\"}]",
				       NULL });
	world_read_trace(&world, lost, &trace);
	has_all((const char *const[]){ "\"event\":\"data\"",
				       "\"event\":\"lost\",\"reason\":\"the connection broke\"}]",
				       NULL });
}

static void a_smuggler_is_closed_and_traced(void **state)
{
	struct peer peer;
	uint64_t id;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	id = open_id();
	peer_ask(&peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "x\n.\r\n", "550 ");
	peer_expect_end(&peer);
	peer_close(&peer);
	world_read_trace(&world, id, &trace);
	has_all((const char *const[]){ "\"event\":\"closed\",\"reason\":\"", NULL });
}

static void very_many_recipients_leave_room_for_the_end(void **state)
{
	struct buffer lines = buffer_with_max(1 << 20);
	struct peer peer;
	uint64_t id;

	(void)state;
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
	id = open_id();
	for (int i = 0; i < 900; i++) {
		buffer_clear(&lines);
		buffer_printf(&lines, "RCPT TO:<alice+%d@example.org>\r\n", i);
		peer_ask(&peer, buffer_text(&lines), "250 ");
	}
	peer_ask(&peer, "DATA\r\n", "354 ");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	buffer_done(&lines);
	world_read_trace(&world, id, &trace);
	assert_in_range(trace.len, TRACE_MANY_BYTES_MAX - 1000, TRACE_STEPS_BYTES_MAX);
	has_all((const char *const[]){ "\"event\":\"accepted\"",
				       "\"event\":\"left_out\",\"steps\":", NULL });
}

int main(void)
{
#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_accepted_message_tells_all_of_its_way),
		TEST(a54_neither_password_nor_body_is_traced),
		TEST(a_refused_message_says_why),
		TEST(a_reset_and_a_lost_connection_are_ends_too),
		TEST(a_smuggler_is_closed_and_traced),
		TEST(very_many_recipients_leave_room_for_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
