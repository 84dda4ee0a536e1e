#include "policy/directory.h"

#include "base/wire.h"
#include "policy/directory_format.h"

#include <string.h>

enum { DEPTH_MAX = 100, RECIPIENTS_MAX = 10 * 1000 };

struct directory_settings directory_settings_default(void)
{
	return (struct directory_settings){ '+', 16, 1000 };
}

enum error directory_open(struct view bytes, struct directory *ret_directory)
{
	struct wire_reader reader = wire_reader_of(bytes);
	struct view magic = wire_bytes(&reader, sizeof DIRECTORY_MAGIC - 1);
	struct directory directory = { .bytes = bytes };
	uint32_t size = wire_u32(&reader);

	directory.slot_count = wire_u32(&reader);
	directory.key.k0 = wire_u64(&reader);
	directory.key.k1 = wire_u64(&reader);
	directory.settings.depth_max = wire_u16(&reader);
	directory.settings.recipients_max = wire_u16(&reader);
	directory.settings.plus_separator = (char)wire_u8(&reader);
	if (reader.failed || !view_equal(magic, VIEW(DIRECTORY_MAGIC)) || size != bytes.len ||
	    bytes.len > DIRECTORY_SIZE_MAX || directory.slot_count == 0 ||
	    (directory.slot_count & (directory.slot_count - 1)) != 0 ||
	    directory.slot_count > (bytes.len - DIRECTORY_HEADER_SIZE) / sizeof(uint32_t) ||
	    directory.settings.depth_max == 0 || directory.settings.depth_max > DEPTH_MAX ||
	    directory.settings.recipients_max == 0 ||
	    directory.settings.recipients_max > RECIPIENTS_MAX) {
		return ERROR_CORRUPT;
	}
	*ret_directory = directory;
	return OK;
}

struct entry {
	uint32_t offset; // its name, so to speak
	uint8_t flags;
	struct view key;
	uint32_t target_count;
	struct view targets;
};

enum found { FOUND, ABSENT, BROKEN };

static bool read_entry(const struct directory *directory, uint32_t offset, struct entry *ret_entry)
{
	struct wire_reader reader = wire_reader_of(view_from(directory->bytes, offset));
	struct entry entry = { .offset = offset };

	entry.flags = wire_u8(&reader);
	entry.key = wire_string(&reader);
	entry.target_count = wire_u32(&reader);
	entry.targets = reader.rest;
	if (reader.failed) {
		return false;
	}
	*ret_entry = entry;
	return true;
}

static enum found find(const struct directory *directory, struct view key, struct entry *ret_entry)
{
	const char *slots = directory->bytes.data + DIRECTORY_HEADER_SIZE;
	uint32_t mask = directory->slot_count - 1;
	uint32_t i = (uint32_t)hash_siphash(directory->key, key) & mask;

	for (uint32_t tries = 0; tries <= mask; tries++, i = (i + 1) & mask) {
		uint32_t offset = wire_get_u32(slots + (size_t)i * sizeof(uint32_t));

		if (offset == 0) {
			return ABSENT;
		}
		if (!read_entry(directory, offset, ret_entry)) {
			return BROKEN;
		}
		if (view_equal(ret_entry->key, key)) {
			return FOUND;
		}
	}
	return ABSENT;
}

// Addresses, catch-alls and the postmaster: a domain of one label might be called like one.
static enum found find_address(const struct directory *directory, struct view key,
			       struct entry *ret_entry)
{
	enum found found = find(directory, key, ret_entry);

	return found == FOUND && (ret_entry->flags & DIRECTORY_DOMAIN) ? ABSENT : found;
}

static enum found find_flagged(const struct directory *directory, struct view key, uint8_t flag,
			       struct entry *ret_entry)
{
	enum found found = find(directory, key, ret_entry);

	return found == FOUND && !(ret_entry->flags & flag) ? ABSENT : found;
}

bool directory_has_domain(const struct directory *directory, struct view domain)
{
	struct entry entry;

	return find_flagged(directory, domain, DIRECTORY_DOMAIN, &entry) == FOUND;
}

bool directory_has_account(const struct directory *directory, const struct address *address)
{
	struct entry entry;

	return find_flagged(directory, address->key, DIRECTORY_ACCOUNT, &entry) == FOUND;
}

// A key cut at its @; bare postmaster has no domain.
struct parts {
	struct view local, domain;
};

static struct parts split(struct view key)
{
	size_t at = view_find_last(key, '@');

	return (struct parts){ view_first(key, at), view_from(key, at + 1) };
}

// The key without the detail; empty where it has none.
static struct view key_without_detail(char separator, struct view key, char *room)
{
	struct parts parts = split(key);
	size_t cut = separator ? view_find(view_from(parts.local, 1), separator) + 1 : key.len;

	if (cut >= parts.local.len || parts.local.data[0] == '"' || key.len > ADDRESS_MAILBOX_MAX) {
		return (struct view){ 0 };
	}
	memcpy(room, key.data, cut);
	memcpy(room + cut, key.data + parts.local.len, key.len - parts.local.len);
	return view_of(room, key.len - (parts.local.len - cut));
}

// One address on its way through the aliases.
struct step {
	const struct step *parent;
	uint32_t entry; // offset
	unsigned depth;
};

struct walk {
	const struct directory *directory;
	struct arena *arena;
	struct view *recipients;
	size_t count, capacity;
	unsigned visits;
	enum error error;
};

static enum directory_status add_recipient(struct walk *walk, struct view text)
{
	struct view copy;

