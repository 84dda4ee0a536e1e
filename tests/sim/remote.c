#include "sim/remote.h"

#include <stdlib.h>

#include "link/stream.h"
#include "os/clock.h"
#include "smtp/server.h"

enum {
	HOSTS = 4,
	BODY_BYTES_MAX = 3 * 1024 * 1024,
	PLACES_MAX = 256, // copies taken in one session
	INPUT_BYTES = 16 * 1024,
	STALL_MS_MAX = 400 * 1000,
	LINGER_MS = 2000,
};

struct remote;

struct listener {
	struct remote *remote;
	struct os_watch *watch;
	int fd;
};

struct taken {
	struct ledger_place place;
	uint64_t at_us;
};

struct session {
	struct list link; // of the remote
	struct remote *remote;
	struct os_watch *watch;
	struct os_timer timer;
	struct smtp_server server;
	struct buffer input, body;
	struct buffer reverse_path;
	struct buffer recipients; // one a line
	struct taken taken[PLACES_MAX];
	unsigned taken_count;
	struct smtp_event stalled; // answered when the timer fires
	bool in_body, closing, stalling, shakes_hands;
	struct stream stream;
};

struct remote {
	struct os_loop *loop;
	struct ledger *ledger;
	struct sim *sim;
	const struct weather *weather;
	struct smtp_server_settings settings;
	struct tls_server *tls; // NULL: none is offered
	struct listener listeners[HOSTS];
	struct list sessions;
};

static void session_run(struct session *session);

static bool strikes(const struct session *session, unsigned per_thousand, enum deed deed,
		    const char *what)
{
	if (!weather_strikes(session->remote->sim, per_thousand)) {
		return false;
	}
	session->remote->ledger->deeds[deed]++;
	ledger_mischief(session->remote->ledger, "a remote server %s", what);
	return true;
}

// A copy is sure once its reply had the time to be read.
static void session_end(struct session *session, bool in_order, bool reset)
{
	uint64_t now_us = os_clock_mono_us();

	for (unsigned i = 0; i < session->taken_count && !in_order; i++) {
		if (session->taken[i].at_us + LEDGER_REPLY_US > now_us) {
			ledger_unsure(session->remote->ledger, session->taken[i].place);
		}
	}
	os_timer_stop(&session->timer);
	os_watch_free(session->watch);
	if (reset) {
		stream_close_reset(&session->stream);
	} else {
		stream_close(&session->stream);
	}
	list_remove(&session->link);
	smtp_server_done(&session->server);
	buffer_done(&session->input);
	buffer_done(&session->body);
	buffer_done(&session->reverse_path);
	buffer_done(&session->recipients);
	free(session);
}

// ---- what it says

static void answer(struct session *session, enum smtp_reply_id id)
{
	smtp_server_answer_id(&session->server, id, os_clock_mono_ms());
}

static void answer_rcpt(struct session *session, const struct address *recipient)
{
	if (view_starts(recipient->local, VIEW("bad"))) {
		answer(session, SMTP_REPLY_UNKNOWN_RECIPIENT);
	} else if (strikes(session, session->remote->weather->remote_defers, DEED_REMOTE_DEFERRED,
			   "defers a recipient")) {
		answer(session, SMTP_REPLY_RATE_LIMITED);
	} else {
		buffer_add(&session->recipients, recipient->text);
		buffer_add_byte(&session->recipients, '\n');
		answer(session, SMTP_REPLY_RECIPIENT_OK);
	}
}

static void take_message(struct session *session)
{
	struct ledger *ledger = session->remote->ledger;
	struct view rest = buffer_view(&session->recipients), recipient;

	if (buffer_error(&session->body) != OK) {
		abort();
	}
	while (view_next_part(&rest, '\n', &recipient)) {
		struct taken taken = { .at_us = os_clock_mono_us() };

		if (ledger_arrived(ledger, buffer_view(&session->reverse_path), recipient,
				   buffer_view(&session->body), &taken.place) &&
		    session->taken_count < PLACES_MAX) {
			session->taken[session->taken_count++] = taken;
		}
	}
}

