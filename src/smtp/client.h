// The client's side of SMTP as a machine without I/O: one outgoing connection, bytes and
// transactions in, bytes and events out. RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 3207 (STARTTLS),
// 4954 (AUTH), 6152 (8BITMIME), 6531 (SMTPUTF8), 2034 (ENHANCEDSTATUSCODES).
//
// The shell owns the socket, the input and the clock; the machine owns the output. From the moment
// the connection stands (with TLS on and smtp_client_tls_started called, where TLS is implicit):
//
//     smtp_client_init
//     for (;;) switch (smtp_client_step(client, &input, now_ms, &event)) {
//     INPUT: keep what is left in input; send the output and read at the same time (a peer may
//            stop reading until we do); step again when something came, when the output has
//            become empty, after a call below, or at smtp_client_deadline_ms
//     EVENT: see enum smtp_client_event_kind; step again
//     BODY:  smtp_client_body with the next chunk of the stored message, smtp_client_body_end
//            after the last, then step again; it stops asking while output_bytes_max waits
//     TLS:   send all output, handshake, smtp_client_tls_started; step again
//     CLOSE: send what output there is and close
//     }
//
// READY says that the session stands: then and later smtp_client_send gives it one transaction, and
// (after the EVENT NEXT) one more, so that the next envelope travels behind the body of the one
// before. Every recipient gets exactly one OUTCOME; then its transaction gets DONE and is the
// caller's again. When the session fails, the recipients still open get their OUTCOME before
// FAILED.
//
// A reply that began before its command had left (smtp_client_output_sent) is an attack or a fault,
// so it ends the session and delivers nothing (A6). Only a refusal may overtake the body.
//
// A body with bytes above 127 goes as it is to a peer without 8BITMIME: nothing else arrives
// unharmed, and every server in use passes it. Conversion can be added to the outgoing form.
//
// One owner, one thread. Limits: replies of 100 lines, 2048 bytes a line, 16 KiB in all.
#pragma once

#include "mail/outgoing.h"
#include "smtp/client_reply.h"

enum {
	SMTP_CLIENT_CHUNK_MAX = 1 << 20,  // bytes of the body handed over at once
	SMTP_CLIENT_FRONT_MAX = 64 << 10, // bytes of the fields in front of a message
};

enum smtp_client_tls {
	SMTP_CLIENT_TLS_NEVER,
	SMTP_CLIENT_TLS_MAY,      // when offered; in clear when the peer refuses it
	SMTP_CLIENT_TLS_MUST,     // or FAILED
	SMTP_CLIENT_TLS_IMPLICIT, // on from the first byte
};

// Time for each reply, RFC 5321 section 4.5.3.2, from its command to its last line; and for all of
// them together, so that a peer which is never quite late has an end too (attack A25).
struct smtp_client_times {
	uint32_t banner_ms, ehlo_ms, command_ms, data_ms, body_block_ms, body_end_ms, quit_ms;
	uint32_t session_ms;                // until READY
	uint32_t transaction_ms;            // one transaction, beside what its size takes at:
	uint32_t rate_bytes_per_second_min; // 0: no such time
};

struct smtp_client_settings {
	struct view hostname; // for EHLO; ASCII
	enum smtp_client_tls tls;
	struct view username, password; // empty: no login. Sent to a verified TLS peer only (A36).
	uint32_t output_bytes_max;      // about; what one feed of the body adds comes on top
	struct smtp_client_times times;
};

// Times of the RFC, 64 KiB of output, TLS_MAY, no login; hostname is kept as a view.
struct smtp_client_settings smtp_client_settings_default(struct view hostname);

enum smtp_outcome_kind {
	SMTP_OUTCOME_ACCEPTED,
	SMTP_OUTCOME_TEMPORARY, // the peer, or the missing of something at the peer, says: later
	SMTP_OUTCOME_PERMANENT,
	SMTP_OUTCOME_LOST, // the connection failed before an answer; the message may have arrived
			   // where body_sent says so
};

struct smtp_outcome {
	enum smtp_outcome_kind kind;
	bool by_peer;   // code, status and text are the peer's; else ours, and code is 0
	bool body_sent; // the end of the data had been handed over
	uint16_t code;
	struct smtp_status status;                 // always filled
	char text[SMTP_CLIENT_REPLY_TEXT_MAX + 4]; // escaped: printable UTF-8 on one line
};

struct smtp_client_recipient {
	struct view address; // canonical
	// Internal, zero at first.
	uint64_t command_end;
	uint8_t state;
};

// The caller's, views included; untouched until its DONE.
struct smtp_client_transaction {
	struct view reverse_path; // canonical; empty for the null path
	struct smtp_client_recipient *recipients;
	size_t recipient_count;      // at least 1
	struct outgoing_edits edits; // made to the stored message
	uint64_t size_bytes;         // of the stored message and the fields in front
	bool eight_bit;              // the message has bytes above 127
	bool smtputf8;               // its header needs SMTPUTF8 (addresses are looked at here)
	// Internal, zero at first: the place in the dialogue (client_transaction.c).
	size_t sent, answered, told, accepted_count;
	uint64_t command_ends[4];    // of the commands that are no RCPT
	struct smtp_outcome outcome; // of all recipients that have none yet, once known
	bool begun, closed, outcome_known, mail_accepted;
};

