// Greeting, order of commands, ends of transactions, limits on lines, errors, commands and time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "smtp/server_script.h"

static void relay(const char *script)
{
	struct smtp_server_settings settings = script_relay();

	script_check(&settings, script);
}

static void relay_rude(const char *script)
{
	struct smtp_server_settings settings = script_relay();

	script_check_rude(&settings, script);
}

static void submission(const char *script)
{
	struct smtp_server_settings settings = script_submission();

	script_check(&settings, script);
}

static void a_whole_session(void **state)
{
	(void)state;
	relay(SCRIPT_DATA "C: Subject: hello\n"
			  "C: \n"
			  "C: ..dots\n"
			  "C: .\n"
			  "E: message 25 Subject: hello\\x0d\\x0a\\x0d\\x0a.dots\\x0d\\x0a\n"
			  "S: 250 2.0.0 Ok\n" SCRIPT_MAIL SCRIPT_QUIT);
}

static void ehlo_lists_what_is_on_offer(void **state)
{
	(void)state;
	relay(SCRIPT_BANNER "C: EHLO c.example\n"
			    "E: ehlo c.example\n"
			    "S: 250-mx.example\n"
			    "S: 250-PIPELINING\n"
			    "S: 250-SIZE 2000\n"
			    "S: 250-8BITMIME\n"
			    "S: 250-SMTPUTF8\n"
			    "S: 250 ENHANCEDSTATUSCODES\n" SCRIPT_QUIT);
	submission(SCRIPT_BANNER "C: EHLO c.example\n"
				 "E: ehlo c.example\n"
				 "S: 250-mx.example\n"
				 "S: 250-PIPELINING\n"
				 "S: 250-SIZE 2000\n"
				 "S: 250-8BITMIME\n"
				 "S: 250-SMTPUTF8\n"
				 "S: 250-STARTTLS\n"
				 "S: 250 ENHANCEDSTATUSCODES\n"
				 "C: STARTTLS\n"
				 "E: starttls\n"
				 "S: 220 2.0.0 Ready to start TLS\n"
				 "E: tls\n"
				 "C: EHLO c.example\n"
				 "E: ehlo c.example\n"
				 "S: 250-mx.example\n"
				 "S: 250-PIPELINING\n"
				 "S: 250-SIZE 2000\n"
				 "S: 250-8BITMIME\n"
				 "S: 250-SMTPUTF8\n"
				 "S: 250-AUTH PLAIN LOGIN\n"
				 "S: 250 ENHANCEDSTATUSCODES\n" SCRIPT_QUIT);
}

static void helo_names(void **state)
{
	(void)state;
	relay(SCRIPT_BANNER "C: helo  DESKTOP_7.[IPv6:::1]  \n"
			    "E: helo DESKTOP_7.[IPv6:::1]\n"
			    "S: 250 mx.example\n"
			    "C: HELO\n"
			    "S: 501 5.5.4 Not a host name or an address literal\n"
			    "C: EHLO two words\n"
			    "S: 501 5.5.4 Not a host name or an address literal\n"
			    "C: EHLO a\"b\n"
			    "S: 501 5.5.4 Not a host name or an address literal\n"
			    "C~ EHLO m\\xc3\\xbc.example\\r\\n\n"
			    "S: 501 5.5.4 Not a host name or an address literal\n");
}

static void order_of_commands(void **state)
{
	(void)state;
	relay(SCRIPT_BANNER "C: MAIL FROM:<a@c.example>\n"
			    "S: 503 5.5.1 Say EHLO first\n"
			    "C: RCPT TO:<a@c.example>\n"
			    "S: 503 5.5.1 Say MAIL first\n"
			    "C: HELO c.example\n"
			    "E: helo c.example\n"
			    "S: 250 mx.example\n"
			    "C: DATA\n"
			    "S: 503 5.5.1 Say MAIL first\n" SCRIPT_MAIL "C: DATA\n"
			    "S: 503 5.5.1 No recipient was accepted\n"
			    "C: MAIL FROM:<a@c.example>\n"
			    "S: 503 5.5.1 A transaction is open: finish it or say RSET\n");
}

