#include "deliver/entry.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/lane.h"

static char *texts_of(const struct entry *entry)
{
	return (char *)(uintptr_t)&entry->recipients[entry->message->recipient_count];
}

static uint32_t add_text(struct entry *entry, uint32_t *offset, struct view text)
{
	uint32_t at = *offset;

	if (text.len) {
		memcpy(texts_of(entry) + at, text.data, text.len);
	}
	*offset += (uint32_t)text.len;
	return at;
}

struct entry *entry_new(struct deliverer *deliverer, struct spool_message *message,
			const struct spool_envelope *envelope)
{
	uint32_t count = message->recipient_count, offset = 0;
	size_t size = sizeof(struct entry) + count * sizeof(struct recipient) +
		      envelope->reverse_path.len + envelope->login.len;
	struct entry *entry;

	for (uint32_t i = 0; i < count; i++) {
		size += envelope->recipients[i].address.len;
	}
	entry = calloc(1, size);
	if (!entry) {
		return NULL;
	}
	entry->deliverer = deliverer;
	entry->message = message;
	entry->arrival_ms = envelope->arrival_ms;
	entry->size_bytes = envelope->body_bytes + envelope->added_fields.len;
	entry->reverse_path_len = (uint16_t)envelope->reverse_path.len;
	entry->login_len = (uint16_t)envelope->login.len;
	list_init(&entry->link);
	(void)add_text(entry, &offset, envelope->reverse_path);
	(void)add_text(entry, &offset, envelope->login);
	for (uint32_t i = 0; i < count; i++) {
		struct recipient *recipient = &entry->recipients[i];

		recipient->entry = entry;
		recipient->address_len = (uint16_t)envelope->recipients[i].address.len;
		recipient->address_offset =
			add_text(entry, &offset, envelope->recipients[i].address);
	}
	return entry;
}

void entry_free(struct entry *entry)
{
	while (entry->failures) {
		struct failure *next = entry->failures->next;

		free(entry->failures);
		entry->failures = next;
	}
	list_remove(&entry->link);
	free(entry);
}

struct view entry_reverse_path(const struct entry *entry)
{
	return view_of(texts_of(entry), entry->reverse_path_len);
}

struct view entry_login(const struct entry *entry)
{
	return view_of(texts_of(entry) + entry->reverse_path_len, entry->login_len);
}

struct view entry_sender(const struct entry *entry)
{
	return entry->login_len ? entry_login(entry) : entry_reverse_path(entry);
}

struct view recipient_address(const struct recipient *recipient)
{
	return view_of(texts_of(recipient->entry) + recipient->address_offset,
		       recipient->address_len);
}

void recipient_withdraw(struct recipient *recipient)
{
	if (recipient->place == RECIPIENT_WAITING) {
		lane_forget(recipient);
	} else if (recipient->place == RECIPIENT_RESOLVING) {
		list_remove(&recipient->link);
	}
	recipient->place = RECIPIENT_IDLE;
}

void entry_withdraw(struct entry *entry)
{
	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		struct recipient *recipient = &entry->recipients[i];

		if (recipient->place == RECIPIENT_WAITING ||
		    recipient->place == RECIPIENT_RESOLVING) {
			recipient_withdraw(recipient);
		}
	}
}
