#include "mail/trace.h"

#include <string.h>

#include "base/check.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/report.h"

static const int64_t JULY_2003_MS = 1057049557000;

static void date_is_written_and_read_back(void **state)
{
	static const struct {
		int64_t unix_ms;
		int zone;
		const char *text;
	} cases[] = {
		{ 1057049557000, 120, "Tue, 1 Jul 2003 10:52:37 +0200" },
		{ 0, 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
		{ -1000, 0, "Wed, 31 Dec 1969 23:59:59 +0000" },
		{ 951782400000, 0, "Tue, 29 Feb 2000 00:00:00 +0000" },
		{ 4107542399000, -330, "Sun, 28 Feb 2100 18:29:59 -0530" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer text = buffer_with_max(100);
		int64_t unix_ms;
		int zone;

		date_add(&text, cases[i].unix_ms, cases[i].zone);
		assert_view(buffer_view(&text), cases[i].text);
		assert_true(date_parse(buffer_view(&text), &unix_ms, &zone));
		assert_int_equal(unix_ms, cases[i].unix_ms);
		assert_int_equal(zone, cases[i].zone);
		buffer_done(&text);
	}
}

static void obsolete_dates_are_read(void **state)
{
	static const char *const same[] = {
		"1 Jul 2003 08:52:37 GMT",
		"Tue, 01 July 03 10:52:37 +0200",
		"1(c) Jul\r\n 2003 03:52 (x (y)) : 37 EST",
		"1 Jul 103 08:52:37 Z",
	};
	static const char *const bad[] = {
		"",
		"1",
		"32 Jul 2003 1:2:3 GMT",
		"30 Feb 2003 1:2:3 GMT",
		"0 Jul 2003 1:2:3 GMT",
		"1 Jux 2003 1:2:3 GMT",
		"1 Jul 2003 24:00:00 GMT",
		"1 Jul 2003 1:60 GMT",
		"1 Jul 2003 1:2:3 +020",
		"1 Jul 2003 1:2:3 +0260",
		"1 Jul 2003 1:2:3 GMT x",
		"99999999999999999999 Jul 2003",
		"1 Jul 2003",
		"1 Jul 10000 1:2:3 GMT",
	};
	int64_t unix_ms = 7;
	int zone = 7;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(date_parse(view_from_text(bad[i]), &unix_ms, &zone));
	}
	assert_int_equal(unix_ms, 7);
	for (size_t i = 0; i < COUNT_OF(same); i++) {
		assert_true(date_parse(view_from_text(same[i]), &unix_ms, &zone));
		assert_int_equal(unix_ms, JULY_2003_MS);
	}
}

static struct trace_received sample(void)
{
	return (struct trace_received){
		.helo = VIEW("client.example"),
		.peer_name = VIEW("host.client.example"),
		.peer_ip = VIEW("192.0.2.1"),
		.hostname = VIEW("mail.example.org"),
		.protocol = { .extended = true, .tls = true, .authenticated = true },
		.tls_version = VIEW("TLSv1.3"),
		.tls_cipher = VIEW("TLS_AES_256_GCM_SHA384"),
		.queue_id = VIEW("0123456789abc"),
		.recipient = VIEW("ann@example.org"),
		.unix_ms = JULY_2003_MS,
		.zone_minutes = 120,
	};
}

static void received_says_how_the_message_came(void **state)
{
	struct buffer out = buffer_with_max(4096);
	struct trace_received received = sample();

	(void)state;
	trace_add_received(&out, &received);
	assert_view(buffer_view(&out),
		    "Received: from client.example (host.client.example [192.0.2.1])\r\n"
		    "\tby mail.example.org with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
		    "\tid 0123456789abc\r\n"
		    "\tfor <ann@example.org>; Tue, 1 Jul 2003 10:52:37 +0200\r\n");
	buffer_clear(&out);
	received = (struct trace_received){
		.helo = VIEW("[IPv6:2001:db8::1]"),
		.peer_ip = VIEW("2001:db8::1"),
		.hostname = VIEW("mail.example.org"),
		.queue_id = VIEW("1"),
		.recipient = VIEW("\xc3\xa9@example.org"),
		.unix_ms = JULY_2003_MS,
	};
	trace_add_received(&out, &received);
	assert_view(buffer_view(&out), "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
				       "\tby mail.example.org with SMTP\r\n"
				       "\tid 1; Tue, 1 Jul 2003 08:52:37 +0000\r\n");
	buffer_done(&out);
}

static void protocol_keyword_follows_from_the_session(void **state)
{
	(void)state;
	assert_string_equal(trace_protocol_name((struct trace_protocol){ .extended = true }),
			    "ESMTP");
	assert_string_equal(
		trace_protocol_name((struct trace_protocol){ .extended = true, .tls = true }),
		"ESMTPS");
	assert_string_equal(trace_protocol_name((struct trace_protocol){
				    .extended = true, .tls = true, .smtputf8 = true }),
			    "UTF8SMTPS");
	assert_string_equal(trace_protocol_name((struct trace_protocol){
				    .extended = true, .authenticated = true, .smtputf8 = true }),
			    "UTF8SMTPA");
}

static void a13_peers_cannot_add_lines_or_comments(void **state)
{
	struct buffer out = buffer_with_max(16384);
	struct trace_received received = sample();
	struct header_facts facts;
	char long_name[2000];

	(void)state;
	memset(long_name, 'x', sizeof long_name);
	received.helo = VIEW("a\r\nBcc: x@y\r\n\r\n(b) [c] <d>;");
	received.peer_name = view_of(long_name, sizeof long_name);
	received.recipient = VIEW("a\r\n.\r\n@b");
	trace_add_received(&out, &received);
	trace_add_return_path(&out, VIEW("a\nb@c"));
	trace_add_delivered_to(&out, VIEW("a\rb@c"));
	trace_add_message_id(&out, VIEW("1"), VIEW("h>\r\n"));
	trace_add_date(&out, JULY_2003_MS, 0);
	facts = header_facts_of(buffer_view(&out));
	assert_int_equal(facts.fault, HEADER_OK);
	assert_int_equal(facts.field_count, 5);
	assert_int_equal(facts.body_offset, out.len);
	assert_int_equal(view_find_text(buffer_view(&out), VIEW("(b)")), out.len);
	buffer_done(&out);
}

static const struct report_recipient recipients[] = {
	{ .address = { "bob@b.example", 13 },
	  .original = { "ann@a.example", 13 },
	  .status = { "5.1.1", 5 },
	  .remote_mta = { "mx.b.example", 12 },
	  .diagnostic = { "550 5.1.1 no \x1b[2J\r\n--=_report_new--\r\nuser", 41 },
	  .last_attempt_unix_ms = 1057049557000 },
	{ .address = { "\xc3\xa9@b.example", 12 },
	  .status = { "4.4.7", 5 },
	  .diagnostic = { "no answer from \xc3\xa9", 17 } },
};

static struct report sample_report(enum report_action action)
{
	return (struct report){
		.action = action,
		.hostname = VIEW("mail.example.org"),
		.from = VIEW("postmaster@example.org"),
		.to = VIEW("carol@c.example"),
		.unique = VIEW("new"),
		.queue_id = VIEW("old"),
		.original = VIEW("Subject: x\r\nTo: y\r\n\r\nsecret body\r\n"),
		.unix_ms = JULY_2003_MS,
		.arrival_unix_ms = JULY_2003_MS,
		.retry_until_unix_ms = JULY_2003_MS + 86400000,
		.recipients = recipients,
		.recipient_count = COUNT_OF(recipients),
	};
}

static void assert_holds(const struct buffer *text, const char *part, bool expected)
{
	struct view all = buffer_view(text);

	if ((view_find_text(all, view_from_text(part)) != all.len) != expected) {
		fail_msg("%s \"%s\" in:\n%.*s", expected ? "no" : "found", part, VIEW_ARG(all));
	}
}

static void report_has_its_three_parts(void **state)
{
	static const char *const parts[] = {
		"\r\nTo: <carol@c.example>\r\n",
		"\r\nAuto-Submitted: auto-replied\r\n",
		"boundary=\"=_report_new\"\r\n\r\n--=_report_new\r\nContent-Type: text/plain",
		"\r\n<bob@b.example>,\r\nwhich you wrote to as <ann@a.example>:\r\n    "
		"mx.b.example said:\r\n    ",
		"--=_report_new\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: "
		"dns; "
		"mail.example.org\r\n",
		"\r\n\r\nOriginal-Recipient: rfc822; ann@a.example\r\n"
		"Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Remote-MTA: dns; mx.b.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no ",
		"\r\n\r\nFinal-Recipient: utf-8; \\x{E9}@b.example\r\n",
		"Diagnostic-Code: x-packetboat; no answer from ??\r\n",
		"--=_report_new\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\nTo: "
		"y\r\n",
		"\r\n--=_report_new--\r\n",
	};
	struct buffer out = buffer_with_max(1 << 20);
	struct report report = sample_report(REPORT_FAILED);

	(void)state;
	report_add(&out, &report);
	assert_int_equal(buffer_error(&out), OK);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		assert_holds(&out, parts[i], true);
	}
	assert_holds(&out, "secret body", false);
	assert_int_equal(header_facts_of(buffer_view(&out)).fault, HEADER_OK);
	buffer_done(&out);
}

