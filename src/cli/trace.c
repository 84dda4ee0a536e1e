// The life of a message: from the trace ring in the spool, whether the server runs or not; and what
// the server knows of one that still waits.
#include <stdlib.h>
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/owner.h"
#include "cli/run.h"
#include "cli/trace_show.h"
#include "os/file.h"
#include "spool/id.h"
#include "spool/trace_read.h"

struct story {
	json_t *steps; // an array
	unsigned malformed;
	struct trace_report report;
};

// ---- gathering

static void take_steps(struct story *story, struct view json)
{
	json_error_t fault;
	json_t *steps = json_loadb(json.data, json.len, 0, &fault);

	if (!json_is_array(steps) || json_array_extend(story->steps, steps) < 0) {
		story->malformed++;
	}
	json_decref(steps);
}

static enum error on_record(void *context, const struct trace_record *record)
{
	take_steps(context, record->steps);
	return OK;
}

static enum error read_ring(struct call *call, struct story *story)
{
	uint64_t id = 0;
	int dir = -1;
	enum error error = owner_open_spool(call->loaded.config->spool_dir.data, &dir);

	if (error == ERROR_NOT_FOUND) {
		return OK; // a server that has never run has no spool yet
	}
	if (error == OK) {
		error = spool_id_parse(invocation_get(call->invocation, ""), &id);
	}
	if (error == OK) {
		error = trace_find(dir, id, on_record, story, &story->report);
	}
	os_dir_close(dir);
	return error;
}

static uint64_t time_of(const json_t *step)
{
	return answer_number(step, "time_ms");
}

// By time; of equal times, in the order in which they came. Each record is in order already, so
// that few steps move.
static void sort_steps(json_t *steps)
{
	for (size_t i = 1; i < json_array_size(steps); i++) {
		json_t *step = json_incref(json_array_get(steps, i));
		size_t to = i;

		while (to && time_of(json_array_get(steps, to - 1)) > time_of(step)) {
			to--;
		}
		if (to < i) {
			(void)json_array_remove(steps, i);
			(void)json_array_insert(steps, to, step);
		}
		json_decref(step);
	}
}

// What the server says now comes last. How the message arrived, the ring has told already.
static void add_present(struct story *story, struct view json)
{
	json_error_t fault;
	json_t *present = json_loadb(json.data, json.len, 0, &fault);
	bool is_told = json_array_size(story->steps) != 0;
	json_t *step;
	size_t i;

	json_array_foreach(present, i, step)
	{
		if (!is_told || !view_equal(answer_text(step, "event"), VIEW("arrived"))) {
			(void)json_array_append(story->steps, step);
		}
	}
	json_decref(present);
}

// ---- saying

static int say_nothing_found(const struct call *call, const struct story *story)
{
	struct buffer since = buffer_with_max(64);

	if (!call->loaded.config->trace.size_bytes) {
		screen_say("packetboat: tracing is off (trace.size is 0), and no such message "
			   "waits\n");
	} else if (!story->report.oldest_ms) {
		screen_say("packetboat: nothing has been traced yet, and no such message waits\n");
	} else {
		screen_add_time(&since, story->report.oldest_ms);
		screen_say("packetboat: no trace of such a message; the traces reach back to "
			   "%s\n",
			   buffer_text(&since));
	}
	buffer_done(&since);
	return EX_NOINPUT;
}

static int say_failure(const struct call *call, enum error error)
{
	struct view dir = call->loaded.config->spool_dir;

	if (error == ERROR_PERMISSION) {
		screen_say("packetboat: you may not read the traces in %.*s; root may, and the "
			   "user that the server runs as; try: sudo packetboat trace %.*s\n",
			   VIEW_ARG(dir), VIEW_ARG(invocation_get(call->invocation, "")));
		return EX_NOPERM;
	}
	screen_say("packetboat: cannot read the traces in %.*s: %s\n", VIEW_ARG(dir),
		   error_text(error));
	return EX_IOERR;
}

static void say_damage(const struct story *story)
{
	unsigned places = story->report.damaged + story->malformed;

	if (places || story->report.unreadable) {
		screen_say("%u places and %u files of the trace cannot be read; steps may be "
			   "missing\n",
			   places, story->report.unreadable);
	}
}

static enum error show(struct call *call, const json_t *steps, struct buffer *out)
{
	trace_show(out, screen_has_colour(), invocation_get(call->invocation, ""), steps);
	return OK;
}

static int print(struct call *call, const struct story *story)
{
	char *text = json_dumps(story->steps, JSON_COMPACT | JSON_PRESERVE_ORDER);

	buffer_clear(&call->data);
	buffer_add(&call->data, view_from_text(text));
	free(text);
	return answer_print(call, show);
}

// ---- all of it

// The server is asked first: to read the spool, root becomes its owner for good.
static int tell(struct call *call, struct story *story)
{
	struct control_request request = {
		.command = CONTROL_TRACE,
		.arguments = call->invocation->arguments,
		.argument_count = call->invocation->argument_count,
	};
	int status = EX_OK;
	enum error asked = call_server(call, &request, &status);
	enum error error = read_ring(call, story);

	if (error != OK && (asked != OK || status != EX_OK)) {
		return say_failure(call, error);
	}
	sort_steps(story->steps);
	if (asked == OK && status == EX_OK) {
		add_present(story, buffer_view(&call->data));
	}
	if (json_array_size(story->steps) == 0) {
		return say_nothing_found(call, story);
	}
	status = print(call, story);
	if (error != OK) {
		(void)say_failure(call, error);
	}
	say_damage(story);
	return status;
}

int run_trace(const struct invocation *invocation)
{
	struct story story = { .steps = json_array() };
	struct call call;
	int status = call_begin(&call, invocation, true);

	if (status == EX_OK) {
		status = story.steps ? tell(&call, &story) : EX_OSERR;
	}
	json_decref(story.steps);
	call_end(&call);
	return status;
}
