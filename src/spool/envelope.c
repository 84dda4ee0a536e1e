#include "spool/envelope.h"

#include "base/wire.h"

#include <string.h>

enum {
	MUST = 0x8000, // a reader that does not know the item must refuse the record
	ITEM_ID = MUST | 1,
	ITEM_REVERSE_PATH = MUST | 2,
	ITEM_RECIPIENT = MUST | 3,
	ITEM_FLAGS = MUST | 4,
	ITEM_BODY_BYTES = MUST | 5,
	ITEM_ARRIVAL = 6,
	ITEM_HELO = 7,
	ITEM_CLIENT = 8,
	ITEM_LISTENER = 9,
	ITEM_ROLE = 10,
	ITEM_LOGIN = 11,
	ITEM_TLS = 12,
	ITEM_AUTHENTICATION = 13,
	ITEM_ADDED_FIELDS = MUST | 14,
	ITEM_BODY_CRC = 15,

	RECIPIENT_ADDRESS = MUST | 1,
	RECIPIENT_ORIGINAL = 2,
	RECIPIENT_ORCPT = 3,
	RECIPIENT_KIND = MUST | 4,
};

struct item {
	uint16_t type;
	struct view value;
};

static void add_item(struct buffer *out, uint16_t type, struct view value)
{
	wire_add_u16(out, type);
	wire_add_string(out, value);
}

static void add_optional(struct buffer *out, uint16_t type, struct view value)
{
	if (value.len > 0) {
		add_item(out, type, value);
	}
}

static void add_number(struct buffer *out, uint16_t type, unsigned bytes, uint64_t number)
{
	char value[8];

	wire_put_u64(value, number);
	add_item(out, type, view_of(value, bytes));
}

static void add_recipient(struct buffer *out, const struct spool_recipient *recipient)
{
	size_t start;

	wire_add_u16(out, ITEM_RECIPIENT);
	wire_add_u32(out, 0);
	start = out->len;
	add_item(out, RECIPIENT_ADDRESS, recipient->address);
	if (!view_equal(recipient->original, recipient->address)) {
		add_optional(out, RECIPIENT_ORIGINAL, recipient->original);
	}
	add_optional(out, RECIPIENT_ORCPT, recipient->orcpt);
	add_number(out, RECIPIENT_KIND, 1, recipient->kind);
	if (buffer_error(out) == OK) {
		wire_put_u32(out->data + start - 4, (uint32_t)(out->len - start));
	}
}

static bool recipient_is_sound(const struct spool_recipient *recipient)
{
	return recipient->address.len > 0 && recipient->address.len <= SPOOL_ADDRESS_BYTES_MAX &&
	       recipient->original.len <= SPOOL_ADDRESS_BYTES_MAX &&
	       recipient->orcpt.len <= SPOOL_ADDRESS_BYTES_MAX &&
	       (unsigned)recipient->kind < SPOOL_KIND_COUNT;
}

// What holds for every envelope, read or written.
static bool envelope_is_sound(const struct spool_envelope *envelope)
{
	if (envelope->id == 0 || envelope->recipient_count == 0 ||
	    envelope->recipient_count > SPOOL_RECIPIENTS_MAX ||
	    envelope->reverse_path.len > SPOOL_ADDRESS_BYTES_MAX ||
	    envelope->login.len > SPOOL_ADDRESS_BYTES_MAX ||
	    (envelope->flags & ~(uint32_t)SPOOL_ENVELOPE_FLAGS) != 0) {
		return false;
	}
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		if (!recipient_is_sound(&envelope->recipients[i])) {
			return false;
		}
	}
	return true;
}

enum error spool_envelope_encode(struct buffer *out, const struct spool_envelope *envelope)
{
	size_t start = out->len;

	if (!envelope_is_sound(envelope)) {
		return ERROR_INVALID;
	}
	add_number(out, ITEM_ID, 8, envelope->id);
	add_item(out, ITEM_REVERSE_PATH, envelope->reverse_path);
	for (uint32_t i = 0; i < envelope->recipient_count; i++) {
		add_recipient(out, &envelope->recipients[i]);
	}
	add_number(out, ITEM_FLAGS, 4, envelope->flags);
	add_number(out, ITEM_BODY_BYTES, 8, envelope->body_bytes);
	add_number(out, ITEM_ARRIVAL, 8, envelope->arrival_ms);
	add_optional(out, ITEM_HELO, envelope->helo);
	add_optional(out, ITEM_CLIENT, envelope->client);
	add_optional(out, ITEM_LISTENER, envelope->listener);
	add_number(out, ITEM_ROLE, 1, envelope->role);
	add_optional(out, ITEM_LOGIN, envelope->login);
	add_optional(out, ITEM_TLS, envelope->tls);
	add_optional(out, ITEM_AUTHENTICATION, envelope->authentication);
	add_optional(out, ITEM_ADDED_FIELDS, envelope->added_fields);
	if (envelope->has_body_crc) {
		add_number(out, ITEM_BODY_CRC, 4, envelope->body_crc);
	}
	if (buffer_error(out) == ERROR_LIMIT || out->len - start > SPOOL_ENVELOPE_BYTES_MAX) {
		return ERROR_INVALID;
	}
	return buffer_error(out);
}

static struct item read_item(struct wire_reader *reader)
{
	struct item item = { .type = wire_u16(reader) };

	item.value = wire_string(reader);
	return item;
}

