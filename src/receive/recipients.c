// The recipients of a transaction: each once, whatever names it by.
#include <string.h>

#include "os/random.h"
#include "receive/transaction_private.h"

enum {
	RECIPIENTS_FIRST = 4,
	RECIPIENTS_LINEAR_MAX = 16, // beyond it a table finds those that are there already
	RECIPIENT_BYTES_MAX = 2 * 1024 * 1024, // in the record, of all: it must fit into a segment
	RECIPIENT_FRAME_BYTES = 32,
};

static bool is_known(const struct transaction *transaction, struct view text)
{
	const struct spool_envelope *envelope = &transaction->envelope;

	if (envelope->recipient_count > RECIPIENTS_LINEAR_MAX) {
		return table_get(&transaction->known, text);
	}
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		if (view_equal(envelope->recipients[i].address, text)) {
			return true;
		}
	}
	return false;
}

static enum error grow_recipients(struct transaction *transaction)
{
	struct spool_envelope *envelope = &transaction->envelope;
	uint32_t capacity = transaction->recipient_capacity ? transaction->recipient_capacity * 2
							    : RECIPIENTS_FIRST;
	struct spool_recipient *recipients =
		arena_alloc_array(&transaction->arena, capacity, sizeof *recipients);

	if (!recipients) {
		return ERROR_NO_MEMORY;
	}
	if (envelope->recipient_count) {
		memcpy(recipients, envelope->recipients,
		       envelope->recipient_count * sizeof *recipients);
	}
	envelope->recipients = recipients;
	transaction->recipient_capacity = capacity;
	return OK;
}

// Beyond RECIPIENTS_LINEAR_MAX all are in the table.
static enum error note_known(struct transaction *transaction)
{
	struct spool_envelope *envelope = &transaction->envelope;
	uint32_t from = envelope->recipient_count - 1;

	if (envelope->recipient_count <= RECIPIENTS_LINEAR_MAX) {
		return OK;
	}
	if (from == RECIPIENTS_LINEAR_MAX) {
		table_done(&transaction->known);
		transaction->known = table_with_max(os_random_hash_key(), SPOOL_RECIPIENTS_MAX);
		from = 0;
	}
	for (uint32_t i = from; i < envelope->recipient_count; i++) {
		struct view *text = &envelope->recipients[i].address;
		enum error error =
			table_add(&transaction->known, *text, (void *)(uintptr_t)text->data);

		if (error != OK) {
			return error;
		}
	}
	return OK;
}

// As it takes in the record, about.
static uint32_t encoded_bytes(const struct spool_recipient *recipient)
{
	return (uint32_t)(recipient->address.len + recipient->original.len) + RECIPIENT_FRAME_BYTES;
}

static void drop_last(struct transaction *transaction)
{
	struct spool_envelope *envelope = &transaction->envelope;
	const struct spool_recipient *last = &envelope->recipients[--envelope->recipient_count];

	transaction->recipient_bytes -= encoded_bytes(last);
	table_remove(&transaction->known, last->address);
}

static enum error add_recipient(struct transaction *transaction, struct view text,
				struct view original, enum spool_kind kind)
{
	struct spool_envelope *envelope = &transaction->envelope;
	struct spool_recipient *recipient;
	enum error error = OK;

	if (is_known(transaction, text)) {
		return OK;
	}
	if (envelope->recipient_count == SPOOL_RECIPIENTS_MAX ||
	    transaction->recipient_bytes > RECIPIENT_BYTES_MAX) {
		return ERROR_LIMIT;
	}
	if (envelope->recipient_count == transaction->recipient_capacity) {
		error = grow_recipients(transaction);
	}
	if (error != OK) {
		return error;
	}
	recipient = &envelope->recipients[envelope->recipient_count];
	*recipient = (struct spool_recipient){
		.address = arena_copy(&transaction->arena, text),
		.original = original,
		.kind = kind,
	};
	if (!recipient->address.data) {
		return ERROR_NO_MEMORY;
	}
	envelope->recipient_count++;
	transaction->recipient_bytes += encoded_bytes(recipient);
	error = note_known(transaction);
	if (error != OK) {
		drop_last(transaction);
	}
	return error;
}

static enum error add_expanded(struct transaction *transaction, struct view original,
			       const struct directory_answer *expanded)
{
	const struct directory *directory = &transaction->place.receiver->directory;
	enum error error = OK;

	for (size_t i = 0; i < expanded->recipient_count && error == OK; i++) {
		struct view recipient = expanded->recipients[i];
		struct view domain = view_from(recipient, view_find_last(recipient, '@') + 1);

		error = add_recipient(transaction, recipient, original,
				      directory_has_domain(directory, domain) ? SPOOL_LOCAL
									      : SPOOL_REMOTE);
	}
	return error;
}

enum error transaction_add_recipient(struct transaction *transaction,
				     const struct address *original,
				     const struct directory_answer *expanded)
{
	struct spool_envelope *envelope = &transaction->envelope;
	uint32_t before = envelope->recipient_count;
	struct view text = arena_copy(&transaction->arena, original->text);
	enum error error =
		text.data && !transaction_is_over_budget(transaction) ? OK : ERROR_NO_MEMORY;

	if (error == OK) {
		error = expanded ? add_expanded(transaction, text, expanded)
				 : add_recipient(transaction, text, text, SPOOL_REMOTE);
	}
	while (error != OK && envelope->recipient_count > before) {
		drop_last(transaction);
	}
	transaction_account(transaction);
	return error;
}
