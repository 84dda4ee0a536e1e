#include "cli/answer.h"

#include <sysexits.h>

struct view answer_text(const json_t *object, const char *key)
{
	return view_from_text(json_string_value(json_object_get(object, key)));
}

uint64_t answer_number(const json_t *object, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(object, key));

	return number > 0 ? (uint64_t)number : 0;
}

static void add_name(struct buffer *out, bool colour, enum tone tone, struct view name)
{
	struct buffer shown = buffer_with_max(SHEET_CELL_MAX);

	if (name.len > sizeof "_bytes" && view_ends_nocase(name, VIEW("_bytes"))) {
		name.len -= sizeof "_bytes" - 1;
	}
	for (size_t i = 0; i < name.len; i++) {
		buffer_add_byte(&shown, name.data[i] == '_' ? ' ' : name.data[i]);
	}
	screen_add(out, colour, tone, buffer_view(&shown));
	buffer_add_byte(out, ' ');
	buffer_done(&shown);
}

void answer_add_field(struct buffer *out, bool colour, enum tone tone, const char *name,
		      const json_t *value)
{
	json_int_t number = json_integer_value(value);
	uint64_t shown = number > 0 ? (uint64_t)number : 0;

	add_name(out, colour, tone, view_from_text(name));
	if (json_is_string(value)) {
		screen_add_safe(out, view_from_text(json_string_value(value)));
	} else if (json_is_boolean(value)) {
		buffer_add_text(out, json_is_true(value) ? "yes" : "no");
	} else if (view_ends_nocase(view_from_text(name), VIEW("bytes"))) {
		screen_add_size(out, shown);
	} else {
		buffer_add_number(out, shown);
	}
}

static int show_text(struct call *call, answer_show_fn *show, struct buffer *out)
{
	json_error_t fault;
	json_t *data = json_loadb(call->data.data, call->data.len, 0, &fault);
	enum error error = data ? show(call, data, out) : ERROR_INVALID;

	json_decref(data);
	if (error != OK) {
		screen_say("packetboat: cannot show the answer: %s; --json shows it as it came\n",
			   error_text(error));
		return EX_PROTOCOL;
	}
	return EX_OK;
}

int answer_print(struct call *call, answer_show_fn *show)
{
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	int status = EX_OK;

	if (call->invocation->json) {
		buffer_add(&out, buffer_view(&call->data));
		buffer_add_byte(&out, '\n');
	} else {
		status = show_text(call, show, &out);
	}
	if (status == EX_OK) {
		status = screen_print(&out);
	}
	buffer_done(&out);
	return status;
}
