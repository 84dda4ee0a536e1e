// Asking the running server: finds it by the configuration's data_dir and speaks the control
// protocol (link/control.h) with it. Blocking; one thread.
#pragma once

#include "cli/command.h"
#include "config/load.h"

enum {
	CALL_ANSWER_BYTES_MAX = 256 * 1024 * 1024,
	CALL_PART_MS = 30 * 1000, // longest silence
	CALL_MEMORY_MAX = 512 * 1024 * 1024,
};

// What a command knows of the server, from call_begin to call_end.
struct call {
	const struct invocation *invocation;
	struct arena arena;
	struct config_loaded loaded;
	struct buffer path;  // of the control socket
	struct buffer data;  // JSON
	struct buffer words; // for people
};

// Reads the configuration, good or not. EX_OK, or EX_OSERR with the reason said.
int call_load(struct call *call, const struct invocation *invocation) must_check;
// The same, to ask the server. EX_OK; or EX_CONFIG with the problems said, where not even the
// server's place is known, or where whole asks for all of it to be good.
int call_begin(struct call *call, const struct invocation *invocation, bool whole) must_check;
// EX_OK if the configuration is good as a whole; or EX_CONFIG with the problems said.
int call_need_whole(const struct call *call) must_check;
void call_end(struct call *call); // also after call_begin has failed

// Asks and waits for the whole answer. *ret_status is then the server's exit status. ERROR_REFUSED:
// no server runs. Other errors: it broke off.
enum error call_server(struct call *call, const struct control_request *request,
		       int *ret_status) must_check;
// Says why call_server failed and what to do; the exit status for it.
int call_say_failure(const struct call *call, enum error error) must_check;

// Says the server's words, and forgets them: an error where the status is not 0.
void call_say_words(struct call *call, int status);

// The command's own request, asked; a failure is said. The exit status; with data in call->data and
// words in call->words where there are any.
int call_ask(struct call *call) must_check;
