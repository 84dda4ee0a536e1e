// The steps of a message as they go into one trace record: a JSON array of objects, each with
// time_ms, event and named fields, written straight into a buffer. Text from elsewhere is escaped
// by construction (attack A24). A record holds TRACE_STEPS_BYTES_MAX; steps that do not fit are
// counted, and a last step says how many. One owner, one thread.
//
//	trace_steps_begin(&steps, now_ms, "rcpt");
//	trace_steps_text(&steps, "to", address);
//	trace_steps_end(&steps);
//	...
//	trace_ring_add(ring, id, &steps);
#pragma once

#include "base/buffer.h"
#include "spool/trace_format.h"

enum {
	TRACE_TEXT_BYTES_MAX = 1024, // of one text; longer ones end in "..."
	TRACE_MANY_BYTES_MAX = 48 * 1024,
};

struct trace_steps {
	struct buffer json;
	size_t step_at; // where the open step begins
	uint32_t left_out;
};

// One that is all zero takes nothing, and costs next to nothing: that is tracing turned off.
void trace_steps_init(struct trace_steps *steps);
void trace_steps_done(struct trace_steps *steps); // frees, takes nothing from then on
static inline bool trace_steps_is_on(const struct trace_steps *steps)
{
	return steps->json.max != 0;
}

// event and names: fixed lower-case words with "_". Empty texts are left away.
void trace_steps_begin(struct trace_steps *steps, uint64_t time_ms, const char *event);
void trace_steps_text(struct trace_steps *steps, const char *name, struct view text);
void trace_steps_number(struct trace_steps *steps, const char *name, uint64_t number);
void trace_steps_flag(struct trace_steps *steps, const char *name, bool flag);
void trace_steps_end(struct trace_steps *steps);
// The same for steps of which there may be a great many: leaves room for those that follow.
void trace_steps_end_of_many(struct trace_steps *steps);

// The whole array; empty where there is no step. Nothing can be added until trace_steps_clear.
struct view trace_steps_finish(struct trace_steps *steps, uint64_t time_ms);
void trace_steps_clear(struct trace_steps *steps); // keeps the memory
