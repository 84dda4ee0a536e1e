#include "receive/examine.h"

#include "mail/from.h"
#include "policy/sender.h"

static void refuse(struct examine_verdict *verdict, enum smtp_reply_id id, const char *detail)
{
	verdict->accepted = false;
	verdict->reply = smtp_reply_with(id, view_from_text(detail));
}

// Each mailbox of a list must belong to the login.
static enum error examine_mailboxes(const struct examine_facts *facts, struct arena *arena,
				    const struct mailbox_list *list,
				    struct examine_verdict *verdict)
{
	for (const struct mailbox *mailbox = list->first; mailbox; mailbox = mailbox->next) {
		struct directory_answer answer;
		struct sender_facts sender = {
			.place = SENDER_FROM,
			.login = facts->login,
			.patterns = facts->login_senders,
			.address = &mailbox->address,
			.directory = &answer,
		};
		enum error error =
			directory_resolve(facts->directory, arena, &mailbox->address, &answer);

		if (error != OK) {
			return error;
		}
		if (sender_decide(&sender).kind != VERDICT_ACCEPT) {
			verdict->accepted = false;
			verdict->reply = smtp_reply(SMTP_REPLY_FROM_NOT_YOURS);
			return OK;
		}
	}
	return OK;
}

static enum error examine_from(const struct examine_facts *facts, struct arena *arena,
			       struct examine_verdict *verdict)
{
	struct mailbox_list list;
	enum from_verdict from = from_parse(arena, facts->header, &list);

	if (from == FROM_NO_MEMORY) {
		return ERROR_NO_MEMORY;
	}
	if (from != FROM_OK) {
		refuse(verdict, SMTP_REPLY_BAD_HEADER, from_verdict_text(from));
		return OK;
	}
	return examine_mailboxes(facts, arena, &list, verdict);
}

// Clients show a Sender beside From, so it may not name others either.
static enum error examine_senders(const struct examine_facts *facts, struct arena *arena,
				  struct examine_verdict *verdict)
{
	struct header_walk walk = header_walk_of(facts->header);
	struct header_field field;
	enum error error = OK;

	while (error == OK && verdict->accepted && header_next(&walk, &field)) {
		struct mailbox_list list;
		enum from_verdict sender;

		if (!view_equal_nocase(field.name, VIEW("Sender"))) {
			continue;
		}
		sender = mailbox_list_parse(arena, field.value, &list);
		if (sender == FROM_OK) {
			error = examine_mailboxes(facts, arena, &list, verdict);
		} else if (sender == FROM_NO_MEMORY) {
			error = ERROR_NO_MEMORY;
		} else {
			refuse(verdict, SMTP_REPLY_BAD_HEADER, "Sender is no mailbox");
		}
	}
	return error;
}

enum error examine_header(const struct examine_facts *facts, struct arena *arena,
			  struct examine_verdict *ret_verdict)
{
	struct header_facts header = header_facts_of(facts->header);
	struct examine_verdict verdict = { .accepted = true };
	enum error error = OK;

	if (header.received_count > facts->hops_max) {
		refuse(&verdict, SMTP_REPLY_LOOP, "");
	} else if (header.fault == HEADER_TOO_LONG || header.fault == HEADER_TOO_MANY) {
		refuse(&verdict, SMTP_REPLY_BAD_HEADER, header_fault_text(header.fault));
	} else if (facts->is_submission) {
		verdict.add_date = !header.has_date;
		verdict.add_message_id = !header.has_message_id;
		error = examine_from(facts, arena, &verdict);
		if (error == OK && verdict.accepted) {
			error = examine_senders(facts, arena, &verdict);
		}
	}
	if (error == OK) {
		*ret_verdict = verdict;
	}
	return error;
}

void examine_add_fields(struct buffer *out, const struct examine_verdict *verdict,
			const struct trace_received *received)
{
	trace_add_received(out, received);
	if (verdict->add_message_id) {
		trace_add_message_id(out, received->queue_id, received->hostname);
	}
	if (verdict->add_date) {
		trace_add_date(out, received->unix_ms, received->zone_minutes);
	}
}

bool examine_header_complete(struct view message)
{
	// A line that is still growing says nothing yet.
	size_t last = view_find_last(message, '\n');
	struct view lines = view_first(message, last < message.len ? last + 1 : 0);

	if (view_starts(lines, VIEW("\r\n")) ||
	    view_find_text(lines, VIEW("\r\n\r\n")) < lines.len) {
		return true;
	}
	// Or what comes next is no field, whatever else is wrong with those before.
	return header_facts_of(lines).body_offset < lines.len;
}
