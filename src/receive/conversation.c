#include <stdlib.h>

#include "os/log.h"
#include "policy/sender.h"
#include "receive/charge.h"
#include "receive/trace.h"

// Deciding about one address needs its expansion for a moment.
enum { DECISION_BYTES_MAX = 4 * 1024 * 1024, LOGIN_BYTES_MAX = 256 * 1024, LOGIN_MS = 30000 };

static uint64_t now_of(const struct session *session)
{
	return os_loop_now_ms(session->receiver->loop);
}

static void answer_id(struct session *session, enum smtp_reply_id id)
{
	smtp_server_answer_id(&session->server, id, now_of(session));
}

// ---- for the log

static struct view peer_text(struct session *session, struct buffer *buffer)
{
	*buffer = buffer_with_max(64);
	ip_address_add_text(buffer, &session->peer);
	return buffer_view(buffer);
}

static struct view login_text(const struct session *session)
{
	return session->login ? session->login->address.text : (struct view){ 0 };
}

static void log_refused(struct session *session, const char *what, struct view from, struct view to,
			const char *reason, const struct smtp_reply *reply)
{
	char id[SPOOL_ID_TEXT_LEN + 1] = "";
	struct buffer ip;

	if (session->transaction) {
		spool_id_format(transaction_id(session->transaction), id);
	}
	LOG(LOG_NOTICE, "refused", LOG_TEXT("id", view_from_text(id)),
	    LOG_TEXT("client", peer_text(session, &ip)),
	    LOG_TEXT("listener", session->listener->config->name),
	    LOG_TEXT("login", login_text(session)),
	    LOG_TEXT("helo", smtp_server_helo(&session->server)),
	    LOG_TEXT("command", view_from_text(what)), LOG_TEXT("from", from), LOG_TEXT("to", to),
	    LOG_NUMBER("code", reply->code), LOG_TEXT("reason", view_from_text(reason)),
	    LOG_TEXT("text", view_from_text(reply->text)));
	buffer_done(&ip);
}

static void refuse(struct session *session, const char *command, struct view from, struct view to,
		   const char *reason, const struct smtp_reply *reply)
{
	log_refused(session, command, from, to, reason, reply);
	smtp_server_answer(&session->server, reply, now_of(session));
}

static void refuse_id(struct session *session, const char *command, struct view from,
		      const char *reason, enum smtp_reply_id id)
{
	struct smtp_reply reply = smtp_reply(id);

	refuse(session, command, from, (struct view){ 0 }, reason, &reply);
}

static void log_received(struct session *session, const struct transaction *transaction)
{
	char id[SPOOL_ID_TEXT_LEN + 1];
	struct buffer ip;

	spool_id_format(transaction_id(transaction), id);
	LOG(LOG_INFO, "received", LOG_TEXT("id", view_from_text(id)),
	    LOG_TEXT("from", transaction_sender(transaction)->text),
	    LOG_TEXT("to", transaction_first_recipient(transaction)),
	    LOG_NUMBER("recipients", transaction_recipient_count(transaction)),
	    LOG_NUMBER("size", transaction_bytes(transaction)),
	    LOG_TEXT("client", peer_text(session, &ip)),
	    LOG_TEXT("listener", session->listener->config->name),
	    LOG_TEXT("login", login_text(session)),
	    LOG_TEXT("helo", smtp_server_helo(&session->server)));
	buffer_done(&ip);
}

static struct smtp_reply reply_of(const struct verdict *verdict)
{
	struct view rest = view_from_text(verdict->enhanced), part;
	uint64_t numbers[3] = { 0 };
	struct smtp_status status = { 0 };

	for (int i = 0; i < 3 && view_next_part(&rest, '.', &part); i++) {
		if (!view_to_u64(part, 999, &numbers[i])) {
			numbers[i] = 0;
		}
	}
	status.class = (uint8_t)numbers[0];
	status.subject = (uint16_t)numbers[1];
	status.detail = (uint16_t)numbers[2];
	return smtp_reply_of(verdict->code, status, view_from_text(verdict->text));
}

