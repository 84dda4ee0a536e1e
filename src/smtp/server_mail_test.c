// MAIL and RCPT: paths, parameters, recipients.
#include <stdio.h>

#include "base/check.h"
#include "smtp/server_script.h"

static void relay(const char *script)
{
	struct smtp_server_settings settings = script_relay();

	script_check(&settings, script);
}

// One line after HELO (bytes in the script's notation), and all that it brings about.
static void line_gives(const char *line, const char *result)
{
	char script[2048];

	snprintf(script, sizeof script, "%sC~ %s\\r\\n\n%s", SCRIPT_HELO, line, result);
	relay(script);
}

static void reverse_paths(void **state)
{
	static const struct {
		const char *line;
		const char *event;
	} cases[] = {
		{ "MAIL FROM:<>", "<>" },
		{ "mail from:<A@C.Example>", "<A@c.example>" },
		{ "MAIL FROM: <a@c.example>", "<a@c.example>" },      // legacy: a blank
		{ "MAIL  FROM:\\t<a@c.example>  ", "<a@c.example>" }, // legacy: more of them
		{ "MAIL FROM:a@c.example", "<a@c.example>" },         // legacy: no brackets
		{ "MAIL FROM:<a@c.example> SIZE=1000", "<a@c.example> size 1000" },
		{ "MAIL FROM:<a@c.example> BODY=8BITMIME size=1", "<a@c.example> size 1 8bit" },
		{ "MAIL FROM:<a@c.example> body=7bit", "<a@c.example>" },
		{ "MAIL FROM:<a@c.example> AUTH=<>", "<a@c.example>" },
		{ "MAIL FROM:<a@c.example> AUTH=e+3Dmc2@example.com", "<a@c.example>" },
		{ "MAIL FROM:<j\\xc3\\xb6@c.example> SMTPUTF8", "<j\xc3\xb6@c.example> utf8" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char result[512];

		snprintf(result, sizeof result, "E: mail %s\nS: 250 2.1.0 Sender ok\n",
			 cases[i].event);
		line_gives(cases[i].line, result);
	}
}

static void bad_reverse_paths_and_parameters(void **state)
{
	static const struct {
		const char *line;
		const char *reply;
	} cases[] = {
		{ "MAIL", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]" },
		{ "MAIL FROM:", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]" },
		{ "MAIL LALA:<>", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]" },
		{ "MAIL FROM:<a@c.example> SIZE=2001", "552 5.3.4 Message too big" },
		{ "MAIL FROM:<a@c.example> SIZE=99999999999999999999",
		  "501 5.5.4 SIZE takes a decimal number" },
		{ "MAIL FROM:<a@c.example> SIZE=-1", "501 5.5.4 SIZE takes a decimal number" },
		{ "MAIL FROM:<a@c.example> SIZE", "501 5.5.4 SIZE takes a decimal number" },
		{ "MAIL FROM:<a@c.example> SIZE=1 SIZE=1", "501 5.5.4 Parameter given twice" },
		{ "MAIL FROM:<a@c.example> BODY=BINARYMIME",
		  "501 5.5.4 BODY takes 7BIT or 8BITMIME" },
		{ "MAIL FROM:<a@c.example> SMTPUTF8=1", "501 5.5.4 SMTPUTF8 takes no value" },
		{ "MAIL FROM:<a@c.example> RET=HDRS", "555 5.5.4 Unknown parameter" },
		{ "MAIL FROM:<a@c.example> =", "555 5.5.4 Unknown parameter" },
		{ "MAIL FROM:<j\\xc3\\xb6@c.example>",
		  "553 5.6.7 Such an address needs the parameter SMTPUTF8" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char result[512];

		snprintf(result, sizeof result, "S: %s\n", cases[i].reply);
		line_gives(cases[i].line, result);
	}
}

static void a12_xtext_hides_no_controls(void **state)
{
	static const char *const values[] = { "a+00b", "a+0D+0Ab", "a+7Fb", "a+",         "a+2",
					      "a+zz",  "",         "a=b",   "j\\xc3\\xb6" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		char line[256];

		snprintf(line, sizeof line, "MAIL FROM:<a@c.example> AUTH=%s", values[i]);
		line_gives(line, "S: 501 5.5.4 AUTH takes <> or an address in xtext\n");
	}
}

static void a_refused_mail_leaves_no_transaction(void **state)
{
	(void)state;
	relay("A: mail = 550 5.7.1 No\n" SCRIPT_HELO "C: MAIL FROM:<a@c.example>\n"
	      "E: mail <a@c.example>\n"
	      "S: 550 5.7.1 No\n"
	      "C: RCPT TO:<b@mx.example>\n"
	      "S: 503 5.5.1 Say MAIL first\n");
	relay(SCRIPT_HELO "C: MAIL FROM:<a@c.example> SIZE=x\n"
			  "S: 501 5.5.4 SIZE takes a decimal number\n"
			  "C: RCPT TO:<b@mx.example>\n"
			  "S: 503 5.5.1 Say MAIL first\n");
}

static void recipients_are_answered_one_by_one(void **state)
{
	(void)state;
	relay("A: rcpt <no@ = 550 5.1.1 No such recipient here\n" SCRIPT_HELO SCRIPT_MAIL
	      "C: RCPT TO:<no@mx.example>\n"
	      "E: rcpt <no@mx.example>\n"
	      "S: 550 5.1.1 No such recipient here\n"
	      "C: DATA\n"
	      "S: 503 5.5.1 No recipient was accepted\n"
	      "C: rcpt to: <PostMaster>\n"
	      "E: rcpt <postmaster>\n"
	      "S: 250 2.1.5 Recipient ok\n"
	      "C: RCPT TO:<b@mx.example> NOTIFY=NEVER\n"
	      "S: 555 5.5.4 Unknown parameter\n"
	      "C: RCPT FROM:<b@mx.example>\n"
	      "S: 501 5.5.4 Syntax: RCPT TO:<address>\n"
	      "C: DATA\n"
	      "E: data\n"
	      "S: 354 End data with <CR><LF>.<CR><LF>\n");
}

static void too_many_recipients_are_deferred(void **state)
{
	(void)state;
	relay(SCRIPT_HELO SCRIPT_MAIL SCRIPT_RCPT SCRIPT_RCPT SCRIPT_RCPT
	      "C: RCPT TO:<b@mx.example>\n"
	      "S: 452 4.5.3 Too many recipients\n"
	      "C: DATA\n"
	      "E: data\n"
	      "S: 354 End data with <CR><LF>.<CR><LF>\n");
}

static void a_flood_of_recipients_is_closed(void **state)
{
	struct smtp_server_settings settings = script_relay();

	(void)state;
	settings.recipients_max = 1;
	settings.errors_max = 1;
	script_check(&settings, SCRIPT_HELO SCRIPT_MAIL SCRIPT_RCPT
		     "C: RCPT TO:<b@mx.example>\nS: 452 4.5.3 Too many recipients\n"
		     "C: RCPT TO:<b@mx.example>\nS: 452 4.5.3 Too many recipients\n"
		     "C: RCPT TO:<b@mx.example>\nS: 452 4.5.3 Too many recipients\n"
		     "S: 421 4.7.0 Too many errors, closing\n"
		     "X: too many errors\n");
}

static void utf8_recipients_need_the_parameter(void **state)
{
	(void)state;
	relay(SCRIPT_HELO SCRIPT_MAIL
	      "C~ RCPT TO:<j\\xc3\\xb6@mx.example>\\r\\n\n"
	      "S: 553 5.6.7 Such an address needs the parameter SMTPUTF8\n");
	relay(SCRIPT_HELO "C: MAIL FROM:<a@c.example> SMTPUTF8\n"
			  "E: mail <a@c.example> utf8\n"
			  "S: 250 2.1.0 Sender ok\n"
			  "C~ RCPT TO:<j\\xc3\\xb6@mx.example>\\r\\n\n"
			  "E: rcpt <j\xc3\xb6@mx.example>\n"
			  "S: 250 2.1.5 Recipient ok\n");
}

// What reaches the relay decision is the one canonical mailbox, with its tricks marked.
static void a37_address_tricks_do_not_pass_as_sent(void **state)
{
	static const struct {
		const char *path;
		const char *result;
	} cases[] = {
		{ "<@x.example,@y.example:b@mx.example>", "E: rcpt <b@mx.example>\n" },
		{ "<b@MX.EXAMPLE>", "E: rcpt <b@mx.example>\n" },
		{ "<\"b\"@mx.example>", "E: rcpt <b@mx.example>\n" },
	};
	static const char *const refused[] = {
		"<b@mx.example.>",  "<b@mx.example >", "<b@[1.2.3]>",       "<b@mx.example>x",
		"<b@c@mx.example>", "<b@mx..example>", "<b(c)@mx.example>", "<b",
	};
	char script[1024];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		snprintf(script, sizeof script, "%sC: RCPT TO:%s\n%sS: 250 2.1.5 Recipient ok\n",
			 SCRIPT_HELO SCRIPT_MAIL, cases[i].path, cases[i].result);
		relay(script);
	}
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		static const char *const lines[] = { "HELO c\r\n", "MAIL FROM:<>\r\n" };
		struct smtp_server_settings settings = script_relay();
		struct smtp_server server = script_session(&settings, lines, COUNT_OF(lines));

		snprintf(script, sizeof script, "RCPT TO:%s\r\n", refused[i]);
		assert_int_equal(script_say(&server, script, 0), SMTP_STEP_INPUT);
		assert_true(view_starts(buffer_view(&server.output), VIEW("501 5.1.3 ")));
		smtp_server_done(&server);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reverse_paths),
		cmocka_unit_test(bad_reverse_paths_and_parameters),
		cmocka_unit_test(a12_xtext_hides_no_controls),
		cmocka_unit_test(a_refused_mail_leaves_no_transaction),
		cmocka_unit_test(recipients_are_answered_one_by_one),
		cmocka_unit_test(too_many_recipients_are_deferred),
		cmocka_unit_test(a_flood_of_recipients_is_closed),
		cmocka_unit_test(utf8_recipients_need_the_parameter),
		cmocka_unit_test(a37_address_tricks_do_not_pass_as_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
