#include <stdio.h>
#include <string.h>

#include "smtp/client_play.h"

static void envelope_goes_in_one_group(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(
		TO({ VIEW("b@y.example") }, { VIEW("c@y.example") })) };

	(void)state;
	PLAY(mail,
	     "ready\n0.0 accepted 250 2.0.0 sent queued\n0.1 accepted 250 2.0.0 sent queued\ndone "
	     "0\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B RCPT_C "DATA\r\n",
	       "250 ok\r\n250 ok\r\n251 ok\r\n354 go\r\n" },
	     { SENT_BODY, "250 2.0.0 queued\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
}

static void without_pipelining_each_command_waits(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(
		TO({ VIEW("b@y.example") }, { VIEW("c@y.example") })) };

	(void)state;
	PLAY(mail, "ready\n0.1 permanent 550 5.1.1 no such\n0.0 accepted 250 2.0.0 sent \ndone 0\n",
	     "", { "", "220-hi\r\n220\r\n" }, { "EHLO me.example\r\n", "250 mx.example\r\n" },
	     { "MAIL FROM:<a@x.example>\r\n", "250\r\n" }, { RCPT_B, "250 ok\r\n" },
	     { RCPT_C, "550 5.1.1 no such\r\n" }, { "DATA\r\n", "354\r\n" },
	     { SENT_BODY, "250\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
}

static void next_envelope_travels_behind_the_body(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })),
						  MESSAGE(TO({ VIEW("c@y.example") })) };

	(void)state;
	PLAY(mail,
	     "ready\n0.0 permanent 554 5.7.1 sent spam\ndone 0\n"
	     "1.0 accepted 250 2.0.0 sent ok\ndone 1\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B "DATA\r\n",
	       "250 ok\r\n250 ok\r\n354 go\r\n" },
	     { SENT_BODY "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_C "DATA\r\n",
	       "554 5.7.1 spam\r\n250 ok\r\n250 ok\r\n354 go\r\n" },
	     { SENT_BODY, "250 ok\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
}

static void refused_recipients_are_told_one_by_one(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") },
							     { VIEW("c@y.example") })),
						  MESSAGE(TO({ VIEW("c@y.example") })) };

	(void)state;
	// All refused: a transaction left open is reset before the next.
	PLAY(mail,
	     "ready\n0.0 permanent 550 5.0.0 no\n0.1 temporary 450 4.2.2 full\ndone 0\n"
	     "1.0 accepted 250 2.0.0 sent ok\ndone 1\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B RCPT_C "DATA\r\n",
	       "250 ok\r\n550 no\r\n450 4.2.2 full\r\n554 no recipients\r\n" },
	     { "RSET\r\nMAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_C "DATA\r\n",
	       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n" },
	     { SENT_BODY, "250 ok\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
	// All refused, and 354 all the same: an empty message ends it.
	mail[0].recipient_count = 1;
	PLAY(mail,
	     "ready\n0.0 permanent 550 5.0.0 no\ndone 0\n1.0 accepted 250 2.0.0 sent ok\ndone 1\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B "DATA\r\n",
	       "250 ok\r\n550 no\r\n354 go\r\n" },
	     { ".\r\n", "554 nothing\r\n" },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_C "DATA\r\n",
	       "250 ok\r\n250 ok\r\n354 go\r\n" },
	     { SENT_BODY, "250 ok\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
}

static void refusal_of_mail_or_data_is_every_recipients(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(
		TO({ VIEW("b@y.example") }, { VIEW("c@y.example") })) };

	(void)state;
	PLAY(mail, "ready\n0.0 temporary 451 4.0.0 later\n0.1 temporary 451 4.0.0 later\ndone 0\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B RCPT_C "DATA\r\n",
	       "451 later\r\n503 x\r\n503 x\r\n503 x\r\n" },
	     { "QUIT\r\n", "221 bye\r\n" });
	PLAY(mail, "ready\n0.0 permanent 550 5.0.0 x\n0.1 permanent 550 5.0.0 x\ndone 0\n", "",
	     { "", "220 hi\r\n" }, { "EHLO me.example\r\n", "250 mx\r\n" },
	     { "MAIL FROM:<a@x.example>\r\n", "550 x\r\n" }, { "QUIT\r\n", "221 bye\r\n" });
	PLAY(mail, "ready\n0.1 permanent 550 5.0.0 no\n0.0 temporary 452 4.3.1 full\ndone 0\n", "",
	     { "", "220 hi\r\n" }, { "EHLO me.example\r\n", FULL },
	     { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B RCPT_C "DATA\r\n",
	       "250 ok\r\n250 ok\r\n550 no\r\n452 4.3.1 full\r\n" },
	     { "QUIT\r\n", "221 bye\r\n" });
}

