// Outcomes as the journal keeps them: the absolute state of some recipients of one message (README,
// "Outcomes"). Pure.
#pragma once

#include "base/wire.h"
#include "spool/store.h"

enum {
	SPOOL_STATE_GONE = 0x40,  // the last recipient is final
	SPOOL_STATE_MOVED = 0x80, // the record that holds this state holds the message from now on
	SPOOL_STATE_FLAGS = SPOOL_HELD | SPOOL_WARNED | SPOOL_STATE_GONE | SPOOL_STATE_MOVED,
};

struct spool_state {
	uint64_t id;
	uint32_t recipient_count;
	uint8_t flags;
	uint8_t crashes;
	struct view reason;
	uint32_t outcome_count;
	struct view outcomes; // encoded, checked by spool_state_next
};

// state->outcomes is not used: the outcomes are given plainly.
void spool_state_encode(struct buffer *out, const struct spool_state *state,
			const struct spool_outcome *outcomes);
// All of a message's own state. flags: added to its own.
void spool_state_encode_message(struct buffer *out, const struct spool_message *message,
				uint8_t flags);
// Takes the next state off the reader. False at the end, and when the rest is not sound: then
// reader->failed is set.
bool spool_state_next(struct wire_reader *reader, struct spool_state *ret_state);
struct spool_outcome spool_state_outcome(const struct spool_state *state, uint32_t i);

// Makes recipients, flags and crashes of message what state says; counts pending anew.
// message->recipient_count equals state->recipient_count.
void spool_state_apply(struct spool_message *message, const struct spool_state *state);
