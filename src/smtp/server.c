#include "smtp/server_parts.h"

#include <assert.h>
#include <stdlib.h>

// Above output_bytes_max: the longest answers to one command, so that FLUSH comes before a failure.
enum { OUTPUT_SLACK = 8192 };

static const char *const state_texts[] = {
	[SMTP_STATE_CONNECT] = "connect",     [SMTP_STATE_COMMAND] = "command",
	[SMTP_STATE_AUTH_LINE] = "auth line", [SMTP_STATE_LONG_LINE] = "long line",
	[SMTP_STATE_BODY] = "body",           [SMTP_STATE_TLS] = "tls",
	[SMTP_STATE_REFUSED] = "refused",     [SMTP_STATE_CLOSED] = "closed",
};

static const char *const reason_texts[] = {
	[SMTP_CLOSE_NONE] = "open",
	[SMTP_CLOSE_QUIT] = "quit",
	[SMTP_CLOSE_ANSWERED] = "closed by us",
	[SMTP_CLOSE_TIMEOUT] = "timeout",
	[SMTP_CLOSE_SLOW] = "data too slow",
	[SMTP_CLOSE_ERRORS] = "too many errors",
	[SMTP_CLOSE_COMMANDS] = "too many commands",
	[SMTP_CLOSE_LINE] = "line without end",
	[SMTP_CLOSE_UNREAD] = "replies unread",
	[SMTP_CLOSE_SIZE] = "message far too big",
	[SMTP_CLOSE_MEMORY] = "out of memory",
	[SMTP_CLOSE_BARE] = "bare cr or lf",
	[SMTP_CLOSE_INJECTION] = "bytes behind starttls",
	[SMTP_CLOSE_EARLY] = "spoke before the banner",
	[SMTP_CLOSE_STEP] = "did not wait for a reply",
	[SMTP_CLOSE_FOREIGN] = "foreign protocol",
};

const char *smtp_state_text(enum smtp_state state)
{
	return state_texts[state];
}

const char *smtp_close_reason_text(enum smtp_close_reason reason)
{
	return reason_texts[reason];
}

bool smtp_close_reason_hostile(enum smtp_close_reason reason)
{
	return reason >= SMTP_CLOSE_BARE;
}

struct smtp_server_settings smtp_server_settings_default(struct view hostname)
{
	return (struct smtp_server_settings){
		.hostname = hostname,
		.banner = VIEW("ESMTP Packetboat"),
		.role = SMTP_ROLE_RELAY,
		.tls = SMTP_TLS_STARTTLS,
		.mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN,
		.size_bytes_max = 50 * 1024 * 1024,
		.recipients_max = 1000,
		.errors_max = 20,
		.commands_max = 200,
		.line_bytes_max = SMTP_LINE_DEFAULT,
		.output_bytes_max = 64 * 1024,
		.idle_ms = 300 * 1000,
		.command_ms = 60 * 1000,
		.session_ms = 4 * 3600 * 1000,
		.pace = { .grace_ms = 60 * 1000,
			  .rate_bytes_per_second_min = 512,
			  .stall_ms = 180 * 1000,
			  .total_ms = 3600 * 1000 },
	};
}

void smtp_server_init(struct smtp_server *server, const struct smtp_server_settings *settings,
		      uint64_t now_ms)
{
	*server = (struct smtp_server){
		.settings = settings,
		.output = buffer_with_max((size_t)settings->output_bytes_max + OUTPUT_SLACK),
		.started_ms = now_ms,
		.since_ms = now_ms,
		.tls = settings->tls == SMTP_TLS_IMPLICIT,
	};
}

static void forget_names(struct smtp_server *server)
{
	free(server->helo);
	free(server->helo_asked);
	server->helo = server->helo_asked = NULL;
	server->extended = false;
}

void smtp_server_done(struct smtp_server *server)
{
	smtp_server_end_transaction(server);
	smtp_server_end_login(server);
	forget_names(server);
	buffer_done(&server->output);
}

void smtp_server_enter(struct smtp_server *server, enum smtp_state state)
{
	enum smtp_state from = server->state;

	server->state = (uint8_t)state;
	if (server->settings->trace) {
		server->settings->trace(server, from, state);
	}
}

static void enter_closed(struct smtp_server *server, enum smtp_close_reason reason)
{
	server->close_reason = (uint8_t)reason;
	server->awaiting = SMTP_EVENT_NONE;
	smtp_server_end_transaction(server);
	smtp_server_end_login(server);
	smtp_server_enter(server, SMTP_STATE_CLOSED);
}

void smtp_server_say(struct smtp_server *server, const struct smtp_reply *reply)
{
	smtp_reply_write(&server->output, reply);
	server->errors += reply->code >= 500;
	if (reply->code == 421) {
		enter_closed(server, SMTP_CLOSE_ANSWERED);
	}
}

static void say_own(struct smtp_server *server, const struct smtp_reply *reply)
{
	if (reply->code >= 400 && server->settings->refused) {
		server->settings->refused(server, server->verb, reply);
	}
	smtp_server_say(server, reply);
}

