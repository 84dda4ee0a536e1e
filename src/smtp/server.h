// The server's side of SMTP as a machine without I/O: bytes in, events and bytes to send out.
// RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 3207 (STARTTLS), 4954 (AUTH), 6152 (8BITMIME), 6531
// (SMTPUTF8), 2034 (ENHANCEDSTATUSCODES).
//
// The shell (the process that holds the socket) owns the input; the machine owns the output. It
// goes like this, from the moment the connection stands (with TLS on, where TLS is implicit):
//
//     smtp_server_init
//     for (;;) switch (smtp_server_step(server, &input, now_ms, &event)) {
//     INPUT: keep what is left in input, flush the output, sleep; read more behind it
//     EVENT: event.kind says what happened; those marked "await" want smtp_server_answer or
//            smtp_server_accept, now or later
//     WAIT:  an await point is open: flush, sleep, reading nothing; step again after the answer
//     FLUSH: output_bytes_max is reached: flush all of it, reading nothing meanwhile; step again
//     BODY:  smtp_server_body takes what is left in input, then what is read straight into the
//            message's own buffer, until it returns something else; flush before sleeping
//     TLS:   flush, handshake, smtp_server_tls_started, step again
//     CLOSE: flush; smtp_server_linger says whether to shut down sending and to drop what still
//            comes for a moment, so that the last reply is read; then close
//     }
//
// At an await point nothing behind it is parsed, so replies leave in order however clients
// pipeline, and a group of replies leaves in one write because the shell flushes only before it
// sleeps. Views in an event live until its answer (for an event without one: until the next call).
//
// A transaction begins for the shell when it accepts MAIL. It ends when the shell refuses DATA,
// when it answers MESSAGE in any way, at RESET, and at CLOSE; never otherwise, and the machine's
// own part is destroyed in the same moment (attack A5).
//
// A login's base 64 also stands in the shell's input: wipe that buffer when it is given back.
//
// One owner, one thread. Idle it holds no buffer: the struct, and the HELO name on the heap.
#pragma once

#include "mail/address.h"
#include "smtp/data.h"
#include "smtp/pace.h"
#include "smtp/reply.h"

enum {
	SMTP_LINE_MIN = 512,            // RFC 5321 section 4.5.3.1.4: the least line_bytes_max
	SMTP_LINE_DEFAULT = 2048,       // of a command, CR LF included
	SMTP_AUTH_LINE_MAX = 12288,     // RFC 4954 section 4; AUTH and its continuations
	SMTP_LINE_SKIP_MAX = 64 * 1024, // of a line that never ends, before 421
	SMTP_BODY_SKIP_MAX = 64 * 1024 * 1024, // of a refused body, before closing
	SMTP_HELO_MAX = 255,
};

enum smtp_role { SMTP_ROLE_RELAY, SMTP_ROLE_SUBMISSION };

enum smtp_tls {
	SMTP_TLS_OFF,      // no certificate: STARTTLS is not offered
	SMTP_TLS_STARTTLS, // offered; before AUTH and MAIL the role submission demands it
	SMTP_TLS_IMPLICIT, // on from the first byte
};

enum { SMTP_AUTH_PLAIN = 1, SMTP_AUTH_LOGIN = 2 };

enum smtp_state;
struct smtp_server;

// Shared by many sessions and constant while one of them lives.
struct smtp_server_settings {
	struct view hostname;
	struct view banner; // the words behind it in the greeting
	enum smtp_role role;
	enum smtp_tls tls;
	unsigned mechanisms;          // SMTP_AUTH_...; offered in role submission under TLS only
	uint64_t size_bytes_max;      // of a message
	uint32_t recipients_max;      // accepted in one transaction
	uint32_t errors_max;          // refused commands of a connection, before 421
	uint32_t commands_max;        // since the last accepted message, before 421
	uint32_t line_bytes_max;      // CR LF included
	uint32_t output_bytes_max;    // replies not yet taken by the shell
	uint32_t idle_ms;             // without a byte of a command (RFC 5321 section 4.5.3.2.7)
	uint32_t command_ms;          // from a command's first byte to its last
	uint32_t session_ms;          // the whole connection; looked at between messages
	struct smtp_pace_limits pace; // of a body
	// Called at each change of state; may be NULL.
	void (*trace)(const struct smtp_server *server, enum smtp_state from, enum smtp_state to);
	// Called when the machine itself refuses a command, 4xx or 5xx, without closing; may be
	// NULL. verb: as in the table of commands, NULL for what is no command of it.
	void (*refused)(struct smtp_server *server, const char *verb,
			const struct smtp_reply *reply);
};