// The value as a number; sets failed where its length is not what the item has.
static uint64_t number_of(struct wire_reader *reader, struct view value, unsigned bytes)
{
	char whole[8] = { 0 };

	if (value.len != bytes) {
		reader->failed = true;
		return 0;
	}
	memcpy(whole, value.data, bytes);
	return wire_get_u64(whole);
}

// Marks the item as seen; sets failed at its second appearance.
static void see_once(struct wire_reader *reader, uint32_t *seen, uint16_t type)
{
	uint32_t bit = 1u << (type & ~MUST);

	if (*seen & bit) {
		reader->failed = true;
	}
	*seen |= bit;
}

static enum error decode_recipient(struct view bytes, struct spool_recipient *ret_recipient)
{
	struct wire_reader reader = wire_reader_of(bytes);
	uint32_t seen = 0;

	while (reader.rest.len > 0 && !reader.failed) {
		struct item item = read_item(&reader);

		switch (item.type) {
		case RECIPIENT_ADDRESS: ret_recipient->address = item.value; break;
		case RECIPIENT_ORIGINAL: ret_recipient->original = item.value; break;
		case RECIPIENT_ORCPT: ret_recipient->orcpt = item.value; break;
		case RECIPIENT_KIND:
			ret_recipient->kind = (enum spool_kind)number_of(&reader, item.value, 1);
			break;
		default:
			if (!reader.failed && (item.type & MUST)) {
				return ERROR_UNSUPPORTED;
			}
			continue;
		}
		see_once(&reader, &seen, item.type);
	}
	if (!(seen & 1u << RECIPIENT_ORIGINAL)) {
		ret_recipient->original = ret_recipient->address;
	}
	return wire_finished(&reader) ? OK : ERROR_CORRUPT;
}

static uint32_t count_recipients(struct view bytes)
{
	struct wire_reader reader = wire_reader_of(bytes);
	uint32_t count = 0;

	while (reader.rest.len > 0 && !reader.failed) {
		count += read_item(&reader).type == ITEM_RECIPIENT;
	}
	return count;
}

// Takes one item in; false: its type is not known.
static bool take_item(struct wire_reader *reader, struct item item, struct spool_envelope *envelope)
{
	struct view value = item.value;

	switch (item.type) {
	case ITEM_ID: envelope->id = number_of(reader, value, 8); return true;
	case ITEM_REVERSE_PATH: envelope->reverse_path = value; return true;
	case ITEM_FLAGS: envelope->flags = (uint32_t)number_of(reader, value, 4); return true;
	case ITEM_BODY_BYTES: envelope->body_bytes = number_of(reader, value, 8); return true;
	case ITEM_ARRIVAL: envelope->arrival_ms = number_of(reader, value, 8); return true;
	case ITEM_HELO: envelope->helo = value; return true;
	case ITEM_CLIENT: envelope->client = value; return true;
	case ITEM_LISTENER: envelope->listener = value; return true;
	case ITEM_ROLE: envelope->role = (uint8_t)number_of(reader, value, 1); return true;
	case ITEM_LOGIN: envelope->login = value; return true;
	case ITEM_TLS: envelope->tls = value; return true;
	case ITEM_AUTHENTICATION: envelope->authentication = value; return true;
	case ITEM_ADDED_FIELDS: envelope->added_fields = value; return true;
	case ITEM_BODY_CRC:
		envelope->body_crc = (uint32_t)number_of(reader, value, 4);
		envelope->has_body_crc = true;
		return true;
	default: return false;
	}
}

static enum error decode_items(struct view bytes, struct spool_envelope *envelope, uint32_t *seen)
{
	struct wire_reader reader = wire_reader_of(bytes);

	while (reader.rest.len > 0 && !reader.failed) {
		struct item item = read_item(&reader);

		if (item.type == ITEM_RECIPIENT && !reader.failed) {
			enum error error = decode_recipient(
				item.value, &envelope->recipients[envelope->recipient_count++]);

			if (error) {
				return error;
			}
		} else if (take_item(&reader, item, envelope)) {
			see_once(&reader, seen, item.type);
		} else if (!reader.failed && (item.type & MUST)) {
			return ERROR_UNSUPPORTED;
		}
	}
	return wire_finished(&reader) ? OK : ERROR_CORRUPT;
}

enum error spool_envelope_decode(struct view bytes, struct arena *arena,
				 struct spool_envelope *ret_envelope)
{
	static const uint32_t needed = 1u << (ITEM_ID & ~MUST) | 1u << (ITEM_REVERSE_PATH & ~MUST) |
				       1u << (ITEM_FLAGS & ~MUST) | 1u << (ITEM_BODY_BYTES & ~MUST);
	struct spool_envelope envelope = { 0 };
	uint32_t seen = 0, count = count_recipients(bytes);
	enum error error;

	if (bytes.len > SPOOL_ENVELOPE_BYTES_MAX || count == 0 || count > SPOOL_RECIPIENTS_MAX) {
		return ERROR_CORRUPT;
	}
	envelope.recipients = arena_alloc_array(arena, count, sizeof *envelope.recipients);
	if (!envelope.recipients) {
		return ERROR_NO_MEMORY;
	}
	error = decode_items(bytes, &envelope, &seen);
	if (error) {
		return error;
	}
	if ((seen & needed) != needed || !envelope_is_sound(&envelope)) {
		return ERROR_CORRUPT;
	}
	*ret_envelope = envelope;
	return OK;
}
