// The life of a message: from deliver while it waits, from the log once it has gone.
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/run.h"
#include "cli/trace_log.h"

static bool is_head(const char *key)
{
	static const char *const heads[] = { "time_ms", "time", "event", "id", "level" };

	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		if (view_equal(view_from_text(key), view_from_text(heads[i]))) {
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
		if (!is_head(key) && !(json_is_string(value) && !json_string_length(value))) {
			buffer_add_text(out, "\n    ");
			answer_add_field(out, colour, TONE_FAINT, key, value);
		}
	}
}

// "asking_dns" is "asking dns" to people.
static void add_event(struct buffer *out, bool colour, struct view event)
{
	struct buffer shown = buffer_with_max(SCREEN_BYTES_MAX);

	for (size_t i = 0; i < event.len; i++) {
		buffer_add_byte(&shown, event.data[i] == '_' ? ' ' : event.data[i]);
	}
	screen_add(out, colour, TONE_STRONG, buffer_view(&shown));
	buffer_done(&shown);
}

static enum error show(struct call *call, const json_t *steps, struct buffer *out)
{
	bool colour = screen_has_colour();
	json_t *step;
	size_t i;

	(void)call;
	json_array_foreach(steps, i, step)
	{
		struct view time = answer_text(step, "time"); // as the log has it

		if (time.len) {
			screen_add_safe(out, time);
		} else {
			screen_add_time(out, answer_number(step, "time_ms"));
		}
		buffer_add_text(out, "  ");
		add_event(out, colour, answer_text(step, "event"));
		add_fields(out, colour, step);
		buffer_add_byte(out, '\n');
	}
	return OK;
}

// What the queue does not hold, the log may.
static bool find_in_log(struct call *call)
{
	const struct config *config = call->loaded.config;
	enum error error;

	if (!config || !view_starts(config->log.to, VIEW("/"))) {
		return false;
	}
	buffer_clear(&call->data);
	error = trace_log_read(config->log.to.data, config->log.format == CONFIG_LOG_JSON,
			       invocation_get(call->invocation, ""), &call->data);
	if (error == OK) {
		buffer_clear(&call->words);
		buffer_printf(&call->words, "not in the queue; found in the log %.*s\n",
			      VIEW_ARG(config->log.to));
	}
	return error == OK;
}

static int ask(struct call *call)
{
	struct control_request request = {
		.command = CONTROL_TRACE,
		.arguments = call->invocation->arguments,
		.argument_count = call->invocation->argument_count,
	};
	int status = EX_OK;
	enum error error = call_server(call, &request, &status);

	if ((error == ERROR_REFUSED || (error == OK && status == EX_NOINPUT)) &&
	    find_in_log(call)) {
		return EX_OK;
	}
	return error == OK ? status : call_say_failure(call, error);
}

int run_trace(const struct invocation *invocation)
{
	struct call call;
	int status = call_begin(&call, invocation, false);

	if (status == EX_OK) {
		status = ask(&call);
	}
	if (status == EX_OK) {
		status = answer_print(&call, show);
	}
	call_say_words(&call, status);
	call_end(&call);
	return status;
}