// A peer that lacks one extension after the other.
static void missing_extensions_change_what_is_sent(void **state)
{
	static const struct {
		const char *ehlo, *mail;
	} cases[] = {
		{ FULL, "MAIL FROM:<a@x.example> SIZE=11 BODY=8BITMIME SMTPUTF8\r\n" },
		{ "250-m\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
		  "MAIL FROM:<a@x.example> BODY=8BITMIME SMTPUTF8\r\n" },
		{ "250-m\r\n250-PIPELINING\r\n250-SIZE\r\n250 SMTPUTF8\r\n",
		  "MAIL FROM:<a@x.example> SIZE=11 SMTPUTF8\r\n" },
	};
	struct smtp_client_transaction mail[] = { MESSAGE(
		TO({ VIEW("\xc3\xa9@y.example") }, { VIEW("b@y.example") }), .eight_bit = true) };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char group[200];

		snprintf(group, sizeof group, "%sRCPT TO:<\xc3\xa9@y.example>\r\n%sDATA\r\n",
			 cases[i].mail, RCPT_B);
		PLAY(mail,
		     "ready\n0.0 accepted 250 2.0.0 sent \n0.1 accepted 250 2.0.0 sent \ndone 0\n",
		     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", cases[i].ehlo },
		     { group, "250\r\n250\r\n250\r\n354\r\n" }, { SENT_BODY, "250\r\n" },
		     { "QUIT\r\n", "221\r\n" });
	}
	PLAY(mail,
	     "ready\n0.0 permanent 0 5.6.7 the server does not support addresses in UTF-8 "
	     "(SMTPUTF8)\n"
	     "0.1 accepted 250 2.0.0 sent \ndone 0\n",
	     "", { "", "220 hi\r\n" }, { "EHLO me.example\r\n", "250-m\r\n250 PIPELINING\r\n" },
	     { "MAIL FROM:<a@x.example>\r\n" RCPT_B "DATA\r\n", "250\r\n250\r\n354\r\n" },
	     { SENT_BODY, "250\r\n" }, { "QUIT\r\n", "221\r\n" });
}

static void what_the_peer_cannot_take_is_not_tried(void **state)
{
	struct smtp_client_transaction mail[] = {
		MESSAGE(TO({ VIEW("b@y.example") })),
		MESSAGE(TO({ VIEW("b@y.example") }), .smtputf8 = true),
		MESSAGE(TO({ VIEW("b@y.example\r\nRCPT TO:<x>") })),
	};

	(void)state;
	mail[0].size_bytes = 1001;
	PLAY(mail,
	     "ready\n0.0 permanent 0 5.3.4 message bigger than the server takes\ndone 0\n"
	     "1.0 permanent 0 5.6.7 the server does not support addresses in UTF-8 (SMTPUTF8)\n"
	     "done 1\n2.0 permanent 0 5.1.3 malformed address\ndone 2\n",
	     "", { "", "220 hi\r\n" },
	     { "EHLO me.example\r\n", "250-m\r\n250-PIPELINING\r\n250 SIZE 1000\r\n" },
	     { "QUIT\r\n", "221\r\n" });
}

static void helo_is_the_fallback(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })) };

	(void)state;
	PLAY(mail, "ready\n0.0 accepted 250 2.0.0 sent ok\ndone 0\n", "", { "", "220 hi\r\n" },
	     { "EHLO me.example\r\n", "502 what\r\n" },
	     { "HELO me.example\r\n", "250-m\r\n250 PIPELINING\r\n" },
	     { "MAIL FROM:<a@x.example>\r\n", "250 ok\r\n" }, { RCPT_B, "250 ok\r\n" },
	     { "DATA\r\n", "354 go\r\n" }, { SENT_BODY, "250 ok\r\n" },
	     { "QUIT\r\n", "221 bye\r\n" });
}