static void small_commands(void **state)
{
	(void)state;
	relay(SCRIPT_BANNER
	      "C: noop\n"
	      "S: 250 2.0.0 Ok\n"
	      "C: NOOP with words\n"
	      "S: 250 2.0.0 Ok\n"
	      "C: VRFY someone\n"
	      "S: 252 2.5.0 Cannot verify; send a message and see\n"
	      "C: VRFY\n"
	      "S: 501 5.5.4 Syntax: VRFY name\n"
	      "C: EXPN list\n"
	      "S: 502 5.5.1 Not offered here\n"
	      "C: HELP\n"
	      "S: 214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\n"
	      "C: RSET\n"
	      "S: 250 2.0.0 Ok\n"
	      "C: RSET now\n"
	      "S: 501 5.5.4 Syntax: RSET\n"
	      "C: BDAT 5 LAST\n"
	      "S: 500 5.5.1 Unknown command\n"
	      "C: \n"
	      "S: 500 5.5.1 Unknown command\n"
	      "C: QUIT \n"
	      "S: 221 2.0.0 Bye\n"
	      "X: quit\n"
	      "C: NOOP\n");
}

static void a_refused_connection_may_only_quit(void **state)
{
	(void)state;
	relay("A: connect = 554 5.7.1 Not you\n"
	      "E: connect\n"
	      "S: 554 5.7.1 Not you\n"
	      "C: EHLO c.example\n"
	      "S: 503 5.5.1 This connection was refused; say QUIT\n"
	      "C: QUIT\n"
	      "S: 221 2.0.0 Bye\n"
	      "X: quit\n");
	relay("A: connect = 421 4.7.0 Not now\n"
	      "E: connect\n"
	      "S: 421 4.7.0 Not now\n"
	      "X: closed by us\n");
}

static void a_refused_helo_changes_nothing(void **state)
{
	(void)state;
	relay("A: ehlo = 550 5.7.1 No\n" SCRIPT_HELO SCRIPT_MAIL "C: EHLO other\n"
	      "E: ehlo other\n"
	      "S: 550 5.7.1 No\n" SCRIPT_RCPT SCRIPT_QUIT);
}

static void a5_every_end_of_a_transaction_is_whole(void **state)
{
	static const char *const ends[] = {
		"C: RSET\nS: 250 2.0.0 Ok\nE: reset\n",
		"C: HELO again\nE: helo again\nS: 250 mx.example\nE: reset\n",
		"C: DATA\nE: data\nS: 554 5.7.1 No\n",
		"C: DATA\nE: data\nS: 354 End data with <CR><LF>.<CR><LF>\n"
		"C: .\nE: message 0 \nS: 550 5.7.1 Spam\n",
		"C: DATA\nE: data\nS: 354 End data with <CR><LF>.<CR><LF>\n"
		"C: .\nE: message 0 \nS: 250 2.0.0 Ok\n",
	};
	static const char *const rules[] = { "", "", "A: data = 554 5.7.1 No\n",
					     "A: message = 550 5.7.1 Spam\n", "" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		char script[2048];

		snprintf(script, sizeof script, "%s%s%s%s", rules[i],
			 SCRIPT_HELO SCRIPT_MAIL SCRIPT_RCPT, ends[i],
			 "C: RCPT TO:<b@mx.example>\nS: 503 5.5.1 Say MAIL first\n"
			 "C: DATA\nS: 503 5.5.1 Say MAIL first\n" SCRIPT_MAIL
			 "C: DATA\nS: 503 5.5.1 No recipient was accepted\n" SCRIPT_RCPT);
		relay(script);
	}
}

static void a5_vrfy_with_utf8_touches_nothing(void **state)
{
	(void)state;
	relay(SCRIPT_HELO SCRIPT_MAIL SCRIPT_RCPT
	      "C~ VRFY j\\xc3\\xb6rg SMTPUTF8\\r\\n\n"
	      "S: 252 2.5.0 Cannot verify; send a message and see\n"
	      "C: DATA\n"
	      "E: data\n"
	      "S: 354 End data with <CR><LF>.<CR><LF>\n");
}

static void a7_early_talkers_are_refused(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_event event;
	struct smtp_server server;
	struct view input = { 0 };

	(void)state;
	smtp_server_init(&server, &settings, 0);
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_EVENT);
	input = VIEW("EHLO c.example\r\n");
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_EARLY);
	assert_true(smtp_server_linger(&server));
	assert_view(buffer_view(&server.output), "554 5.5.1 You spoke before your turn\r\n");
	smtp_server_accept(&server, 0); // the late answer of the shell changes nothing
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_CLOSE);
	smtp_server_done(&server);
}

