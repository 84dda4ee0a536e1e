// STARTTLS and AUTH.
#include <stdio.h>

#include "base/check.h"
#include "smtp/server_script.h"

static void submission(const char *script)
{
	struct smtp_server_settings settings = script_submission();

	script_check(&settings, script);
}

static void submission_demands_tls_then_login(void **state)
{
	(void)state;
	submission(SCRIPT_HELO "C: MAIL FROM:<a@c.example>\n"
			       "S: 530 5.7.0 Say STARTTLS first\n"
			       "C: STARTTLS\n"
			       "E: starttls\n"
			       "S: 220 2.0.0 Ready to start TLS\n"
			       "E: tls\n"
			       "C: MAIL FROM:<a@c.example>\n"
			       "S: 503 5.5.1 Say EHLO first\n"
			       "C: HELO c.example\n"
			       "E: helo c.example\n"
			       "S: 250 mx.example\n"
			       "C: MAIL FROM:<a@c.example>\n"
			       "S: 530 5.7.0 Log in first\n"
			       "C: VRFY a\n"
			       "S: 530 5.7.0 Log in first\n"
			       "C: AUTH PLAIN AHUAcA==\n"
			       "E: auth plain '' 'u' 'p'\n"
			       "S: 235 2.7.0 Authentication succeeded\n" SCRIPT_MAIL SCRIPT_RCPT);
}

static void implicit_tls_needs_no_starttls(void **state)
{
	struct smtp_server_settings settings = script_submission();

	(void)state;
	settings.tls = SMTP_TLS_IMPLICIT;
	script_check(&settings, SCRIPT_HELO "C: STARTTLS\n"
					    "S: 503 5.5.1 TLS is already on\n"
					    "C: AUTH PLAIN AHUAcA==\n"
					    "E: auth plain '' 'u' 'p'\n"
					    "S: 235 2.7.0 Authentication succeeded\n");
}

static void a6_bytes_behind_starttls_close(void **state)
{
	static const char *const lines[] = { "EHLO c\r\n" };
	struct smtp_server_settings settings = script_submission();
	struct smtp_server server = script_session(&settings, lines, COUNT_OF(lines));

	(void)state;
	assert_int_equal(script_say(&server, "STARTTLS\r\nMAIL FROM:<a@c.example>\r\n", 0),
			 SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_INJECTION);
	assert_view(buffer_view(&server.output), "554 5.5.0 Bytes behind STARTTLS\r\n");
	smtp_server_done(&server);
}

// Bytes that came while the shell made up its mind were not encrypted either.
static void a6_bytes_before_the_handshake_close(void **state)
{
	static const char *const lines[] = { "EHLO c\r\n", "STARTTLS\r\n" };
	struct smtp_server_settings settings = script_submission();
	struct smtp_server server = script_session(&settings, lines, COUNT_OF(lines));

	(void)state;
	assert_int_equal(script_say(&server, "MAIL FROM:<a@c.example>\r\n", 0), SMTP_STEP_CLOSE);
	assert_int_equal(server.close_reason, SMTP_CLOSE_INJECTION);
	smtp_server_done(&server);
}

static void a6_tls_forgets_what_came_before(void **state)
{
	struct smtp_server_settings settings = script_relay();

	(void)state;
	settings.tls = SMTP_TLS_STARTTLS;
	script_check(&settings, SCRIPT_HELO SCRIPT_MAIL
		     "C: STARTTLS\n"
		     "S: 503 5.5.1 A transaction is open: finish it or say RSET\n"
		     "C: RSET\n"
		     "S: 250 2.0.0 Ok\n"
		     "E: reset\n"
		     "C: STARTTLS\n"
		     "E: starttls\n"
		     "S: 220 2.0.0 Ready to start TLS\n"
		     "E: tls\n"
		     "C: MAIL FROM:<a@c.example>\n"
		     "S: 503 5.5.1 Say EHLO first\n"
		     "C: STARTTLS\n"
		     "S: 503 5.5.1 Say EHLO first\n");
}

static void starttls_where_there_is_none(void **state)
{
	struct smtp_server_settings settings = script_relay();

	(void)state;
	script_check(&settings, SCRIPT_HELO "C: STARTTLS\n"
					    "S: 502 5.5.1 Not offered here\n");
	settings.tls = SMTP_TLS_STARTTLS;
	script_check(&settings, "A: starttls = 454 4.7.0 TLS is not available now\n" SCRIPT_HELO
				"C: STARTTLS now\n"
				"S: 501 5.5.4 Syntax: STARTTLS\n"
				"C: STARTTLS\n"
				"E: starttls\n"
				"S: 454 4.7.0 TLS is not available now\n" SCRIPT_MAIL);
}

static void logins_that_work(void **state)
{
	static const char *const dialogues[] = {
		"C: AUTH PLAIN AHVzZXIAcGFzcw==\n",
		"C: auth plain  AHVzZXIAcGFzcw== \n",
		"C: AUTH PLAIN\nS: 334 \nC: AHVzZXIAcGFzcw==\n",
		"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 334 UGFzc3dvcmQ6\n"
		"C: cGFzcw==\n",
		"C: AUTH LOGIN dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: cGFzcw==\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(dialogues); i++) {
		char script[1024];

		snprintf(script, sizeof script,
			 "%s%sE: auth %s '' 'user' 'pass'\n"
			 "S: 235 2.7.0 Authentication succeeded\n"
			 "C: AUTH PLAIN AHVzZXIAcGFzcw==\n"
			 "S: 503 5.5.1 Already authenticated\n",
			 SCRIPT_TLS, dialogues[i], i < 3 ? "plain" : "login");
		submission(script);
	}
}

