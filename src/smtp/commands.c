#include "smtp/server_parts.h"

// The commands in the order in which HELP lists them.
static const struct smtp_command commands[] = {
	{ .name = VIEW("EHLO"),
	  .syntax = "EHLO hostname",
	  .run = smtp_cmd_ehlo,
	  .if_not_last = SMTP_CLOSE_STEP },
	{ .name = VIEW("HELO"),
	  .syntax = "HELO hostname",
	  .run = smtp_cmd_helo,
	  .if_not_last = SMTP_CLOSE_STEP },
	{ .name = VIEW("STARTTLS"),
	  .syntax = "STARTTLS",
	  .rules = SMTP_NEEDS_HELO | SMTP_NOT_IN_TRANSACTION | SMTP_NO_ARGUMENTS,
	  .run = smtp_cmd_starttls,
	  .offered = smtp_starttls_offered,
	  .if_not_last = SMTP_CLOSE_INJECTION },
	{ .name = VIEW("AUTH"),
	  .syntax = "AUTH mechanism [initial-response]",
	  .rules = SMTP_NEEDS_HELO | SMTP_NOT_IN_TRANSACTION,
	  .run = smtp_cmd_auth,
	  .offered = smtp_auth_offered },
	{ .name = VIEW("MAIL"),
	  .syntax = "MAIL FROM:<address> [parameters]",
	  .rules = SMTP_NEEDS_HELO | SMTP_NEEDS_TLS | SMTP_NEEDS_LOGIN | SMTP_NOT_IN_TRANSACTION,
	  .run = smtp_cmd_mail },
	{ .name = VIEW("RCPT"),
	  .syntax = "RCPT TO:<address>",
	  .rules = SMTP_NEEDS_TLS | SMTP_NEEDS_LOGIN | SMTP_NEEDS_TRANSACTION,
	  .run = smtp_cmd_rcpt },
	{ .name = VIEW("DATA"),
	  .syntax = "DATA",
	  .rules = SMTP_NEEDS_TLS | SMTP_NEEDS_LOGIN | SMTP_NEEDS_TRANSACTION | SMTP_NO_ARGUMENTS,
	  .run = smtp_cmd_data,
	  .if_not_last = SMTP_CLOSE_STEP },
	{ .name = VIEW("RSET"),
	  .syntax = "RSET",
	  .rules = SMTP_NO_ARGUMENTS,
	  .run = smtp_cmd_rset },
	{ .name = VIEW("NOOP"), .syntax = "NOOP [anything]", .run = smtp_cmd_noop },
	{ .name = VIEW("VRFY"),
	  .syntax = "VRFY name",
	  .rules = SMTP_NEEDS_TLS | SMTP_NEEDS_LOGIN,
	  .run = smtp_cmd_vrfy },
	{ .name = VIEW("EXPN"),
	  .syntax = "EXPN list",
	  .run = smtp_cmd_expn,
	  .offered = smtp_expn_offered },
	{ .name = VIEW("HELP"), .syntax = "HELP [anything]", .run = smtp_cmd_help },
	{ .name = VIEW("QUIT"),
	  .syntax = "QUIT",
	  .rules = SMTP_NO_ARGUMENTS,
	  .run = smtp_cmd_quit },
};

// First words of other protocols. A browser or a web application must not be made to speak SMTP
// (attack A7, cross-protocol).
static const struct view foreign_words[] = {
	VIEW("GET"),     VIEW("POST"),  VIEW("HEAD"),    VIEW("PUT"), VIEW("DELETE"),
	VIEW("OPTIONS"), VIEW("TRACE"), VIEW("CONNECT"), VIEW("PRI"), VIEW("PATCH"),
};

enum { COMMANDS_COUNT = sizeof commands / sizeof *commands };
enum { FOREIGN_COUNT = sizeof foreign_words / sizeof *foreign_words };

static bool is_foreign(struct view word)
{
	for (size_t i = 0; i < FOREIGN_COUNT; i++) {
		if (view_equal_nocase(word, foreign_words[i])) {
			return true;
		}
	}
	return view_starts(word, VIEW("SSH-"));
}

static const struct smtp_command *find(struct view word)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (view_equal_nocase(word, commands[i].name)) {
			return &commands[i];
		}
	}
	return NULL;
}

static bool is_offered(const struct smtp_server *server, const struct smtp_command *command)
{
	return !command->offered || command->offered(server);
}

void smtp_command_list(const struct smtp_server *server, struct buffer *out)
{
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (is_offered(server, &commands[i])) {
			buffer_add_text(out, out->len ? " " : "");
			buffer_add(out, commands[i].name);
		}
	}
}

// The reply that the rules of the command demand now; SMTP_REPLY_OK when it may run.
static enum smtp_reply_id check_rules(const struct smtp_server *server, unsigned rules)
{
	bool submission = server->settings->role == SMTP_ROLE_SUBMISSION;

	if ((rules & SMTP_NEEDS_HELO) && !server->helo) {
		return SMTP_REPLY_HELO_FIRST;
	}
	if ((rules & SMTP_NEEDS_TLS) && submission && !server->tls) {
		return SMTP_REPLY_TLS_FIRST;
	}
	if ((rules & SMTP_NEEDS_LOGIN) && submission && !server->authenticated) {
		return SMTP_REPLY_AUTH_FIRST;
	}
	if ((rules & SMTP_NEEDS_TRANSACTION) && !server->transaction) {
		return SMTP_REPLY_MAIL_FIRST;
	}
	if ((rules & SMTP_NOT_IN_TRANSACTION) && server->transaction) {
		return SMTP_REPLY_IN_TRANSACTION;
	}
	return SMTP_REPLY_OK;
}

static void run(struct smtp_server *server, const struct smtp_command *command,
		struct view arguments, struct smtp_event *event)
{
	enum smtp_reply_id refusal = check_rules(server, command->rules);

	if (refusal != SMTP_REPLY_OK) {
		smtp_server_say_id(server, refusal);
	} else if ((command->rules & SMTP_NO_ARGUMENTS) && arguments.len) {
		smtp_command_say_syntax(server, command->name);
	} else {
		command->run(server, arguments, event);
	}
}

void smtp_command_say_syntax(struct smtp_server *server, struct view name)
{
	smtp_server_say_with(server, SMTP_REPLY_BAD_ARGUMENTS, view_from_text(find(name)->syntax));
}

void smtp_command_run(struct smtp_server *server, struct view line, bool more,
		      struct smtp_event *event)
{
	struct view rest = line;
	struct view word = { 0 };
	const struct smtp_command *command;

	view_next_word(&rest, &word);
	command = find(word);
	server->verb = command ? command->name.data : NULL;
	server->commands++;
	if (!command && is_foreign(word)) {
		smtp_server_close(server, SMTP_CLOSE_FOREIGN, SMTP_REPLY_FOREIGN_PROTOCOL);
	} else if (!command) {
		smtp_server_say_id(server, SMTP_REPLY_UNKNOWN_COMMAND);
	} else if (more && command->if_not_last == SMTP_CLOSE_INJECTION) {
		smtp_server_close(server, SMTP_CLOSE_INJECTION, SMTP_REPLY_TLS_INJECTION);
	} else if (more && command->if_not_last != SMTP_CLOSE_NONE) {
		smtp_server_close(server, command->if_not_last, SMTP_REPLY_OUT_OF_STEP);
	} else {
		run(server, command, view_trim(rest), event);
	}
}
