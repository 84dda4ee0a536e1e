#include <string.h>

#include "base/wire.h"
#include "link/facts.h"

enum {
	FLAG_SECURE = 1,
	FLAG_NULL_MX = 2,
	FLAG_IMPLICIT = 4,
	FLAG_CONFIRMED = 8,
	FLAGS_KNOWN = 15,
};

static bool kind_is_known(enum facts_kind kind)
{
	return kind >= FACTS_MAIL_ROUTE && kind <= FACTS_PEER_NAME;
}

// What may stand in a question, an answer, a log line: no blanks, no controls, no quoting needed.
static bool name_is_sane(struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_is_alnum(name.data[i]) && !memchr("-_.", name.data[i], 3)) {
			return false;
		}
	}
	return name.len <= FACTS_NAME_MAX;
}

// Non-empty labels of at most 63 octets.
static bool name_can_be_asked(struct view name)
{
	struct view rest = name, label;

	while (view_next_part(&rest, '.', &label)) {
		if (label.len == 0 || label.len > 63) {
			return false;
		}
	}
	return name_is_sane(name) && name.len > 0 && name.data[name.len - 1] != '.';
}

static void address_encode(struct buffer *out, const struct facts_address *address)
{
	wire_add_u8(out, address->family);
	buffer_add(out, view_of(address->bytes, address->family == 4 ? 4 : 16));
}

static void address_decode(struct wire_reader *reader, struct facts_address *ret_address)
{
	uint8_t family = wire_u8(reader);
	struct view bytes = wire_bytes(reader, family == 4 ? 4 : 16);

	if (family != 4 && family != 6) {
		reader->failed = true;
		return;
	}
	*ret_address = (struct facts_address){ .family = family };
	memcpy(ret_address->bytes, bytes.data ? bytes.data : "", bytes.len);
}

void facts_question_encode(struct buffer *out, const struct facts_question *question,
			   uint32_t deadline_ms)
{
	wire_add_u32(out, deadline_ms);
	if (question->kind == FACTS_PEER_NAME) {
		address_encode(out, &question->address);
	} else {
		wire_add_string(out, question->name);
	}
}

enum error facts_question_decode(enum facts_kind kind, struct view payload,
				 struct facts_question *ret_question, uint32_t *ret_deadline_ms)
{
	struct wire_reader reader = wire_reader_of(payload);
	struct facts_question question = { .kind = kind };
	uint32_t deadline_ms = wire_u32(&reader);

	if (!kind_is_known(kind)) {
		return ERROR_INVALID;
	}
	if (kind == FACTS_PEER_NAME) {
		address_decode(&reader, &question.address);
	} else {
		question.name = wire_string(&reader);
		reader.failed = reader.failed || !name_can_be_asked(question.name);
	}
	if (!wire_finished(&reader)) {
		return ERROR_INVALID;
	}
	*ret_question = question;
	*ret_deadline_ms = deadline_ms;
	return OK;
}

static void host_encode(struct buffer *out, const struct facts_host *host)
{
	wire_add_string(out, host->name);
	wire_add_u16(out, host->preference);
	wire_add_u8(out, host->result);
	wire_add_u8(out, host->secure);
	wire_add_u8(out, (uint8_t)host->address_count);
	for (unsigned i = 0; i < host->address_count; i++) {
		address_encode(out, &host->addresses[i]);
	}
}

void facts_answer_encode(struct buffer *out, const struct facts_answer *answer)
{
	wire_add_u8(out, answer->result);
	wire_add_u8(out, (uint8_t)((answer->secure ? FLAG_SECURE : 0) |
				   (answer->null_mx ? FLAG_NULL_MX : 0) |
				   (answer->implicit ? FLAG_IMPLICIT : 0) |
				   (answer->confirmed ? FLAG_CONFIRMED : 0)));
	wire_add_u32(out, answer->ttl_s);
	wire_add_u8(out, (uint8_t)answer->host_count);
	for (unsigned i = 0; i < answer->host_count; i++) {
		host_encode(out, &answer->hosts[i]);
	}
}

static enum facts_result result_decode(struct wire_reader *reader)
{
	uint8_t result = wire_u8(reader);

	if (result < FACTS_FOUND || result > FACTS_BOGUS) {
		reader->failed = true;
		return FACTS_TEMPORARY;
	}
	return (enum facts_result)result;
}

static enum error host_decode(struct wire_reader *reader, struct arena *arena,
			      struct facts_host *host)
{
	struct facts_address *addresses;
	uint8_t secure;

	host->name = arena_copy(arena, wire_string(reader));
	host->preference = wire_u16(reader);
	host->result = result_decode(reader);
	secure = wire_u8(reader);
	host->secure = secure == 1;
	host->address_count = wire_u8(reader);
	if (secure > 1 || host->address_count > FACTS_ADDRESSES_MAX || !name_is_sane(host->name)) {
		return ERROR_INVALID;
	}
	addresses = arena_alloc_array(arena, host->address_count, sizeof *addresses);
	if (!host->name.data || (host->address_count > 0 && !addresses)) {
		return ERROR_NO_MEMORY;
	}
	for (unsigned i = 0; i < host->address_count; i++) {
		address_decode(reader, &addresses[i]);
	}
	host->addresses = addresses;
	return OK;
}

enum error facts_answer_decode(enum facts_kind kind, struct view payload, struct arena *arena,
			       struct facts_answer *ret_answer)
{
	struct wire_reader reader = wire_reader_of(payload);
	struct facts_answer answer = { .kind = kind, .result = result_decode(&reader) };
	uint8_t flags = wire_u8(&reader);
	struct facts_host *hosts;

	answer.secure = flags & FLAG_SECURE;
	answer.null_mx = flags & FLAG_NULL_MX;
	answer.implicit = flags & FLAG_IMPLICIT;
	answer.confirmed = flags & FLAG_CONFIRMED;
	answer.ttl_s = wire_u32(&reader);
	answer.host_count = wire_u8(&reader);
	if (!kind_is_known(kind) || (flags & ~FLAGS_KNOWN) || answer.host_count > FACTS_HOSTS_MAX) {
		return ERROR_INVALID;
	}
	hosts = arena_alloc_array(arena, answer.host_count, sizeof *hosts);
	if (answer.host_count > 0 && !hosts) {
		return ERROR_NO_MEMORY;
	}
	for (unsigned i = 0; i < answer.host_count; i++) {
		enum error error = host_decode(&reader, arena, &hosts[i]);

		if (error != OK) {
			return error;
		}
	}
	if (!wire_finished(&reader)) {
		return ERROR_INVALID;
	}
	answer.hosts = hosts;
	*ret_answer = answer;
	return OK;
}

struct os_address facts_address_with_port(const struct facts_address *address, uint16_t port)
{
	struct os_address made = { .family = address->family, .port = port };

	memcpy(address->family == 4 ? made.ip4 : made.ip6, address->bytes,
	       address->family == 4 ? sizeof made.ip4 : sizeof made.ip6);
	return made;
}

struct facts_address facts_address_of(const struct os_address *address)
{
	struct facts_address made = { .family = address->family };

	memcpy(made.bytes, address->family == 4 ? address->ip4 : address->ip6,
	       address->family == 4 ? sizeof address->ip4 : sizeof address->ip6);
	return made;
}
