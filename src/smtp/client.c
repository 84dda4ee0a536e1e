#include "smtp/client.h"

#include <string.h>

#include "base/text.h"
#include "smtp/client_parts.h"

enum { MINUTE_MS = 60000 };

static const char *const failure_texts[] = {
	[SMTP_CLIENT_OK] = "no failure",
	[SMTP_CLIENT_REFUSED] = "the server refused the session",
	[SMTP_CLIENT_NO_TLS] = "the server does not do TLS",
	[SMTP_CLIENT_INJECTION] = "bytes before the TLS handshake",
	[SMTP_CLIENT_UNVERIFIED] = "the server is not verified, no login sent",
	[SMTP_CLIENT_NO_LOGIN] = "the server offers no login that we know",
	[SMTP_CLIENT_LOGIN_REFUSED] = "the server refused the login",
	[SMTP_CLIENT_BAD_REPLY] = "the server broke the protocol",
	[SMTP_CLIENT_REPLY_LIMIT] = "the server's reply was too long",
	[SMTP_CLIENT_CLOSING] = "the server is closing the connection",
	[SMTP_CLIENT_TIMEOUT] = "the server did not answer in time",
	[SMTP_CLIENT_TOO_SLOW] = "the server took too long in all",
	[SMTP_CLIENT_LOST] = "the connection was lost",
	[SMTP_CLIENT_NO_MEMORY] = "out of memory",
};

const char *smtp_client_failure_text(enum smtp_client_failure failure)
{
	return failure_texts[failure];
}

struct smtp_client_settings smtp_client_settings_default(struct view hostname)
{
	return (struct smtp_client_settings){
		.hostname = hostname,
		.tls = SMTP_CLIENT_TLS_MAY,
		.output_bytes_max = 64 << 10,
		.times = {
			.banner_ms = 5 * MINUTE_MS,
			.ehlo_ms = 5 * MINUTE_MS,
			.command_ms = 5 * MINUTE_MS,
			.data_ms = 2 * MINUTE_MS,
			.body_block_ms = 3 * MINUTE_MS,
			.body_end_ms = 10 * MINUTE_MS,
			.quit_ms = 10000,
			.session_ms = 15 * MINUTE_MS,
			.transaction_ms = 30 * MINUTE_MS,
			.rate_bytes_per_second_min = 4096,
		},
	};
}

static void set_text(struct smtp_outcome *outcome, struct view text)
{
	struct buffer escaped = buffer_with_max(sizeof outcome->text - 1);

	text_add_escaped(&escaped, text, SMTP_CLIENT_REPLY_TEXT_MAX);
	if (escaped.len) {
		memcpy(outcome->text, escaped.data, escaped.len);
	}
	buffer_done(&escaped);
}

struct smtp_outcome client_outcome_of_reply(const struct smtp_reply_reader *reader)
{
	uint8_t class = (uint8_t)(reader->code / 100);
	struct smtp_outcome outcome = {
		.kind = class == 2   ? SMTP_OUTCOME_ACCEPTED
			: class == 5 ? SMTP_OUTCOME_PERMANENT
				     : SMTP_OUTCOME_TEMPORARY,
		.by_peer = true,
		.code = reader->code,
		.status = reader->status,
	};

	if (reader->status.class == 0) {
		outcome.status = (struct smtp_status){ class == 3 ? 4 : class, 0, 0 };
	}
	set_text(&outcome, view_of(reader->text, reader->text_len));
	return outcome;
}

struct smtp_outcome client_outcome_of_ours(enum smtp_outcome_kind kind, struct smtp_status status,
					   const char *text)
{
	struct smtp_outcome outcome = { .kind = kind, .status = status };

	set_text(&outcome, view_from_text(text));
	return outcome;
}

// A peer that broke the protocol or is gone is not said goodbye to.
static bool deserves_quit(enum smtp_client_failure failure)
{
	return failure == SMTP_CLIENT_REFUSED || failure == SMTP_CLIENT_NO_TLS ||
	       failure == SMTP_CLIENT_UNVERIFIED || failure == SMTP_CLIENT_NO_LOGIN ||
	       failure == SMTP_CLIENT_LOGIN_REFUSED;
}

