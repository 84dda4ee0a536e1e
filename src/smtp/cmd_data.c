// RFC 5321 section 4.1.1.4, and the body behind it.
#include "smtp/server_parts.h"

void smtp_cmd_data(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	if (server->transaction->recipients == 0) {
		smtp_server_say_id(server, SMTP_REPLY_RCPT_FIRST);
	} else {
		event->kind = SMTP_EVENT_DATA;
	}
}

// For the ends that the shell itself decides: it needs no RESET to know of them.
static void end_told_transaction(struct smtp_server *server)
{
	smtp_server_end_transaction(server);
	server->reset_due = false;
}

void smtp_data_answered(struct smtp_server *server, const struct smtp_reply *reply, uint64_t now_ms)
{
	if (smtp_reply_positive(reply)) {
		smtp_server_say_id(server, SMTP_REPLY_SEND_DATA);
		server->transaction->body_started_ms = now_ms;
		server->transaction->body_last_ms = now_ms;
		smtp_server_enter(server, SMTP_STATE_BODY);
	} else {
		end_told_transaction(server);
		smtp_server_say(server, reply);
	}
}

void smtp_message_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	end_told_transaction(server);
	if (smtp_reply_positive(reply)) {
		server->errors = 0;
		server->commands = 0;
	}
	smtp_server_say(server, reply);
}

void smtp_server_body_refuse(struct smtp_server *server, const struct smtp_reply *reply)
{
	struct smtp_transaction *transaction = server->transaction;

	if (transaction && !smtp_server_body_refused(server)) {
		transaction->refusal = *reply;
		transaction->refused_at = transaction->received;
	}
}

bool smtp_server_body_refused(const struct smtp_server *server)
{
	return server->transaction && server->transaction->refusal.code != 0;
}

static void count(struct smtp_server *server, const struct smtp_data_chunk *chunk, uint64_t now_ms)
{
	struct smtp_transaction *transaction = server->transaction;

	transaction->received += chunk->taken;
	transaction->size += chunk->kept;
	if (chunk->taken) {
		transaction->body_last_ms = now_ms;
	}
	if (transaction->size > server->settings->size_bytes_max) {
		struct smtp_reply reply = smtp_reply(SMTP_REPLY_TOO_BIG);

		smtp_server_body_refuse(server, &reply);
	}
}

// A refused body is read to its end for the sake of the reply, but not for ever (attack A27).
static enum smtp_step go_on(struct smtp_server *server)
{
	const struct smtp_transaction *transaction = server->transaction;

	if (smtp_server_body_refused(server) &&
	    transaction->received - transaction->refused_at > SMTP_BODY_SKIP_MAX) {
		struct smtp_reply refusal = transaction->refusal;

		smtp_server_close_with(server, SMTP_CLOSE_SIZE, &refusal);
		return SMTP_STEP_CLOSE;
	}
	return SMTP_STEP_BODY;
}

static enum smtp_step end_of_body(struct smtp_server *server, uint64_t now_ms,
				  struct smtp_event *event)
{
	server->since_ms = now_ms;
	smtp_server_enter(server, SMTP_STATE_COMMAND);
	if (smtp_server_body_refused(server)) {
		struct smtp_reply refusal = server->transaction->refusal;

		end_told_transaction(server);
		smtp_server_say(server, &refusal);
		event->kind = SMTP_EVENT_RESET;
	} else {
		event->kind = SMTP_EVENT_MESSAGE;
		event->message.size = server->transaction->size;
		server->awaiting = SMTP_EVENT_MESSAGE;
	}
	return SMTP_STEP_EVENT;
}

enum smtp_step smtp_server_body(struct smtp_server *server, char *bytes, size_t len,
				uint64_t now_ms, struct smtp_data_chunk *ret_chunk,
				struct smtp_event *ret_event)
{
	enum smtp_data_result result =
		smtp_data_decode(&server->transaction->decoder, bytes, len, ret_chunk);

	*ret_event = (struct smtp_event){ 0 };
	count(server, ret_chunk, now_ms);
	if (smtp_server_body_refused(server)) {
		ret_chunk->kept = 0;
	}
	switch (result) {
	case SMTP_DATA_MORE: return go_on(server);
	case SMTP_DATA_END: return end_of_body(server, now_ms, ret_event);
	case SMTP_DATA_BARE_CR:
		smtp_server_close(server, SMTP_CLOSE_BARE, SMTP_REPLY_BARE_CR);
		return SMTP_STEP_CLOSE;
	case SMTP_DATA_BARE_LF:
		smtp_server_close(server, SMTP_CLOSE_BARE, SMTP_REPLY_BARE_LF);
		return SMTP_STEP_CLOSE;
	}
	return SMTP_STEP_CLOSE;
}
