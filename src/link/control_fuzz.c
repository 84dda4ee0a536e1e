// Local commands and their answers, as a process taken over might send them: the first byte says
// which. What is accepted must come out of the encoder as it went in.
#include <jansson.h>
#include <stdlib.h>

#include "base/fuzz.h"
#include "link/control.h"

static void check_request(struct view bytes, struct buffer *out)
{
	struct arena arena = arena_with_max(2 * CONTROL_REQUEST_BYTES_MAX);
	struct control_request request;

	if (control_request_decode(bytes, &arena, &request) == OK) {
		control_request_encode(out, &request);
		if (!view_equal(buffer_view(out), bytes) ||
		    control_command_words(request.command)[0] == 0) {
			abort();
		}
	}
	arena_done(&arena);
}

static void check_part(struct view bytes, struct buffer *out)
{
	struct control_part part;

	if (control_part_decode(bytes, &part) == OK) {
		control_part_encode(out, &part);
		if (!view_equal(buffer_view(out), bytes)) {
			abort();
		}
	}
}

// Whatever the text, the result is one string: a quote ends it only at its end.
static void check_json(struct view text, struct buffer *out)
{
	size_t i = 1;

	control_add_json_text(out, text);
	while (i < out->len && out->data[i] != '"') {
		if ((unsigned char)out->data[i] < ' ') {
			abort();
		}
		i += out->data[i] == '\\' ? 2 : 1;
	}
	if (i + 1 != out->len) {
		abort();
	}
}

// Whatever the text: where it may be a part of an answer, it is one value of that answer.
static void check_object(struct view text)
{
	struct buffer out = buffer_with_max(1 << 20);
	json_t *value;

	if (control_is_json_object(text)) {
		buffer_add_text(&out, "{\"part\":");
		buffer_add(&out, text);
		buffer_add_text(&out, ",\"state\":7}");
		value = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
		if (json_object_size(value) != 2 ||
		    json_integer_value(json_object_get(value, "state")) != 7) {
			abort();
		}
		json_decref(value);
	}
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer out = buffer_with_max(1 << 20);
	struct view bytes = view_of(data + 1, size ? size - 1 : 0);

	if (size == 0) {
		return 0;
	}
	switch (data[0] % 3) {
	case 0: check_request(bytes, &out); break;
	case 1: check_part(bytes, &out); break;
	default:
		check_json(bytes, &out);
		check_object(bytes);
		break;
	}
	buffer_done(&out);
	return 0;
}
