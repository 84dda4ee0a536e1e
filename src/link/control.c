#include "link/control.h"

#include <jansson.h>

#include "base/text.h"
#include "base/wire.h"

static const struct {
	const char *words;
	enum control_answerer answerer;
} commands[CONTROL_COMMAND_COUNT] = {
#define X(id, words, by) [CONTROL_##id] = { words, CONTROL_BY_##by },
	CONTROL_COMMANDS(X)
#undef X
};

enum { JSON_TEXT_BYTES_MAX = 4096 };

const char *control_command_words(enum control_command command)
{
	return command > CONTROL_NONE && command < CONTROL_COMMAND_COUNT ? commands[command].words
									 : "";
}

enum control_answerer control_command_answerer(enum control_command command)
{
	return command > CONTROL_NONE && command < CONTROL_COMMAND_COUNT
		       ? commands[command].answerer
		       : CONTROL_BY_KEEPER;
}

void control_request_encode(struct buffer *out, const struct control_request *request)
{
	wire_add_u8(out, (uint8_t)request->command);
	wire_add_u32(out, (uint32_t)request->argument_count);
	for (size_t i = 0; i < request->argument_count; i++) {
		wire_add_string(out, request->arguments[i].name);
		wire_add_string(out, request->arguments[i].value);
	}
}

enum error control_request_decode(struct view bytes, struct arena *arena,
				  struct control_request *ret_request)
{
	struct wire_reader reader = wire_reader_of(bytes);
	struct control_request request = { .command = wire_u8(&reader) };
	struct control_argument *arguments;

	request.argument_count = wire_u32(&reader);
	if (reader.failed || request.command == CONTROL_NONE ||
	    request.command >= CONTROL_COMMAND_COUNT ||
	    request.argument_count > CONTROL_ARGUMENTS_MAX) {
		return ERROR_INVALID;
	}
	arguments = arena_alloc_array(arena, request.argument_count, sizeof *arguments);
	if (!arguments) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < request.argument_count; i++) {
		arguments[i].name = wire_string(&reader);
		arguments[i].value = wire_string(&reader);
	}
	if (!wire_finished(&reader)) {
		return ERROR_INVALID;
	}
	request.arguments = arguments;
	*ret_request = request;
	return OK;
}

bool control_request_get(const struct control_request *request, struct view name,
			 struct view *ret_value)
{
	for (size_t i = 0; i < request->argument_count; i++) {
		if (view_equal(request->arguments[i].name, name)) {
			*ret_value = request->arguments[i].value;
			return true;
		}
	}
	return false;
}

void control_part_encode(struct buffer *out, const struct control_part *part)
{
	wire_add_u8(out, part->end);
	wire_add_u8(out, part->status);
	buffer_add(out, part->text);
}

enum error control_part_decode(struct view bytes, struct control_part *ret_part)
{
	struct wire_reader reader = wire_reader_of(bytes);
	uint8_t end = wire_u8(&reader);
	uint8_t status = wire_u8(&reader);

	if (reader.failed || end > 1) {
		return ERROR_INVALID;
	}
	*ret_part = (struct control_part){ .end = end, .status = status, .text = reader.rest };
	return OK;
}

static bool is_within(json_t *value, unsigned depth_max)
{
	const char *name;
	json_t *item;
	size_t i;

	if (json_is_array(value) || json_is_object(value)) {
		if (depth_max == 0) {
			return false;
		}
		json_array_foreach(value, i, item)
		{
			if (!is_within(item, depth_max - 1)) {
				return false;
			}
		}
		json_object_foreach(value, name, item)
		{
			if (!is_within(item, depth_max - 1)) {
				return false;
			}
		}
	}
	return true;
}

bool control_is_json_object(struct view text)
{
	json_t *value =
		text.len ? json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	bool is_valid = json_is_object(value) && is_within(value, CONTROL_DEPTH_MAX);

	json_decref(value);
	return is_valid;
}

void control_add_json_text(struct buffer *out, struct view text)
{
	text_add_json(out, text, JSON_TEXT_BYTES_MAX);
}