void smtp_server_say_id(struct smtp_server *server, enum smtp_reply_id id)
{
	struct smtp_reply reply = smtp_reply(id);

	say_own(server, &reply);
}

void smtp_server_say_with(struct smtp_server *server, enum smtp_reply_id id, struct view detail)
{
	struct smtp_reply reply = smtp_reply_with(id, detail);

	say_own(server, &reply);
}

void smtp_server_close_with(struct smtp_server *server, enum smtp_close_reason reason,
			    const struct smtp_reply *reply)
{
	smtp_reply_write(&server->output, reply);
	enter_closed(server, reason);
}

void smtp_server_close(struct smtp_server *server, enum smtp_close_reason reason,
		       enum smtp_reply_id id)
{
	struct smtp_reply reply = smtp_reply(id);

	smtp_server_close_with(server, reason, &reply);
}

void smtp_server_output_sent(struct smtp_server *server, size_t size)
{
	buffer_consume(&server->output, size);
	if (server->output.len == 0) {
		buffer_done(&server->output);
	}
}

bool smtp_server_linger(const struct smtp_server *server)
{
	switch ((enum smtp_close_reason)server->close_reason) {
	case SMTP_CLOSE_QUIT:
	case SMTP_CLOSE_TIMEOUT:
	case SMTP_CLOSE_SLOW:
	case SMTP_CLOSE_UNREAD: return false;
	default: return true;
	}
}

static void check_limits(struct smtp_server *server)
{
	if (server->state == SMTP_STATE_CLOSED) {
		return;
	}
	if (buffer_error(&server->output) != OK) {
		enter_closed(server, SMTP_CLOSE_MEMORY);
	} else if (server->errors > server->settings->errors_max) {
		smtp_server_close(server, SMTP_CLOSE_ERRORS, SMTP_REPLY_TOO_MANY_ERRORS);
	} else if (server->commands > server->settings->commands_max) {
		smtp_server_close(server, SMTP_CLOSE_COMMANDS, SMTP_REPLY_TOO_MANY_COMMANDS);
	}
}

// What needs no further input, if anything.
static bool stops_here(struct smtp_server *server, const struct view *input,
		       struct smtp_event *event, enum smtp_step *ret_step)
{
	check_limits(server);
	if (server->state == SMTP_STATE_CONNECT && input->len) {
		smtp_server_close(server, SMTP_CLOSE_EARLY, SMTP_REPLY_EARLY_TALKER);
	} else if (server->state == SMTP_STATE_TLS && input->len) {
		smtp_server_close(server, SMTP_CLOSE_INJECTION, SMTP_REPLY_TLS_INJECTION);
	}
	if (server->state == SMTP_STATE_CLOSED) {
		*ret_step = SMTP_STEP_CLOSE;
	} else if (server->reset_due) {
		server->reset_due = false;
		event->kind = SMTP_EVENT_RESET;
		*ret_step = SMTP_STEP_EVENT;
	} else if (server->awaiting != SMTP_EVENT_NONE) {
		*ret_step = SMTP_STEP_WAIT;
	} else if (server->state == SMTP_STATE_CONNECT) {
		server->awaiting = SMTP_EVENT_CONNECT;
		event->kind = SMTP_EVENT_CONNECT;
		*ret_step = SMTP_STEP_EVENT;
	} else if (server->output.len >= server->settings->output_bytes_max) {
		*ret_step = SMTP_STEP_FLUSH;
	} else if (server->state == SMTP_STATE_BODY) {
		*ret_step = SMTP_STEP_BODY;
	} else if (server->state == SMTP_STATE_TLS) {
		*ret_step = SMTP_STEP_TLS;
	} else {
		return false;
	}
	return true;
}

// The clock of the command in hand, or of the next one: begin of what the deadline times.
static void set_partial(struct smtp_server *server, bool partial, uint64_t now_ms)
{
	server->partial = partial;
	server->since_ms = now_ms;
}

enum smtp_step smtp_server_step(struct smtp_server *server, struct view *input, uint64_t now_ms,
				struct smtp_event *ret_event)
{
	enum smtp_step step;
	struct view line;
	bool again;

	*ret_event = (struct smtp_event){ 0 };
	while (!stops_here(server, input, ret_event, &step)) {
		bool was_long = server->state == SMTP_STATE_LONG_LINE;

		if (smtp_input_take_line(server, input, &line, &again)) {
			set_partial(server, false, now_ms);
			smtp_input_run_line(server, line, input->len > 0, ret_event);
			if (ret_event->kind != SMTP_EVENT_NONE) {
				server->awaiting = (uint8_t)ret_event->kind;
				return SMTP_STEP_EVENT;
			}
		} else if (was_long && server->state == SMTP_STATE_COMMAND) {
			set_partial(server, false, now_ms);
		} else if (!again) {
			if ((input->len || was_long) && !server->partial) {
				set_partial(server, true, now_ms);
			}
			return SMTP_STEP_INPUT;
		}
	}
	return step;
}

