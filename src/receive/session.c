#include "receive/session.h"

#include <stdlib.h>
#include <string.h>

#include "os/log.h"
#include "receive/trace.h"

enum {
	LINGER_MS = 3000, // for the last reply to leave, and again for the peer to read it
	LINGER_BYTES_MAX = 1024 * 1024,
	READS_PER_TURN = 16, // of one session, before others get their turn
	READ_BYTES = 32 * 1024,
};

static void on_ready(void *context, int events);
static void on_timer(void *context);

static uint64_t now_of(const struct session *session)
{
	return os_loop_now_ms(session->receiver->loop);
}

static void log_peer(struct session *session, enum log_level level, const char *event,
		     const char *reason)
{
	struct buffer ip = buffer_with_max(64);

	ip_address_add_text(&ip, &session->peer);
	LOG(level, event, LOG_TEXT("client", buffer_view(&ip)),
	    LOG_TEXT("listener", session->listener->config->name),
	    LOG_TEXT("helo", smtp_server_helo(&session->server)),
	    LOG_TEXT("reason", view_from_text(reason)));
	buffer_done(&ip);
}

// ---- input that waits

static bool keep_pending(struct session *session, struct view input)
{
	buffer_add(&session->pending, input);
	return buffer_error(&session->pending) == OK;
}

// Input may hold a login: nothing of it stays behind.
static void drop_pending(struct session *session)
{
	if (session->pending.len) {
		explicit_bzero(session->pending.data, session->pending.len);
	}
	buffer_done(&session->pending);
}

// ---- the end

void session_end(struct session *session)
{
	struct receiver *receiver = session->receiver;

	if (session->phase == SESSION_GONE) {
		return;
	}
	session->phase = SESSION_GONE;
	list_remove(&session->link);
	list_add_last(&receiver->gone, &session->link);
	receiver->counters.sessions--;
	receive_common_leave(receiver->parts.common, &session->peer, !session->over_limit);
	os_timer_stop(&session->timer);
	os_watch_free(session->watch);
	session->watch = NULL;
	stream_close(&session->stream);
	conversation_end_transaction(session);
	conversation_login_done(session);
	receiver_left(receiver);
}

void session_bury(struct session *session)
{
	list_remove(&session->link);
	smtp_server_done(&session->server);
	drop_pending(session);
	receive_generation_unref(session->generation);
	free(session);
}

static void watch(struct session *session, int events)
{
	if (session->phase != SESSION_GONE && os_watch_set(session->watch, events) != OK) {
		session_end(session);
	}
}

// ---- sending

// OK: all is sent. ERROR_AGAIN: the rest waits for the socket.
static enum error flush(struct session *session)
{
	struct buffer *output = &session->server.output;
	enum error error = OK;

	while (output->len && error == OK) {
		size_t sent = 0;

		error = stream_send(&session->stream, buffer_view(output), &sent);
		if (error == OK) {
			smtp_server_output_sent(&session->server, sent);
		}
	}
	return error;
}

static bool waits_for_file(const struct session *session)
{
	return session->transaction && transaction_is_full(session->transaction);
}

static void arm_deadline(struct session *session)
{
	uint64_t deadline = smtp_server_deadline_ms(&session->server);
	uint64_t now = now_of(session);

	if (deadline == UINT64_MAX) {
		os_timer_stop(&session->timer);
	} else {
		os_timer_set(&session->timer, deadline > now ? deadline - now : 0);
	}
}

// Before sleeping: sends what there is. Who does not read our replies is not read from, nor is
// anybody while an answer is awaited or a body's file is behind.
static void flush_and_sleep(struct session *session)
{
	bool reading = !session->server.awaiting && !waits_for_file(session);

	arm_deadline(session);
	switch (flush(session)) {
	case OK: watch(session, reading ? OS_READABLE : 0); break;
	case ERROR_AGAIN: watch(session, stream_wants(&session->stream)); break;
	default: session_end(session); break;
	}
}

