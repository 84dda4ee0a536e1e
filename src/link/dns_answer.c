#include "link/dns_answer.h"

#include <string.h>

enum {
	HEADER_SIZE = 12,
	WIRE_NAME_MAX = 255,
	CLASS_IN = 1,
	RCODE_NAME_ERROR = 3,
};

// A name in wire form, lower case: labels with their lengths, without the root's.
struct wire_name {
	uint8_t len;
	uint8_t bytes[WIRE_NAME_MAX];
};

struct message {
	struct view packet;
	size_t at;
};

struct record {
	struct wire_name owner;
	uint16_t type, class;
	uint32_t ttl;
	size_t data_at, data_len;
};

static bool read_u16(struct message *message, uint16_t *ret_number)
{
	const uint8_t *bytes = (const uint8_t *)message->packet.data + message->at;

	if (message->packet.len - message->at < 2) {
		return false;
	}
	*ret_number = (uint16_t)(bytes[0] << 8 | bytes[1]);
	message->at += 2;
	return true;
}

static bool add_label(struct wire_name *name, const uint8_t *label, uint8_t len)
{
	// One octet stays free for the root's label.
	if (name->len + 1u + len >= WIRE_NAME_MAX) {
		return false;
	}
	name->bytes[name->len++] = len;
	for (uint8_t i = 0; i < len; i++) {
		name->bytes[name->len++] = (uint8_t)ascii_lower((char)label[i]);
	}
	return true;
}

// Each pointer must lead to before the run of labels that it ends, so every name ends.
static bool read_name(struct message *message, struct wire_name *name)
{
	const uint8_t *bytes = (const uint8_t *)message->packet.data;
	size_t at = message->at, start = at, after = 0;

	name->len = 0;
	while (at < message->packet.len) {
		uint8_t len = bytes[at++];

		if (len == 0) {
			message->at = after ? after : at;
			return true;
		}
		if (len < 64) {
			if (message->packet.len - at < len || !add_label(name, bytes + at, len)) {
				return false;
			}
			at += len;
		} else if (len >= 192 && at < message->packet.len) {
			size_t target = (size_t)(len & 63) << 8 | bytes[at++];

			if (target >= start) {
				return false;
			}
			after = after ? after : at;
			at = start = target;
		} else {
			return false;
		}
	}
	return false;
}

static bool read_record(struct message *message, struct record *record)
{
	uint16_t high, low, len;

	if (!read_name(message, &record->owner) || !read_u16(message, &record->type) ||
	    !read_u16(message, &record->class) || !read_u16(message, &high) ||
	    !read_u16(message, &low) || !read_u16(message, &len) ||
	    message->packet.len - message->at < len) {
		return false;
	}
	record->ttl = (uint32_t)high << 16 | low;
	record->data_at = message->at;
	record->data_len = len;
	message->at += len;
	return true;
}