// Of an unknown command nothing is shown: it may be a password that came too early (A54).
void conversation_command_refused(struct smtp_server *server, const char *verb,
				  const struct smtp_reply *reply)
{
	struct session *session = CONTAINER_OF(server, struct session, server);
	const struct transaction *transaction = session->transaction;

	session->receiver->counters.commands_4xx += reply->code < 500;
	session->receiver->counters.commands_5xx += reply->code >= 500;
	log_refused(session, verb ? verb : "",
		    transaction ? transaction_sender(transaction)->text : (struct view){ 0 },
		    (struct view){ 0 }, "command", reply);
	if (transaction) {
		receive_trace_command(session, verb, reply);
	}
}

// ---- logins

void conversation_login_done(struct session *session)
{
	if (session->asking) {
		keeper_request_cancel(session->asking);
		free(session->asking);
		session->asking = NULL;
	}
	if (session->login) {
		arena_done(&session->login->arena);
		free(session->login);
		session->login = NULL;
	}
}

static enum error remember_login(struct session *session, const struct keeper_answer *answer)
{
	struct session_login *login = calloc(1, sizeof *login);

	if (!login) {
		return ERROR_NO_MEMORY;
	}
	session->login = login;
	login->arena = arena_with_max(LOGIN_BYTES_MAX);
	return keeper_answer_rights(answer, &login->arena, &login->address, &login->senders);
}

static void refuse_login(struct session *session, const struct keeper_answer *answer)
{
	static const struct {
		enum smtp_reply_id id;
		const char *reason;
	} replies[] = {
		[KEEPER_GOOD] = { SMTP_REPLY_LOCAL_ERROR, "out of memory" },
		[KEEPER_WRONG] = { SMTP_REPLY_AUTH_FAILED, "wrong user name or password" },
		[KEEPER_LATER] = { SMTP_REPLY_AUTH_UNAVAILABLE, "too many failures" },
		[KEEPER_TEMPORARY] = { SMTP_REPLY_AUTH_UNAVAILABLE, "logins cannot be checked" },
	};

	session->receiver->counters.failed_logins++;
	conversation_login_done(session);
	refuse_id(session, "AUTH", (struct view){ 0 }, replies[answer->result].reason,
		  replies[answer->result].id);
}

static void on_login(void *context, const struct keeper_answer *answer)
{
	struct session *session = context;

	free(session->asking);
	session->asking = NULL;
	if (answer->result == KEEPER_GOOD && remember_login(session, answer) == OK) {
		session->receiver->counters.logins++;
		smtp_server_accept(&session->server, now_of(session));
	} else {
		refuse_login(session, answer);
	}
	session_resume(session);
}

static void on_auth(struct session *session, const struct smtp_event_auth *auth)
{
	struct keeper_client *keeper = session->receiver->parts.keeper;
	struct keeper_login question = {
		.user = auth->user,
		.password = auth->password,
		.client = session->peer,
	};

	// Nobody acts for another: the identities must be the same (attack A33).
	if (auth->identity.len && !view_equal(auth->identity, auth->user)) {
		refuse_id(session, "AUTH", (struct view){ 0 }, "acts for another",
			  SMTP_REPLY_AUTH_FAILED);
		return;
	}
	session->asking = keeper ? calloc(1, sizeof *session->asking) : NULL;
	if (!session->asking || keeper_ask_login(keeper, session->asking, &question, LOGIN_MS,
						 on_login, session) != OK) {
		free(session->asking);
		session->asking = NULL;
		refuse_id(session, "AUTH", (struct view){ 0 }, "logins cannot be checked",
			  SMTP_REPLY_AUTH_UNAVAILABLE);
	}
}

// ---- the transaction

static enum error decide_sender(struct session *session, const struct address *sender,
				struct verdict *ret_verdict)
{
	struct arena arena = arena_with_max(DECISION_BYTES_MAX);
	struct directory_answer answer;
	struct sender_facts facts = {
		.place = SENDER_REVERSE_PATH,
		.login = &session->login->address,
		.patterns = session->login->senders,
		.address = sender,
		.directory = &answer,
	};
	enum error error =
		directory_resolve(&session->receiver->directory, &arena, sender, &answer);

	if (error == OK) {
		*ret_verdict = sender_decide(&facts);
	}
	arena_done(&arena);
	return error;
}