static void a11_remote_text_stays_text(void **state)
{
	struct buffer out = buffer_with_max(1 << 20);
	struct report report = sample_report(REPORT_FAILED);
	struct report_recipient recipient = recipients[0], many[2];
	char long_text[5000], utf8[1000];
	struct view rest, line;

	(void)state;
	memset(long_text, '\x80', sizeof long_text);
	for (size_t i = 0; i < sizeof utf8; i += 2) {
		utf8[i] = '\xc3';
		utf8[i + 1] = '\xa9';
	}
	recipient.address = view_of(utf8, sizeof utf8);
	recipient.original = view_of(long_text, sizeof long_text);
	recipient.diagnostic = view_of(long_text, sizeof long_text);
	recipient.remote_mta = view_of(long_text, sizeof long_text);
	report.recipient_count = 2;
	many[0] = many[1] = recipient;
	many[1].remote_mta = VIEW("evil\r\nAction: delivered");
	report.recipients = many;
	report_add(&out, &report);
	assert_holds(&out, "\r\nAction: delivered", false);
	rest = buffer_view(&out);
	while (view_next_part(&rest, '\n', &line)) {
		assert_true(line.len && line.len <= 999 && line.data[line.len - 1] == '\r');
		assert_int_equal(view_find(line, '\r'), line.len - 1);
	}
	buffer_clear(&out);
	report = sample_report(REPORT_FAILED);
	report_add(&out, &report);
	assert_holds(&out, "\x1b", false);
	assert_holds(&out, "\r\n--=_report_new--\r\nuser", false);
	buffer_done(&out);
}

