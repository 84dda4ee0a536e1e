// DATA and the body in whole dialogues.
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

static void commands_may_wait_behind_the_end(void **state)
{
	(void)state;
	relay(SCRIPT_DATA "C: one\n"
			  "C: .\n"
			  "E: message 5 one\\x0d\\x0a\n"
			  "S: 250 2.0.0 Ok\n" SCRIPT_MAIL SCRIPT_RCPT "C: DATA\n"
			  "E: data\n"
			  "S: 354 End data with <CR><LF>.<CR><LF>\n"
			  "C: .\n"
			  "E: message 0 \n"
			  "S: 250 2.0.0 Ok\n" SCRIPT_QUIT);
}

static void the_shell_answers_for_the_message(void **state)
{
	(void)state;
	relay("A: message = 250 2.0.0 Queued as 7\n" SCRIPT_DATA "C: .\n"
	      "E: message 0 \n"
	      "S: 250 2.0.0 Queued as 7\n");
	relay("A: message = 451 4.3.0 Later\n" SCRIPT_DATA "C: .\n"
	      "E: message 0 \n"
	      "S: 451 4.3.0 Later\n");
}

// After it nothing is a command, whatever comes.
static void a1_smuggling_is_refused_and_closed(void **state)
{
	static const struct {
		const char *sequence;
		const char *name;
	} cases[] = {
		{ "\\n.\\n", "LF" },    { "\\n.\\r\\n", "LF" },       { "\\r\\n.\\n", "LF" },
		{ "\\r.\\r", "CR" },    { "\\r\\n.\\r", "CR" },       { "\\n.\\r\\r\\n", "LF" },
		{ "\\r.\\r\\n", "CR" }, { "\\r\\n.\\r\\r\\n", "CR" }, { "\\r\\r\\n.\\r\\n", "CR" },
		{ "\\n", "LF" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char script[2048];

		snprintf(script, sizeof script,
			 "%sC~ Subject: x\\r\\n\\r\\nbody%sMAIL FROM:<admin@c.example>\\r\\n"
			 "RCPT TO:<b@mx.example>\\r\\n\n"
			 "S: 550 5.5.2 Bare %s in the data: lines end with CR LF\n"
			 "X: bare cr or lf\n"
			 "C: NOOP\n",
			 SCRIPT_DATA, cases[i].sequence, cases[i].name);
		relay(script);
	}
}

static void a1_nul_around_the_dot_does_not_end(void **state)
{
	(void)state;
	relay(SCRIPT_DATA "C~ a\\r\\n\\0.\\r\\nNOOP\\r\\n.\\0\\r\\n.\\r\\n\n"
			  "E: message 16 a\\x0d\\x0a\\x00.\\x0d\\x0aNOOP\\x0d\\x0a\\x00\\x0d\\x0a\n"
			  "S: 250 2.0.0 Ok\n");
}

// There is no settings field, network or login that relaxes it: the same on every listener.
static void a3_no_peer_is_exempt(void **state)
{
	struct smtp_server_settings settings = script_submission();

	(void)state;
	script_check(&settings, SCRIPT_TLS
		     "C: AUTH PLAIN AHUAcA==\n"
		     "E: auth plain '' 'u' 'p'\n"
		     "S: 235 2.7.0 Authentication succeeded\n" SCRIPT_MAIL SCRIPT_RCPT "C: DATA\n"
		     "E: data\n"
		     "S: 354 End data with <CR><LF>.<CR><LF>\n"
		     "C~ a\\n.\\r\\nMAIL FROM:<x@c.example>\\r\\n\n"
		     "S: 550 5.5.2 Bare LF in the data: lines end with CR LF\n"
		     "X: bare cr or lf\n");
}

static const char *const to_recipient[] = { "HELO c\r\n", "MAIL FROM:<a@b.example>\r\n",
					    "RCPT TO:<c@d.example>\r\n", "DATA\r\n" };

static struct smtp_server in_body(const struct smtp_server_settings *settings)
{
	return script_session(settings, to_recipient, COUNT_OF(to_recipient));
}

// A smuggled message comes so: its sender cannot wait for the reply to a DATA within data.
static void a1_a_body_before_its_354_is_refused(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server =
		script_session(&settings, to_recipient, COUNT_OF(to_recipient) - 1);

	(void)state;
	assert_int_equal(script_say(&server, "DATA\r\nSubject: x\r\n\r\n.\r\n", 0),
			 SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_STEP);
	assert_view(buffer_view(&server.output),
		    "554 5.5.0 You went on without waiting for the reply\r\n");
	smtp_server_done(&server);
}

// size bytes in lines of 50.
static void big_body(char *out, size_t out_size, size_t size, const char *after)
{
	size_t used = (size_t)snprintf(out, out_size, "%s", SCRIPT_DATA);

	for (size_t i = 0; i < size / 50; i++) {
		used += (size_t)snprintf(out + used, out_size - used, "C: %048u\n", (unsigned)i);
	}
	snprintf(out + used, out_size - used, "%s", after);
}

static void the_size_is_counted_while_it_flows(void **state)
{
	struct smtp_server_settings settings = script_relay();
	char script[8192];

	(void)state;
	big_body(script, sizeof script, 2050,
		 "C: .\nS: 552 5.3.4 Message too big\nE: reset\n" SCRIPT_MAIL SCRIPT_QUIT);
	script_check(&settings, script);
	big_body(script, sizeof script, 2050,
		 "C~ x\\n.\\r\\n\n"
		 "S: 550 5.5.2 Bare LF in the data: lines end with CR LF\n"
		 "X: bare cr or lf\n");
	script_check(&settings, script);
}

static void the_shell_can_refuse_a_body_midway(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = in_body(&settings);
	struct smtp_reply reply = smtp_reply(SMTP_REPLY_NO_STORAGE);
	struct smtp_data_chunk chunk;
	struct smtp_event event;
	char first[] = "one\r\n", second[] = "two\r\n.\r\nNOOP\r\n";

	(void)state;
	assert_int_equal(smtp_server_body(&server, first, 5, 0, &chunk, &event), SMTP_STEP_BODY);
	assert_int_equal(chunk.kept, 5);
	smtp_server_body_refuse(&server, &reply);
	assert_int_equal(smtp_server_body(&server, second, 14, 0, &chunk, &event), SMTP_STEP_EVENT);
	assert_int_equal(event.kind, SMTP_EVENT_RESET);
	assert_int_equal(chunk.kept, 0);
	assert_int_equal(chunk.taken, 8);
	assert_view(buffer_view(&server.output), "452 4.3.1 No storage, try again later\r\n");
	assert_null(server.transaction);
	smtp_server_done(&server);
}

static void a_refused_body_does_not_go_on_for_ever(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = in_body(&settings);
	enum smtp_step step = SMTP_STEP_BODY;
	size_t size = 1024 * 1024, sent = 0;
	struct smtp_data_chunk chunk;
	struct smtp_event event;
	char *bytes = malloc(size);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'x', size);
	for (; step == SMTP_STEP_BODY && sent < (size_t)SMTP_BODY_SKIP_MAX + 3 * size;
	     sent += size) {
		step = smtp_server_body(&server, bytes, size, 0, &chunk, &event);
		assert_int_equal(chunk.kept, 0);
	}
	assert_int_equal(step, SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_SIZE);
	assert_view(buffer_view(&server.output), "552 5.3.4 Message too big\r\n");
	smtp_server_done(&server);
	free(bytes);
}