static void refused_sessions_say_goodbye(void **state)
{
	static const struct {
		const char *banner, *events;
	} cases[] = {
		{ "554 5.7.1 go away\r\n",
		  "failed: the server refused the session (permanent 554 go away)\n" },
		{ "450 busy\r\n", "failed: the server refused the session (temporary 450 busy)\n" },
	};
	struct play play = play_of(NULL, 0);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct turn turn = { "", cases[i].banner };

		play.turns = &turn;
		play.turn_count = 1;
		assert_play(play, cases[i].events, "QUIT\r\n");
	}
}

static void lost_421_or_silence_leave_nobody_untold(void **state)
{
	static const struct {
		const char *reply, *outcome, *failure;
	} ends[] = {
		{ "(lost)", "lost 0 4.4.2%s the connection was lost",
		  "the connection was lost (lost 0 the connection was lost)" },
		{ "(late)", "lost 0 4.4.2%s the server did not answer in time",
		  "the server did not answer in time (temporary 0 the server did not answer in "
		  "time)" },
		{ "421 4.3.2 stop\r\n", "temporary 421 4.3.2%s stop",
		  "the server is closing the connection (temporary 421 stop)" },
		{ "999 x\r\n", "lost 0 4.4.2%s the server broke the protocol",
		  "the server broke the protocol (temporary 0 the server broke the protocol)" },
	};
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })) };
	const struct turn all[] = { { "", "220 hi\r\n" },
				    { "EHLO me.example\r\n", "250 m\r\n" },
				    { "MAIL FROM:<a@x.example>\r\n", "250 ok\r\n" },
				    { RCPT_B, "250 ok\r\n" },
				    { "DATA\r\n", "354 go\r\n" },
				    { SENT_BODY, "250 ok\r\n" } };

	(void)state;
	for (size_t end = 0; end < COUNT_OF(ends); end++) {
		for (size_t at = 0; at < COUNT_OF(all); at++) {
			struct play play = play_of(mail, 1);
			struct turn turns[COUNT_OF(all)];
			char events[400], outcome[200];
			bool sent = at == 5; // the body was, whatever came after it

			memcpy(turns, all, sizeof turns);
			turns[at].reply = ends[end].reply;
			play.turns = turns;
			play.turn_count = at + 1;
			snprintf(outcome, sizeof outcome, "%.*s%s%s",
				 (int)(strchr(ends[end].outcome, '%') - ends[end].outcome),
				 ends[end].outcome, sent ? " sent" : "",
				 strchr(ends[end].outcome, '%') + 2);
			snprintf(events, sizeof events, "%s%s%s%sfailed: %s\n",
				 at >= 2 ? "ready\n0.0 " : "", at >= 2 ? outcome : "",
				 at >= 2 ? "\n" : "", at >= 2 ? "done 0\n" : "", ends[end].failure);
			assert_play(play, events, "");
		}
	}
}

static void end_of_quit_is_no_failure(void **state)
{
	static const char *const ends[] = { "221 bye\r\n", "(lost)", "(late)", "x\r\n",
					    "421 x\r\n" };
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })) };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		PLAY(mail, "ready\n0.0 permanent 550 5.0.0 no\ndone 0\n", "", { "", "220 hi\r\n" },
		     { "EHLO me.example\r\n", "250 m\r\n" },
		     { "MAIL FROM:<a@x.example>\r\n", "550 no\r\n" }, { "QUIT\r\n", ends[i] });
	}
}

static void early_refusal_stops_the_body(void **state)
{
	struct smtp_client_transaction mail[] = { MESSAGE(TO({ VIEW("b@y.example") })) };
	const struct turn turns[] = { { "", "220 hi\r\n" },
				      { "EHLO me.example\r\n", FULL },
				      { "MAIL FROM:<a@x.example> SIZE=11\r\n" RCPT_B "DATA\r\n",
					"250 ok\r\n250 ok\r\n354 go\r\n552 too big\r\n" } };
	struct play play = play_of(mail, 1);

	(void)state;
	play.turns = turns;
	play.turn_count = COUNT_OF(turns);
	play.chunk_least = 100; // so that the refusal is there before the body
	assert_play(play,
		    "ready\n0.0 permanent 552 5.0.0 too big\ndone 0\n"
		    "failed: the server is closing the connection (permanent 552 too big)\n",
		    "");
}

