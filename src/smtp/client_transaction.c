// Transactions of the client: their commands have numbers, and two counters say how many were sent
// and how many answered; replies come in the order of the commands (RFC 2920).
//
//	0 RSET (where the transaction before was left open)   1 MAIL   2.. RCPT   DATA   END (the
// body)
//
// A transaction is closed when no more of its commands will be sent, and over when all that were
// sent are answered.
#include "base/text.h"
#include "smtp/client_parts.h"

enum { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT };

enum {                         // bits of smtp_client_recipient.state
	RECIPIENT_SKIPPED = 1, // no RCPT is sent: it needs SMTPUTF8, or is malformed
	RECIPIENT_TOLD = 2,    // has its outcome
};

static size_t command_data(const struct smtp_client_transaction *t)
{
	return COMMAND_RCPT + t->recipient_count;
}

static size_t command_end(const struct smtp_client_transaction *t)
{
	return command_data(t) + 1;
}

// Where a command ends among all bytes of the session.
static uint64_t *command_end_of(struct smtp_client_transaction *t, size_t command)
{
	if (command >= COMMAND_RCPT && command < command_data(t)) {
		return &t->recipients[command - COMMAND_RCPT].command_end;
	}
	return &t->command_ends[command < COMMAND_RCPT ? command : command - t->recipient_count];
}

// The next command is in the output, with all that belongs to it.
static void count_sent(const struct smtp_client *client, struct smtp_client_transaction *t)
{
	*command_end_of(t, t->sent++) = client->output_taken + client->output.len;
}

static bool is_over(const struct smtp_client_transaction *t)
{
	return t->closed && t->answered == t->sent;
}

static void set_outcome(struct smtp_client_transaction *t, struct smtp_outcome outcome)
{
	t->outcome = outcome;
	t->outcome_known = true;
}

static struct smtp_outcome malformed(uint16_t detail)
{
	return client_outcome_of_ours(SMTP_OUTCOME_PERMANENT, (struct smtp_status){ 5, 1, detail },
				      "malformed address");
}

static struct smtp_outcome needs_smtputf8(void)
{
	return client_outcome_of_ours(SMTP_OUTCOME_PERMANENT, (struct smtp_status){ 5, 6, 7 },
				      "the server does not support addresses in UTF-8 (SMTPUTF8)");
}

// What the peer cannot take is known before a command is sent.
static void refuse_at_once(const struct smtp_client *client, struct smtp_client_transaction *t)
{
	const struct smtp_extensions *extensions = &client->extensions;
	size_t skipped = 0;

	if (extensions->size_bytes_max && t->size_bytes > extensions->size_bytes_max) {
		set_outcome(t, client_outcome_of_ours(SMTP_OUTCOME_PERMANENT,
						      (struct smtp_status){ 5, 3, 4 },
						      "message bigger than the server takes"));
	} else if (!text_is_printable(t->reverse_path)) {
		set_outcome(t, malformed(7));
	} else if (!extensions->smtputf8 && (t->smtputf8 || !text_is_ascii(t->reverse_path))) {
		set_outcome(t, needs_smtputf8());
	}
	for (size_t i = 0; i < t->recipient_count; i++) {
		struct view address = t->recipients[i].address;

		if (!text_is_printable(address) ||
		    (!extensions->smtputf8 && !text_is_ascii(address))) {
			t->recipients[i].state = RECIPIENT_SKIPPED;
			skipped++;
		}
	}
	t->closed = t->outcome_known || skipped == t->recipient_count;
}

static void begin(struct smtp_client *client, struct smtp_client_transaction *t)
{
	t->begun = true;
	refuse_at_once(client, t);
	if (!t->closed) {
		t->sent = t->answered = client->reset_due ? COMMAND_RSET : COMMAND_MAIL;
		client->reset_due = false;
	}
}

static bool any_utf8(const struct smtp_client_transaction *t)
{
	bool ascii = !t->smtputf8 && text_is_ascii(t->reverse_path);

	for (size_t i = 0; ascii && i < t->recipient_count; i++) {
		ascii = text_is_ascii(t->recipients[i].address);
	}
	return !ascii;
}

static void write_mail(struct smtp_client *client, const struct smtp_client_transaction *t)
{
	const struct smtp_extensions *extensions = &client->extensions;
	struct buffer *out = &client->output;

	buffer_add_text(out, "MAIL FROM:<");
	buffer_add(out, t->reverse_path);
	buffer_add_byte(out, '>');
	if (extensions->size) {
		buffer_add_text(out, " SIZE=");
		buffer_add_number(out, t->size_bytes);
	}
	if (extensions->eight_bit_mime && t->eight_bit) {
		buffer_add_text(out, " BODY=8BITMIME");
	}
	if (extensions->smtputf8 && any_utf8(t)) {
		buffer_add_text(out, " SMTPUTF8");
	}
	buffer_add_text(out, "\r\n");
}

static bool is_skipped(const struct smtp_client_transaction *t, size_t command)
{
	return command >= COMMAND_RCPT && command < command_data(t) &&
	       t->recipients[command - COMMAND_RCPT].state & RECIPIENT_SKIPPED;
}