void client_fail(struct smtp_client *client, enum smtp_client_failure failure,
		 const struct smtp_outcome *outcome)
{
	if (client->state == SMTP_CLIENT_STATE_QUIT) { // all is done: no failure any more
		client->state = SMTP_CLIENT_STATE_CLOSED;
		return;
	}
	client->failure = (uint8_t)failure;
	client->state = SMTP_CLIENT_STATE_FAILING;
	client->body_open = false;
	client->failure_outcome =
		outcome ? *outcome
			: client_outcome_of_ours(failure == SMTP_CLIENT_LOST
							 ? SMTP_OUTCOME_LOST
							 : SMTP_OUTCOME_TEMPORARY,
						 (struct smtp_status){ 4, 4, 2 },
						 smtp_client_failure_text(failure));
	if (client->failure_outcome.kind == SMTP_OUTCOME_ACCEPTED) { // said at the wrong place
		client->failure_outcome.kind = SMTP_OUTCOME_TEMPORARY;
	}
	buffer_clear(&client->output);
	if (deserves_quit(failure)) {
		buffer_add_text(&client->output, "QUIT\r\n");
	}
}

void smtp_client_init(struct smtp_client *client, const struct smtp_client_settings *settings,
		      uint64_t now_ms)
{
	*client = (struct smtp_client){
		.settings = settings,
		.output = buffer_with_max(settings->output_bytes_max + SMTP_CLIENT_FRONT_MAX +
					  2 * SMTP_CLIENT_CHUNK_MAX + 2 * OUTGOING_SLACK),
		.since_ms = now_ms,
		.whole_ms = now_ms,
		.state = SMTP_CLIENT_STATE_BANNER,
	};
}

// The output may have held a password.
static void release_output(struct smtp_client *client)
{
	if (client->output.data) {
		explicit_bzero(client->output.data, client->output.capacity);
	}
	buffer_done(&client->output);
}

void smtp_client_done(struct smtp_client *client)
{
	if (client) {
		release_output(client);
	}
}

static void say_hello(struct smtp_client *client, const char *verb, enum smtp_client_state state)
{
	client->state = (uint8_t)state;
	buffer_add_text(&client->output, verb);
	buffer_add(&client->output, client->settings->hostname);
	buffer_add_text(&client->output, "\r\n");
}

// The greeting is over: TLS, then the login, then transactions.
static void go_on(struct smtp_client *client, const struct smtp_outcome *refusal)
{
	enum smtp_client_tls tls = client->settings->tls;

	if (!client->tls && tls != SMTP_CLIENT_TLS_NEVER && client->extensions.starttls &&
	    !client->tls_refused) {
		client->state = SMTP_CLIENT_STATE_STARTTLS;
		buffer_add_text(&client->output, "STARTTLS\r\n");
	} else if (!client->tls && tls >= SMTP_CLIENT_TLS_MUST) {
		client_fail(client, SMTP_CLIENT_NO_TLS, refusal);
	} else if (client->settings->username.len) {
		client_login_begin(client);
	} else {
		client->state = SMTP_CLIENT_STATE_READY;
		client->ready_due = true;
	}
}

static void hello_reply(struct smtp_client *client, const struct smtp_outcome *outcome)
{
	if (outcome->kind == SMTP_OUTCOME_ACCEPTED) {
		client->extensions = client->reader.extensions;
		if (client->state == SMTP_CLIENT_STATE_HELO) {
			client->extensions = (struct smtp_extensions){ 0 };
		}
		go_on(client, NULL);
	} else if (client->state == SMTP_CLIENT_STATE_EHLO &&
		   outcome->kind == SMTP_OUTCOME_PERMANENT) {
		say_hello(client, "HELO ", SMTP_CLIENT_STATE_HELO);
	} else {
		client_fail(client, SMTP_CLIENT_REFUSED, outcome);
	}
}

static void starttls_reply(struct smtp_client *client, struct view input,
			   const struct smtp_outcome *outcome)
{
	if (client->reader.code != 220) {
		client->tls_refused = true;
		go_on(client, outcome);
	} else if (input.len) {
		client_fail(client, SMTP_CLIENT_INJECTION, NULL);
	} else {
		client->state = SMTP_CLIENT_STATE_TLS;
	}
}

void smtp_client_tls_started(struct smtp_client *client, bool peer_verified, uint64_t now_ms)
{
	client->tls = true;
	client->tls_verified = peer_verified;
	client->since_ms = now_ms;
	if (client->state == SMTP_CLIENT_STATE_TLS) {
		client->extensions = (struct smtp_extensions){ 0 };
		client->reader = (struct smtp_reply_reader){ 0 };
		say_hello(client, "EHLO ", SMTP_CLIENT_STATE_EHLO);
	}
}

