#include "spool/state.h"

#include <string.h>

enum { OUTCOME_BYTES = 12 };

static void add_outcome(struct buffer *out, uint32_t index,
			const struct spool_recipient_state *recipient)
{
	wire_add_u32(out, index);
	wire_add_u8(out, recipient->status);
	wire_add_u8(out, recipient->trying);
	wire_add_u16(out, recipient->attempts);
	wire_add_u32(out, recipient->next_attempt_s);
}

// Everything before the outcomes; returns where the length goes.
static size_t begin(struct buffer *out, const struct spool_state *state)
{
	size_t start = out->len;

	wire_add_u32(out, 0);
	wire_add_u64(out, state->id);
	wire_add_u32(out, state->recipient_count);
	wire_add_u8(out, state->flags);
	wire_add_u8(out, state->crashes);
	wire_add_u16(out, (uint16_t)state->reason.len);
	buffer_add(out, state->reason);
	wire_add_u32(out, state->outcome_count);
	return start;
}

static void end(struct buffer *out, size_t start)
{
	if (buffer_error(out) == OK) {
		wire_put_u32(out->data + start, (uint32_t)(out->len - start - 4));
	}
}

void spool_state_encode(struct buffer *out, const struct spool_state *state,
			const struct spool_outcome *outcomes)
{
	size_t start = begin(out, state);

	for (uint32_t i = 0; i < state->outcome_count; i++) {
		add_outcome(out, outcomes[i].recipient, &outcomes[i].state);
	}
	end(out, start);
}

void spool_state_encode_message(struct buffer *out, const struct spool_message *message,
				uint8_t flags)
{
	struct spool_state state = {
		.id = message->id,
		.recipient_count = message->recipient_count,
		.flags = message->flags | flags,
		.crashes = message->crashes,
		.reason = view_from_text(message->reason),
		.outcome_count = message->recipient_count,
	};
	size_t start = begin(out, &state);

	for (uint32_t i = 0; i < message->recipient_count; i++) {
		add_outcome(out, i, &message->recipients[i]);
	}
	end(out, start);
}

struct spool_outcome spool_state_outcome(const struct spool_state *state, uint32_t i)
{
	struct wire_reader reader =
		wire_reader_of(view_from(state->outcomes, (size_t)i * OUTCOME_BYTES));
	struct spool_outcome outcome = { .recipient = wire_u32(&reader) };

	outcome.state.status = wire_u8(&reader);
	outcome.state.trying = wire_u8(&reader) != 0;
	outcome.state.attempts = wire_u16(&reader);
	outcome.state.next_attempt_s = wire_u32(&reader);
	return outcome;
}

static bool outcomes_are_sound(const struct spool_state *state)
{
	for (uint32_t i = 0; i < state->outcome_count; i++) {
		struct spool_outcome outcome = spool_state_outcome(state, i);

		if (outcome.recipient >= state->recipient_count ||
		    outcome.state.status >= SPOOL_STATUS_COUNT ||
		    (uint8_t)state->outcomes.data[(size_t)i * OUTCOME_BYTES + 5] > 1) {
			return false;
		}
	}
	return true;
}

bool spool_state_next(struct wire_reader *reader, struct spool_state *ret_state)
{
	struct wire_reader inner;
	struct spool_state state;

	if (reader->rest.len == 0 || reader->failed) {
		return false;
	}
	inner = wire_reader_of(wire_string(reader));
	state.id = wire_u64(&inner);
	state.recipient_count = wire_u32(&inner);
	state.flags = wire_u8(&inner);
	state.crashes = wire_u8(&inner);
	state.reason = wire_bytes(&inner, wire_u16(&inner));
	state.outcome_count = wire_u32(&inner);
	state.outcomes = wire_bytes(&inner, (size_t)state.outcome_count * OUTCOME_BYTES);
	if (reader->failed || !wire_finished(&inner) || state.id == 0 ||
	    state.recipient_count == 0 || state.recipient_count > SPOOL_RECIPIENTS_MAX ||
	    state.reason.len > SPOOL_REASON_BYTES_MAX || (state.flags & ~SPOOL_STATE_FLAGS) != 0 ||
	    !outcomes_are_sound(&state)) {
		reader->failed = true;
		return false;
	}
	*ret_state = state;
	return true;
}

void spool_state_apply(struct spool_message *message, const struct spool_state *state)
{
	for (uint32_t i = 0; i < state->outcome_count; i++) {
		struct spool_outcome outcome = spool_state_outcome(state, i);

		message->recipients[outcome.recipient] = outcome.state;
	}
	message->flags = state->flags & (SPOOL_HELD | SPOOL_WARNED);
	message->crashes = state->crashes;
	message->pending = 0;
	for (uint32_t i = 0; i < message->recipient_count; i++) {
		message->pending += message->recipients[i].status == SPOOL_PENDING;
	}
}