static void a7_going_on_before_the_reply_is_refused(void **state)
{
	(void)state;
	relay_rude(SCRIPT_BANNER "C: EHLO c.example\n"
				 "C: MAIL FROM:<a@c.example>\n"
				 "S: 554 5.5.0 You went on without waiting for the reply\n"
				 "X: did not wait for a reply\n");
}

static void a7_other_protocols_are_recognised(void **state)
{
	static const char *const first[] = {
		"C: GET / HTTP/1.1\nC: Host: mx.example\n",
		"C: POST /x HTTP/1.1\nC: MAIL FROM:<a@b.example>\n",
		"C: CONNECT mx.example:25 HTTP/1.1\n",
		"C: options *\n",
		"C: PRI * HTTP/2.0\n",
		"C: SSH-2.0-OpenSSH_9.2\n",
		"C~ \\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\n", // TLS ClientHello
		"C~ \\x03\\x00\\x00\\x13\n",                     // RDP
		"C~ \\0\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(first); i++) {
		char script[512];

		snprintf(script, sizeof script, "%s%s%s", SCRIPT_BANNER, first[i],
			 "S: 554 5.5.1 This is an SMTP server\n"
			 "X: foreign protocol\n"
			 "C: NOOP\n");
		relay(script);
	}
}

static void a1_commands_end_with_cr_lf_alone(void **state)
{
	static const char *const bad[] = { "NOOP\\n", "NO\\rOP\\r\\n", "\\n", "NOOP\\r\\r\\n",
					   "NOOP\\nRSET\\r\\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char script[512];

		snprintf(script, sizeof script, "%sC~ %s\n%s", SCRIPT_BANNER, bad[i],
			 "S: 500 5.5.2 Bare CR or LF: commands end with CR LF\n"
			 "X: bare cr or lf\n"
			 "C: NOOP\n");
		relay(script);
	}
}

static void a12_controls_have_no_place_in_commands(void **state)
{
	(void)state;
	relay(SCRIPT_HELO "C~ MAIL FROM:<a\\0b@c.example>\\r\\n\n"
			  "S: 500 5.5.2 Control characters have no place in a command\n"
			  "C~ NOOP \\x1b[2J\\r\\n\n"
			  "S: 500 5.5.2 Control characters have no place in a command\n"
			  "C~ NOOP \\x7f\\r\\n\n"
			  "S: 500 5.5.2 Control characters have no place in a command\n");
}

// A script of len times 'x' behind what comes before, and what comes after.
static void with_long_line(const struct smtp_server_settings *settings, const char *before,
			   size_t len, const char *after)
{
	char *script = malloc(strlen(before) + len + strlen(after) + 1);

	assert_non_null(script);
	memcpy(script, before, strlen(before));
	memset(script + strlen(before), 'x', len);
	memcpy(script + strlen(before) + len, after, strlen(after) + 1);
	script_check(settings, script);
	free(script);
}

static void a10_lines_are_limited(void **state)
{
	struct smtp_server_settings settings = script_relay();

	(void)state;
	with_long_line(&settings, SCRIPT_BANNER "C: NOOP ", 505, "\nS: 250 2.0.0 Ok\n");
	with_long_line(&settings, SCRIPT_BANNER "C: NOOP ", 506,
		       "\nS: 500 5.5.6 Line too long\n"
		       "C: NOOP\n"
		       "S: 250 2.0.0 Ok\n");
	with_long_line(&settings, SCRIPT_BANNER "C~ NOOP ", 2000,
		       "\\n\nS: 500 5.5.6 Line too long\n"
		       "S: 500 5.5.2 Bare CR or LF: commands end with CR LF\n"
		       "X: bare cr or lf\n");
	with_long_line(&settings, SCRIPT_BANNER "C~ ", SMTP_LINE_SKIP_MAX + 1,
		       "\nS: 500 5.5.6 Line too long\n"
		       "S: 421 4.5.6 Line far too long, closing\n"
		       "X: line without end\n");
}

static void a10_login_lines_are_longer(void **state)
{
	struct smtp_server_settings settings = script_submission();

	(void)state;
	with_long_line(&settings,
		       SCRIPT_TLS "C: AUTH PLAIN\n"
				  "S: 334 \n"
				  "C: ",
		       SMTP_AUTH_LINE_MAX - 2, "\nS: 501 5.5.2 Not base 64\n");
	with_long_line(&settings,
		       SCRIPT_TLS "C: AUTH PLAIN\n"
				  "S: 334 \n"
				  "C: ",
		       SMTP_AUTH_LINE_MAX - 1,
		       "\nS: 500 5.5.6 Line too long\n"
		       "C: MAIL FROM:<a@c.example>\n"
		       "S: 530 5.7.0 Log in first\n");
}

