// How is the server? Exit status 0 only when every process is ready.
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/run.h"

enum { LINE_COLUMNS = 78, NAME_COLUMNS = 10 };

static void add_head(const json_t *status, bool colour, struct buffer *out)
{
	struct view state = answer_text(status, "state");
	bool ready = view_equal(state, VIEW("ready"));
	uint64_t uptime_ms = answer_number(status, "uptime_ms");

	screen_add(out, colour, TONE_STRONG, answer_text(status, "hostname"));
	buffer_add_text(out, " is ");
	screen_add(out, colour, ready ? TONE_GOOD : TONE_WARNING, state);
	buffer_add_text(out, uptime_ms < 1000 ? ", just started" : ", up for ");
	if (uptime_ms >= 1000) {
		screen_add_age(out, uptime_ms);
	}
	buffer_add_text(out, ", packetboat ");
	screen_add_safe(out, answer_text(status, "version"));
	buffer_add_text(out, ", ");
	screen_add_safe(out, answer_text(status, "configuration"));
	buffer_add_text(out, "\n\n");
}

static bool add_ports(struct call *call, const json_t *ports, bool colour, struct buffer *out)
{
	static const struct sheet_column columns[] = {
		{ "PORT", true }, { "ADDRESS" }, { "ROLE" }, { "TLS" }, { "LISTENER" }
	};
	struct sheet sheet = sheet_of(&call->arena, columns, 5);
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port)
	{
		sheet_printf(&sheet, TONE_PLAIN, "%u", (unsigned)answer_number(port, "port"));
		sheet_add(&sheet, TONE_PLAIN, answer_text(port, "address"));
		sheet_add(&sheet, TONE_PLAIN, answer_text(port, "role"));
		sheet_add(&sheet, TONE_PLAIN, answer_text(port, "tls"));
		sheet_add(&sheet, TONE_PLAIN, answer_text(port, "listener"));
	}
	sheet_add_text(&sheet, colour, out);
	buffer_add_byte(out, '\n');
	return !sheet.failed;
}

static void add_process_notes(struct sheet *sheet, const json_t *process)
{
	struct view failure = answer_text(process, "failure");
	const json_t *warning;
	size_t i;

	if (failure.len) {
		sheet_note(sheet, TONE_BAD, failure);
	}
	json_array_foreach(json_object_get(process, "warnings"), i, warning)
	{
		sheet_note(sheet, TONE_WARNING, view_from_text(json_string_value(warning)));
	}
}

static bool add_processes(struct call *call, const json_t *processes, bool colour,
			  struct buffer *out)
{
	static const struct sheet_column columns[] = {
		{ "PROCESS" }, { "STATE" }, { "PID", true }, { "RESTARTS", true }, { "SANDBOX" }
	};
	struct sheet sheet = sheet_of(&call->arena, columns, 5);
	const json_t *process;
	size_t i;

	json_array_foreach(processes, i, process)
	{
		struct view state = answer_text(process, "state");
		uint64_t restarts = answer_number(process, "restarts");

		sheet_add(&sheet, TONE_PLAIN, answer_text(process, "name"));
		sheet_add(&sheet,
			  view_equal(state, VIEW("ready"))  ? TONE_GOOD
			  : view_equal(state, VIEW("down")) ? TONE_BAD
							    : TONE_WARNING,
			  state);
		sheet_printf(&sheet, TONE_PLAIN, "%llu",
			     (unsigned long long)answer_number(process, "pid"));
		sheet_printf(&sheet, restarts ? TONE_WARNING : TONE_PLAIN, "%llu",
			     (unsigned long long)restarts);
		sheet_add(&sheet, TONE_PLAIN, answer_text(process, "sandbox"));
		add_process_notes(&sheet, process);
	}
	sheet_add_text(&sheet, colour, out);
	return !sheet.failed;
}

static bool is_worth_showing(const json_t *value)
{
	return (json_is_integer(value) && json_integer_value(value) != 0) ||
	       (json_is_string(value) && !view_equal(view_from_text(json_string_value(value)),
						     view_from_text(error_text(OK)))) ||
	       json_is_boolean(value);
}

// A process's numbers, those that are not 0, in lines that fit.
static void add_counters(const char *name, json_t *counters, bool colour, struct buffer *out)
{
	struct buffer item = buffer_with_max(SCREEN_BYTES_MAX);
	size_t column = LINE_COLUMNS;
	const char *key, *shown = name;
	json_t *value;

	json_object_foreach(counters, key, value)
	{
		if (!is_worth_showing(value)) {
			continue;
		}
		buffer_clear(&item);
		answer_add_field(&item, colour, TONE_PLAIN, key, value);
		if (column + item.len + 2 > LINE_COLUMNS) {
			buffer_add_text(out, *shown ? "\n" : ",\n");
			screen_add(out, colour, TONE_STRONG, view_from_text(shown));
			column = view_from_text(shown).len;
			while (column < NAME_COLUMNS) {
				buffer_add_byte(out, ' ');
				column++;
			}
			shown = "";
		} else {
			buffer_add_text(out, ", ");
			column += 2;
		}
		buffer_add(out, buffer_view(&item));
		column += item.len;
	}
	buffer_done(&item);
}

static void add_warnings(const json_t *status, bool colour, struct buffer *out)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(status, "warnings"), i, warning)
	{
		screen_add(out, colour, TONE_WARNING, VIEW("warning: "));
		screen_add_safe(out, view_from_text(json_string_value(warning)));
		buffer_add_byte(out, '\n');
	}
	if (json_is_false(json_object_get(status, "separate_users"))) {
		screen_add(out, colour, TONE_WARNING, VIEW("warning: "));
		buffer_add_text(out, "not started as root: all processes share one system user\n");
	}
}

static enum error show(struct call *call, const json_t *status, struct buffer *out)
{
	static const char *const names[] = { "receive", "deliver", "facts", "keeper" };
	bool colour = screen_has_colour();
	bool good;

	add_head(status, colour, out);
	good = add_ports(call, json_object_get(status, "ports"), colour, out) &&
	       add_processes(call, json_object_get(status, "processes"), colour, out);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		add_counters(names[i], json_object_get(status, names[i]), colour, out);
	}
	buffer_add_text(out, "\n");
	add_warnings(status, colour, out);
	return good ? OK : ERROR_NO_MEMORY;
}

int run_status(const struct invocation *invocation)
{
	struct call call;
	int status = call_begin(&call, invocation, false);

	if (status == EX_OK) {
		status = call_ask(&call);
		call_say_words(&call, status);
	}
	if (call.data.len) {
		int printed = answer_print(&call, show);

		status = status == EX_OK ? printed : status;
	}
	call_end(&call);
	return status;
}
