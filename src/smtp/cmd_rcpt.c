// RFC 5321 section 4.1.1.3: rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" /
// Forward-path ) [SP Rcpt-parameters] CRLF. There are no parameters yet.
#include "smtp/server_parts.h"

// Section 4.5.3.1.10: too many recipients are no error, the client sends the rest later. One that
// does not stop after as many again is held to the limit of errors.
static bool has_room(struct smtp_server *server)
{
	struct smtp_transaction *transaction = server->transaction;
	uint64_t max = server->settings->recipients_max;

	transaction->attempts++;
	server->errors += transaction->attempts > 2 * max;
	return transaction->recipients < max && transaction->attempts <= 2 * max;
}

void smtp_cmd_rcpt(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	struct smtp_transaction *transaction = server->transaction;
	unsigned allow = ADDRESS_POSTMASTER | (transaction->smtputf8 ? ADDRESS_UTF8 : 0);
	struct arena *arena = &transaction->recipient_arena;
	enum address_fault fault;

	server->commands--; // they have a limit of their own
	if (!has_room(server)) {
		smtp_server_say_id(server, SMTP_REPLY_TOO_MANY_RECIPIENTS);
		return;
	}
	arena_done(arena);
	if (!smtp_address_take(&arguments, VIEW("TO:"), arena, allow, &event->rcpt.recipient,
			       &fault)) {
		smtp_command_say_syntax(server, VIEW("RCPT"));
	} else if (fault != ADDRESS_OK) {
		smtp_address_say_fault(server, fault, SMTP_REPLY_BAD_ADDRESS);
	} else if (view_trim(arguments).len) {
		smtp_server_say_id(server, SMTP_REPLY_UNKNOWN_PARAMETER);
	} else {
		event->kind = SMTP_EVENT_RCPT;
	}
}

void smtp_rcpt_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	arena_done(&server->transaction->recipient_arena);
	server->transaction->recipients += smtp_reply_positive(reply);
	smtp_server_say(server, reply);
}