static void write_command(struct smtp_client *client, struct smtp_client_transaction *t)
{
	size_t command = t->sent;

	if (command == COMMAND_RSET) {
		buffer_add_text(&client->output, "RSET\r\n");
	} else if (command == COMMAND_MAIL) {
		write_mail(client, t);
	} else if (command == command_data(t)) {
		buffer_add_text(&client->output, "DATA\r\n");
	} else if (!is_skipped(t, command)) {
		buffer_add_text(&client->output, "RCPT TO:<");
		buffer_add(&client->output, t->recipients[command - COMMAND_RCPT].address);
		buffer_add_text(&client->output, ">\r\n");
	}
	count_sent(client, t);
}

static void pass_skipped(struct smtp_client_transaction *t)
{
	while (t->answered < t->sent && is_skipped(t, t->answered)) {
		t->answered++;
	}
}

static void write_transaction(struct smtp_client *client, struct smtp_client_transaction *t)
{
	if (!t->begun) {
		begin(client, t);
	}
	while (!t->closed && t->sent <= command_data(t)) {
		bool all_answered;

		pass_skipped(t);
		all_answered = t->answered == t->sent;
		if (t->outcome_known ||
		    (all_answered && t->sent == command_data(t) && t->accepted_count == 0)) {
			t->closed = true;
			client->reset_due |= t->mail_accepted;
			return;
		}
		if (client->output.len >= client->settings->output_bytes_max ||
		    (!client->extensions.pipelining && !all_answered)) {
			return;
		}
		write_command(client, t);
	}
}

void client_transaction_write(struct smtp_client *client)
{
	struct smtp_client_transaction *t = client->current;

	if (t) {
		write_transaction(client, t);
		if (client->next && t->sent > command_end(t)) {
			write_transaction(client, client->next);
		}
	}
}

// 354: the body follows; or, where no recipient was accepted, nothing but its end (RFC 2920 3.1).
static void open_body(struct smtp_client *client, struct smtp_client_transaction *t)
{
	if (t->accepted_count && !t->outcome_known) {
		client->body_open = true;
		outgoing_start(&client->outgoing, OUTGOING_SMTP, &t->edits, &client->output);
		return;
	}
	buffer_add_text(&client->output, ".\r\n");
	count_sent(client, t);
	t->closed = true;
}

static void data_reply(struct smtp_client *client, struct smtp_client_transaction *t,
		       const struct smtp_outcome *outcome)
{
	if (client->reader.code == 354) {
		open_body(client, t);
	} else if (outcome->kind == SMTP_OUTCOME_ACCEPTED) {
		client_fail(client, SMTP_CLIENT_BAD_REPLY, outcome);
	} else {
		if (!t->outcome_known) {
			set_outcome(t, *outcome);
		}
		t->closed = true;
		client->reset_due |= t->mail_accepted;
	}
}

static bool recipient_reply(struct smtp_client *client, struct smtp_client_transaction *t,
			    size_t index, const struct smtp_outcome *outcome,
			    struct smtp_client_event *event)
{
	if (t->outcome_known) { // MAIL was refused; its outcome is theirs
		return false;
	}
	if (outcome->kind == SMTP_OUTCOME_ACCEPTED) {
		t->accepted_count++;
		return false;
	}
	t->recipients[index].state |= RECIPIENT_TOLD;
	client->outcome = *outcome;
	*event = (struct smtp_client_event){ .kind = SMTP_CLIENT_EVENT_OUTCOME,
					     .transaction = t,
					     .recipient = index,
					     .outcome = &client->outcome };
	return true;
}

// While the body flows it may be a refusal, and the session cannot go on; otherwise it is a fault.
static void early_reply(struct smtp_client *client, struct smtp_outcome outcome)
{
	struct smtp_client_transaction *t = client->current;
	bool body_flows = t && !t->outcome_known && t->answered == command_end(t);

	if (body_flows && outcome.kind != SMTP_OUTCOME_ACCEPTED) {
		set_outcome(t, outcome);
		client_fail(client, SMTP_CLIENT_CLOSING, &outcome);
	} else {
		client_fail(client, SMTP_CLIENT_BAD_REPLY, &outcome);
	}
}

bool client_transaction_expects_none(struct smtp_client *client)
{
	struct smtp_client_transaction *t = client->current;

	if (!t) {
		return true;
	}
	pass_skipped(t);
	return t->answered == t->sent || client->output_taken < *command_end_of(t, t->answered);
}

bool client_transaction_reply(struct smtp_client *client, bool early,
			      struct smtp_client_event *event)
{
	struct smtp_client_transaction *t = client->current;
	struct smtp_outcome outcome = client_outcome_of_reply(&client->reader);
	size_t command;