static bool same_name(const struct wire_name *a, const struct wire_name *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

// A name inside the data of a record, which it must fill to its end.
static bool data_name(struct view packet, const struct record *record, size_t skip,
		      struct wire_name *name)
{
	struct message message = { packet, record->data_at + skip };

	return record->data_len > skip && read_name(&message, name) &&
	       message.at == record->data_at + record->data_len;
}

// Text of a host name: letters, digits, "-" and "_" only, so that it can be printed and asked for.
static bool name_to_text(const struct wire_name *name, struct arena *arena, struct view *ret_text)
{
	char *text = arena_alloc(arena, name->len + 1u);
	uint8_t label_end = 0;

	if (!text) {
		return false;
	}
	for (uint8_t i = 0; i < name->len; i++) {
		char c = (char)name->bytes[i];

		if (i == label_end) {
			label_end = (uint8_t)(i + 1 + name->bytes[i]);
			c = '.';
		} else if (!ascii_is_alnum(c) && c != '-' && c != '_') {
			return false;
		}
		if (i > 0) {
			text[i - 1] = c;
		}
	}
	*ret_text = view_of(text, name->len ? name->len - 1u : 0);
	return true;
}

static void keep_ttl(struct dns_answer *answer, uint32_t ttl)
{
	ttl = ttl > INT32_MAX ? 0 : ttl; // RFC 2181 section 8
	answer->ttl_s = ttl < answer->ttl_s ? ttl : answer->ttl_s;
}

static bool read_address(struct view packet, const struct record *record, struct dns_record *kept)
{
	size_t size = record->type == DNS_A ? 4 : 16;

	kept->address.family = record->type == DNS_A ? 4 : 6;
	if (record->data_len != size) {
		return false;
	}
	memcpy(kept->address.bytes, packet.data + record->data_at, size);
	return true;
}

static bool read_data(struct view packet, const struct record *record, struct arena *arena,
		      struct dns_record *kept)
{
	struct message message = { packet, record->data_at };
	struct wire_name name;

	switch (record->type) {
	case DNS_A:
	case DNS_AAAA: return read_address(packet, record, kept);
	case DNS_MX:
		return record->data_len >= 3 && read_u16(&message, &kept->preference) &&
		       data_name(packet, record, 2, &name) &&
		       name_to_text(&name, arena, &kept->name);
	case DNS_PTR:
		return data_name(packet, record, 0, &name) && name.len > 0 &&
		       name_to_text(&name, arena, &kept->name);
	default: return false;
	}
}

// The target of the alias that owner is; false when it is none.
static bool follow_alias(struct message message, unsigned count, struct wire_name *owner,
			 struct dns_answer *answer)
{
	struct record record;

	for (unsigned i = 0; i < count && read_record(&message, &record); i++) {
		if (record.type == DNS_CNAME && record.class == CLASS_IN &&
		    same_name(&record.owner, owner)) {
			keep_ttl(answer, record.ttl);
			return data_name(message.packet, &record, 0, owner);
		}
	}
	return false;
}

// Returns how many records of the type could not be used.
static unsigned collect(struct message message, unsigned count, enum dns_type type,
			const struct wire_name *owner, struct arena *arena,
			struct dns_answer *answer)
{
	struct record record;
	unsigned unusable = 0;

	for (unsigned i = 0;
	     i < count && answer->count < DNS_RECORDS_MAX && read_record(&message, &record); i++) {
		struct dns_record kept = { .preference = 0 };

		if (record.type != type || record.class != CLASS_IN ||
		    !same_name(&record.owner, owner)) {
			continue;
		}
		if (read_data(message.packet, &record, arena, &kept)) {
			answer->records[answer->count++] = kept;
			keep_ttl(answer, record.ttl);
		} else {
			unusable++;
		}
	}
	return unusable;
}

static bool read_header(struct message *message, enum dns_type type, uint16_t *ret_flags,
			uint16_t *ret_answers, struct wire_name *owner)
{
	uint16_t id, questions, authorities, additional, asked_type, asked_class;

	return read_u16(message, &id) && read_u16(message, ret_flags) &&
	       read_u16(message, &questions) && read_u16(message, ret_answers) &&
	       read_u16(message, &authorities) && read_u16(message, &additional) &&
	       questions == 1 && read_name(message, owner) && read_u16(message, &asked_type) &&
	       read_u16(message, &asked_class) && asked_type == type && asked_class == CLASS_IN;
}

enum error dns_answer_parse(struct view packet, enum dns_type type, struct arena *arena,
			    struct dns_answer *ret_answer)
{
	struct message message = { packet, 0 };
	struct wire_name owner;
	uint16_t flags, count;
	unsigned aliases = 0, unusable = 0;
	unsigned rcode;

	if (!read_header(&message, type, &flags, &count, &owner)) {
		return ERROR_INVALID;
	}
	rcode = flags & 15;
	*ret_answer = (struct dns_answer){ .result = FACTS_TEMPORARY, .ttl_s = DNS_TTL_MAX_S };
	if (rcode != 0 && rcode != RCODE_NAME_ERROR) {
		ret_answer->ttl_s = 0;
		return OK;
	}
	count = count < DNS_RECORDS_SEEN_MAX ? count : DNS_RECORDS_SEEN_MAX;
	while (aliases <= DNS_ALIASES_MAX && follow_alias(message, count, &owner, ret_answer)) {
		aliases++;
	}
	if (aliases <= DNS_ALIASES_MAX) {
		unusable = collect(message, count, type, &owner, arena, ret_answer);
		if (ret_answer->count > 0) {
			ret_answer->result = FACTS_FOUND;
		} else if (unusable == 0) {
			ret_answer->result = rcode ? FACTS_NO_DOMAIN : FACTS_NO_DATA;
		}
	}
	ret_answer->ttl_s = ret_answer->result == FACTS_FOUND ? ret_answer->ttl_s : 0;
	return OK;
}

void dns_reverse_name(struct buffer *out, const struct facts_address *address)
{
	const uint8_t *bytes = address->bytes;

	if (address->family == 4) {
		buffer_printf(out, "%u.%u.%u.%u.in-addr.arpa", bytes[3], bytes[2], bytes[1],
			      bytes[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		buffer_printf(out, "%x.%x.", bytes[i] & 15u, (unsigned)bytes[i] >> 4);
	}
	buffer_add_text(out, "ip6.arpa");
}
