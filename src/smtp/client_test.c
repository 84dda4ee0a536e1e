#include "smtp/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

// What the client must have sent since the turn before, and what the server then says. The text
// "(tls)" as wanted stands for the handshake, "(lost)" as reply for a broken connection, "(late)"
// for silence until the deadline.
struct turn {
	const char *wanted, *reply;
};

struct play {
	struct smtp_client_settings settings;
	struct smtp_client_transaction *transactions;
	size_t transaction_count;
	const char *body;
	const struct turn *turns;
	size_t turn_count;
	bool verified;
	size_t chunk;       // bytes of input and body at once
	size_t chunk_least; // smallest to play with
};

struct stage {
	const struct play *play;
	struct smtp_client client;
	struct buffer input, sent, events;
	size_t turn, next_transaction, body_at;
	struct view reply; // what is yet to come of the server's turn
	uint64_t now_ms;
};

static const char *outcome_name(enum smtp_outcome_kind kind)
{
	static const char *const names[] = { "accepted", "temporary", "permanent", "lost" };

	return names[kind];
}

static void record(struct stage *s, const struct smtp_client_event *event)
{
	struct buffer *log = &s->events;

	switch (event->kind) {
	case SMTP_CLIENT_EVENT_READY: buffer_add_text(log, "ready\n"); break;
	case SMTP_CLIENT_EVENT_NEXT: break;
	case SMTP_CLIENT_EVENT_DONE:
		buffer_printf(log, "done %d\n", (int)(event->transaction - s->play->transactions));
		break;
	case SMTP_CLIENT_EVENT_OUTCOME:
		buffer_printf(log, "%d.%d %s %d %d.%d.%d%s %s\n",
			      (int)(event->transaction - s->play->transactions),
			      (int)event->recipient, outcome_name(event->outcome->kind),
			      event->outcome->code, event->outcome->status.class,
			      event->outcome->status.subject, event->outcome->status.detail,
			      event->outcome->body_sent ? " sent" : "", event->outcome->text);
		break;
	case SMTP_CLIENT_EVENT_FAILED:
		buffer_printf(log, "failed: %s (%s %d %s)\n",
			      smtp_client_failure_text(event->failure),
			      outcome_name(event->outcome->kind), event->outcome->code,
			      event->outcome->text);
		break;
	}
	while (smtp_client_can_send(&s->client) &&
	       s->next_transaction < s->play->transaction_count) {
		smtp_client_send(&s->client, &s->play->transactions[s->next_transaction++],
				 s->now_ms);
	}
	if (event->kind == SMTP_CLIENT_EVENT_DONE && !s->client.current &&
	    s->next_transaction == s->play->transaction_count) {
		smtp_client_quit(&s->client, s->now_ms);
	}
}

static void give_body(struct stage *s)
{
	struct view rest = view_from(view_from_text(s->play->body), s->body_at);

	if (rest.len == 0) {
		s->body_at = 0;
		smtp_client_body_end(&s->client, s->now_ms);
		return;
	}
	rest = view_first(rest, s->play->chunk);
	smtp_client_body(&s->client, rest, s->now_ms);
	s->body_at += rest.len;
}

static void take_output(struct stage *s)
{
	buffer_add(&s->sent, buffer_view(&s->client.output));
	smtp_client_output_sent(&s->client, s->client.output.len);
}

static void begin_turn(struct stage *s)
{
	const struct turn *turn = &s->play->turns[s->turn];

	if (s->turn == s->play->turn_count) {
		fail_msg("nothing left to say after: %s%s", buffer_text(&s->events),
			 buffer_text(&s->sent));
	}
	assert_view(buffer_view(&s->sent), turn->wanted);
	buffer_clear(&s->sent);
	s->turn++;
	if (strcmp(turn->reply, "(lost)") == 0) {
		smtp_client_lost(&s->client);
	} else if (strcmp(turn->reply, "(late)") == 0) {
		s->now_ms = smtp_client_deadline_ms(&s->client);
	} else {
		s->reply = view_from_text(turn->reply);
	}
}

static void give_input(struct stage *s)
{
	take_output(s);
	if (s->reply.len == 0) {
		begin_turn(s);
	}
	buffer_add(&s->input, view_first(s->reply, s->play->chunk));
	s->reply = view_from(s->reply, s->play->chunk);
}

static void handshake(struct stage *s)
{
	take_output(s);
	assert_int_equal(s->sent.len, 0);
	s->turn++;
	assert_string_equal(s->play->turns[s->turn - 1].wanted, "(tls)");
	smtp_client_tls_started(&s->client, s->play->verified, s->now_ms);
}

static void perform(struct stage *s)
{
	for (unsigned i = 0; i < 100000; i++) {
		struct view input = buffer_view(&s->input);
		struct smtp_client_event event = { 0 };
		enum smtp_client_step step =
			smtp_client_step(&s->client, &input, s->now_ms, &event);

		buffer_consume(&s->input, s->input.len - input.len);
		switch (step) {
		case SMTP_CLIENT_STEP_EVENT: record(s, &event); break;
		case SMTP_CLIENT_STEP_BODY: give_body(s); break;
		case SMTP_CLIENT_STEP_INPUT: give_input(s); break;
		case SMTP_CLIENT_STEP_TLS: handshake(s); break;
		case SMTP_CLIENT_STEP_CLOSE: take_output(s); return;
		}
	}
	fail_msg("no end after: %s", buffer_text(&s->events));
}

