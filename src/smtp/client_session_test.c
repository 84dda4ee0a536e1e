// TLS, logins and hostile replies.
#include <stdlib.h>
#include <string.h>

#include "smtp/client_play.h"

#define TLS_EHLO "250-m\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"

static struct play session(enum smtp_client_tls tls, bool login, const struct turn *turns,
			   size_t count)
{
	struct play play = play_of(NULL, 0);

	play.settings.tls = tls;
	if (login) {
		play.settings.username = VIEW("user");
		play.settings.password = VIEW("secret");
	}
	play.verified = true;
	play.turns = turns;
	play.turn_count = count;
	return play;
}

#define SESSION(tls, login, ...) \
	session(tls, login, (const struct turn[]){ __VA_ARGS__ }, \
		COUNT_OF(((const struct turn[]){ __VA_ARGS__ })))

#define LOST "failed: the connection was lost (lost 0 the connection was lost)\n"

static void tls_is_begun_where_offered(void **state)
{
	(void)state;
	assert_play(SESSION(SMTP_CLIENT_TLS_MAY, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250-m\r\n250 STARTTLS\r\n" },
			    { "STARTTLS\r\n", "220 go\r\n" }, { "(tls)", "" },
			    { "EHLO me.example\r\n", "250 m\r\n" }, { "", "(lost)" }),
		    "ready\n" LOST, "");
	assert_play(SESSION(SMTP_CLIENT_TLS_NEVER, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250-m\r\n250 STARTTLS\r\n" },
			    { "", "(lost)" }),
		    "ready\n" LOST, "");
	assert_play(SESSION(SMTP_CLIENT_TLS_MAY, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250-m\r\n250 STARTTLS\r\n" },
			    { "STARTTLS\r\n", "454 not now\r\n" }, { "", "(lost)" }),
		    "ready\n" LOST, "");
}