// ---- closing

// Sends the rest of our last word, then waits for the peer to read it where that makes sense.
static void finish_closing(struct session *session)
{
	enum error error = flush(session);
	bool lingers = smtp_server_linger(&session->server) && !session->over_limit;

	if (error == ERROR_AGAIN) {
		watch(session, stream_wants(&session->stream));
		return;
	}
	if (error == OK && (lingers || session->stream.tls)) {
		stream_shutdown(&session->stream);
	}
	if (error != OK || !lingers) {
		session_end(session);
		return;
	}
	session->phase = SESSION_LINGERING;
	os_timer_set(&session->timer, LINGER_MS);
	watch(session, OS_READABLE);
}

static void close_politely(struct session *session)
{
	enum smtp_close_reason reason = session->server.close_reason;

	if (reason != SMTP_CLOSE_QUIT && reason != SMTP_CLOSE_ANSWERED) {
		bool hostile = smtp_close_reason_hostile(reason);

		session->receiver->counters.hostile += hostile;
		log_peer(session, hostile ? LOG_WARNING : LOG_INFO, "closed",
			 smtp_close_reason_text(reason));
	}
	receive_trace_end(session->transaction, "closed", smtp_close_reason_text(reason));
	conversation_end_transaction(session);
	session->phase = SESSION_CLOSING;
	os_timer_set(&session->timer, LINGER_MS);
	finish_closing(session);
}

static void linger(struct session *session)
{
	size_t len = 0;
	enum error error = os_socket_receive(session->stream.socket, session->receiver->scratch,
					     RECEIVER_SCRATCH_BYTES, &len);

	session->dropped += len;
	if ((error != OK && error != ERROR_AGAIN) || session->dropped > LINGER_BYTES_MAX) {
		session_end(session);
	}
}

// ---- the body

// Decodes len bytes that lie in the transaction's room; what follows the body becomes *input, in
// scratch.
static void decode(struct session *session, char *room, size_t len, struct view *input)
{
	struct smtp_server *server = &session->server;
	bool refused_before = smtp_server_body_refused(server);
	struct smtp_data_chunk chunk = { 0 };
	struct smtp_event event = { 0 };
	struct smtp_reply why;
	enum smtp_step step = smtp_server_body(server, room, len, now_of(session), &chunk, &event);

	session->body_bytes += chunk.taken;
	*input = (struct view){ 0 };
	if (chunk.taken < len) {
		memcpy(session->receiver->scratch, room + chunk.taken, len - chunk.taken);
		*input = view_of(session->receiver->scratch, len - chunk.taken);
	}
	if (refused_before || step == SMTP_STEP_CLOSE) {
		// nothing of it is kept
	} else if (smtp_server_body_refused(server) || event.kind == SMTP_EVENT_RESET) {
		conversation_body_refused(session); // by the machine
	} else if (!transaction_keep(session->transaction, chunk.kept,
				     event.kind == SMTP_EVENT_MESSAGE, &why)) {
		if (event.kind == SMTP_EVENT_MESSAGE) {
			conversation_refuse_message(session, &why);
			return;
		}
		if (step == SMTP_STEP_BODY) {
			conversation_refuse_body(session, &why);
		}
	}
	if (step == SMTP_STEP_EVENT) {
		conversation_answer(session, &event);
	}
}

// Bytes of the body that came together with DATA, or waited behind it.
static void body_from_input(struct session *session, struct view *input)
{
	char *room = transaction_room(session->transaction, input->len);
	size_t len = input->len;

	if (!room) {
		session_end(session);
		return;
	}
	memcpy(room, input->data, len);
	decode(session, room, len, input);
}

// ---- the machine

static void start_tls(struct session *session)
{
	// A peer that cannot take one line is not worth a handshake.
	if (flush(session) != OK || !session->listener->tls ||
	    stream_start_tls_server(&session->stream, session->listener->tls) != OK) {
		session_end(session);
		return;
	}
	session->phase = SESSION_HANDSHAKING;
	os_timer_set(&session->timer, session->generation->config->limits.tls_time_ms);
	watch(session, OS_READABLE);
}

