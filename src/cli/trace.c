// The life of a message.
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/run.h"

static const char *const head_keys[] = { "time_ms", "event" };

static bool is_head(const char *key)
{
	for (size_t i = 0; i < sizeof head_keys / sizeof *head_keys; i++) {
		if (view_equal(view_from_text(key), view_from_text(head_keys[i]))) {
			return true;
		}
	}
	return false;
}

static void add_fields(struct buffer *out, bool colour, json_t *step)
{
	const char *key;
	json_t *value;

	json_object_foreach(step, key, value)
	{
		if (is_head(key) || (json_is_string(value) && !json_string_length(value))) {
			continue;
		}
		buffer_add_text(out, "\n    ");
		screen_add(out, colour, TONE_FAINT, view_from_text(key));
		buffer_add_byte(out, ' ');
		if (json_is_string(value)) {
			screen_add_safe(out, view_from_text(json_string_value(value)));
		} else {
			buffer_add_number(out, (uint64_t)json_integer_value(value));
		}
	}
}

static enum error show(struct call *call, const json_t *steps, struct buffer *out)
{
	bool colour = screen_has_colour();
	json_t *step;
	size_t i;

	(void)call;
	json_array_foreach(steps, i, step)
	{
		screen_add_time(out, answer_number(step, "time_ms"));
		buffer_add_text(out, "  ");
		screen_add(out, colour, TONE_STRONG, answer_text(step, "event"));
		add_fields(out, colour, step);
		buffer_add_byte(out, '\n');
	}
	return OK;
}

int run_trace(const struct invocation *invocation)
{
	struct call call;
	int status = call_begin(&call, invocation, false);

	if (status == EX_OK) {
		status = call_ask(&call);
		call_say_words(&call, status);
	}
	if (status == EX_OK) {
		status = answer_print(&call, show);
	}
	call_end(&call);
	return status;
}