static void tls_that_must_be_ends_without_it(void **state)
{
	(void)state;
	assert_play(SESSION(SMTP_CLIENT_TLS_MUST, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250 m\r\n" }),
		    "failed: the server does not do TLS (temporary 0 the server does not do TLS)\n",
		    "QUIT\r\n");
	assert_play(SESSION(SMTP_CLIENT_TLS_MUST, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250-m\r\n250 STARTTLS\r\n" },
			    { "STARTTLS\r\n", "454 4.7.0 not now\r\n" }),
		    "failed: the server does not do TLS (temporary 454 not now)\n", "QUIT\r\n");
}

// Whatever is in the buffer when 220 is read came in clear, and is not to be believed.
static void a6_bytes_behind_220_abort_the_session(void **state)
{
	struct play play = SESSION(SMTP_CLIENT_TLS_MAY, false, { "", "220 hi\r\n" },
				   { "EHLO me.example\r\n", "250-m\r\n250 STARTTLS\r\n" },
				   { "STARTTLS\r\n", "220 go\r\n250-m\r\n250 AUTH PLAIN\r\n" });

	(void)state;
	play.chunk_least = 100;
	assert_play(play,
		    "failed: bytes before the TLS handshake (temporary 0 bytes before the TLS "
		    "handshake)\n",
		    "");
}

static void a6_extensions_are_forgotten_by_tls(void **state)
{
	(void)state;
	assert_play(
		SESSION(SMTP_CLIENT_TLS_MUST, true, { "", "220 hi\r\n" },
			{ "EHLO me.example\r\n", TLS_EHLO }, { "STARTTLS\r\n", "220 go\r\n" },
			{ "(tls)", "" }, { "EHLO me.example\r\n", "250 m\r\n" }),
		"failed: the server offers no login that we know (temporary 0 the server offers "
		"no login that we know)\n",
		"QUIT\r\n");
}

static void login_is_plain_or_login(void **state)
{
	(void)state;
	assert_play(SESSION(SMTP_CLIENT_TLS_MUST, true, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", TLS_EHLO }, { "STARTTLS\r\n", "220 go\r\n" },
			    { "(tls)", "" }, { "EHLO me.example\r\n", TLS_EHLO },
			    { "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n", "235 ok\r\n" }, { "", "(lost)" }),
		    "ready\n" LOST, "");
	assert_play(SESSION(SMTP_CLIENT_TLS_MUST, true, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", TLS_EHLO }, { "STARTTLS\r\n", "220 go\r\n" },
			    { "(tls)", "" },
			    { "EHLO me.example\r\n", "250-m\r\n250 AUTH=LOGIN\r\n" },
			    { "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n" },
			    { "dXNlcg==\r\n", "334 UGFzc3dvcmQ6\r\n" },
			    { "c2VjcmV0\r\n", "535 5.7.8 no\r\n" }),
		    "failed: the server refused the login (permanent 535 no)\n", "QUIT\r\n");
}

static void a36_password_goes_to_a_verified_peer_only(void **state)
{
	static const char failed[] =
		"failed: the server is not verified, no login sent (temporary 0 the server is not "
		"verified, no login sent)\n";
	struct play play =
		SESSION(SMTP_CLIENT_TLS_MUST, true, { "", "220 hi\r\n" },
			{ "EHLO me.example\r\n", TLS_EHLO }, { "STARTTLS\r\n", "220 go\r\n" },
			{ "(tls)", "" }, { "EHLO me.example\r\n", TLS_EHLO });

	(void)state;
	play.verified = false;
	assert_play(play, failed, "QUIT\r\n");
	assert_play(SESSION(SMTP_CLIENT_TLS_MAY, true, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250-m\r\n250 AUTH PLAIN\r\n" }),
		    failed, "QUIT\r\n");
	assert_play(SESSION(SMTP_CLIENT_TLS_NEVER, true, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", TLS_EHLO }),
		    failed, "QUIT\r\n");
}

static enum smtp_client_step hear(struct smtp_client *client, const char *text,
				  struct smtp_client_event *event)
{
	struct view input = view_from_text(text);

	smtp_client_output_sent(client, client->output.len);
	return smtp_client_step(client, &input, 0, event);
}

static void tls_from_the_first_byte_needs_no_starttls(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	settings.tls = SMTP_CLIENT_TLS_IMPLICIT;
	smtp_client_init(&client, &settings, 0);
	smtp_client_tls_started(&client, true, 0);
	assert_int_equal(hear(&client, "220 hi\r\n", &event), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(hear(&client, "250-m\r\n250-STARTTLS\r\n250 PIPELINING\r\n", &event),
			 SMTP_CLIENT_STEP_EVENT);
	assert_int_equal(event.kind, SMTP_CLIENT_EVENT_READY);
	assert_true(client.extensions.pipelining);
	smtp_client_done(&client);
}

static void passwords_do_not_stay_in_memory(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	settings.tls = SMTP_CLIENT_TLS_IMPLICIT;
	settings.username = VIEW("user");
	settings.password = VIEW("secret");
	smtp_client_init(&client, &settings, 0);
	smtp_client_tls_started(&client, true, 0);
	assert_int_equal(hear(&client, "220 hi\r\n", &event), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(hear(&client, "250-m\r\n250 AUTH PLAIN\r\n", &event),
			 SMTP_CLIENT_STEP_INPUT);
	assert_true(client.output.len > 20);
	smtp_client_output_sent(&client, client.output.len);
	assert_null(client.output.data);
	smtp_client_done(&client);
}

static enum smtp_reply_result read_all(const char *text, struct smtp_reply_reader *reader)
{
	struct view input = view_from_text(text);

	*reader = (struct smtp_reply_reader){ 0 };
	return smtp_reply_read(reader, &input);
}

static void reply_has_code_status_and_text(void **state)
{
	static const struct {
		const char *reply, *text;
		struct smtp_status status;
		uint16_t code;
	} cases[] = {
		{ "250 ok\r\n", "ok", { 0, 0, 0 }, 250 },
		{ "250\r\n", "", { 0, 0, 0 }, 250 },
		{ "250 \r\n", "", { 0, 0, 0 }, 250 },
		{ "250 ok\n", "ok", { 0, 0, 0 }, 250 },
		{ "550 5.1.1 no\r\n", "no", { 5, 1, 1 }, 550 },
		{ "550 5.1.1\r\n", "", { 5, 1, 1 }, 550 },
		{ "550-5.1.1 no\r\n550-5.1.1 such\r\n550 user\r\n",
		  "no such user",
		  { 5, 1, 1 },
		  550 },
		{ "550 4.1.1 no\r\n", "4.1.1 no", { 0, 0, 0 }, 550 },
		{ "550 5.1.1.1 no\r\n", "5.1.1.1 no", { 0, 0, 0 }, 550 },
		{ "550 5.1. no\r\n", "5.1. no", { 0, 0, 0 }, 550 },
		{ "550 5..1 no\r\n", "5..1 no", { 0, 0, 0 }, 550 },
		{ "550 5.1234.1 no\r\n", "5.1234.1 no", { 0, 0, 0 }, 550 },
	};
	struct smtp_reply_reader reader;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(read_all(cases[i].reply, &reader), SMTP_REPLY_DONE);
		assert_int_equal(reader.code, cases[i].code);
		assert_view(view_of(reader.text, reader.text_len), cases[i].text);
		assert_memory_equal(&reader.status, &cases[i].status, sizeof reader.status);
	}
}

static void a11_malformed_replies_are_refused(void **state)
{
	static const char *const cases[] = {
		"\r\n",
		"25\r\n",
		"2500 ok\r\n",
		"250_ok\r\n",
		"150 ok\r\n",
		"650 ok\r\n",
		"abc\r\n",
		" 250 ok\r\n",
		"250-a\r\n251 b\r\n",
		"250-a\r\nb\r\n",
		"HTTP/1.1 200 OK\r\n",
	};
	struct smtp_reply_reader reader;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(read_all(cases[i], &reader), SMTP_REPLY_BAD);
	}
}

// count lines of the given length, line ends included; the last one ends the reply.
static char *lines(size_t count, size_t len)
{
	char *text = malloc(count * len + 1);

	assert_non_null(text);
	memset(text, 'x', count * len);
	for (size_t i = 0; i < count; i++) {
		memcpy(text + i * len, i + 1 < count ? "250-" : "250 ", 4);
		memcpy(text + (i + 1) * len - 2, "\r\n", 2);
	}
	text[count * len] = '\0';
	return text;
}

static void a11_replies_are_bounded(void **state)
{
	static const struct {
		size_t count, len;
		enum smtp_reply_result result;
	} cases[] = {
		{ 100, 100, SMTP_REPLY_DONE }, { 101, 100, SMTP_REPLY_LIMIT },
		{ 1, 2048, SMTP_REPLY_DONE },  { 1, 2049, SMTP_REPLY_LIMIT },
		{ 8, 2048, SMTP_REPLY_DONE },  { 9, 2048, SMTP_REPLY_LIMIT },
	};
	struct smtp_reply_reader reader;
	char endless[5000];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char *text = lines(cases[i].count, cases[i].len);

		assert_int_equal(read_all(text, &reader), cases[i].result);
		assert_true(reader.text_len <= SMTP_CLIENT_REPLY_TEXT_MAX);
		free(text);
	}
	memset(endless, '2', sizeof endless - 1);
	endless[sizeof endless - 1] = '\0';
	assert_int_equal(read_all(endless, &reader), SMTP_REPLY_LIMIT);
}

static void a11_odd_extension_lines_are_harmless(void **state)
{
	struct smtp_reply_reader reader;

	(void)state;
	assert_int_equal(
		read_all("250-PIPELINING\r\n250-   \r\n250-\r\n250-size x\r\n250-AUTH\r\n"
			 "250-AUTH=\r\n250-auth  cram-md5  Login\r\n250-8bitmime x\r\n250 \r\n",
			 &reader),
		SMTP_REPLY_DONE);
	assert_false(reader.extensions.pipelining);
	assert_true(reader.extensions.size);
	assert_int_equal(reader.extensions.size_bytes_max, 0);
	assert_int_equal(reader.extensions.mechanisms, SMTP_MECHANISM_LOGIN);
	assert_true(reader.extensions.eight_bit_mime);
}

static void a11_reply_text_is_escaped(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })) };

	(void)state;
	PLAY(mail, "ready\n0.0 permanent 550 5.0.0 a\\x1b[2J\\xff\\\\n\ndone 0\n", "",
	     { "", "220 hi\r\n" }, { "EHLO me.example\r\n", "250 m\r\n" },
	     { "MAIL FROM:<a@x.example>\r\n", "550 a\x1b[2J\xff\\n\r\n" },
	     { "QUIT\r\n", "221 bye\r\n" });
}

