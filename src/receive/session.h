// One connection: the socket with or without TLS, the protocol machine, and the transaction under
// way. session.c moves bytes; conversation.c answers the machine's questions. One loop thread. An
// idle session keeps no buffer.
#pragma once

#include "link/stream.h"
#include "receive/receiver_private.h"
#include "receive/transaction.h"

// Who logged in, for the life of the session.
struct session_login {
	struct arena arena;
	struct address address;
	struct patterns senders;
};

struct session {
	struct list link; // in receiver->sessions
	struct receiver *receiver;
	struct receive_generation *generation;
	const struct receive_listener *listener;
	struct stream stream;
	struct smtp_server server;
	struct os_watch *watch;
	struct os_timer timer;
	struct buffer pending; // input that waits behind an await point, or half a command
	struct transaction *transaction;
	struct session_login *login;
	struct keeper_request *asking; // a login that keeper checks
	struct ip_address peer;
	uint64_t dropped;    // bytes while lingering
	uint64_t body_bytes; // of the body under way that came; charged where it comes to nothing
	uint8_t phase;       // enum session_phase
	bool greeted;        // the machine was started
	bool over_limit;     // one connection too many: to be told so
	bool finishing;      // inside transaction_finish
	bool excused;        // what becomes of the body is not the client's doing
};

enum session_phase {
	SESSION_TALKING,
	SESSION_HANDSHAKING,
	SESSION_CLOSING,   // our last word is being sent
	SESSION_LINGERING, // our last word is said; what still comes is dropped
	SESSION_GONE,      // everything is closed; the struct stays until the loop's turn ends
};

// Takes the socket, in every case.
void session_start(struct receiver *receiver, const struct receive_listener *listener, int socket,
		   const struct ip_address *peer, bool over_limit);
// Closes everything at once; the struct itself goes when the loop's turn ends (session_bury), so
// that whoever is still at work on it can look at its phase.
void session_end(struct session *session);
void session_bury(struct session *session);
// For an orderly stop: idle ones go.
void session_shut(struct session *session);
// After a late answer: parse on, send what there is.
void session_resume(struct session *session);

// Answers the machine's event, now, or later through session_resume.
void conversation_answer(struct session *session, const struct smtp_event *event);
// The body came whole but cannot be kept: answers MESSAGE so, and the transaction is over.
void conversation_refuse_message(struct session *session, const struct smtp_reply *why);
// The same while it still comes: the rest is skipped.
void conversation_refuse_body(struct session *session, const struct smtp_reply *why);
// The machine does so by itself: it is too big.
void conversation_body_refused(struct session *session);
// The machine has refused a command by itself: smtp_server_settings.refused.
void conversation_command_refused(struct smtp_server *server, const char *verb,
				  const struct smtp_reply *reply);
// The end of the transaction, on whatever way; does nothing where there is none.
void conversation_end_transaction(struct session *session);
void conversation_login_done(struct session *session); // drops who is logged in