static void forget_transaction(struct session *session)
{
	buffer_clear(&session->reverse_path);
	buffer_clear(&session->recipients);
	buffer_clear(&session->body);
}

// False: the session is gone.
static bool answer_message(struct session *session)
{
	const struct weather *weather = session->remote->weather;

	if (strikes(session, weather->remote_defers, DEED_REMOTE_DEFERRED, "defers a message")) {
		answer(session, SMTP_REPLY_LOCAL_ERROR);
	} else {
		take_message(session);
		if (strikes(session, weather->remote_loses, DEED_REMOTE_LOST_REPLY,
			    "takes a message and vanishes")) {
			session_end(session, false, true);
			return false;
		}
		answer(session, SMTP_REPLY_QUEUED);
	}
	forget_transaction(session);
	return true;
}

static void answer_plainly(struct session *session, const struct smtp_event *event)
{
	const struct weather *weather = session->remote->weather;

	if (event->kind == SMTP_EVENT_CONNECT &&
	    strikes(session, weather->remote_turns_off, DEED_REMOTE_TURNED_AWAY,
		    "turns a connection away")) {
		answer(session, SMTP_REPLY_TOO_MANY_CONNECTIONS);
	} else if (event->kind == SMTP_EVENT_MAIL) {
		forget_transaction(session);
		buffer_add(&session->reverse_path, event->mail.sender.text);
		answer(session, SMTP_REPLY_SENDER_OK);
	} else if (event->kind == SMTP_EVENT_RCPT) {
		answer_rcpt(session, &event->rcpt.recipient);
	} else {
		smtp_server_accept(&session->server, os_clock_mono_ms());
	}
}

static void stall_ends(void *context)
{
	struct session *session = context;

	session->stalling = false;
	if (session->stalled.kind != SMTP_EVENT_MESSAGE) {
		smtp_server_accept(&session->server, os_clock_mono_ms());
	} else if (!answer_message(session)) {
		return;
	}
	session_run(session);
}

enum after { TALKS, SILENT, GONE };

static enum after answer_event(struct session *session, const struct smtp_event *event)
{
	const struct weather *weather = session->remote->weather;
	bool can_stall = event->kind == SMTP_EVENT_CONNECT || event->kind == SMTP_EVENT_HELO ||
			 event->kind == SMTP_EVENT_DATA || event->kind == SMTP_EVENT_MESSAGE;

	if (event->kind == SMTP_EVENT_RESET) {
		forget_transaction(session);
		return TALKS;
	}
	if (strikes(session, weather->remote_resets, DEED_REMOTE_RESET, "breaks a connection")) {
		session_end(session, false, true);
		return GONE;
	}
	if (can_stall &&
	    strikes(session, weather->remote_stalls, DEED_REMOTE_SILENT, "is silent")) {
		session->stalled = (struct smtp_event){ .kind = event->kind };
		session->stalling = true;
		os_timer_set(&session->timer, sim_random_below(session->remote->sim, STALL_MS_MAX));
		return SILENT;
	}
	if (event->kind == SMTP_EVENT_MESSAGE) {
		return answer_message(session) ? TALKS : GONE;
	}
	answer_plainly(session, event);
	return TALKS;
}

// ---- the machine

static enum smtp_step step(struct session *session, struct smtp_event *event)
{
	uint64_t now_ms = os_clock_mono_ms();
	struct view rest = buffer_view(&session->input);
	struct smtp_data_chunk chunk;
	enum smtp_step what;

	if (session->in_body && !session->input.len) {
		return SMTP_STEP_INPUT;
	}
	if (session->in_body) {
		what = smtp_server_body(&session->server, session->input.data, session->input.len,
					now_ms, &chunk, event);
		buffer_add(&session->body, view_of(session->input.data, chunk.kept));
		buffer_consume(&session->input, chunk.taken);
		session->in_body = what == SMTP_STEP_BODY;
		return what;
	}
	what = smtp_server_step(&session->server, &rest, now_ms, event);
	buffer_consume(&session->input, session->input.len - rest.len);
	session->in_body = what == SMTP_STEP_BODY;
	return what;
}

