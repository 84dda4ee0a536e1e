// RFC 5321 section 4.1.1.2: mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
#include "smtp/server_parts.h"

#include <stdlib.h>

#include "base/text.h"

bool smtp_address_take(struct view *rest, struct view prefix, struct arena *arena, unsigned allow,
		       struct address *ret_address, enum address_fault *ret_fault)
{
	struct view text;

	if (!view_starts_nocase(*rest, prefix)) {
		return false;
	}
	// Blanks behind the colon and missing brackets are old habits that harm nobody.
	text = view_trim(view_from(*rest, prefix.len));
	if (text.len == 0) {
		return false;
	}
	*ret_fault = text.data[0] == '<' ? address_take_path(arena, &text, allow, ret_address)
					 : address_take_mailbox(arena, &text, allow, ret_address);
	if (*ret_fault == ADDRESS_OK && text.len && text.data[0] != ' ' && text.data[0] != '\t') {
		*ret_fault = ADDRESS_SYNTAX;
	}
	*rest = text;
	return true;
}

void smtp_address_say_fault(struct smtp_server *server, enum address_fault fault,
			    enum smtp_reply_id refusal)
{
	switch (fault) {
	case ADDRESS_NO_MEMORY: smtp_server_say_id(server, SMTP_REPLY_NO_MEMORY); break;
	case ADDRESS_NEEDS_UTF8: smtp_server_say_id(server, SMTP_REPLY_NEEDS_SMTPUTF8); break;
	default:
		smtp_server_say_with(server, refusal, view_from_text(address_fault_text(fault)));
		break;
	}
}

static struct smtp_transaction *transaction_new(void)
{
	struct smtp_transaction *transaction = calloc(1, sizeof *transaction);

	if (transaction) {
		transaction->sender_arena = arena_with_max(SMTP_ADDRESS_BYTES_MAX);
		transaction->recipient_arena = arena_with_max(SMTP_ADDRESS_BYTES_MAX);
	}
	return transaction;
}

static void transaction_free(struct smtp_transaction *transaction)
{
	if (transaction) {
		arena_done(&transaction->sender_arena);
		arena_done(&transaction->recipient_arena);
		free(transaction);
	}
}

void smtp_server_end_transaction(struct smtp_server *server)
{
	if (server->transaction && server->transaction->accepted) {
		server->reset_due = true;
	}
	transaction_free(server->transaction);
	server->transaction = NULL;
}

// The parameters follow the address and say whether it may be UTF-8: so it is read as UTF-8 first.
static bool parse(struct smtp_server *server, struct view arguments, struct arena *arena,
		  struct smtp_event_mail *ret_mail)
{
	struct smtp_mail_parameters parameters = { 0 };
	enum address_fault fault;
	struct view rest = arguments;

	if (!smtp_address_take(&rest, VIEW("FROM:"), arena, ADDRESS_UTF8 | ADDRESS_NULL,
			       &ret_mail->sender, &fault)) {
		smtp_command_say_syntax(server, VIEW("MAIL"));
		return false;
	}
	if (fault != ADDRESS_OK) {
		smtp_address_say_fault(server, fault, SMTP_REPLY_BAD_REVERSE_PATH);
		return false;
	}
	if (!smtp_mail_parameters_parse(server, rest, &parameters)) {
		return false;
	}
	if (!parameters.smtputf8 && !text_is_ascii(arguments)) {
		smtp_server_say_id(server, SMTP_REPLY_NEEDS_SMTPUTF8);
		return false;
	}
	if (parameters.size > server->settings->size_bytes_max) {
		smtp_server_say_id(server, SMTP_REPLY_TOO_BIG);
		return false;
	}
	ret_mail->size = parameters.size;
	ret_mail->body = parameters.body;
	ret_mail->smtputf8 = parameters.smtputf8;
	return true;
}

void smtp_cmd_mail(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	server->transaction = transaction_new();
	if (!server->transaction) {
		smtp_server_say_id(server, SMTP_REPLY_NO_MEMORY);
		return;
	}
	if (!parse(server, arguments, &server->transaction->sender_arena, &event->mail)) {
		smtp_server_end_transaction(server);
		return;
	}
	server->transaction->smtputf8 = event->mail.smtputf8;
	event->kind = SMTP_EVENT_MAIL;
}

void smtp_mail_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	if (smtp_reply_positive(reply)) {
		server->transaction->accepted = true;
	} else {
		smtp_server_end_transaction(server);
	}
	smtp_server_say(server, reply);
}