// Nothing that the client has sent whole waits for a reply.
static bool expects_none(struct smtp_client *client)
{
	switch ((enum smtp_client_state)client->state) {
	case SMTP_CLIENT_STATE_BANNER:
	case SMTP_CLIENT_STATE_QUIT: return false;
	case SMTP_CLIENT_STATE_READY: return client_transaction_expects_none(client);
	default: return client->output.len != 0;
	}
}

// Takes in the reply that was just read; true with an event.
static bool take_reply(struct smtp_client *client, struct view input,
		       struct smtp_client_event *event)
{
	struct smtp_outcome outcome = client_outcome_of_reply(&client->reader);
	bool early = client->reply_early;

	client->reply_early = false;
	if (client->state == SMTP_CLIENT_STATE_QUIT) {
		client->state = SMTP_CLIENT_STATE_CLOSED;
		return false;
	}
	if (outcome.code == 421 && client->state != SMTP_CLIENT_STATE_READY) {
		client_fail(client, SMTP_CLIENT_CLOSING, &outcome);
		return false;
	}
	if (early && client->state != SMTP_CLIENT_STATE_READY) {
		client_fail(client, SMTP_CLIENT_BAD_REPLY, &outcome);
		return false;
	}
	switch ((enum smtp_client_state)client->state) {
	case SMTP_CLIENT_STATE_BANNER:
		if (outcome.code == 220) {
			say_hello(client, "EHLO ", SMTP_CLIENT_STATE_EHLO);
		} else {
			client_fail(client, SMTP_CLIENT_REFUSED, &outcome);
		}
		return false;
	case SMTP_CLIENT_STATE_EHLO:
	case SMTP_CLIENT_STATE_HELO: hello_reply(client, &outcome); return false;
	case SMTP_CLIENT_STATE_STARTTLS: starttls_reply(client, input, &outcome); return false;
	case SMTP_CLIENT_STATE_AUTH:
	case SMTP_CLIENT_STATE_AUTH_USER:
	case SMTP_CLIENT_STATE_AUTH_PASSWORD: client_login_reply(client); return false;
	default: return client_transaction_reply(client, early, event);
	}
}

static void write_quit(struct smtp_client *client, uint64_t now_ms)
{
	if (client->state == SMTP_CLIENT_STATE_READY && client->quit_due && !client->current) {
		buffer_add_text(&client->output, "QUIT\r\n");
		client->state = SMTP_CLIENT_STATE_QUIT;
		client->since_ms = now_ms;
	}
}

// Events that wait to be told; the session's failure last.
static bool tell(struct smtp_client *client, struct smtp_client_event *event)
{
	if (client_transaction_tell(client, event)) {
		return true;
	}
	if (client->state == SMTP_CLIENT_STATE_FAILING) {
		*event = (struct smtp_client_event){
			.kind = SMTP_CLIENT_EVENT_FAILED,
			.failure = (enum smtp_client_failure)client->failure,
			.outcome = &client->failure_outcome,
		};
		client->state = SMTP_CLIENT_STATE_CLOSED;
		return true;
	}
	if (client->ready_due) {
		client->ready_due = false;
		*event = (struct smtp_client_event){ .kind = SMTP_CLIENT_EVENT_READY };
		return true;
	}
	if (client->next_due) {
		client->next_due = false;
		*event = (struct smtp_client_event){ .kind = SMTP_CLIENT_EVENT_NEXT,
						     .transaction = client->current };
		return smtp_client_can_send(client) && client->current;
	}
	return false;
}

static bool wants_body(const struct smtp_client *client)
{
	return client->body_open && client->output.len < client->settings->output_bytes_max;
}

// One reply of the input; true with an event.
static bool read_reply(struct smtp_client *client, struct view *input, uint64_t now_ms,
		       struct smtp_client_event *event, bool *ret_more)
{
	enum smtp_reply_result result;

	client->reply_early |= input->len && expects_none(client);
	result = smtp_reply_read(&client->reader, input);
	*ret_more = result == SMTP_REPLY_MORE;
	if (result == SMTP_REPLY_BAD || result == SMTP_REPLY_LIMIT) {
		client_fail(client,
			    result == SMTP_REPLY_BAD ? SMTP_CLIENT_BAD_REPLY
						     : SMTP_CLIENT_REPLY_LIMIT,
			    NULL);
	} else if (result == SMTP_REPLY_DONE) {
		client->since_ms = now_ms;
		return take_reply(client, *input, event);
	}
	return false;
}