// False: the session is gone.
static bool flush(struct session *session)
{
	while (session->server.output.len) {
		size_t len;
		enum error error =
			stream_send(&session->stream, buffer_view(&session->server.output), &len);

		if (error == ERROR_AGAIN) {
			break;
		}
		if (error != OK) {
			session_end(session, false, false);
			return false;
		}
		smtp_server_output_sent(&session->server, len);
	}
	return true;
}

// False: the session is gone.
static bool begin_tls(struct session *session)
{
	if (!flush(session)) {
		return false;
	}
	// A reply that does not leave at once: the peer is slow on purpose, and gets no TLS.
	if (session->server.output.len ||
	    stream_start_tls_server(&session->stream, session->remote->tls) != OK) {
		session_end(session, false, false);
		return false;
	}
	session->shakes_hands = true;
	session->stream.wants = OS_READABLE;
	return true;
}

// False: the session is gone, or waits.
static bool shake_hands(struct session *session)
{
	enum stream_handshake step = stream_handshake(&session->stream);

	if (step == STREAM_HANDSHAKE_FAILED) {
		session_end(session, false, false);
		return false;
	}
	if (step != STREAM_HANDSHAKE_DONE) {
		if (os_watch_set(session->watch,
				 step == STREAM_HANDSHAKE_WANTS_READ ? OS_READABLE : OS_WRITABLE) !=
		    OK) {
			abort();
		}
		return false;
	}
	session->shakes_hands = false;
	session->remote->ledger->deeds[DEED_REMOTE_TLS]++;
	smtp_server_tls_started(&session->server, os_clock_mono_ms());
	return true;
}

static void session_run(struct session *session)
{
	enum smtp_step what;
	bool talks = true;

	while (talks && !session->stalling && !session->closing) {
		struct smtp_event event;

		what = step(session, &event);
		if (what == SMTP_STEP_EVENT) {
			if (answer_event(session, &event) == GONE) {
				return;
			}
		} else if (what == SMTP_STEP_CLOSE) {
			session->closing = true;
		} else if (what == SMTP_STEP_INPUT) {
			talks = false;
		} else if (what == SMTP_STEP_TLS) {
			if (!begin_tls(session)) {
				return;
			}
			talks = false;
		} else if (what == SMTP_STEP_FLUSH && !flush(session)) {
			return;
		}
	}
	if (!flush(session)) {
		return;
	}
	if (session->closing && !session->server.output.len) {
		session_end(session, session->server.close_reason == SMTP_CLOSE_QUIT, false);
		return;
	}
	if (os_watch_set(session->watch, session->server.output.len ? OS_READABLE | OS_WRITABLE
								    : OS_READABLE) != OK) {
		abort();
	}
}

static void on_ready(void *context, int events)
{
	struct session *session = context;
	enum error error = ERROR_AGAIN;
	size_t len;

	if (session->shakes_hands && !shake_hands(session)) {
		return;
	}
	while ((events & OS_READABLE) || stream_has_pending(&session->stream)) {
		char *room = buffer_reserve(&session->input, INPUT_BYTES);

		if (!room) {
			abort();
		}
		error = stream_receive(&session->stream, room, INPUT_BYTES, &len);
		session->input.len += error == OK ? len : 0;
		events = 0;
		if (error != OK) {
			break;
		}
	}
	if (error != OK && error != ERROR_AGAIN) {
		session_end(session, error == ERROR_CLOSED && session->closing, false);
	} else {
		session_run(session);
	}
}

