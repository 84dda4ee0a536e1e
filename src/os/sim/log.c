// The trace, and os/log.h: lines are captured, not written.
#include "os/log.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/sim/private.h"

enum { LINE_MAX = 512 };

void sim_buffer_trim(struct buffer *buffer, size_t bytes_max)
{
	struct view rest;

	if (buffer->len > 2 * bytes_max) {
		rest = view_from(buffer_view(buffer), buffer->len - bytes_max);
		buffer_consume(buffer, buffer->len - rest.len + view_find(rest, '\n'));
	}
}

// Quick, since it is done at every event: FNV-1a, eight bytes at a time.
static void mix(uint64_t number)
{
	sim_current->trace_hash = (sim_current->trace_hash ^ number) * 0x100000001b3;
	sim_current->trace_hash ^= sim_current->trace_hash >> 32;
}

static void mix_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		mix((unsigned char)text[i]);
	}
}

static void trace_line(const char *line, size_t len)
{
	struct sim *sim = sim_current;

	if (sim->trace_max) {
		buffer_add(&sim->trace, view_of(line, len));
		sim_buffer_trim(&sim->trace, sim->trace_max);
	}
	if (sim->trace_out) {
		fwrite(line, 1, len, sim->trace_out);
	}
}

static void printf_like(1, 0) trace_write(const char *format, va_list arguments)
{
	struct sim *sim = sim_current;
	struct buffer line = buffer_with_max(LINE_MAX);

	buffer_printf(&line, "%llu.%06llu %s: ", (unsigned long long)(sim->now_us / 1000000),
		      (unsigned long long)(sim->now_us % 1000000), sim->process->name);
	buffer_vprintf(&line, format, arguments);
	buffer_add_byte(&line, '\n');
	trace_line(line.data, line.len);
	buffer_done(&line);
}

// The words of a line cost more than all else in a simulation: they are made where they are wanted.
void sim_trace(const char *format, ...)
{
	struct sim *sim = sim_current;
	va_list arguments;

	mix(sim->now_us);
	mix((uint64_t)sim->process->id << 32 | (unsigned char)format[0]);
	if (sim->trace_max || sim->trace_out) {
		va_start(arguments, format);
		trace_write(format, arguments);
		va_end(arguments);
	}
}

static void printf_like(2, 0) tell(const char *who, const char *format, va_list arguments)
{
	struct sim *sim = sim_current;
	struct buffer text = buffer_with_max(LINE_MAX);

	buffer_vprintf(&text, format, arguments);
	mix_text(text.data, text.len);
	sim_trace("%.*s", VIEW_ARG(buffer_view(&text)));
	if (sim->watch && who) {
		sim->watch(sim->watch_context, who, buffer_view(&text));
	}
	buffer_done(&text);
}

void sim_tell(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell("", format, arguments);
	va_end(arguments);
}

void sim_trace_note(struct sim *sim, const char *format, ...)
{
	va_list arguments;

	(void)sim;
	va_start(arguments, format);
	tell(NULL, format, arguments);
	va_end(arguments);
}

void sim_watch(struct sim *sim, void (*fn)(void *context, const char *who, struct view what),
	       void *context)
{
	sim->watch = fn;
	sim->watch_context = context;
}

void sim_trace_keep(struct sim *sim, size_t bytes_max)
{
	sim->trace_max = bytes_max;
	sim->trace.max = 2 * bytes_max + LINE_MAX;
}

void sim_trace_print(struct sim *sim, FILE *out)
{
	sim->trace_out = out;
}

struct view sim_trace_text(const struct sim *sim)
{
	return buffer_view(&sim->trace);
}

uint64_t sim_trace_hash(const struct sim *sim)
{
	return sim->trace_hash;
}

// ---- os/log.h -------------------------------------------------------------------------------

void log_setup(const char *process, struct log_settings settings)
{
	sim_current->process->log_name = process;
	sim_current->process->log_json = settings.json;
	sim_current->process->log_level = (int)settings.level;
}

// Without time, level and process.
static struct view event_of(struct view line)
{
	for (int word = 0; word < 3; word++) {
		line = view_from(line, view_find(line, ' ') + 1);
	}
	return line;
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
	       unsigned count)
{
	struct sim_process *process = sim_current->process;
	struct buffer *log = &process->machine->log;
	size_t start = log->len;
	struct view line;

	if ((int)level > process->log_level) {
		return;
	}
	log_format(log, process->log_json, os_clock_wall_ms(), process->log_name, level, event,
		   fields, count);
	if (log->len == start || log->data[log->len - 1] != '\n') {
		buffer_add_byte(log, '\n');
	}
	line = view_from(buffer_view(log), start);
	mix_text(line.data, line.len);
	sim_trace("log %.*s", (int)line.len - 1, line.data);
	if (sim_current->watch) {
		sim_current->watch(sim_current->watch_context, process->log_name,
				   event_of(view_first(line, line.len - 1)));
	}
	sim_buffer_trim(log, SIM_LOG_BYTES_MAX);
}

enum error log_open_syslog(int *ret_fd)
{
	(void)ret_fd;
	return ERROR_NOT_FOUND;
}
