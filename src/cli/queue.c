// Queue commands: asked of deliver while the server runs; list and show look into the spool
// themselves while it does not (cli/spool.h).
#include <sysexits.h>

#include "cli/answer.h"
#include "cli/run.h"
#include "cli/spool.h"
#include "os/clock.h"

enum { SECOND_MS = 1000 };

// ---- as text

// What becomes of a recipient that still waits, in a few words.
static void add_state(struct sheet *sheet, const json_t *message, const json_t *recipient,
		      uint64_t now_ms)
{
	struct view status = answer_text(recipient, "status");
	uint64_t next_ms = answer_number(recipient, "next_attempt_s") * SECOND_MS;
	struct buffer text = buffer_with_max(SHEET_CELL_MAX);
	enum tone tone = TONE_PLAIN;

	if (json_is_true(json_object_get(recipient, "trying"))) {
		buffer_add_text(&text, "being sent");
		tone = TONE_GOOD;
	} else if (!view_equal(status, VIEW("pending"))) {
		screen_add_safe(&text, status);
		tone = view_equal(status, VIEW("delivered")) ? TONE_GOOD : TONE_BAD;
	} else if (json_is_true(json_object_get(message, "held"))) {
		buffer_add_text(&text, "held");
		tone = TONE_WARNING;
	} else if (next_ms > now_ms) {
		buffer_add_text(&text, "in ");
		screen_add_age(&text, next_ms - now_ms);
	} else {
		buffer_add_text(&text, "now");
	}
	sheet_add(sheet, tone, buffer_view(&text));
	buffer_done(&text);
}

static void add_sender(struct sheet *sheet, const json_t *message)
{
	struct view from = answer_text(message, "from");

	sheet_add(sheet, from.len ? TONE_PLAIN : TONE_FAINT, from.len ? from : VIEW("<>"));
}

static void add_age_and_size(struct sheet *sheet, const json_t *message, uint64_t now_ms)
{
	uint64_t arrival_ms = answer_number(message, "arrival_ms");
	struct buffer text = buffer_with_max(SHEET_CELL_MAX);

	screen_add_age(&text, now_ms > arrival_ms ? now_ms - arrival_ms : 0);
	sheet_add(sheet, TONE_PLAIN, buffer_view(&text));
	buffer_clear(&text);
	screen_add_size(&text, answer_number(message, "size_bytes"));
	sheet_add(sheet, TONE_PLAIN, buffer_view(&text));
	buffer_done(&text);
}

// The first waiting recipient's row names the message, those of the others only themselves.
static void add_message(struct sheet *sheet, const json_t *message, uint64_t now_ms)
{
	struct view reason = answer_text(message, "reason");
	const json_t *recipient;
	bool first = true;
	size_t i;

	json_array_foreach(json_object_get(message, "recipients"), i, recipient)
	{
		if (!view_equal(answer_text(recipient, "status"), VIEW("pending"))) {
			continue;
		}
		if (first) {
			sheet_add(sheet, TONE_STRONG, answer_text(message, "id"));
			add_age_and_size(sheet, message, now_ms);
			add_sender(sheet, message);
		} else {
			for (int column = 0; column < 4; column++) {
				sheet_add(sheet, TONE_PLAIN, (struct view){ 0 });
			}
		}
		sheet_add(sheet, TONE_PLAIN, answer_text(recipient, "to"));
		add_state(sheet, message, recipient, now_ms);
		first = false;
	}
	if (reason.len) {
		sheet_note(sheet, TONE_FAINT, reason);
	}
}

static enum error show_list(struct call *call, const json_t *messages, struct buffer *out)
{
	static const struct sheet_column columns[] = { { "ID" },         { "AGE", true },
						       { "SIZE", true }, { "FROM" },
						       { "TO" },         { "NEXT TRY" } };
	struct sheet sheet = sheet_of(&call->arena, columns, 6);
	uint64_t now_ms = os_clock_wall_ms(), bytes = 0;
	struct buffer size = buffer_with_max(SHEET_CELL_MAX);
	const json_t *message;
	size_t i;

	if (json_array_size(messages) == 0) {
		buffer_add_text(&call->words, "no such messages wait\n");
		return OK;
	}
	json_array_foreach(messages, i, message)
	{
		add_message(&sheet, message, now_ms);
		bytes += answer_number(message, "size_bytes");
	}
	sheet_add_text(&sheet, screen_has_colour(), out);
	screen_add_size(&size, bytes);
	buffer_printf(&call->words, "%zu message%s, %s\n", json_array_size(messages),
		      json_array_size(messages) == 1 ? "" : "s", buffer_text(&size));
	buffer_done(&size);
	return sheet.failed ? ERROR_NO_MEMORY : OK;
}

static void add_field(struct buffer *out, bool colour, const char *name, struct view value)
{
	struct buffer padded = buffer_with_max(SHEET_CELL_MAX);

	buffer_printf(&padded, "%-9s", name);
	screen_add(out, colour, TONE_STRONG, buffer_view(&padded));
	screen_add_safe(out, value);
	buffer_add_byte(out, '\n');
	buffer_done(&padded);
}

