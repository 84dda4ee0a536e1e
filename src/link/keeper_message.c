#include "base/wire.h"
#include "link/keeper.h"

static void add_address(struct buffer *out, const struct ip_address *address)
{
	wire_add_u8(out, address->family);
	buffer_add(out, view_of(address->bytes, sizeof address->bytes));
}

static bool read_address(struct wire_reader *reader, struct ip_address *ret_address)
{
	uint8_t family = wire_u8(reader);
	struct view bytes = wire_bytes(reader, sizeof ret_address->bytes);

	if (reader->failed || (family != 0 && family != 4 && family != 6)) {
		return false;
	}
	*ret_address = ip_address_of(family, (const uint8_t *)bytes.data);
	return true;
}

void keeper_login_encode(struct buffer *out, const struct keeper_login *login)
{
	bool fits =
		login->user.len <= KEEPER_USER_MAX && login->password.len <= KEEPER_PASSWORD_MAX;

	add_address(out, &login->client);
	wire_add_string(out, fits ? login->user : (struct view){ 0 });
	wire_add_string(out, fits ? login->password : (struct view){ 0 });
}

enum error keeper_login_decode(struct view payload, struct keeper_login *ret_login)
{
	struct wire_reader reader = wire_reader_of(payload);
	struct keeper_login login;

	if (!read_address(&reader, &login.client)) {
		return ERROR_INVALID;
	}
	login.user = wire_string(&reader);
	login.password = wire_string(&reader);
	if (!wire_finished(&reader) || login.user.len > KEEPER_USER_MAX ||
	    login.password.len > KEEPER_PASSWORD_MAX) {
		return ERROR_INVALID;
	}
	*ret_login = login;
	return OK;
}

void keeper_answer_encode(struct buffer *out, const struct keeper_answer *answer)
{
	bool good = answer->result == KEEPER_GOOD;
	size_t senders = good ? answer->sender_count : 0;

	wire_add_u8(out, (uint8_t)answer->result);
	wire_add_string(out, good ? answer->account : (struct view){ 0 });
	wire_add_u32(out, (uint32_t)senders);
	for (size_t i = 0; i < senders; i++) {
		wire_add_string(out, answer->senders[i]);
	}
}

enum error keeper_answer_decode(struct view payload, struct arena *arena,
				struct keeper_answer *ret_answer)
{
	struct wire_reader reader = wire_reader_of(payload);
	struct keeper_answer answer = { .result = (enum keeper_result)wire_u8(&reader) };
	struct view *senders;

	answer.account = wire_string(&reader);
	answer.sender_count = wire_u32(&reader);
	if (reader.failed || answer.sender_count > SENDER_PATTERNS_MAX ||
	    answer.result < KEEPER_GOOD || answer.result > KEEPER_TEMPORARY ||
	    (answer.result == KEEPER_GOOD) != (answer.account.len > 0)) {
		return ERROR_INVALID;
	}
	senders = arena_alloc_array(arena, answer.sender_count + 1, sizeof *senders);
	if (!senders) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < answer.sender_count; i++) {
		senders[i] = wire_string(&reader);
	}
	if (!wire_finished(&reader)) {
		return ERROR_INVALID;
	}
	answer.senders = senders;
	*ret_answer = answer;
	return OK;
}

enum error keeper_answer_rights(const struct keeper_answer *answer, struct arena *arena,
				struct address *ret_login, struct patterns *ret_patterns)
{
	struct pattern *patterns =
		arena_alloc_array(arena, answer->sender_count + 1, sizeof *patterns);
	struct address login;
	enum address_fault fault = address_parse(arena, answer->account, ADDRESS_UTF8, &login);

	if (!patterns || fault != ADDRESS_OK) {
		return !patterns || fault == ADDRESS_NO_MEMORY ? ERROR_NO_MEMORY : ERROR_INVALID;
	}
	for (size_t i = 0; i < answer->sender_count; i++) {
		enum error error = pattern_parse(arena, answer->senders[i], &patterns[i]);

		if (error != OK) {
			return error;
		}
	}
	*ret_login = login;
	*ret_patterns = (struct patterns){ patterns, answer->sender_count };
	return OK;
}