static void reply_that_nothing_asked_for_ends_the_session(void **state)
{
	(void)state;
	assert_play(SESSION(SMTP_CLIENT_TLS_MAY, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250 m\r\n" }, { "", "250 what\r\n" }),
		    "ready\nfailed: the server broke the protocol (temporary 250 what)\n", "");
	assert_play(SESSION(SMTP_CLIENT_TLS_MAY, false, { "", "220 hi\r\n" },
			    { "EHLO me.example\r\n", "250 m\r\n" }, { "", "421 idle\r\n" }),
		    "ready\nfailed: the server is closing the connection (temporary 421 idle)\n",
		    "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_is_begun_where_offered),
		cmocka_unit_test(tls_that_must_be_ends_without_it),
		cmocka_unit_test(a6_bytes_behind_220_abort_the_session),
		cmocka_unit_test(a6_extensions_are_forgotten_by_tls),
		cmocka_unit_test(login_is_plain_or_login),
		cmocka_unit_test(a36_password_goes_to_a_verified_peer_only),
		cmocka_unit_test(tls_from_the_first_byte_needs_no_starttls),
		cmocka_unit_test(passwords_do_not_stay_in_memory),
		cmocka_unit_test(reply_has_code_status_and_text),
		cmocka_unit_test(a11_malformed_replies_are_refused),
		cmocka_unit_test(a11_replies_are_bounded),
		cmocka_unit_test(a11_odd_extension_lines_are_harmless),
		cmocka_unit_test(a11_reply_text_is_escaped),
		cmocka_unit_test(reply_that_nothing_asked_for_ends_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
