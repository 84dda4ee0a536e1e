#include "receive/trace.h"

#include "os/clock.h"
#include "receive/transaction_private.h"

enum { EXPANDED_SHOWN = 20, REPLY_BYTES_MAX = 600 };

// ---- parts of steps

static void add_reply(struct trace_steps *steps, const struct smtp_reply *reply)
{
	struct buffer line = buffer_with_max(REPLY_BYTES_MAX);

	smtp_reply_write(&line, reply);
	trace_steps_text(steps, "reply", view_first(buffer_view(&line), line.len - 2)); // CR LF
	buffer_done(&line);
}

static void add_connection(struct session *session, struct trace_steps *steps, uint64_t now_ms)
{
	const struct config_listener *listener = session->listener->config;
	struct buffer ip = buffer_with_max(64);
	struct stream_tls_info tls;

	ip_address_add_text(&ip, &session->peer);
	trace_steps_begin(steps, now_ms, "connection");
	trace_steps_text(steps, "client", buffer_view(&ip));
	trace_steps_text(steps, "listener", listener->name);
	trace_steps_text(steps, "role",
			 listener->role == ROLE_SUBMISSION ? VIEW("submission") : VIEW("relay"));
	trace_steps_text(steps, session->server.extended ? "ehlo" : "helo",
			 smtp_server_helo(&session->server));
	if (stream_tls_info(&session->stream, &tls)) {
		trace_steps_text(steps, "tls", view_from_text(tls.version));
		trace_steps_text(steps, "cipher", view_from_text(tls.cipher));
	}
	if (session->login) {
		trace_steps_text(steps, "login", session->login->address.text);
	}
	trace_steps_number(steps, "open_ms",
			   os_loop_now_ms(session->receiver->loop) - session->server.started_ms);
	trace_steps_end(steps);
	buffer_done(&ip);
}

void receive_trace_mail(struct session *session, const struct smtp_event_mail *mail,
			const char *reason, const struct smtp_reply *reply)
{
	struct trace_steps *steps = &session->transaction->trace;
	uint64_t now_ms;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	now_ms = os_clock_wall_ms();
	add_connection(session, steps, now_ms);
	trace_steps_begin(steps, now_ms, "mail");
	trace_steps_text(steps, "from", mail->sender.text.len ? mail->sender.text : VIEW("<>"));
	if (mail->size) {
		trace_steps_number(steps, "declared_bytes", mail->size);
	}
	if (mail->body == SMTP_BODY_8BITMIME) {
		trace_steps_text(steps, "body", VIEW("8BITMIME"));
	}
	if (mail->smtputf8) {
		trace_steps_flag(steps, "smtputf8", true);
	}
	trace_steps_text(steps, "reason", view_from_text(reason));
	add_reply(steps, reply);
	trace_steps_end(steps);
}

// "alice@example.org, bob@elsewhere.example"
static void add_expanded(struct trace_steps *steps, const struct address *recipient,
			 const struct directory_answer *expanded)
{
	struct buffer list = buffer_with_max(TRACE_TEXT_BYTES_MAX);
	size_t shown = expanded->recipient_count;

	if (shown == 1 && view_equal(expanded->recipients[0], recipient->text)) {
		return;
	}
	for (size_t i = 0; i < shown && i < EXPANDED_SHOWN; i++) {
		buffer_add_text(&list, i ? ", " : "");
		buffer_add(&list, expanded->recipients[i]);
	}
	trace_steps_text(steps, "expanded", buffer_view(&list));
	if (shown > EXPANDED_SHOWN) {
		trace_steps_number(steps, "expanded_count", shown);
	}
	buffer_done(&list);
}