static void on_mail(struct session *session, const struct smtp_event_mail *mail)
{
	struct transaction_place place = {
		.receiver = session->receiver,
		.listener = session->listener,
		.config = session->generation->config,
	};
	struct verdict verdict = verdict_accept("");
	struct view from = mail->sender.text;
	struct smtp_reply reply;

	if (spool_writer_admit(session->receiver->parts.writer) != OK) {
		refuse_id(session, "MAIL", from, "storage", SMTP_REPLY_NO_STORAGE);
		return;
	}
	if (session->login && decide_sender(session, &mail->sender, &verdict) != OK) {
		refuse_id(session, "MAIL", from, "memory", SMTP_REPLY_NO_MEMORY);
		return;
	}
	if (verdict.kind != VERDICT_ACCEPT) {
		reply = reply_of(&verdict);
		refuse(session, "MAIL", from, (struct view){ 0 }, verdict.reason, &reply);
		return;
	}
	session->transaction = transaction_new(&place, mail);
	if (!session->transaction) {
		refuse_id(session, "MAIL", from, "memory", SMTP_REPLY_NO_MEMORY);
		return;
	}
	reply = smtp_reply(SMTP_REPLY_SENDER_OK);
	receive_trace_mail(session, mail, verdict.reason, &reply);
	smtp_server_answer(&session->server, &reply, now_of(session));
}

static struct relay_verdict decide_recipient(struct session *session,
					     const struct address *recipient,
					     const struct directory_answer *answer)
{
	struct relay_facts facts = {
		.role = session->listener->config->role,
		.client = session->peer,
		.login = login_text(session),
		.reverse_path = transaction_sender(session->transaction),
		.recipient = recipient,
		.directory = answer,
	};

	return relay_decide(&session->generation->config->relay, &facts);
}

static void note_refused_recipient(struct session *session, const struct address *recipient,
				   const char *reason, const struct smtp_reply *reply)
{
	session->receiver->counters.refused_recipients++;
	log_refused(session, "RCPT", transaction_sender(session->transaction)->text,
		    recipient->text, reason, reply);
}

static struct smtp_reply take_recipient(struct session *session, const struct address *recipient,
					const struct directory_answer *expanded)
{
	switch (transaction_add_recipient(session->transaction, recipient, expanded)) {
	case OK: return smtp_reply(SMTP_REPLY_RECIPIENT_OK);
	case ERROR_LIMIT: return smtp_reply(SMTP_REPLY_TOO_MANY_RECIPIENTS);
	default: return smtp_reply(SMTP_REPLY_NO_MEMORY);
	}
}

static void on_rcpt(struct session *session, const struct address *recipient)
{
	struct arena arena = arena_with_max(DECISION_BYTES_MAX);
	const struct directory_answer *expanded = NULL;
	struct directory_answer answer;
	struct relay_verdict verdict;
	struct smtp_reply reply;

	if (directory_resolve(&session->receiver->directory, &arena, recipient, &answer) != OK) {
		reply = smtp_reply(SMTP_REPLY_NO_MEMORY);
		note_refused_recipient(session, recipient, "memory", &reply);
		smtp_server_answer(&session->server, &reply, now_of(session));
		arena_done(&arena);
		return;
	}
	verdict = decide_recipient(session, recipient, &answer);
	verdict.verdict = charge_recipient(session, &verdict.verdict, recipient, &answer);
	if (verdict.verdict.kind == VERDICT_ACCEPT) {
		expanded = verdict.destination == RELAY_ONWARD ? NULL : &answer;
		reply = take_recipient(session, recipient, expanded);
	} else {
		reply = reply_of(&verdict.verdict);
	}
	if (!smtp_reply_positive(&reply)) {
		note_refused_recipient(
			session, recipient,
			verdict.verdict.kind == VERDICT_ACCEPT ? "limit" : verdict.verdict.reason,
			&reply);
	}
	receive_trace_recipient(session, recipient, &verdict, expanded, &reply);
	smtp_server_answer(&session->server, &reply, now_of(session));
	arena_done(&arena);
}

void conversation_end_transaction(struct session *session)
{
	if (session->body_bytes && !session->excused) {
		charge_discarded(session);
	}
	session->body_bytes = 0;
	transaction_leave(session->transaction);
	session->transaction = NULL;
}

static void on_body_ready(void *context)
{
	session_resume(context);
}