static void add_head(struct buffer *out, bool colour, const json_t *message, uint64_t now_ms)
{
	uint64_t arrival_ms = answer_number(message, "arrival_ms");
	struct buffer text = buffer_with_max(SHEET_CELL_MAX);
	struct view from = answer_text(message, "from");

	add_field(out, colour, "id", answer_text(message, "id"));
	screen_add_time(&text, arrival_ms);
	buffer_add_text(&text, ", ");
	screen_add_age(&text, now_ms > arrival_ms ? now_ms - arrival_ms : 0);
	buffer_add_text(&text, " old");
	add_field(out, colour, "arrived", buffer_view(&text));
	buffer_clear(&text);
	screen_add_size(&text, answer_number(message, "size_bytes"));
	add_field(out, colour, "size", buffer_view(&text));
	add_field(out, colour, "from", from.len ? from : VIEW("<>"));
	if (answer_text(message, "login").len) {
		add_field(out, colour, "login", answer_text(message, "login"));
	}
	if (json_is_true(json_object_get(message, "held"))) {
		add_field(out, colour, "held",
			  answer_number(message, "crashes")
				  ? VIEW("yes: it was in hand when the server crashed, twice")
				  : VIEW("yes: `packetboat queue release` lets it go"));
	}
	if (answer_text(message, "reason").len) {
		add_field(out, colour, "reason", answer_text(message, "reason"));
	}
	buffer_add_byte(out, '\n');
	buffer_done(&text);
}

static enum error show_message(struct call *call, const json_t *message, struct buffer *out)
{
	static const struct sheet_column columns[] = { { "TO" },
						       { "ATTEMPTS", true },
						       { "NEXT TRY" } };
	struct sheet sheet = sheet_of(&call->arena, columns, 3);
	uint64_t now_ms = os_clock_wall_ms();
	bool colour = screen_has_colour();
	const json_t *recipient;
	size_t i;

	add_head(out, colour, message, now_ms);
	json_array_foreach(json_object_get(message, "recipients"), i, recipient)
	{
		sheet_add(&sheet, TONE_PLAIN, answer_text(recipient, "to"));
		sheet_printf(&sheet, TONE_PLAIN, "%llu",
			     (unsigned long long)answer_number(recipient, "attempts"));
		add_state(&sheet, message, recipient, now_ms);
	}
	sheet_add_text(&sheet, colour, out);
	return sheet.failed ? ERROR_NO_MEMORY : OK;
}

// ---- the commands

static int look(const struct invocation *invocation, answer_show_fn *show)
{
	struct control_request request = {
		.command = invocation->command->request,
		.arguments = invocation->arguments,
		.argument_count = invocation->argument_count,
	};
	struct call call;
	int status = call_begin(&call, invocation, false);

	if (status == EX_OK) {
		enum error error = call_server(&call, &request, &status);

		if (error == ERROR_REFUSED) {
			status = call_need_whole(&call);
			status = status == EX_OK ? spool_look(&call, &request) : status;
		} else if (error != OK) {
			status = call_say_failure(&call, error);
		}
	}
	if (status == EX_OK) {
		status = answer_print(&call, show);
	}
	call_say_words(&call, status);
	call_end(&call);
	return status;
}

int run_queue_list(const struct invocation *invocation)
{
	return look(invocation, show_list);
}

int run_queue_show(const struct invocation *invocation)
{
	return look(invocation, show_message);
}

static bool has_choice(const struct invocation *invocation)
{
	return invocation->argument_count > 0; // an ID, a filter or --all
}

static const char *done_word(enum control_command command)
{
	switch (command) {
	case CONTROL_QUEUE_HOLD: return "held";
	case CONTROL_QUEUE_RELEASE: return "released";
	case CONTROL_QUEUE_REMOVE: return "removed";
	default: return "to be tried now";
	}
}

static enum error show_count(struct call *call, const json_t *data, struct buffer *out)
{
	uint64_t count = answer_number(data, "messages");

	(void)out;
	buffer_printf(&call->words, "%s%llu message%s %s\n", call->words.len ? "\n" : "",
		      (unsigned long long)count, count == 1 ? "" : "s",
		      done_word(call->invocation->command->request));
	return OK;
}

int run_queue_change(const struct invocation *invocation)
{
	struct control_argument all = { VIEW("all"), VIEW("yes") };
	struct invocation asked = *invocation;
	struct call call;
	int status;

	if (invocation->command->request == CONTROL_QUEUE_FLUSH && !has_choice(invocation)) {
		asked.arguments = &all;
		asked.argument_count = 1;
	} else if (!has_choice(invocation)) {
		screen_say("packetboat %s: which messages? Give their IDs, a filter such as --to, "
			   "or --all\n",
			   invocation->command->words);
		return EX_USAGE;
	}
	status = call_begin(&call, &asked, false);
	if (status == EX_OK) {
		status = call_ask(&call);
	}
	if (status == EX_OK && call.data.len) {
		status = answer_print(&call, show_count);
	}
	call_say_words(&call, status);
	call_end(&call);
	return status;
}
