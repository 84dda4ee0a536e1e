// Local commands: what packetboat(1) asks of the running server over the control socket, and how
// answers come back. keeper holds the socket and answers what concerns accounts; it passes the rest
// to the supervisor (SUPERVISION_REQUEST), which answers or passes it on to deliver or receive
// (SUPERVISION_COMMAND). The same bytes travel all the way; each that reads them checks them.
//
// A request is one message. An answer is any number of DATA parts, which together are one JSON
// text, and one END part with an exit status of sysexits.h and words for people. Pure; any thread.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

enum {
	CONTROL_REQUEST_BYTES_MAX = 60 * 1024,
	CONTROL_PART_BYTES_MAX = 60 * 1024,
	CONTROL_ARGUMENTS_MAX = 1000,
};

enum control_message {
	CONTROL_REQUEST = 1, // type of the message on the control socket
	CONTROL_ANSWER,
};

// Who answers.
enum control_answerer { CONTROL_BY_KEEPER, CONTROL_BY_SUPERVISOR, CONTROL_BY_DELIVER };

// X(id, words on the command line, answered by)
#define CONTROL_COMMANDS(X) \
	X(STATUS, "status", SUPERVISOR) \
	X(RELOAD, "reload", SUPERVISOR) \
	X(STOP, "stop", SUPERVISOR) \
	X(USER_ADD, "user add", KEEPER) \
	X(USER_PASSWD, "user passwd", KEEPER) \
	X(USER_LIST, "user list", KEEPER) \
	X(USER_REMOVE, "user remove", KEEPER) \
	X(QUEUE_LIST, "queue list", DELIVER) \
	X(QUEUE_SHOW, "queue show", DELIVER) \
	X(QUEUE_FLUSH, "queue flush", DELIVER) \
	X(QUEUE_HOLD, "queue hold", DELIVER) \
	X(QUEUE_RELEASE, "queue release", DELIVER) \
	X(QUEUE_REMOVE, "queue remove", DELIVER) \
	X(TRACE, "trace", DELIVER)

enum control_command {
	CONTROL_NONE,
#define X(id, words, by) CONTROL_##id,
	CONTROL_COMMANDS(X)
#undef X
		CONTROL_COMMAND_COUNT,
};

const char *control_command_words(enum control_command command); // "user add"
enum control_answerer control_command_answerer(enum control_command command);

// An option ("sender", value) or, with an empty name, a plain argument.
struct control_argument {
	struct view name;
	struct view value;
};

struct control_request {
	enum control_command command;
	const struct control_argument *arguments;
	size_t argument_count;
};

void control_request_encode(struct buffer *out, const struct control_request *request);
// Views point into bytes, the array is the arena's.
enum error control_request_decode(struct view bytes, struct arena *arena,
				  struct control_request *ret_request) must_check;
// The value of the first argument of this name; false where there is none.
bool control_request_get(const struct control_request *request, struct view name,
			 struct view *ret_value);

struct control_part {
	bool end;
	uint8_t status;   // of the END part: exit status
	struct view text; // DATA: JSON; END: words, may be empty
};

void control_part_encode(struct buffer *out, const struct control_part *part);
enum error control_part_decode(struct view bytes, struct control_part *ret_part) must_check;

// One whole JSON object and nothing else: RFC 8259 in UTF-8, no name twice in one object, values at
// most CONTROL_DEPTH_MAX inside one another. For what becomes a part of somebody else's answer.
enum { CONTROL_DEPTH_MAX = 8 };
bool control_is_json_object(struct view text);

// Remote text as a JSON string with its quotes (text_add_json), at most 4 KiB of it.
void control_add_json_text(struct buffer *out, struct view text);