static void too_many_errors_close(void **state)
{
	(void)state;
	relay(SCRIPT_BANNER "C: A\nC: B\nC: C\nC: D\nC: E\nC: F\nC: G\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 500 5.5.1 Unknown command\n"
			    "S: 421 4.7.0 Too many errors, closing\n"
			    "X: too many errors\n");
}

static void refusals_of_the_shell_count_too(void **state)
{
	(void)state;
	relay("A: mail = 550 5.7.1 No\n" SCRIPT_HELO
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "C: MAIL FROM:<>\nE: mail <>\nS: 550 5.7.1 No\n"
	      "S: 421 4.7.0 Too many errors, closing\n"
	      "X: too many errors\n");
}

static void commands_without_mail_are_limited(void **state)
{
	struct smtp_server_settings settings = script_relay();

	(void)state;
	settings.commands_max = 3;
	script_check(&settings, SCRIPT_BANNER "C: NOOP\nS: 250 2.0.0 Ok\n"
					      "C: NOOP\nS: 250 2.0.0 Ok\n"
					      "C: NOOP\nS: 250 2.0.0 Ok\n"
					      "C: NOOP\nS: 250 2.0.0 Ok\n"
					      "S: 421 4.7.0 Too many commands without a message, "
					      "closing\n"
					      "X: too many commands\n");
	script_check(&settings, SCRIPT_DATA "C: .\nE: message 0 \nS: 250 2.0.0 Ok\n"
					    "C: NOOP\nS: 250 2.0.0 Ok\n"
					    "C: NOOP\nS: 250 2.0.0 Ok\n");
}

static void unread_output_stops_the_reading(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct view input = VIEW("HELP\r\nHELP\r\nHELP\r\nHELP\r\n");
	struct smtp_server server;
	struct smtp_event event;

	(void)state;
	settings.output_bytes_max = 100;
	server = script_session(&settings, NULL, 0);
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_FLUSH);
	assert_int_equal(input.len, 12);
	smtp_server_output_sent(&server, server.output.len);
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_FLUSH);
	smtp_server_timeout(&server);
	assert_int_equal(server.close_reason, SMTP_CLOSE_UNREAD);
	smtp_server_done(&server);
}

static void an_await_point_stops_the_parsing(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);
	struct view input = VIEW("HELO c\r\n");
	struct smtp_event event;

	(void)state;
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_EVENT);
	input = VIEW("NOOP\r\n");
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_WAIT);
	assert_int_equal(input.len, 6);
	assert_int_equal(server.output.len, 0);
	assert_int_equal(smtp_server_deadline_ms(&server), UINT64_MAX);
	smtp_server_accept(&server, 0);
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_INPUT);
	assert_view(buffer_view(&server.output), "250 mx.example\r\n250 2.0.0 Ok\r\n");
	smtp_server_done(&server);
}

static void a25_a_command_has_a_time_from_its_first_byte(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);

	(void)state;
	assert_int_equal(smtp_server_deadline_ms(&server), settings.idle_ms);
	assert_int_equal(script_say(&server, "N", 5000), SMTP_STEP_INPUT);
	assert_int_equal(smtp_server_deadline_ms(&server), 5000 + settings.command_ms);
	assert_int_equal(script_say(&server, "NO", 9000),
			 SMTP_STEP_INPUT); // a dribble wins no time
	assert_int_equal(smtp_server_deadline_ms(&server), 5000 + settings.command_ms);
	assert_int_equal(script_say(&server, "NOOP\r\n", 9500), SMTP_STEP_INPUT);
	assert_int_equal(smtp_server_deadline_ms(&server), 9500 + settings.idle_ms);
	smtp_server_output_sent(&server, server.output.len);
	smtp_server_timeout(&server);
	assert_int_equal(script_say(&server, "NOOP\r\n", 9500), SMTP_STEP_CLOSE);
	assert_view(buffer_view(&server.output), "421 4.4.2 Timeout, closing\r\n");
	assert_int_equal(server.close_reason, SMTP_CLOSE_TIMEOUT);
	smtp_server_done(&server);
}