enum smtp_client_event_kind {
	SMTP_CLIENT_EVENT_READY,   // idle; transactions can be sent
	SMTP_CLIENT_EVENT_OUTCOME, // of one recipient
	SMTP_CLIENT_EVENT_NEXT,    // the body is handed over: a second transaction can be sent
	SMTP_CLIENT_EVENT_DONE,    // of a transaction
	SMTP_CLIENT_EVENT_FAILED,  // of the session; CLOSE follows
};

enum smtp_client_failure {
	SMTP_CLIENT_OK,
	SMTP_CLIENT_REFUSED,    // banner or EHLO
	SMTP_CLIENT_NO_TLS,     // needed, but not offered or refused
	SMTP_CLIENT_INJECTION,  // bytes between 220 and TLS (A6)
	SMTP_CLIENT_UNVERIFIED, // a login is due, but the TLS peer is not verified (A36)
	SMTP_CLIENT_NO_LOGIN,   // PLAIN and LOGIN are not offered
	SMTP_CLIENT_LOGIN_REFUSED,
	SMTP_CLIENT_BAD_REPLY,   // not a reply, or one that nothing asked for
	SMTP_CLIENT_REPLY_LIMIT, // a reply past a limit
	SMTP_CLIENT_CLOSING,     // the peer said 421
	SMTP_CLIENT_TIMEOUT,     // of one reply
	SMTP_CLIENT_TOO_SLOW,    // the time for all of a session's begin or a transaction is over
	SMTP_CLIENT_LOST,        // smtp_client_lost
	SMTP_CLIENT_NO_MEMORY,
};

const char *smtp_client_failure_text(enum smtp_client_failure failure); // one lower-case phrase

struct smtp_client_event {
	enum smtp_client_event_kind kind;
	struct smtp_client_transaction *transaction; // OUTCOME, NEXT, DONE
	size_t recipient;                            // OUTCOME: index
	enum smtp_client_failure failure;            // FAILED
	const struct smtp_outcome *outcome;          // OUTCOME, FAILED; until the next call
};

enum smtp_client_step {
	SMTP_CLIENT_STEP_INPUT,
	SMTP_CLIENT_STEP_EVENT,
	SMTP_CLIENT_STEP_BODY,
	SMTP_CLIENT_STEP_TLS,
	SMTP_CLIENT_STEP_CLOSE,
};

enum smtp_client_state {
	SMTP_CLIENT_STATE_BANNER,
	SMTP_CLIENT_STATE_EHLO,
	SMTP_CLIENT_STATE_HELO,
	SMTP_CLIENT_STATE_STARTTLS,
	SMTP_CLIENT_STATE_TLS,
	SMTP_CLIENT_STATE_AUTH,
	SMTP_CLIENT_STATE_AUTH_USER, // of LOGIN
	SMTP_CLIENT_STATE_AUTH_PASSWORD,
	SMTP_CLIENT_STATE_READY, // idle or in transactions
	SMTP_CLIENT_STATE_QUIT,
	SMTP_CLIENT_STATE_FAILING,
	SMTP_CLIENT_STATE_CLOSED,
};

// Public fields are for reading only.
struct smtp_client {
	const struct smtp_client_settings *settings; // the caller's, alive as long as this
	struct buffer output;                        // taken with smtp_client_output_sent
	struct smtp_extensions extensions;           // of the last EHLO
	struct smtp_reply_reader reader;
	struct smtp_client_transaction *current, *next;
	struct outgoing outgoing;
	struct smtp_outcome outcome; // of the last event
	struct smtp_outcome failure_outcome;
	uint64_t output_taken; // bytes, all the session through
	uint64_t since_ms;     // begin of what the deadline times
	uint64_t whole_ms;     // begin of the session, or of the current transaction
	uint8_t state;         // enum smtp_client_state
	uint8_t failure;       // enum smtp_client_failure
	bool tls, tls_verified, tls_refused;
	bool reply_early; // the reply that is being read began before its command had left
	bool ready_due, next_due, reset_due, quit_due, body_open;
};

void smtp_client_init(struct smtp_client *client, const struct smtp_client_settings *settings,
		      uint64_t now_ms);
void smtp_client_done(struct smtp_client *client);

// Takes complete reply lines off *input.
enum smtp_client_step smtp_client_step(struct smtp_client *client, struct view *input,
				       uint64_t now_ms,
				       struct smtp_client_event *ret_event) must_check;

// In the state TLS, or right after init where TLS is implicit. Extensions are forgotten.
void smtp_client_tls_started(struct smtp_client *client, bool peer_verified, uint64_t now_ms);

// After READY or DONE where none is open, and after NEXT.
void smtp_client_send(struct smtp_client *client, struct smtp_client_transaction *transaction,
		      uint64_t now_ms);
bool smtp_client_can_send(const struct smtp_client *client);

// At BODY only; chunks of at most SMTP_CLIENT_CHUNK_MAX.
void smtp_client_body(struct smtp_client *client, struct view chunk, uint64_t now_ms);
void smtp_client_body_end(struct smtp_client *client, uint64_t now_ms);

void smtp_client_quit(struct smtp_client *client, uint64_t now_ms); // once all is done
void smtp_client_lost(struct smtp_client *client); // the connection broke or was given up

void smtp_client_output_sent(struct smtp_client *client, size_t size);

// A step is due then, whatever comes; UINT64_MAX while the machine waits for the shell.
uint64_t smtp_client_deadline_ms(const struct smtp_client *client);
