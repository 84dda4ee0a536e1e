// The processes that the supervisor keeps running, and the channels between them. A process is
// handed what is its own, then BEGIN; when it falls it is started again after a pause that doubles,
// and its neighbours get new channels to it. One that gives no sign of life is made to fall.
//
// The parts: crew (start and end), handover (who gets what, and when), watchdog.
#pragma once

#include "link/supervision.h"
#include "supervisor/material.h"

enum {
	CREW_BACKOFF_FIRST_MS = 100,
	CREW_BACKOFF_MAX_MS = 30 * 1000,
	CREW_STABLE_MS = 60 * 1000, // a process that ran so long starts again at once
	CREW_STOP_MS = 30 * 1000,   // to finish what is in flight
	CREW_LEAVE_MS = 5 * 1000,   // after its channel was closed
	CREW_ABORT_MS = 2 * 1000,   // after SIGABRT, for one that hangs
	CREW_WORDS_MAX = 4096,      // of warnings or of a failure
};

enum child_name { CHILD_KEEPER, CHILD_FACTS, CHILD_DELIVER, CHILD_RECEIVE, CHILD_COUNT };
enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_READY, CHILD_STOPPING };

struct crew;

struct child {
	struct crew *crew;
	enum child_name name;
	enum child_state state;
	pid_t pid;                  // 0: its process is gone
	struct os_channel *channel; // NULL: closed by its end. It has ended when both are gone
	bool left_in_order;         // with status 0, the last time
	struct os_timer again;      // start again
	struct os_timer killer;     // stop has taken too long
	uint64_t started_ms;
	uint64_t backoff_ms;
	uint64_t restarts;
	// What is new waits until the child has settled with what it was handed before, so that at
	// most one change is in hand and one more, the newest, is due.
	unsigned in_hand; // BEGINs that it has not answered yet
	bool config_due, directory_due;
	uint64_t handed, settled; // crew->generation, of what it was handed and of what it uses
	uint32_t listeners[MATERIAL_SOCKETS_MAX]; // numbers that it has: receive only
	unsigned listener_count, certificate_count;
	// The watchdog's.
	bool asked;            // and has not answered yet
	unsigned silent_looks; // in a row
	uint64_t cpu_us;       // while it starts
	uint64_t hangs;
	struct buffer sandbox;  // from READY: what is in force
	struct buffer warnings; // from READY
	struct buffer failure;  // the latest
};

// What the crew tells its owner. All on the loop's thread.
struct crew_calls {
	void (*request)(void *context, uint32_t id, struct view payload); // keeper passes one on
	void (*settled)(void *context); // somebody has started, or uses what is new
	// Of a crew_command. The sender may lie about its number, never about who it is.
	void (*result)(void *context, enum child_name from, uint32_t id, struct view payload);
	void (*child_gone)(void *context, enum child_name name); // its results will not come
	void (*stopped)(void *context);                          // after crew_stop: all are gone
};

struct crew {
	struct os_loop *loop;
	const struct material_users *users;
	const struct material_dirs *dirs;
	struct material *material; // of the owner
	const struct crew_calls *calls;
	void *context;
	uint64_t generation; // of the material
	struct os_timer watchdog;
	int control;                   // the listening control socket
	int commit, commit_reader;     // shared pages, kept across restarts
	int pressure, pressure_reader; //
	int trust_store;               // page
	int directory;                 // page; -1 until keeper has published one
	bool stopping;
	struct child children[CHILD_COUNT];
};

const char *child_name_text(enum child_name name);    // "receive"
const char *child_state_text(enum child_state state); // "ready"

// Takes control. The rest stays the owner's, and must outlive the crew.
enum error crew_init(struct crew *crew, struct os_loop *loop, const struct material_users *users,
		     const struct material_dirs *dirs, struct material *material, int control,
		     const struct crew_calls *calls, void *context) must_check;
void crew_start(struct crew *crew);
// New material: everybody gets what is now theirs, once they have settled with the one before.
void crew_reconfigure(struct crew *crew, struct material *material);
void crew_renew_certificates(struct crew *crew);
void crew_stop(struct crew *crew);
void crew_reap(struct crew *crew); // after SIGCHLD
void crew_done(struct crew *crew);

// ERROR_CLOSED: that process is not there.
enum error crew_command(struct crew *crew, enum child_name name, uint32_t id,
			struct view payload) must_check;
enum error crew_answer_keeper(struct crew *crew, uint32_t id, struct view payload) must_check;
bool crew_is_ready(const struct crew *crew); // all are
// It runs, and has yet to take up the material that it should have.
bool crew_is_behind(const struct crew *crew, enum child_name name, uint64_t generation);