static void a25_a_slow_body_is_closed(void **state)
{
	struct smtp_server_settings settings = script_relay();
	struct smtp_server server = in_body(&settings);
	struct smtp_data_chunk chunk;
	struct smtp_event event;
	struct view input = { 0 };
	char bytes[] = "one\r\n";

	(void)state;
	assert_int_equal(smtp_server_deadline_ms(&server), settings.pace.grace_ms);
	assert_int_equal(smtp_server_body(&server, bytes, 5, 100, &chunk, &event), SMTP_STEP_BODY);
	assert_true(smtp_server_deadline_ms(&server) < settings.pace.grace_ms + 100);
	smtp_server_timeout(&server);
	assert_int_equal(smtp_server_step(&server, &input, 0, &event), SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_SLOW);
	assert_view(buffer_view(&server.output), "421 4.4.2 Data comes too slowly, closing\r\n");
	smtp_server_done(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_may_wait_behind_the_end),
		cmocka_unit_test(the_shell_answers_for_the_message),
		cmocka_unit_test(a1_smuggling_is_refused_and_closed),
		cmocka_unit_test(a1_nul_around_the_dot_does_not_end),
		cmocka_unit_test(a1_a_body_before_its_354_is_refused),
		cmocka_unit_test(a3_no_peer_is_exempt),
		cmocka_unit_test(the_size_is_counted_while_it_flows),
		cmocka_unit_test(the_shell_can_refuse_a_body_midway),
		cmocka_unit_test(a_refused_body_does_not_go_on_for_ever),
		cmocka_unit_test(a25_a_slow_body_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