static void connect_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	const struct smtp_server_settings *settings = server->settings;

	if (!smtp_reply_positive(reply)) {
		smtp_server_enter(server, SMTP_STATE_REFUSED);
		smtp_server_say(server, reply);
		return;
	}
	buffer_add(&server->output, VIEW("220 "));
	buffer_add(&server->output, settings->hostname);
	buffer_add_byte(&server->output, ' ');
	buffer_add(&server->output, settings->banner);
	buffer_add(&server->output, VIEW("\r\n"));
	smtp_server_enter(server, SMTP_STATE_COMMAND);
}

void smtp_server_answer(struct smtp_server *server, const struct smtp_reply *reply, uint64_t now_ms)
{
	enum smtp_event_kind awaited = server->awaiting;

	if (server->state == SMTP_STATE_CLOSED) {
		return;
	}
	server->awaiting = SMTP_EVENT_NONE;
	server->since_ms = now_ms;
	switch (awaited) {
	case SMTP_EVENT_CONNECT: connect_answered(server, reply); break;
	case SMTP_EVENT_HELO: smtp_helo_answered(server, reply); break;
	case SMTP_EVENT_STARTTLS: smtp_starttls_answered(server, reply); break;
	case SMTP_EVENT_AUTH: smtp_auth_answered(server, reply); break;
	case SMTP_EVENT_MAIL: smtp_mail_answered(server, reply); break;
	case SMTP_EVENT_RCPT: smtp_rcpt_answered(server, reply); break;
	case SMTP_EVENT_DATA: smtp_data_answered(server, reply, now_ms); break;
	case SMTP_EVENT_MESSAGE: smtp_message_answered(server, reply); break;
	case SMTP_EVENT_NONE:
	case SMTP_EVENT_RESET: assert(!"an answer that nobody waits for"); break;
	}
}

void smtp_server_answer_id(struct smtp_server *server, enum smtp_reply_id id, uint64_t now_ms)
{
	struct smtp_reply reply = smtp_reply(id);

	smtp_server_answer(server, &reply, now_ms);
}

void smtp_server_accept(struct smtp_server *server, uint64_t now_ms)
{
	switch ((enum smtp_event_kind)server->awaiting) {
	case SMTP_EVENT_MAIL: smtp_server_answer_id(server, SMTP_REPLY_SENDER_OK, now_ms); break;
	case SMTP_EVENT_RCPT: smtp_server_answer_id(server, SMTP_REPLY_RECIPIENT_OK, now_ms); break;
	default: smtp_server_answer_id(server, SMTP_REPLY_OK, now_ms); break;
	}
}

void smtp_server_tls_started(struct smtp_server *server, uint64_t now_ms)
{
	assert(server->state == SMTP_STATE_TLS);
	smtp_server_end_login(server);
	forget_names(server);
	server->authenticated = false;
	server->partial = false;
	server->tls = true;
	server->since_ms = now_ms;
	smtp_server_enter(server, SMTP_STATE_COMMAND);
}

static uint64_t body_deadline_ms(const struct smtp_server *server)
{
	const struct smtp_transaction *transaction = server->transaction;
	struct smtp_pace_facts facts = { .started_ms = transaction->body_started_ms,
					 .last_ms = transaction->body_last_ms,
					 .bytes = transaction->received };

	return smtp_pace_deadline_ms(server->settings->pace, facts);
}

uint64_t smtp_server_deadline_ms(const struct smtp_server *server)
{
	const struct smtp_server_settings *settings = server->settings;
	uint64_t deadline_ms, session_ms;

	if (server->awaiting != SMTP_EVENT_NONE || server->state == SMTP_STATE_CLOSED ||
	    server->state == SMTP_STATE_TLS) {
		return UINT64_MAX;
	}
	if (server->state == SMTP_STATE_BODY) {
		return body_deadline_ms(server);
	}
	deadline_ms =
		server->since_ms + (server->partial ? settings->command_ms : settings->idle_ms);
	session_ms = server->started_ms + settings->session_ms;
	return server->transaction || deadline_ms < session_ms ? deadline_ms : session_ms;
}

void smtp_server_timeout(struct smtp_server *server)
{
	if (server->state == SMTP_STATE_CLOSED) {
		return;
	}
	if (server->state == SMTP_STATE_BODY) {
		smtp_server_close(server, SMTP_CLOSE_SLOW, SMTP_REPLY_TOO_SLOW);
	} else {
		smtp_server_close(server,
				  server->output.len ? SMTP_CLOSE_UNREAD : SMTP_CLOSE_TIMEOUT,
				  SMTP_REPLY_TIMEOUT);
	}
}

bool smtp_server_shut(struct smtp_server *server)
{
	bool between = server->state == SMTP_STATE_CONNECT || server->state == SMTP_STATE_COMMAND ||
		       server->state == SMTP_STATE_REFUSED;

	if (!between || server->awaiting != SMTP_EVENT_NONE) {
		return false;
	}
	smtp_server_close(server, SMTP_CLOSE_ANSWERED, SMTP_REPLY_SHUTTING_DOWN);
	return true;
}