// Takes what there is to send but for the last bytes, which wait for the socket.
static void send_all_but(struct smtp_client *client, size_t left)
{
	assert_true(client->output.len >= left);
	smtp_client_output_sent(client, client->output.len - left);
}

static enum smtp_client_step hear(struct smtp_client *client, const char *text,
				  struct smtp_client_event *event)
{
	struct view input = view_from_text(text);

	return smtp_client_step(client, &input, 0, event);
}

// A client that has said hello, and one message to b and c: it waits for the first reply.
static void stand(struct smtp_client *client, const struct smtp_client_settings *settings,
		  struct smtp_client_transaction *mail)
{
	struct smtp_client_event event;

	smtp_client_init(client, settings, 0);
	assert_int_equal(hear(client, "220 hi\r\n", &event), SMTP_CLIENT_STEP_INPUT);
	send_all_but(client, 0);
	assert_int_equal(hear(client, "250-m\r\n250 PIPELINING\r\n", &event),
			 SMTP_CLIENT_STEP_EVENT);
	smtp_client_send(client, mail, 0);
	assert_int_equal(hear(client, "", &event), SMTP_CLIENT_STEP_INPUT);
}

static void assert_broken(struct smtp_client *client, const char *reply)
{
	struct smtp_client_event event;

	for (const char *text = reply; client->state != SMTP_CLIENT_STATE_CLOSED; text = "") {
		assert_int_equal(hear(client, text, &event), SMTP_CLIENT_STEP_EVENT);
		if (event.kind == SMTP_CLIENT_EVENT_OUTCOME) {
			assert_int_equal(event.outcome->kind, SMTP_OUTCOME_LOST);
		}
	}
	assert_int_equal(event.failure, SMTP_CLIENT_BAD_REPLY);
	assert_int_equal(client->output.len, 0); // not even QUIT
	smtp_client_done(client);
}

static void a6_success_before_the_body_has_left_is_none(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_event event;

	(void)state;
	for (size_t left = 0; left < sizeof SENT_BODY - 1; left++) {
		struct smtp_client_transaction mail =
			MESSAGE(TO({ VIEW("b@y.example") }, { VIEW("c@y.example") }));
		struct smtp_client client;

		stand(&client, &settings, &mail);
		send_all_but(&client, 0);
		assert_int_equal(hear(&client, "250\r\n250\r\n250\r\n354\r\n", &event),
				 SMTP_CLIENT_STEP_BODY);
		smtp_client_body(&client, VIEW("A: b\r\n\r\n.c\r\n"), 0);
		smtp_client_body_end(&client, 0);
		assert_int_equal(hear(&client, "", &event), SMTP_CLIENT_STEP_EVENT); // NEXT
		send_all_but(&client, left);
		if (left) {
			assert_broken(&client, "250 queued\r\n");
			continue;
		}
		assert_int_equal(hear(&client, "250 queued\r\n", &event), SMTP_CLIENT_STEP_EVENT);
		assert_int_equal(event.outcome->kind, SMTP_OUTCOME_ACCEPTED);
		smtp_client_done(&client);
	}
}

// It need not wait for the end to say no.
static void refusal_before_the_body_has_left_stands(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_transaction mail = MESSAGE(TO({ VIEW("b@y.example") }));
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	stand(&client, &settings, &mail);
	send_all_but(&client, 0);
	assert_int_equal(hear(&client, "250\r\n250\r\n354\r\n", &event), SMTP_CLIENT_STEP_BODY);
	smtp_client_body(&client, VIEW("A: b\r\n"), 0);
	smtp_client_body_end(&client, 0);
	send_all_but(&client, 3);
	do {
		assert_int_equal(hear(&client, "552 too big\r\n", &event), SMTP_CLIENT_STEP_EVENT);
	} while (event.kind != SMTP_CLIENT_EVENT_OUTCOME);
	assert_int_equal(event.outcome->kind, SMTP_OUTCOME_PERMANENT);
	assert_int_equal(event.outcome->code, 552);
	smtp_client_done(&client);
}