static void delay_warning_says_until_when(void **state)
{
	struct buffer out = buffer_with_max(1 << 20);
	struct report report = sample_report(REPORT_DELAYED);

	(void)state;
	report_add(&out, &report);
	assert_holds(&out, "Subject: Your message is delayed\r\n", true);
	assert_holds(&out, "Action: delayed\r\n", true);
	assert_holds(&out, "Will-Retry-Until: Wed, 2 Jul 2003 08:52:37 +0000\r\n", true);
	buffer_done(&out);
}

static void header_is_quoted_as_far_as_it_may_be(void **state)
{
	struct buffer out = buffer_with_max(1 << 20);
	struct report report = sample_report(REPORT_FAILED);

	(void)state;
	report.original = VIEW("Subject: \xc3\xa9\r\nno field\r\n");
	report_add(&out, &report);
	assert_holds(&out, "Content-Type: message/global-headers\r\n", true);
	assert_holds(&out, "no field", false);
	buffer_clear(&out);
	report.original = VIEW("A: b\r\nC: d\0e\r\n");
	report_add(&out, &report);
	assert_holds(&out, "\r\n\r\nA: b\r\n\r\n--", true);
	assert_int_equal(view_find(buffer_view(&out), '\0'), out.len);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(date_is_written_and_read_back),
		cmocka_unit_test(obsolete_dates_are_read),
		cmocka_unit_test(received_says_how_the_message_came),
		cmocka_unit_test(protocol_keyword_follows_from_the_session),
		cmocka_unit_test(a13_peers_cannot_add_lines_or_comments),
		cmocka_unit_test(report_has_its_three_parts),
		cmocka_unit_test(a11_remote_text_stays_text),
		cmocka_unit_test(delay_warning_says_until_when),
		cmocka_unit_test(header_is_quoted_as_far_as_it_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
