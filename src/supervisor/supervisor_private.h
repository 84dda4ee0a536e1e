// The supervisor's state, for supervisor.c and commands.c.
#pragma once

#include "base/list.h"
#include "link/control.h"
#include "supervisor/crew.h"

enum {
	REQUESTS_MAX = 64,             // local commands under way
	REQUEST_MS = 10 * 1000,        // for the other processes to answer
	RELOAD_MS = 25 * 1000,         // for them to take a new configuration up
	ANSWER_BYTES_MAX = 256 * 1024, // of one process in a status
	SAID_BYTES_MAX = 64 * 1024,
};

struct supervisor {
	struct os_loop *loop;
	const char *config_path;
	struct material_users users;
	struct material_dirs dirs;
	struct material *material;
	struct crew crew;
	struct list requests;
	unsigned request_count;
	uint32_t request_id;
	struct os_timer certificates; // looks whether their files have changed
	struct buffer sandbox;        // the supervisor's own: what is in force
	struct buffer warnings;       // what this kernel lacks
	uint64_t started_ms;
	bool is_announced; // the service manager knows that it is ready
	int lock;
	int status;
};

// ERROR_INVALID: the file is no good, and the running configuration stays; said tells why.
enum error supervisor_reload(struct supervisor *supervisor, struct buffer *said) must_check;
void supervisor_stop(struct supervisor *supervisor);

// Local commands: from keeper, answers of the others, and what becomes of them when one goes.
void commands_request(struct supervisor *supervisor, uint32_t keeper_id, struct view payload);
void commands_result(struct supervisor *supervisor, enum child_name from, uint32_t id,
		     struct view payload);
void commands_settled(struct supervisor *supervisor); // somebody uses a newer configuration
void commands_child_gone(struct supervisor *supervisor, enum child_name name);
void commands_done(struct supervisor *supervisor);