// Commands in one group are answered one by one, but none before it was sent.
static void a6_replies_before_their_commands_are_a_breach(void **state)
{
	static const char group[] = "MAIL FROM:<a@x.example>\r\n" RCPT_B RCPT_C "DATA\r\n";
	static const struct {
		const char *reply;
		size_t sent; // of the group
	} cases[] = {
		{ "250\r\n", 0 },
		{ "550\r\n", 0 },
		{ "250\r\n", sizeof "MAIL FROM:<a@x.example>\r" - 1 },
		{ "250\r\n250\r\n", sizeof "MAIL FROM:<a@x.example>\r\n" + 3 },
		{ "250\r\n250\r\n550\r\n", sizeof "MAIL FROM:<a@x.example>\r\n" RCPT_B + 5 },
		{ "250\r\n250\r\n250\r\n354\r\n", sizeof group - 2 },
		{ "250\r\n250\r\n250\r\n354\r\n250\r\n", sizeof group - 1 },
	};
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct smtp_client_transaction mail =
			MESSAGE(TO({ VIEW("b@y.example") }, { VIEW("c@y.example") }));
		struct smtp_client client;

		stand(&client, &settings, &mail);
		assert_view(buffer_view(&client.output), group);
		send_all_but(&client, sizeof group - 1 - cases[i].sent);
		assert_broken(&client, cases[i].reply);
	}
}

static void a6_what_comes_unasked_before_the_session_stands_ends_it(void **state)
{
	static const struct {
		const char *before, *unasked; // from right behind what the client has heard
	} cases[] = {
		{ "", "220 hi\r\n250 m\r\n" },
		{ "", "220 hi\r\n550 m\r\n" },
		{ "220 hi\r\n", "250-m\r\n250 STARTTLS\r\n220 go\r\n" },
	};
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct smtp_client_event event;
		struct smtp_client client;

		smtp_client_init(&client, &settings, 0);
		assert_int_equal(hear(&client, cases[i].before, &event), SMTP_CLIENT_STEP_INPUT);
		smtp_client_output_sent(&client, client.output.len);
		assert_broken(&client, cases[i].unasked);
	}
}

// Its first line was there before the command.
static void a6_a_reply_that_began_too_early_is_no_reply(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	smtp_client_init(&client, &settings, 0);
	assert_int_equal(hear(&client, "220 hi\r\n250-m\r\n", &event), SMTP_CLIENT_STEP_INPUT);
	smtp_client_output_sent(&client, client.output.len);
	assert_broken(&client, "250 PIPELINING\r\n");
}

// The peer reads nothing and answers nothing: what waits for it stays bounded, then time is up.
static void output_stops_at_its_maximum(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_recipient recipients[1000];
	struct smtp_client_transaction mail = { .recipients = recipients,
						.recipient_count = COUNT_OF(recipients) };
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	settings.output_bytes_max = 1000;
	for (size_t i = 0; i < COUNT_OF(recipients); i++) {
		recipients[i] = (struct smtp_client_recipient){ .address = VIEW("b@y.example") };
	}
	stand(&client, &settings, &mail);
	assert_in_range(client.output.len, 1000, 1100);
	assert_int_equal(smtp_client_deadline_ms(&client), settings.times.command_ms);
	assert_int_equal(
		smtp_client_step(&client, &(struct view){ 0 }, settings.times.command_ms, &event),
		SMTP_CLIENT_STEP_EVENT);
	assert_int_equal(event.outcome->kind, SMTP_OUTCOME_LOST);
	smtp_client_done(&client);
}

// ---- peers that are never quite late

enum { MINUTE_MS = 60 * 1000 };

static void assert_fails_at(struct smtp_client *client, uint64_t now_ms,
			    enum smtp_client_failure failure)
{
	struct view nothing = { 0 };
	struct smtp_client_event event = { .kind = SMTP_CLIENT_EVENT_READY };

	assert_int_equal(smtp_client_deadline_ms(client), now_ms);
	assert_int_equal(smtp_client_step(client, &nothing, now_ms - 1, &event),
			 SMTP_CLIENT_STEP_INPUT);
	while (event.kind != SMTP_CLIENT_EVENT_FAILED) {
		assert_int_equal(smtp_client_step(client, &nothing, now_ms, &event),
				 SMTP_CLIENT_STEP_EVENT);
	}
	assert_int_equal(event.failure, failure);
}

static enum smtp_client_step say(struct smtp_client *client, const char *text, uint64_t now_ms)
{
	struct view input = view_from_text(text);
	struct smtp_client_event event;

	smtp_client_output_sent(client, client->output.len);
	return smtp_client_step(client, &input, now_ms, &event);
}