	if (client->reader.code == 421) {
		if (t && !t->outcome_known) {
			outcome.body_sent = t->sent > command_end(t);
			set_outcome(t, outcome);
		}
		client_fail(client, SMTP_CLIENT_CLOSING, &outcome);
		return false;
	}
	if (early) {
		early_reply(client, outcome);
		return false;
	}
	command = t->answered++;
	if (client->reader.code / 100 == 3 && command != command_data(t)) {
		client_fail(client, SMTP_CLIENT_BAD_REPLY, &outcome);
	} else if (command == COMMAND_RSET) {
		if (outcome.kind != SMTP_OUTCOME_ACCEPTED) {
			client_fail(client, SMTP_CLIENT_BAD_REPLY, &outcome);
		}
	} else if (command == COMMAND_MAIL) {
		t->mail_accepted = outcome.kind == SMTP_OUTCOME_ACCEPTED;
		if (!t->mail_accepted) {
			set_outcome(t, outcome);
		}
	} else if (command < command_data(t)) {
		return recipient_reply(client, t, command - COMMAND_RCPT, &outcome, event);
	} else if (command == command_data(t)) {
		data_reply(client, t, &outcome);
	} else if (!t->outcome_known) {
		outcome.body_sent = true;
		set_outcome(t, outcome);
	}
	return false;
}

// What is left to say when the session has failed.
static struct smtp_outcome failure_outcome(const struct smtp_client *client,
					   const struct smtp_client_transaction *t)
{
	struct smtp_outcome outcome = client_outcome_of_ours(
		SMTP_OUTCOME_LOST, (struct smtp_status){ 4, 4, 2 },
		smtp_client_failure_text((enum smtp_client_failure)client->failure));

	outcome.body_sent = t->begun && t->sent > command_end(t);
	return outcome;
}

static bool tell_recipient(struct smtp_client *client, struct smtp_client_transaction *t,
			   struct smtp_client_event *event)
{
	struct smtp_client_recipient *recipient;

	while (t->told < t->recipient_count && t->recipients[t->told].state & RECIPIENT_TOLD) {
		t->told++;
	}
	if (t->told == t->recipient_count) {
		return false;
	}
	recipient = &t->recipients[t->told];
	recipient->state |= RECIPIENT_TOLD;
	client->outcome = t->outcome;
	if (recipient->state & RECIPIENT_SKIPPED) {
		client->outcome =
			text_is_printable(recipient->address) ? needs_smtputf8() : malformed(3);
	}
	*event = (struct smtp_client_event){ .kind = SMTP_CLIENT_EVENT_OUTCOME,
					     .transaction = t,
					     .recipient = t->told,
					     .outcome = &client->outcome };
	return true;
}

bool client_transaction_tell(struct smtp_client *client, struct smtp_client_event *event)
{
	struct smtp_client_transaction *t = client->current;
	bool failing = client->state == SMTP_CLIENT_STATE_FAILING;

	if (!t) {
		return false;
	}
	if (failing && !t->outcome_known) {
		set_outcome(t, failure_outcome(client, t));
	}
	if ((t->outcome_known || is_over(t)) && tell_recipient(client, t, event)) {
		return true;
	}
	if (!failing && !is_over(t)) {
		return false;
	}
	*event = (struct smtp_client_event){ .kind = SMTP_CLIENT_EVENT_DONE, .transaction = t };
	client->current = client->next;
	client->next = NULL;
	client->whole_ms = client->since_ms; // the reply that ended it
	return true;
}

uint32_t client_transaction_time_ms(const struct smtp_client *client)
{
	const struct smtp_client_times *times = &client->settings->times;
	const struct smtp_client_transaction *t = client->current;

	if (client->body_open) {
		return times->body_block_ms;
	}
	if (t->answered == command_data(t)) {
		return times->data_ms;
	}
	return t->answered == command_end(t) ? times->body_end_ms : times->command_ms;
}

uint64_t client_transaction_whole_ms(const struct smtp_client *client)
{
	const struct smtp_client_times *times = &client->settings->times;
	uint64_t rate = times->rate_bytes_per_second_min;
	uint64_t size_bytes = client->current->size_bytes;

	// In seconds, for any size that a caller may think of.
	return times->transaction_ms + (rate ? size_bytes / rate * 1000 : 0);
}

void smtp_client_send(struct smtp_client *client, struct smtp_client_transaction *transaction,
		      uint64_t now_ms)
{
	if (client->current) {
		client->next = transaction;
		return;
	}
	client->current = transaction;
	client->since_ms = client->whole_ms = now_ms;
}

bool smtp_client_can_send(const struct smtp_client *client)
{
	const struct smtp_client_transaction *t = client->current;

	if (client->state != SMTP_CLIENT_STATE_READY || client->quit_due || client->ready_due) {
		return false;
	}
	return !t || (!client->next && client->extensions.pipelining && t->sent > command_end(t));
}

void smtp_client_body(struct smtp_client *client, struct view chunk, uint64_t now_ms)
{
	outgoing_feed(&client->outgoing, chunk, &client->output);
	client->since_ms = now_ms;
}

void smtp_client_body_end(struct smtp_client *client, uint64_t now_ms)
{
	outgoing_finish(&client->outgoing, &client->output);
	client->body_open = false;
	count_sent(client, client->current);
	client->current->closed = true;
	client->next_due = client->extensions.pipelining;
	client->since_ms = now_ms;
}