// The defaults, for role relay with STARTTLS; hostname is kept as a view.
struct smtp_server_settings smtp_server_settings_default(struct view hostname);

enum smtp_event_kind {
	SMTP_EVENT_NONE,
	SMTP_EVENT_CONNECT,  // await: may it stay? 554: every command but QUIT gets 503; 421: gone
	SMTP_EVENT_HELO,     // await
	SMTP_EVENT_STARTTLS, // await: is TLS possible?
	SMTP_EVENT_AUTH,     // await: is the login true? Views are wiped after the answer.
	SMTP_EVENT_MAIL,     // await
	SMTP_EVENT_RCPT,     // await
	SMTP_EVENT_DATA,     // await: accepted, the body follows
	SMTP_EVENT_MESSAGE,  // await: the whole body is there; a positive answer takes
			     // responsibility
	SMTP_EVENT_RESET,    // the open transaction is gone (RSET, EHLO, a body refused midway)
};

enum smtp_body_type { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

struct smtp_event_helo {
	struct view name; // as sent: 1 to SMTP_HELO_MAX of letters, digits and -._:[]
	bool extended;    // EHLO
};

struct smtp_event_auth {
	unsigned mechanism;   // one of SMTP_AUTH_...
	struct view identity; // authorization identity; often empty
	struct view user;
	struct view password;
};

struct smtp_event_mail {
	struct address sender; // null path included
	uint64_t size;         // as declared; 0: not declared
	enum smtp_body_type body;
	bool smtputf8;
};

struct smtp_event_rcpt {
	struct address recipient; // may be postmaster without a domain
};

struct smtp_event_message {
	uint64_t size; // of the decoded body
};

struct smtp_event {
	enum smtp_event_kind kind;
	union {
		struct smtp_event_helo helo;
		struct smtp_event_auth auth;
		struct smtp_event_mail mail;
		struct smtp_event_rcpt rcpt;
		struct smtp_event_message message;
	};
};

enum smtp_step {
	SMTP_STEP_INPUT,
	SMTP_STEP_EVENT,
	SMTP_STEP_WAIT,
	SMTP_STEP_FLUSH,
	SMTP_STEP_BODY,
	SMTP_STEP_TLS,
	SMTP_STEP_CLOSE,
};

enum smtp_close_reason {
	SMTP_CLOSE_NONE,
	SMTP_CLOSE_QUIT,
	SMTP_CLOSE_ANSWERED,  // the shell answered 421
	SMTP_CLOSE_TIMEOUT,   // idle, command or session time
	SMTP_CLOSE_SLOW,      // pace of the body
	SMTP_CLOSE_ERRORS,    // errors_max
	SMTP_CLOSE_COMMANDS,  // commands_max
	SMTP_CLOSE_LINE,      // a line without end
	SMTP_CLOSE_UNREAD,    // timeout with replies that the peer did not read
	SMTP_CLOSE_SIZE,      // went on far beyond the size that was refused
	SMTP_CLOSE_MEMORY,    // none left
	SMTP_CLOSE_BARE,      // bare CR or LF: smuggling (A1)
	SMTP_CLOSE_INJECTION, // bytes behind STARTTLS (A6)
	SMTP_CLOSE_EARLY,     // spoke before the banner (A7)
	SMTP_CLOSE_STEP,      // did not wait for the reply to EHLO or DATA (A7)
	SMTP_CLOSE_FOREIGN,   // HTTP, TLS, SSH ... (A7)
};

const char *smtp_close_reason_text(enum smtp_close_reason reason); // one lower-case phrase
bool smtp_close_reason_hostile(enum smtp_close_reason reason);     // BARE and those behind it

enum smtp_state {
	SMTP_STATE_CONNECT, // the banner is due
	SMTP_STATE_COMMAND,
	SMTP_STATE_AUTH_LINE, // an answer to a 334
	SMTP_STATE_LONG_LINE, // skipping to its end
	SMTP_STATE_BODY,
	SMTP_STATE_TLS,     // the handshake
	SMTP_STATE_REFUSED, // QUIT or nothing
	SMTP_STATE_CLOSED,
};

const char *smtp_state_text(enum smtp_state state);

struct smtp_transaction; // internal
struct smtp_login;       // internal

// Public fields are for reading only.
struct smtp_server {
	const struct smtp_server_settings *settings;
	struct buffer output; // to be sent; taken with smtp_server_output_sent
	struct smtp_transaction *transaction;
	struct smtp_login *login; // an AUTH under way
	const char *verb;         // of the command in hand, for refused
	char *helo;               // NUL-terminated; NULL before HELO
	char *helo_asked;         // until HELO is answered
	uint64_t started_ms;
	uint64_t since_ms; // begin of what the deadline times
	uint32_t skipped;  // bytes of a long line
	uint32_t errors;
	uint32_t commands; // since the last accepted message
	uint8_t state;     // enum smtp_state
	uint8_t awaiting;  // enum smtp_event_kind
	uint8_t close_reason;
	bool extended : 1; // greeted with EHLO
	bool extended_asked : 1;
	bool tls : 1;
	bool authenticated : 1;
	bool partial : 1;   // some bytes of a command are there
	bool reset_due : 1; // RESET is to be told
};

void smtp_server_init(struct smtp_server *server, const struct smtp_server_settings *settings,
		      uint64_t now_ms);
void smtp_server_done(struct smtp_server *server);

// Takes complete commands off *input. Waiting bytes must be shown to the first step, before the
// banner is answered, for early talkers to be known (a zero-length view where none wait).
enum smtp_step smtp_server_step(struct smtp_server *server, struct view *input, uint64_t now_ms,
				struct smtp_event *ret_event) must_check;

// Answers the open await point; a positive reply accepts, with the standard words at CONNECT,
// HELO, STARTTLS, AUTH and DATA and with the reply's own at MAIL, RCPT and MESSAGE. 421 closes.
void smtp_server_answer(struct smtp_server *server, const struct smtp_reply *reply,
			uint64_t now_ms);
void smtp_server_answer_id(struct smtp_server *server, enum smtp_reply_id id, uint64_t now_ms);
void smtp_server_accept(struct smtp_server *server, uint64_t now_ms); // the standard words

// In the state BODY only: decodes bytes in place. BODY: all was taken, kept bytes at the front
// belong to the message. EVENT: MESSAGE, or RESET when the body had been refused; the bytes from
// ret_chunk->taken on are input. CLOSE as above.
enum smtp_step smtp_server_body(struct smtp_server *server, char *bytes, size_t len,
				uint64_t now_ms, struct smtp_data_chunk *ret_chunk,
				struct smtp_event *ret_event) must_check;
// The shell cannot take this body (no storage): kept is 0 from now on, and the reply is given at
// its end. The machine does the same with 552 for a body that is too big. The transaction lasts
// until RESET.
void smtp_server_body_refuse(struct smtp_server *server, const struct smtp_reply *reply);
bool smtp_server_body_refused(const struct smtp_server *server);

// After the handshake: all that was said before is forgotten (attack A6).
void smtp_server_tls_started(struct smtp_server *server, uint64_t now_ms);

// The shell has sent the first size bytes of the output; an empty one gives its memory back.
void smtp_server_output_sent(struct smtp_server *server, size_t size);

// When smtp_server_timeout is due unless something came before; UINT64_MAX while the machine waits
// for the shell (an answer, a handshake) or is closed. Ask again after each step.
uint64_t smtp_server_deadline_ms(const struct smtp_server *server);
void smtp_server_timeout(struct smtp_server *server); // says 421; the next step returns CLOSE
// Orderly stop: says 421 and closes if no command is half done (in the states CONNECT, COMMAND and
// REFUSED with nothing awaited); otherwise false: try again after the next step.
bool smtp_server_shut(struct smtp_server *server);

bool smtp_server_linger(const struct smtp_server *server);

static inline struct view smtp_server_helo(const struct smtp_server *server)
{
	return view_from_text(server->helo);
}