static void a11_a_reply_has_one_deadline_for_all_its_lines(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client client;

	(void)state;
	smtp_client_init(&client, &settings, 0);
	assert_int_equal(say(&client, "220 hi\r\n", 0), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(say(&client, "250-m\r\n", 4 * MINUTE_MS), SMTP_CLIENT_STEP_INPUT);
	assert_fails_at(&client, 5 * MINUTE_MS, SMTP_CLIENT_TIMEOUT);
	smtp_client_done(&client);
}

static void a25_a_session_must_stand_in_time(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client client;

	(void)state;
	settings.times.session_ms = 9 * MINUTE_MS;
	smtp_client_init(&client, &settings, 0);
	assert_int_equal(say(&client, "220 hi\r\n", 4 * MINUTE_MS), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(say(&client, "250-m\r\n250 STARTTLS\r\n", 8 * MINUTE_MS),
			 SMTP_CLIENT_STEP_INPUT);
	assert_fails_at(&client, 9 * MINUTE_MS, SMTP_CLIENT_TOO_SLOW);
	smtp_client_done(&client);
}

// Each reply and each block of the body is in time; the whole is not.
static void a25_a_transaction_has_the_time_that_its_size_takes(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_transaction mail = MESSAGE(TO({ VIEW("b@y.example") }));
	uint64_t began_ms = 10 * MINUTE_MS, now_ms = began_ms, end_ms = began_ms + 12 * MINUTE_MS;
	struct smtp_client client;

	(void)state;
	settings.times.transaction_ms = 10 * MINUTE_MS;
	mail.size_bytes = 120ull * settings.times.rate_bytes_per_second_min; // two minutes
	smtp_client_init(&client, &settings, began_ms);
	assert_int_equal(say(&client, "220 hi\r\n", began_ms), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(say(&client, "250-m\r\n250 PIPELINING\r\n", began_ms),
			 SMTP_CLIENT_STEP_EVENT);
	smtp_client_send(&client, &mail, began_ms);
	assert_int_equal(say(&client, "", began_ms), SMTP_CLIENT_STEP_INPUT);
	now_ms += 4 * MINUTE_MS;
	assert_int_equal(say(&client, "250 ok\r\n250 ok\r\n", now_ms), SMTP_CLIENT_STEP_INPUT);
	assert_int_equal(say(&client, "354 go\r\n", now_ms), SMTP_CLIENT_STEP_BODY);
	for (; now_ms + 3 * MINUTE_MS < end_ms; now_ms += 2 * MINUTE_MS) {
		smtp_client_body(&client, VIEW("A: b\r\n"), now_ms);
	}
	smtp_client_body_end(&client, now_ms);
	assert_int_equal(say(&client, "", now_ms), SMTP_CLIENT_STEP_EVENT); // NEXT
	assert_fails_at(&client, end_ms, SMTP_CLIENT_TOO_SLOW);
	smtp_client_done(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelope_goes_in_one_group),
		cmocka_unit_test(without_pipelining_each_command_waits),
		cmocka_unit_test(next_envelope_travels_behind_the_body),
		cmocka_unit_test(refused_recipients_are_told_one_by_one),
		cmocka_unit_test(refusal_of_mail_or_data_is_every_recipients),
		cmocka_unit_test(missing_extensions_change_what_is_sent),
		cmocka_unit_test(what_the_peer_cannot_take_is_not_tried),
		cmocka_unit_test(helo_is_the_fallback),
		cmocka_unit_test(refused_sessions_say_goodbye),
		cmocka_unit_test(lost_421_or_silence_leave_nobody_untold),
		cmocka_unit_test(end_of_quit_is_no_failure),
		cmocka_unit_test(early_refusal_stops_the_body),
		cmocka_unit_test(a6_success_before_the_body_has_left_is_none),
		cmocka_unit_test(refusal_before_the_body_has_left_stands),
		cmocka_unit_test(a6_replies_before_their_commands_are_a_breach),
		cmocka_unit_test(a6_what_comes_unasked_before_the_session_stands_ends_it),
		cmocka_unit_test(a6_a_reply_that_began_too_early_is_no_reply),
		cmocka_unit_test(output_stops_at_its_maximum),
		cmocka_unit_test(a11_a_reply_has_one_deadline_for_all_its_lines),
		cmocka_unit_test(a25_a_session_must_stand_in_time),
		cmocka_unit_test(a25_a_transaction_has_the_time_that_its_size_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
