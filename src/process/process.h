// A process that the supervisor starts: its life from the first handles to its exit status. Each of
// receive, deliver, facts and keeper says what is its own in a role; the rest is here: the
// handshake with the supervisor (link/supervision.h), the door (os/sandbox.h), the log, answers to
// local commands (link/control.h), and leaving when the supervisor does.
//
// One owner, the main thread, which becomes the loop's thread.
#pragma once

#include "config/config.h"
#include "link/supervision.h"
#include "os/sandbox.h"
#include "policy/directory.h"

struct process_role {
	const char *name;    // in the log and in messages
	const char *title;   // as ps shows it
	const char *user;    // that it becomes where it was started as root
	const char *group;   // instead of the user's own; NULL: the user's own
	bool exits_orphaned; // once the supervisor is gone, at once, with all that is under way

	// With all handles there: shuts the door, makes the loop, attaches. What it appends to said
	// is warnings or, after a failure, why; the supervisor is told either.
	enum error (*start)(void *context, struct buffer *said);
	// After each later BEGIN. A failure is logged, with said.
	enum error (*changed)(void *context, struct buffer *said);
	void (*stop)(void *context); // finish what is in flight, then process_leave
	void (*command)(void *context, uint32_t id, struct view payload);
	// Does it get on? process_pong once all its loops have turned. NULL: the main loop is all.
	void (*ping)(void *context);
	void (*result)(void *context, uint32_t id, struct view payload); // NULL: it asks nothing
	void (*sibling)(void *context, uint8_t which, int32_t pid);      // NULL: it does not care
	// Frees what start made, all or a part of it, but the loop.
	void (*done)(void *context);
};

struct process {
	const struct process_role *role;
	void *context;
	struct supervision supervision;
	struct os_loop *loop;  // made in start; freed here
	struct view directory; // the page in use
	struct buffer level;   // of the sandbox, in words
	bool began_as_root;
	int status;
};

// The whole life. Returns the exit status: EX_CONFIG where start failed, EX_OSERR where the
// supervisor was gone.
int process_run(struct process *process, const struct process_role *role, void *context);
// Ends the loop; takes a struct process, so that it can be handed over as a call.
void process_leave(void *process);

// The answer to a ping; takes a struct process, likewise.
void process_pong(void *process);

// ---- for start and changed

// Lines go from now on where this configuration and the handles say.
void process_log(const struct process *process, const struct config *config);
// Shuts the door with these rights, folders and limits; its name and user are the role's. As
// os_sandbox_enter, and ERROR_NOT_FOUND: no such user.
enum error process_shut_door(struct process *process, struct os_sandbox door,
			     struct buffer *said) must_check;
// Messages of the supervisor arrive on the loop from now on. What the handles of the start were
// fresh for is over.
enum error process_attach(struct process *process) must_check;
// Opens the directory table that was handed over and gives it to use, which forgets the earlier
// one. ERROR_NOT_FOUND, ERROR_INVALID, ERROR_CORRUPT: the earlier one stays.
enum error process_load_directory(struct process *process,
				  void (*use)(void *context, struct directory)) must_check;

// ---- for command

// The whole answer: JSON text, an exit status of sysexits.h and words for people.
void process_answer(struct process *process, uint32_t id, struct view json, int status,
		    struct view words);