// Whether it came at once or in pieces.
static void a25_a_long_line_has_the_time_of_a_command(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);
	char begin[4096] = "", whole[4096] = "";

	(void)state;
	memset(begin, 'x', sizeof begin - 1);
	memset(whole, 'x', sizeof whole - 1);
	memcpy(whole + sizeof whole - 3, "\r\n", 2);
	assert_int_equal(script_say(&server, begin, 5000), SMTP_STEP_INPUT);
	assert_int_equal(smtp_server_deadline_ms(&server), 5000 + settings.command_ms);
	assert_int_equal(script_say(&server, "\r\n", 6000), SMTP_STEP_INPUT);
	assert_int_equal(smtp_server_deadline_ms(&server), 6000 + settings.idle_ms);
	assert_int_equal(script_say(&server, whole, 7000), SMTP_STEP_INPUT);
	assert_int_equal(smtp_server_deadline_ms(&server), 7000 + settings.idle_ms);
	smtp_server_done(&server);
}

static void a25_a_session_has_an_end(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);
	uint64_t end_ms = settings.session_ms;

	(void)state;
	script_say(&server, "NOOP\r\n", end_ms - 1);
	assert_int_equal(smtp_server_deadline_ms(&server), end_ms);
	smtp_server_done(&server);
}

static void an_orderly_stop_waits_for_the_command(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);

	(void)state;
	assert_int_equal(script_say(&server, "HELO c\r\n", 0), SMTP_STEP_EVENT);
	assert_false(smtp_server_shut(&server));
	smtp_server_accept(&server, 0);
	smtp_server_output_sent(&server, server.output.len);
	assert_true(smtp_server_shut(&server));
	assert_view(buffer_view(&server.output), "421 4.3.2 Shutting down, try again\r\n");
	assert_int_equal(script_say(&server, "", 0), SMTP_STEP_CLOSE);
	smtp_server_done(&server);
}

static char traced[256];

static void trace(const struct smtp_server *server, enum smtp_state from, enum smtp_state to)
{
	size_t used = strlen(traced);

	(void)server;
	snprintf(traced + used, sizeof traced - used, "%s>%s ", smtp_state_text(from),
		 smtp_state_text(to));
}

static void changes_of_state_are_traced(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server;

	(void)state;
	settings.trace = trace;
	server = script_session(&settings, NULL, 0);
	script_say(&server, "QUIT\r\n", 0);
	assert_string_equal(traced, "connect>command command>closed ");
	smtp_server_done(&server);
}

static void an_idle_session_is_small(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = script_session(&settings, NULL, 0);

	(void)state;
	script_say(&server, "EHLO c\r\n", 0);
	smtp_server_accept(&server, 0);
	smtp_server_output_sent(&server, server.output.len);
	assert_true(sizeof server <= 160);
	assert_null(server.output.data);
	assert_null(server.transaction);
	smtp_server_done(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_session),
		cmocka_unit_test(ehlo_lists_what_is_on_offer),
		cmocka_unit_test(helo_names),
		cmocka_unit_test(order_of_commands),
		cmocka_unit_test(small_commands),
		cmocka_unit_test(a_refused_connection_may_only_quit),
		cmocka_unit_test(a_refused_helo_changes_nothing),
		cmocka_unit_test(a5_every_end_of_a_transaction_is_whole),
		cmocka_unit_test(a5_vrfy_with_utf8_touches_nothing),
		cmocka_unit_test(a7_early_talkers_are_refused),
		cmocka_unit_test(a7_going_on_before_the_reply_is_refused),
		cmocka_unit_test(a7_other_protocols_are_recognised),
		cmocka_unit_test(a1_commands_end_with_cr_lf_alone),
		cmocka_unit_test(a12_controls_have_no_place_in_commands),
		cmocka_unit_test(a10_lines_are_limited),
		cmocka_unit_test(a10_login_lines_are_longer),
		cmocka_unit_test(too_many_errors_close),
		cmocka_unit_test(refusals_of_the_shell_count_too),
		cmocka_unit_test(commands_without_mail_are_limited),
		cmocka_unit_test(unread_output_stops_the_reading),
		cmocka_unit_test(an_await_point_stops_the_parsing),
		cmocka_unit_test(a25_a_command_has_a_time_from_its_first_byte),
		cmocka_unit_test(a25_a_long_line_has_the_time_of_a_command),
		cmocka_unit_test(a25_a_session_has_an_end),
		cmocka_unit_test(an_orderly_stop_waits_for_the_command),
		cmocka_unit_test(changes_of_state_are_traced),
		cmocka_unit_test(an_idle_session_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