static void a_failed_login_may_be_tried_again(void **state)
{
	(void)state;
	submission("A: auth plain '' 'u' 'x' = 535 5.7.8 Wrong\n" SCRIPT_TLS
		   "C: AUTH PLAIN AHUAeA==\n"
		   "E: auth plain '' 'u' 'x'\n"
		   "S: 535 5.7.8 Wrong\n"
		   "C: MAIL FROM:<a@c.example>\n"
		   "S: 530 5.7.0 Log in first\n"
		   "C: AUTH PLAIN AHUAcA==\n"
		   "E: auth plain '' 'u' 'p'\n"
		   "S: 235 2.7.0 Authentication succeeded\n");
}

static void a33_no_login_in_clear_and_none_on_relay(void **state)
{
	struct smtp_server_settings relay = script_relay();

	(void)state;
	submission(SCRIPT_HELO "C: AUTH PLAIN AHUAcA==\n"
			       "S: 538 5.7.11 Login needs encryption: say STARTTLS first\n"
			       "C: AUTH LOGIN\n"
			       "S: 538 5.7.11 Login needs encryption: say STARTTLS first\n");
	relay.tls = SMTP_TLS_STARTTLS; // and mechanisms are configured, to no avail
	script_check(&relay, SCRIPT_HELO "C: STARTTLS\n"
					 "E: starttls\n"
					 "S: 220 2.0.0 Ready to start TLS\n"
					 "E: tls\n"
					 "C: HELO c.example\n"
					 "E: helo c.example\n"
					 "S: 250 mx.example\n"
					 "C: AUTH PLAIN AHUAcA==\n"
					 "S: 502 5.5.1 Not offered here\n");
}

static void a33_garbage_in_logins(void **state)
{
	static const char *const dialogues[] = {
		"C: AUTH PLAIN !!!!\nS: 501 5.5.2 Not base 64\n",
		"C: AUTH PLAIN AHUAcA=\nS: 501 5.5.2 Not base 64\n",
		"C: AUTH PLAIN AHUAcA===\nS: 501 5.5.2 Not base 64\n",
		"C: AUTH PLAIN =\nS: 501 5.5.2 Not a valid login message\n",
		"C: AUTH PLAIN\nS: 334 \nC: \nS: 501 5.5.2 Not a valid login message\n",
		"C: AUTH PLAIN AHUA\nS: 501 5.5.2 Not a valid login message\n",     // no password
		"C: AUTH PLAIN AABw\nS: 501 5.5.2 Not a valid login message\n",     // no user
		"C: AUTH PLAIN dXA=\nS: 501 5.5.2 Not a valid login message\n",     // no NUL
		"C: AUTH PLAIN AHUAcABx\nS: 501 5.5.2 Not a valid login message\n", // three NULs
		"C: AUTH PLAIN AHUA/w==\nS: 501 5.5.2 Not a valid login message\n", // not UTF-8
		"C: AUTH PLAIN\nS: 334 \nC: *\nS: 501 5.5.0 Login cancelled\n",
		"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: *\nS: 501 5.5.0 Login cancelled\n",
		"C: AUTH LOGIN =\nS: 334 UGFzc3dvcmQ6\nC: cA==\n"
		"S: 501 5.5.2 Not a valid login message\n",
		"C: AUTH LOGIN dQBw\nS: 334 UGFzc3dvcmQ6\nC: cA==\n"
		"S: 501 5.5.2 Not a valid login message\n",
		"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC~ d\\0==\\r\\n\n"
		"S: 500 5.5.2 Control characters have no place in a command\n",
		"C: AUTH\nS: 501 5.5.4 Syntax: AUTH mechanism [initial-response]\n",
		"C: AUTH PLAIN a b\nS: 501 5.5.4 Syntax: AUTH mechanism [initial-response]\n",
		"C: AUTH NTLM\nS: 504 5.5.4 Unknown login mechanism\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(dialogues); i++) {
		char script[1024];

		snprintf(script, sizeof script,
			 "%s%sC: NOOP\nS: 250 2.0.0 Ok\n"
			 "C: MAIL FROM:<a@c.example>\nS: 530 5.7.0 Log in first\n",
			 SCRIPT_TLS, dialogues[i]);
		submission(script);
	}
}

// Whom to act for is said apart from whose password it is; what that allows is the shell's to
// judge.
static void a33_the_identity_is_told_apart(void **state)
{
	(void)state;
	submission(SCRIPT_TLS "C: AUTH PLAIN YQB1AHA=\n"
			      "E: auth plain 'a' 'u' 'p'\n"
			      "S: 235 2.7.0 Authentication succeeded\n");
}

static void only_permitted_mechanisms(void **state)
{
	struct smtp_server_settings settings = script_submission();

	(void)state;
	settings.mechanisms = SMTP_AUTH_PLAIN;
	script_check(&settings, SCRIPT_TLS "C: AUTH LOGIN\n"
					   "S: 504 5.5.4 Unknown login mechanism\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submission_demands_tls_then_login),
		cmocka_unit_test(implicit_tls_needs_no_starttls),
		cmocka_unit_test(a6_bytes_behind_starttls_close),
		cmocka_unit_test(a6_bytes_before_the_handshake_close),
		cmocka_unit_test(a6_tls_forgets_what_came_before),
		cmocka_unit_test(starttls_where_there_is_none),
		cmocka_unit_test(logins_that_work),
		cmocka_unit_test(a_failed_login_may_be_tried_again),
		cmocka_unit_test(a33_no_login_in_clear_and_none_on_relay),
		cmocka_unit_test(a33_garbage_in_logins),
		cmocka_unit_test(a33_the_identity_is_told_apart),
		cmocka_unit_test(only_permitted_mechanisms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
