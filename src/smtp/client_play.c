#include "smtp/client_play.h"

#include <string.h>

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

void assert_play(struct play play, const char *events, const char *last)
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

struct play play_of(struct smtp_client_transaction *transactions, size_t count)
{
	return (struct play){ .settings = smtp_client_settings_default(VIEW("me.example")),
			      .transactions = transactions,
			      .transaction_count = count,
			      .body = "A: b\r\n\r\n.c\r\n" };
}