static void on_connection(void *context, int events)
{
	struct listener *listener = context;
	struct remote *remote = listener->remote;
	struct session *session;
	int socket;

	(void)events;
	if (os_socket_accept(listener->fd, &socket, NULL) != OK) {
		return;
	}
	session = calloc(1, sizeof *session);
	if (!session ||
	    os_watch_new(remote->loop, socket, on_ready, session, &session->watch) != OK) {
		abort();
	}
	session->remote = remote;
	session->stream = stream_of(socket);
	session->input = buffer_with_max(BODY_BYTES_MAX);
	session->body = buffer_with_max(BODY_BYTES_MAX);
	session->reverse_path = buffer_with_max(1024);
	session->recipients = buffer_with_max(64 * 1024);
	os_timer_init(&session->timer, remote->loop, stall_ends, session);
	list_add_last(&remote->sessions, &session->link);
	smtp_server_init(&session->server, &remote->settings, os_clock_mono_ms());
	session_run(session);
}

// ---- hosts and their names

static const struct facts_address host_addresses[HOSTS] = {
	{ 4, { 198, 51, 100, 1 } },
	{ 4, { 198, 51, 100, 2 } },
	{ 4, { 198, 51, 100, 3 } },
	{ 4, { 198, 51, 100, 4 } },
};

static const struct facts_host hosts[HOSTS] = {
	{ { "mx1.good.example", 16 }, 10, FACTS_FOUND, false, 1, &host_addresses[0] },
	{ { "mx2.good.example", 16 }, 20, FACTS_FOUND, false, 1, &host_addresses[1] },
	{ { "far.example", 11 }, 0, FACTS_FOUND, false, 1, &host_addresses[2] },
	{ { "mx.senders.example", 18 }, 10, FACTS_FOUND, false, 1, &host_addresses[3] },
};

struct facts_answer remote_answer(const struct facts_question *question)
{
	struct facts_answer answer = { .kind = question->kind, .result = FACTS_FOUND, .ttl_s = 60 };
	struct view name = question->name;

	if (question->kind == FACTS_MAIL_ROUTE &&
	    (view_equal(name, VIEW("good.example")) || view_equal(name, VIEW("pair.example")))) {
		answer.hosts = &hosts[0];
		answer.host_count = 2;
	} else if (question->kind == FACTS_MAIL_ROUTE && view_equal(name, VIEW("far.example"))) {
		answer.implicit = true;
		answer.hosts = &hosts[2];
		answer.host_count = 1;
	} else if (question->kind == FACTS_MAIL_ROUTE &&
		   view_equal(name, VIEW("senders.example"))) {
		answer.hosts = &hosts[3];
		answer.host_count = 1;
	} else {
		answer.result = FACTS_NO_DOMAIN;
	}
	return answer;
}

struct remote *remote_new(struct os_loop *loop, struct ledger *ledger,
			  const struct weather *weather, struct tls_server *tls)
{
	struct remote *remote = calloc(1, sizeof *remote);
	struct os_listen_options options = { .backlog = 100 };

	if (!remote) {
		abort();
	}
	*remote = (struct remote){
		.loop = loop, .ledger = ledger, .sim = ledger->sim, .weather = weather
	};
	list_init(&remote->sessions);
	remote->settings = smtp_server_settings_default(VIEW("mx.remote.example"));
	remote->tls = tls ? tls_server_ref(tls) : NULL;
	remote->settings.tls = tls ? SMTP_TLS_STARTTLS : SMTP_TLS_OFF;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct listener *listener = &remote->listeners[i];
		struct os_address address = facts_address_with_port(&host_addresses[i], 25);

		listener->remote = remote;
		if (os_socket_listen(&address, options, &listener->fd) != OK ||
		    os_watch_new(loop, listener->fd, on_connection, listener, &listener->watch) !=
			    OK ||
		    os_watch_set(listener->watch, OS_READABLE) != OK) {
			abort();
		}
	}
	return remote;
}

void remote_free(struct remote *remote)
{
	while (!list_empty(&remote->sessions)) {
		session_end(CONTAINER_OF(remote->sessions.next, struct session, link), false,
			    false);
	}
	for (unsigned i = 0; i < HOSTS; i++) {
		os_watch_free(remote->listeners[i].watch);
		os_socket_close(remote->listeners[i].fd);
	}
	tls_server_unref(remote->tls);
	free(remote);
}
