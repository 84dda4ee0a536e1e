#include "spool/trace_steps.h"

#include <string.h>

#include "base/text.h"

enum {
	FIRST_BYTES = 2048, // most records fit
	LAST_BYTES = 128,   // for the step that counts what was left out, and the end
};

void trace_steps_init(struct trace_steps *steps)
{
	*steps = (struct trace_steps){
		.json = buffer_with_max(TRACE_STEPS_BYTES_MAX - LAST_BYTES),
	};
}

void trace_steps_done(struct trace_steps *steps)
{
	buffer_done(&steps->json);
	*steps = (struct trace_steps){ 0 };
}

// Our own words, which need no escaping.
static void add_raw(struct trace_steps *steps, const char *before, const char *text,
		    const char *after)
{
	size_t before_len = strlen(before), text_len = strlen(text), after_len = strlen(after);
	char *room = buffer_reserve(&steps->json, before_len + text_len + after_len);

	if (room) {
		memcpy(room, before, before_len);
		memcpy(room + before_len, text, text_len);
		memcpy(room + before_len + text_len, after, after_len);
		steps->json.len += before_len + text_len + after_len;
	}
}

void trace_steps_begin(struct trace_steps *steps, uint64_t time_ms, const char *event)
{
	if (!trace_steps_is_on(steps)) {
		return;
	}
	if (!steps->json.data) {
		(void)buffer_reserve(&steps->json, FIRST_BYTES);
	}
	steps->step_at = steps->json.len;
	add_raw(steps, steps->json.len ? ",{\"time_ms\":" : "[{\"time_ms\":", "", "");
	buffer_add_number(&steps->json, time_ms);
	add_raw(steps, ",\"event\":\"", event, "\"");
}

void trace_steps_text(struct trace_steps *steps, const char *name, struct view text)
{
	if (trace_steps_is_on(steps) && text.len) {
		add_raw(steps, ",\"", name, "\":");
		text_add_json(&steps->json, text, TRACE_TEXT_BYTES_MAX);
	}
}

void trace_steps_number(struct trace_steps *steps, const char *name, uint64_t number)
{
	if (trace_steps_is_on(steps)) {
		add_raw(steps, ",\"", name, "\":");
		buffer_add_number(&steps->json, number);
	}
}

void trace_steps_flag(struct trace_steps *steps, const char *name, bool flag)
{
	if (trace_steps_is_on(steps)) {
		add_raw(steps, ",\"", name, flag ? "\":true" : "\":false");
	}
}

static void end(struct trace_steps *steps, size_t max)
{
	if (!trace_steps_is_on(steps)) {
		return;
	}
	buffer_add_byte(&steps->json, '}');
	if (buffer_error(&steps->json) != OK || steps->json.len > max) {
		steps->json.len = steps->step_at;
		steps->json.error = OK;
		steps->left_out++;
	}
}

void trace_steps_end(struct trace_steps *steps)
{
	end(steps, SIZE_MAX);
}

void trace_steps_end_of_many(struct trace_steps *steps)
{
	end(steps, TRACE_MANY_BYTES_MAX);
}

struct view trace_steps_finish(struct trace_steps *steps, uint64_t time_ms)
{
	uint32_t left_out = steps->left_out;

	if (!trace_steps_is_on(steps) || (steps->json.len == 0 && left_out == 0)) {
		return (struct view){ 0 };
	}
	steps->json.max = TRACE_STEPS_BYTES_MAX;
	if (left_out) {
		trace_steps_begin(steps, time_ms, "left_out");
		trace_steps_number(steps, "steps", left_out);
		trace_steps_end(steps);
	}
	buffer_add_byte(&steps->json, ']');
	return buffer_error(&steps->json) == OK ? buffer_view(&steps->json) : (struct view){ 0 };
}

void trace_steps_clear(struct trace_steps *steps)
{
	buffer_clear(&steps->json);
	steps->json.max = trace_steps_is_on(steps) ? TRACE_STEPS_BYTES_MAX - LAST_BYTES : 0;
	steps->left_out = 0;
}