void receive_trace_recipient(struct session *session, const struct address *recipient,
			     const struct relay_verdict *verdict,
			     const struct directory_answer *expanded,
			     const struct smtp_reply *reply)
{
	struct trace_steps *steps = &session->transaction->trace;
	bool is_accepted = verdict->verdict.kind == VERDICT_ACCEPT;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	trace_steps_begin(steps, os_clock_wall_ms(), "rcpt");
	trace_steps_text(steps, "to", recipient->text);
	trace_steps_text(steps, "verdict", is_accepted ? VIEW("accept") : VIEW("refuse"));
	trace_steps_text(steps, "reason", view_from_text(verdict->verdict.reason));
	if (is_accepted) {
		trace_steps_text(steps, "destination",
				 verdict->destination == RELAY_ONWARD ? VIEW("onward")
								      : VIEW("here"));
	}
	if (is_accepted && expanded) {
		add_expanded(steps, recipient, expanded);
	}
	add_reply(steps, reply);
	trace_steps_end_of_many(steps);
}

void receive_trace_command(struct session *session, const char *verb,
			   const struct smtp_reply *reply)
{
	struct trace_steps *steps = &session->transaction->trace;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	trace_steps_begin(steps, os_clock_wall_ms(), "command");
	trace_steps_text(steps, "verb", view_from_text(verb));
	trace_steps_text(steps, "verdict", VIEW("refuse"));
	add_reply(steps, reply);
	trace_steps_end_of_many(steps);
}

void receive_trace_data(struct session *session)
{
	struct trace_steps *steps = &session->transaction->trace;

	if (trace_steps_is_on(steps)) {
		trace_steps_begin(steps, os_clock_wall_ms(), "data");
		trace_steps_end(steps);
	}
}

void receive_trace_header(struct transaction *transaction)
{
	struct trace_steps *steps = &transaction->trace;
	const struct examine_verdict *verdict = &transaction->verdict;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	trace_steps_begin(steps, os_clock_wall_ms(), "header");
	trace_steps_text(steps, "verdict", verdict->accepted ? VIEW("accept") : VIEW("refuse"));
	if (verdict->accepted) {
		trace_steps_text(steps, "added",
				 verdict->add_date && verdict->add_message_id
					 ? VIEW("Received, Message-ID, Date")
				 : verdict->add_date       ? VIEW("Received, Date")
				 : verdict->add_message_id ? VIEW("Received, Message-ID")
							   : VIEW("Received"));
	} else {
		trace_steps_text(steps, "reason", view_from_text(verdict->reply.text));
	}
	trace_steps_end(steps);
}

void receive_trace_stored(struct transaction *transaction, enum error error, uint64_t took_us)
{
	struct trace_steps *steps = &transaction->trace;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	trace_steps_begin(steps, os_clock_wall_ms(), error == OK ? "stored" : "not_stored");
	trace_steps_text(steps, "where",
			 transaction->envelope.flags & SPOOL_BODY_FILE ? VIEW("a file of its own")
								       : VIEW("the log"));
	trace_steps_number(steps, "size_bytes", transaction->envelope.body_bytes);
	trace_steps_number(steps, "took_us", took_us);
	if (error != OK) {
		trace_steps_text(steps, "reason", view_from_text(error_text(error)));
	}
	trace_steps_end(steps);
}

// ---- the end

void receive_trace_reply(struct session *session, const struct smtp_reply *reply)
{
	struct transaction *transaction = session->transaction;
	struct trace_steps *steps = &transaction->trace;
	uint64_t now_ms;

	if (!trace_steps_is_on(steps)) {
		return;
	}
	now_ms = os_clock_wall_ms();
	trace_steps_begin(steps, now_ms, smtp_reply_positive(reply) ? "accepted" : "refused");
	add_reply(steps, reply);
	trace_steps_number(steps, "took_ms",
			   os_loop_now_ms(session->receiver->loop) - transaction->begun_ms);
	trace_steps_end(steps);
	transaction->trace_ended = true;
}

void receive_trace_end(struct transaction *transaction, const char *event, const char *reason)
{
	if (transaction && trace_steps_is_on(&transaction->trace) && !transaction->trace_ended) {
		trace_steps_begin(&transaction->trace, os_clock_wall_ms(), event);
		trace_steps_text(&transaction->trace, "reason", view_from_text(reason));
		trace_steps_end(&transaction->trace);
		transaction->trace_ended = true;
	}
}

void receive_trace_done(struct transaction *transaction)
{
	trace_ring_add(transaction->place.receiver->parts.trace, transaction->envelope.id,
		       &transaction->trace);
	trace_steps_done(&transaction->trace);
}