static void forget_progress(struct smtp_client_transaction *t)
{
	*t = (struct smtp_client_transaction){
		.reverse_path = t->reverse_path,
		.recipients = t->recipients,
		.recipient_count = t->recipient_count,
		.edits = t->edits,
		.size_bytes = t->size_bytes,
		.eight_bit = t->eight_bit,
		.smtputf8 = t->smtputf8,
	};
	for (size_t i = 0; i < t->recipient_count; i++) {
		t->recipients[i].state = 0;
	}
}

// Plays the dialogue with the input cut in every way; the events must be these, and the last words
// of the client last.
static void assert_play(struct play play, const char *events, const char *last)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 64, 100000 };

	for (size_t i = 0; i < COUNT_OF(chunks); i++) {
		struct stage stage = { .play = &play,
				       .input = buffer_with_max(1 << 20),
				       .sent = buffer_with_max(1 << 20),
				       .events = buffer_with_max(1 << 20) };

		play.chunk = chunks[i];
		if (play.chunk < play.chunk_least) {
			continue;
		}
		for (size_t k = 0; k < play.transaction_count; k++) {
			forget_progress(&play.transactions[k]);
		}
		smtp_client_init(&stage.client, &play.settings, 0);
		perform(&stage);
		assert_string_equal(buffer_text(&stage.events), events);
		assert_view(buffer_view(&stage.sent), last);
		assert_int_equal(stage.turn, play.turn_count);
		smtp_client_done(&stage.client);
		buffer_done(&stage.input);
		buffer_done(&stage.sent);
		buffer_done(&stage.events);
	}
}

#define TURNS(...) \
	.turns = (const struct turn[]){ __VA_ARGS__ }, \
	.turn_count = COUNT_OF(((const struct turn[]){ __VA_ARGS__ }))
#define MESSAGE(...) \
	(struct smtp_client_transaction) \
	{ \
		.reverse_path = VIEW("a@x.example"), .size_bytes = 11, __VA_ARGS__ \
	}
#define TO(...) \
	.recipients = (struct smtp_client_recipient[]){ __VA_ARGS__ }, \
	.recipient_count = COUNT_OF(((struct smtp_client_recipient[]){ __VA_ARGS__ }))

static const char BODY[] = "A: b\r\n\r\n.c\r\n";
#define SENT_BODY "A: b\r\n\r\n..c\r\n.\r\n"
#define FULL "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
#define RCPT_B "RCPT TO:<b@y.example>\r\n"
#define RCPT_C "RCPT TO:<c@y.example>\r\n"

static struct play play_of(struct smtp_client_transaction *transactions, size_t count)
{
	return (struct play){ .settings = smtp_client_settings_default(VIEW("me.example")),
			      .transactions = transactions,
			      .transaction_count = count,
			      .body = BODY };
}

#define PLAY(transactions_, events_, last_, ...) \
	do { \
		struct play play__ = play_of(transactions_, COUNT_OF(transactions_)); \
		struct play turns__ = { TURNS(__VA_ARGS__) }; \
		play__.turns = turns__.turns; \
		play__.turn_count = turns__.turn_count; \
		assert_play(play__, events_, last_); \
	} while (0)

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
			bool sent = at == 5 && ends[end].reply[0] != '4';

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

// The peer reads nothing and answers nothing: what waits for it stays bounded, then time is up.
static void output_stops_at_its_maximum(void **state)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct smtp_client_recipient recipients[1000];
	struct smtp_client_transaction mail = { .recipients = recipients,
						.recipient_count = COUNT_OF(recipients) };
	struct view input = VIEW("220\r\n250-m\r\n250 PIPELINING\r\n");
	struct smtp_client_event event;
	struct smtp_client client;

	(void)state;
	settings.output_bytes_max = 1000;
	for (size_t i = 0; i < COUNT_OF(recipients); i++) {
		recipients[i] = (struct smtp_client_recipient){ .address = VIEW("b@y.example") };
	}
	smtp_client_init(&client, &settings, 0);
	assert_int_equal(smtp_client_step(&client, &input, 0, &event), SMTP_CLIENT_STEP_EVENT);
	smtp_client_send(&client, &mail, 0);
	assert_int_equal(smtp_client_step(&client, &input, 0, &event), SMTP_CLIENT_STEP_INPUT);
	assert_in_range(client.output.len, 1000, 1100);
	assert_int_equal(smtp_client_deadline_ms(&client), settings.times.command_ms);
	assert_int_equal(smtp_client_step(&client, &input, settings.times.command_ms, &event),
			 SMTP_CLIENT_STEP_EVENT);
	assert_int_equal(event.outcome->kind, SMTP_OUTCOME_LOST);
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
		cmocka_unit_test(early_refusal_stops_the_body),
		cmocka_unit_test(output_stops_at_its_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