	for (size_t i = 0; i < walk->count; i++) {
		if (view_equal(walk->recipients[i], text)) {
			return DIRECTORY_FOUND;
		}
	}
	if (walk->count >= walk->directory->settings.recipients_max) {
		return DIRECTORY_TOO_MANY;
	}
	if (walk->count == walk->capacity) {
		size_t capacity = walk->capacity ? walk->capacity * 4 : 1;
		struct view *larger = arena_alloc_array(walk->arena, capacity, sizeof *larger);

		if (!larger) {
			walk->error = ERROR_NO_MEMORY;
			return DIRECTORY_BROKEN;
		}
		if (walk->count) {
			memcpy(larger, walk->recipients, walk->count * sizeof *larger);
		}
		walk->recipients = larger;
		walk->capacity = capacity;
	}
	copy = arena_copy(walk->arena, text);
	if (!copy.data) {
		walk->error = ERROR_NO_MEMORY;
		return DIRECTORY_BROKEN;
	}
	walk->recipients[walk->count++] = copy;
	return DIRECTORY_FOUND;
}

// Who answers for an address of ours.
static enum found find_owner(const struct directory *directory, struct view key,
			     struct entry *ret_entry, enum directory_via *ret_via)
{
	char room[ADDRESS_MAILBOX_MAX + 1];
	struct view shorter = key_without_detail(directory->settings.plus_separator, key, room);
	struct parts parts = split(key);
	enum found found = find_address(directory, key, ret_entry);

	*ret_via = DIRECTORY_VIA_ADDRESS;
	if (found == ABSENT && shorter.len) {
		found = find_address(directory, shorter, ret_entry);
	}
	if (found == ABSENT && view_equal(parts.local, VIEW("postmaster"))) {
		*ret_via = DIRECTORY_VIA_POSTMASTER;
		found = find_address(directory, VIEW(DIRECTORY_POSTMASTER_KEY), ret_entry);
	}
	if (found == ABSENT && parts.domain.len && parts.domain.len <= ADDRESS_DOMAIN_MAX) {
		*ret_via = DIRECTORY_VIA_CATCH_ALL;
		room[0] = '@';
		memcpy(room + 1, parts.domain.data, parts.domain.len);
		found = find_address(directory, view_of(room, parts.domain.len + 1), ret_entry);
	}
	return found;
}

static enum directory_status expand(struct walk *walk, const struct entry *entry,
				    const struct step *parent);

static enum directory_status resolve_target(struct walk *walk, struct view text, struct view key,
					    const struct step *parent)
{
	enum directory_via via;
	struct entry entry;

	if (++walk->visits > DIRECTORY_VISITS_MAX) {
		return DIRECTORY_TOO_MANY;
	}
	if (!directory_has_domain(walk->directory, split(key).domain)) {
		return add_recipient(walk, text);
	}
	switch (find_owner(walk->directory, key, &entry, &via)) {
	case FOUND: return expand(walk, &entry, parent);
	case ABSENT: return DIRECTORY_UNKNOWN;
	default: return DIRECTORY_BROKEN;
	}
}

static bool is_on_the_way(const struct step *step, uint32_t entry)
{
	for (; step; step = step->parent) {
		if (step->entry == entry) {
			return true;
		}
	}
	return false;
}

static enum directory_status expand_targets(struct walk *walk, const struct entry *entry,
					    const struct step *step)
{
	struct wire_reader reader = wire_reader_of(entry->targets);
	size_t before = walk->count;
	bool somebody = false;

	for (uint32_t i = 0; i < entry->target_count; i++) {
		struct view text = wire_string(&reader);
		struct view key = wire_string(&reader);
		enum directory_status status;

		if (reader.failed) {
			return DIRECTORY_BROKEN;
		}
		status = resolve_target(walk, text, key, step);
		somebody = somebody || status == DIRECTORY_FOUND;
		if (status == DIRECTORY_UNKNOWN) {
			status = add_recipient(walk, text);
		}
		if (status != DIRECTORY_FOUND) {
			return status;
		}
	}
	if (!somebody) {
		walk->count = before;
		return DIRECTORY_UNKNOWN;
	}
	return DIRECTORY_FOUND;
}

static enum directory_status expand(struct walk *walk, const struct entry *entry,
				    const struct step *parent)
{
	struct step step = { parent, entry->offset, parent ? parent->depth + 1 : 0 };
	bool names_itself = parent && parent->entry == entry->offset;

	if ((entry->flags & DIRECTORY_ACCOUNT) && (entry->target_count == 0 || names_itself)) {
		return add_recipient(walk, entry->key);
	}
	if (entry->target_count == 0) {
		return DIRECTORY_UNKNOWN;
	}
	if (is_on_the_way(parent, entry->offset) ||
	    step.depth >= walk->directory->settings.depth_max) {
		return DIRECTORY_LOOP;
	}
	return expand_targets(walk, entry, &step);
}

enum error directory_resolve(const struct directory *directory, struct arena *arena,
			     const struct address *address, struct directory_answer *ret_answer)
{
	struct walk walk = { .directory = directory, .arena = arena };
	struct directory_answer answer = { .status = DIRECTORY_NOT_OURS };
	struct entry entry;

	if (address->domain.len && !directory_has_domain(directory, address->domain)) {
		*ret_answer = answer;
		return OK;
	}
	switch (find_owner(directory, address->key, &entry, &answer.via)) {
	case FOUND: answer.status = expand(&walk, &entry, NULL); break;
	case ABSENT: answer.status = DIRECTORY_UNKNOWN; break;
	case BROKEN: answer.status = DIRECTORY_BROKEN; break;
	}
	if (walk.error == OK && answer.status == DIRECTORY_FOUND) {
		answer.recipients = walk.recipients;
		answer.recipient_count = walk.count;
		answer.entry = arena_copy(arena, entry.key);
		walk.error = answer.entry.data ? OK : ERROR_NO_MEMORY;
	}
	if (walk.error == OK) {
		*ret_answer = answer;
	}
	return walk.error;
}