// One step of the machine. False: nothing more to do with this input.
static bool step(struct session *session, struct view *input)
{
	struct smtp_event event = { 0 };

	if (session->receiver->stopping) {
		(void)smtp_server_shut(&session->server); // false: after what it is at
	}
	switch (smtp_server_step(&session->server, input, now_of(session), &event)) {
	case SMTP_STEP_EVENT: conversation_answer(session, &event); return true;
	case SMTP_STEP_TLS: start_tls(session); return false;
	case SMTP_STEP_CLOSE: close_politely(session); return false;
	case SMTP_STEP_FLUSH:
		if (flush(session) == OK) {
			return true;
		}
		break;
	case SMTP_STEP_BODY:
		if (input->len && !waits_for_file(session)) {
			body_from_input(session, input);
			return true;
		}
		break;
	case SMTP_STEP_INPUT:
	case SMTP_STEP_WAIT: break;
	}
	if (keep_pending(session, *input)) {
		flush_and_sleep(session);
	} else {
		session_end(session);
	}
	return false;
}

static void run(struct session *session, struct view input)
{
	while (session->phase == SESSION_TALKING && step(session, &input)) {
	}
}

// Input may hold a login: nothing of it stays in scratch.
static void run_and_wipe(struct session *session, size_t len)
{
	char *scratch = session->receiver->scratch;

	run(session, view_of(scratch, len));
	explicit_bzero(scratch, len);
}

static void run_pending(struct session *session)
{
	size_t len = session->pending.len;

	if (len) {
		memcpy(session->receiver->scratch, session->pending.data, len);
		drop_pending(session);
	}
	run_and_wipe(session, len);
}

void session_resume(struct session *session)
{
	if (session->phase == SESSION_TALKING) {
		run_pending(session);
	}
	if (session->phase == SESSION_TALKING && stream_has_pending(&session->stream)) {
		on_ready(session, OS_READABLE);
	}
}

// ---- reading

// These say through ret_full that there may be more to read at once.
static enum error read_body(struct session *session, bool *ret_full)
{
	size_t size = transaction_read_size(session->transaction);
	char *room = transaction_room(session->transaction, size);
	struct view input;
	size_t len = 0;
	enum error error =
		room ? stream_receive(&session->stream, room, size, &len) : ERROR_NO_MEMORY;

	if (error == OK) {
		*ret_full = len == size;
		decode(session, room, len, &input);
		run(session, input);
	}
	return error;
}

static enum error read_commands(struct session *session, bool *ret_full)
{
	char *scratch = session->receiver->scratch;
	size_t old = session->pending.len;
	size_t size = RECEIVER_SCRATCH_BYTES - old < READ_BYTES ? RECEIVER_SCRATCH_BYTES - old
								: READ_BYTES;
	size_t len = 0;
	enum error error;

	if (old) {
		memcpy(scratch, session->pending.data, old);
	}
	error = stream_receive(&session->stream, scratch + old, size, &len);
	if (error == OK) {
		*ret_full = len == size;
		drop_pending(session);
		run_and_wipe(session, old + len);
	}
	return error;
}

static void read_on(struct session *session)
{
	for (int turn = 0; turn < READS_PER_TURN; turn++) {
		bool in_body = session->server.state == SMTP_STATE_BODY;
		bool full = false;
		enum error error;

		if (session->server.awaiting || session->server.output.len ||
		    waits_for_file(session)) {
			return;
		}
		error = in_body ? read_body(session, &full) : read_commands(session, &full);
		if (error == ERROR_AGAIN) {
			watch(session, stream_wants(&session->stream));
			return;
		}
		if (error != OK) {
			session_end(session);
			return;
		}
		if (session->phase != SESSION_TALKING ||
		    (!full && !stream_has_pending(&session->stream))) {
			return;
		}
	}
	if (stream_has_pending(&session->stream)) {
		os_timer_set(&session->timer, 0); // no socket tells of bytes inside TLS
	}
}