// What origin views stays as it is while the transaction lasts.
static void on_data(struct session *session)
{
	struct transaction_origin origin = {
		.helo = smtp_server_helo(&session->server),
		.peer = session->peer,
		.login = session->login ? &session->login->address : NULL,
		.login_senders = session->login ? session->login->senders : (struct patterns){ 0 },
		.extended = session->server.extended,
	};
	struct stream_tls_info tls;

	if (stream_tls_info(&session->stream, &tls)) {
		origin.tls_version = view_from_text(tls.version);
		origin.tls_cipher = view_from_text(tls.cipher);
	}
	if (transaction_begin_body(session->transaction, &origin) != OK) {
		struct smtp_reply reply = smtp_reply(SMTP_REPLY_NO_STORAGE);

		conversation_refuse_message(session, &reply);
		return;
	}
	receive_trace_data(session);
	session->excused = false;
	transaction_on_ready(session->transaction, on_body_ready, session);
	smtp_server_accept(&session->server, now_of(session));
}

static void note_refused_message(struct session *session, const struct smtp_reply *why)
{
	const struct transaction *transaction = session->transaction;

	session->receiver->counters.refused_messages++;
	log_refused(session, "DATA", transaction_sender(transaction)->text,
		    transaction_first_recipient(transaction), "message", why);
	receive_trace_reply(session, why);
}

void conversation_refuse_body(struct session *session, const struct smtp_reply *why)
{
	session->excused = why->code < 500;
	note_refused_message(session, why);
	smtp_server_body_refuse(&session->server, why);
	transaction_discard_body(session->transaction);
}

void conversation_body_refused(struct session *session)
{
	struct smtp_reply why = smtp_reply(SMTP_REPLY_TOO_BIG);

	note_refused_message(session, &why);
	transaction_discard_body(session->transaction);
}

void conversation_refuse_message(struct session *session, const struct smtp_reply *why)
{
	session->excused = why->code < 500;
	note_refused_message(session, why);
	smtp_server_answer(&session->server, why, now_of(session));
	conversation_end_transaction(session);
}

static void on_finished(void *context, struct smtp_reply reply)
{
	struct session *session = context;

	if (!smtp_reply_positive(&reply)) {
		conversation_refuse_message(session, &reply);
	} else {
		log_received(session, session->transaction);
		receive_trace_reply(session, &reply);
		charge_credit(session, transaction_bytes(session->transaction));
		smtp_server_answer(&session->server, &reply, now_of(session));
		conversation_end_transaction(session);
	}
	if (!session->finishing) {
		session_resume(session);
	}
}

static void on_message(struct session *session)
{
	session->excused = true; // it came whole: who leaves now did nothing wrong
	// An answer at once must not parse on from inside the parser.
	session->finishing = true;
	transaction_finish(session->transaction, on_finished, session);
	session->finishing = false;
}

// ---- all of them

static void on_connect(struct session *session)
{
	if (session->over_limit) {
		answer_id(session, SMTP_REPLY_TOO_MANY_CONNECTIONS);
	} else {
		smtp_server_accept(&session->server, now_of(session));
	}
}

void conversation_answer(struct session *session, const struct smtp_event *event)
{
	switch (event->kind) {
	case SMTP_EVENT_CONNECT: on_connect(session); break;
	case SMTP_EVENT_HELO: smtp_server_accept(&session->server, now_of(session)); break;
	case SMTP_EVENT_STARTTLS:
		if (session->listener->tls) {
			smtp_server_accept(&session->server, now_of(session));
		} else {
			answer_id(session, SMTP_REPLY_TLS_UNAVAILABLE);
		}
		break;
	case SMTP_EVENT_AUTH: on_auth(session, &event->auth); break;
	case SMTP_EVENT_MAIL: on_mail(session, &event->mail); break;
	case SMTP_EVENT_RCPT: on_rcpt(session, &event->rcpt.recipient); break;
	case SMTP_EVENT_DATA: on_data(session); break;
	case SMTP_EVENT_MESSAGE: on_message(session); break;
	case SMTP_EVENT_RESET:
		receive_trace_end(session->transaction, "reset", "");
		conversation_end_transaction(session);
		break;
	case SMTP_EVENT_NONE: break;
	}
}
