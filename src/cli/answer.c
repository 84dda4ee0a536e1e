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