// ---- TLS

static void greet(struct session *session)
{
	size_t len = 0;
	struct view early = { 0 };

	smtp_server_init(&session->server, &session->listener->settings, now_of(session));
	session->phase = SESSION_TALKING;
	session->greeted = true;
	// Who speaks before the banner must be seen doing so.
	if (stream_receive(&session->stream, session->receiver->scratch, READ_BYTES, &len) == OK) {
		early = view_of(session->receiver->scratch, len);
	}
	run(session, early);
}

static void handshake(struct session *session)
{
	switch (stream_handshake(&session->stream)) {
	case STREAM_HANDSHAKE_WANTS_READ: watch(session, OS_READABLE); return;
	case STREAM_HANDSHAKE_WANTS_WRITE: watch(session, OS_WRITABLE); return;
	case STREAM_HANDSHAKE_FAILED:
		session->receiver->counters.tls_failures++;
		log_peer(session, LOG_INFO, "tls_failed", stream_failure(&session->stream));
		session_end(session);
		return;
	case STREAM_HANDSHAKE_DONE: break;
	}
	if (!session->greeted) {
		greet(session);
	} else {
		session->phase = SESSION_TALKING;
		smtp_server_tls_started(&session->server, now_of(session));
		run(session, (struct view){ 0 });
	}
	if (session->phase == SESSION_TALKING) {
		read_on(session);
	}
}

// ---- what happens

static void on_ready(void *context, int events)
{
	struct session *session = context;

	(void)events;
	switch ((enum session_phase)session->phase) {
	case SESSION_HANDSHAKING: handshake(session); break;
	case SESSION_CLOSING: finish_closing(session); break;
	case SESSION_LINGERING: linger(session); break;
	case SESSION_TALKING:
		if (session->server.output.len) {
			run_pending(session);
		}
		if (session->phase == SESSION_TALKING) {
			read_on(session);
		}
		break;
	case SESSION_GONE: break;
	}
}

static void on_timer(void *context)
{
	struct session *session = context;

	if (session->phase != SESSION_TALKING) {
		session_end(session);
	} else if (smtp_server_deadline_ms(&session->server) > now_of(session)) {
		arm_deadline(session); // it was not a deadline: see read_on
		read_on(session);
	} else {
		session->excused |= waits_for_file(session);
		smtp_server_timeout(&session->server);
		run_pending(session);
	}
}

void session_shut(struct session *session)
{
	if (session->phase == SESSION_TALKING) {
		run_pending(session);
	} else if (session->phase != SESSION_CLOSING) {
		session_end(session);
	}
}

void session_start(struct receiver *receiver, const struct receive_listener *listener, int socket,
		   const struct ip_address *peer, bool over_limit)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session) {
		os_socket_close(socket);
		receive_common_leave(receiver->parts.common, peer, !over_limit);
		return;
	}
	session->receiver = receiver;
	session->generation = receive_generation_ref(receiver->generation);
	session->listener = listener;
	session->stream = stream_of(socket);
	session->pending = buffer_with_max(RECEIVER_SCRATCH_BYTES);
	session->peer = *peer;
	session->over_limit = over_limit;
	os_timer_init(&session->timer, receiver->loop, on_timer, session);
	list_add_last(&receiver->sessions, &session->link);
	receiver->counters.sessions++;
	if (os_watch_new(receiver->loop, socket, on_ready, session, &session->watch) != OK ||
	    (over_limit && listener->settings.tls == SMTP_TLS_IMPLICIT)) {
		session_end(session); // a handshake only to refuse costs too much
	} else if (listener->settings.tls == SMTP_TLS_IMPLICIT) {
		start_tls(session);
	} else {
		greet(session);
	}
}