// Of the session's begin, or of the transaction, however often its parts were in time.
static uint64_t whole_deadline_ms(const struct smtp_client *client)
{
	if (client->state < SMTP_CLIENT_STATE_READY && client->state != SMTP_CLIENT_STATE_TLS) {
		return client->whole_ms + client->settings->times.session_ms;
	}
	if (client->state == SMTP_CLIENT_STATE_READY && client->current) {
		return client->whole_ms + client_transaction_whole_ms(client);
	}
	return UINT64_MAX;
}

enum smtp_client_step smtp_client_step(struct smtp_client *client, struct view *input,
				       uint64_t now_ms, struct smtp_client_event *ret_event)
{
	bool more;

	for (;;) {
		if (client->state != SMTP_CLIENT_STATE_CLOSED &&
		    client->state != SMTP_CLIENT_STATE_FAILING &&
		    buffer_error(&client->output) != OK) {
			client_fail(client, SMTP_CLIENT_NO_MEMORY, NULL);
		}
		if (tell(client, ret_event)) {
			return SMTP_CLIENT_STEP_EVENT;
		}
		if (client->state == SMTP_CLIENT_STATE_CLOSED) {
			return SMTP_CLIENT_STEP_CLOSE;
		}
		if (client->state == SMTP_CLIENT_STATE_TLS) {
			return SMTP_CLIENT_STEP_TLS;
		}
		if (read_reply(client, input, now_ms, ret_event, &more)) {
			return SMTP_CLIENT_STEP_EVENT;
		}
		if (!more) {
			continue;
		}
		if (now_ms >= smtp_client_deadline_ms(client)) {
			client_fail(client,
				    now_ms >= whole_deadline_ms(client) ? SMTP_CLIENT_TOO_SLOW
									: SMTP_CLIENT_TIMEOUT,
				    NULL);
			continue;
		}
		client_transaction_write(client);
		write_quit(client, now_ms);
		if (client->current && client->current->closed &&
		    client->current->answered == client->current->sent) {
			continue;
		}
		return wants_body(client) ? SMTP_CLIENT_STEP_BODY : SMTP_CLIENT_STEP_INPUT;
	}
}

void smtp_client_quit(struct smtp_client *client, uint64_t now_ms)
{
	client->quit_due = true;
	write_quit(client, now_ms);
}

void smtp_client_lost(struct smtp_client *client)
{
	if (client->state < SMTP_CLIENT_STATE_FAILING) {
		client_fail(client, SMTP_CLIENT_LOST, NULL);
	}
}

void smtp_client_output_sent(struct smtp_client *client, size_t size)
{
	buffer_consume(&client->output, size);
	client->output_taken += size;
	if (client->output.len == 0 && client->output.error == OK && !client->current) {
		release_output(client);
	}
}

static uint64_t reply_deadline_ms(const struct smtp_client *client)
{
	const struct smtp_client_times *times = &client->settings->times;

	switch ((enum smtp_client_state)client->state) {
	case SMTP_CLIENT_STATE_BANNER: return client->since_ms + times->banner_ms;
	case SMTP_CLIENT_STATE_EHLO:
	case SMTP_CLIENT_STATE_HELO: return client->since_ms + times->ehlo_ms;
	case SMTP_CLIENT_STATE_STARTTLS:
	case SMTP_CLIENT_STATE_AUTH:
	case SMTP_CLIENT_STATE_AUTH_USER:
	case SMTP_CLIENT_STATE_AUTH_PASSWORD: return client->since_ms + times->command_ms;
	case SMTP_CLIENT_STATE_QUIT: return client->since_ms + times->quit_ms;
	case SMTP_CLIENT_STATE_READY:
		return client->current ? client->since_ms + client_transaction_time_ms(client)
				       : UINT64_MAX;
	default: return UINT64_MAX;
	}
}

uint64_t smtp_client_deadline_ms(const struct smtp_client *client)
{
	uint64_t reply_ms = reply_deadline_ms(client), whole_ms = whole_deadline_ms(client);

	return reply_ms < whole_ms ? reply_ms : whole_ms;
}
