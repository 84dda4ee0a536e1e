// Inside the server machine: what its command files share. Nobody else includes this.
#pragma once

#include "smtp/server.h"

enum { SMTP_ADDRESS_BYTES_MAX = 16 * 1024 }; // of arena, for one parsed address

struct smtp_transaction {
	struct arena sender_arena;
	struct arena recipient_arena; // of the RCPT in hand
	struct smtp_data_decoder decoder;
	struct smtp_reply refusal; // why the body is skipped; code 0: it is not
	uint32_t recipients;       // accepted
	uint32_t attempts;         // RCPT commands
	uint64_t received;         // body bytes as they came
	uint64_t size;             // and decoded
	uint64_t refused_at;       // received, when the refusal was made
	uint64_t body_started_ms;
	uint64_t body_last_ms;
	bool accepted; // MAIL was answered: the shell knows of it
	bool smtputf8;
};

struct smtp_login {
	unsigned mechanism;
	struct buffer first; // PLAIN: the message; LOGIN: the user
	struct buffer second;
	bool first_done;
};

// The one place that writes the state.
void smtp_server_enter(struct smtp_server *server, enum smtp_state state);
// Appends a reply, counts it when it is a refusal, closes when it is a 421.
void smtp_server_say(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_server_say_id(struct smtp_server *server, enum smtp_reply_id id);
void smtp_server_say_with(struct smtp_server *server, enum smtp_reply_id id, struct view detail);
// Says it and is closed: nothing that comes later is read.
void smtp_server_close(struct smtp_server *server, enum smtp_close_reason reason,
		       enum smtp_reply_id id);
void smtp_server_close_with(struct smtp_server *server, enum smtp_close_reason reason,
			    const struct smtp_reply *reply);

// The end of a transaction, on whatever way (attack A5).
void smtp_server_end_transaction(struct smtp_server *server);
void smtp_server_end_login(struct smtp_server *server);

// One line off the input. False: nothing to run; *ret_again tells whether to look again.
bool smtp_input_take_line(struct smtp_server *server, struct view *input, struct view *ret_line,
			  bool *ret_again);
// Hands it to whom the state means; more tells whether input waits behind it.
void smtp_input_run_line(struct smtp_server *server, struct view line, bool more,
			 struct smtp_event *event);

// A handler answers by itself (say) or opens an await point (event->kind).
typedef void smtp_command_fn(struct smtp_server *server, struct view arguments,
			     struct smtp_event *event);

enum smtp_command_rule {
	SMTP_NEEDS_HELO = 1,
	SMTP_NEEDS_TLS = 2,         // in role submission
	SMTP_NEEDS_LOGIN = 4,       // in role submission
	SMTP_NEEDS_TRANSACTION = 8, // MAIL was accepted
	SMTP_NOT_IN_TRANSACTION = 16,
	SMTP_NO_ARGUMENTS = 32,
};

struct smtp_command {
	struct view name;
	const char *syntax;
	unsigned rules; // SMTP_NEEDS_...
	smtp_command_fn *run;
	bool (*offered)(const struct smtp_server *server); // NULL: always; for HELP
	// Why to close when bytes wait behind it: it must be the last of a group (RFC 2920 section
	// 3.1), and going on before its reply is what smuggled and cross-protocol input does. NONE:
	// harmless.
	enum smtp_close_reason if_not_last;
};

void smtp_command_run(struct smtp_server *server, struct view line, bool more,
		      struct smtp_event *event);
void smtp_command_list(const struct smtp_server *server, struct buffer *out); // "EHLO HELO ..."
void smtp_command_say_syntax(struct smtp_server *server, struct view name);   // 501

smtp_command_fn smtp_cmd_helo, smtp_cmd_ehlo, smtp_cmd_mail, smtp_cmd_rcpt, smtp_cmd_data,
	smtp_cmd_starttls, smtp_cmd_auth, smtp_cmd_noop, smtp_cmd_rset, smtp_cmd_vrfy,
	smtp_cmd_expn, smtp_cmd_help, smtp_cmd_quit;

// "FROM:" or "TO:" and the address. False: not even that; otherwise *ret_fault tells, and *rest is
// what follows.
bool smtp_address_take(struct view *rest, struct view prefix, struct arena *arena, unsigned allow,
		       struct address *ret_address, enum address_fault *ret_fault);
void smtp_address_say_fault(struct smtp_server *server, enum address_fault fault,
			    enum smtp_reply_id refusal);

// What follows the answer of the shell.
void smtp_helo_answered(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_starttls_answered(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_auth_answered(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_mail_answered(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_rcpt_answered(struct smtp_server *server, const struct smtp_reply *reply);
void smtp_data_answered(struct smtp_server *server, const struct smtp_reply *reply,
			uint64_t now_ms);
void smtp_message_answered(struct smtp_server *server, const struct smtp_reply *reply);

// The answer to a 334.
void smtp_auth_line(struct smtp_server *server, struct view line, struct smtp_event *event);

// Whether a session may use them; EHLO and HELP list what is on offer.
bool smtp_expn_offered(const struct smtp_server *server); // never
bool smtp_starttls_offered(const struct smtp_server *server);
bool smtp_auth_offered(const struct smtp_server *server);
void smtp_auth_add_mechanisms(const struct smtp_server *server, struct buffer *out);

// Parameters behind the address of MAIL (RFC 5321 section 4.1.1.11).
struct smtp_mail_parameters {
	uint64_t size;
	enum smtp_body_type body;
	bool smtputf8;
	unsigned seen; // one bit per row of the table
};

// False when it has said why not.
bool smtp_mail_parameters_parse(struct smtp_server *server, struct view text,
				struct smtp_mail_parameters *ret_parameters);
