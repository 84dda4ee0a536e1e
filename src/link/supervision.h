// What the supervisor and the processes that it starts say to each other.
//
// The supervisor starts a process with one channel to it (descriptor SUPERVISION_FD) and hands it
// everything else over that channel: handles, each a descriptor with a kind and a number. A group
// of handles ends with SUPERVISION_BEGIN; then the child has all that it needs, shuts its door and
// answers READY or FAILED. A reload, or another process started anew, is the same again: the
// handles that changed, then BEGIN, and the answer is SETTLED. A handle replaces the earlier one of
// the same kind and number; one without a descriptor takes it away. What was replaced is closed
// only when the process has changed over, so that nobody finds its number in use for something
// else.
//
// The child's half is a set of handles (struct supervision); the supervisor's half is the senders
// below. One owner, the loop's thread.
#pragma once

#include "os/message.h"

enum { SUPERVISION_FD = 3 };

enum supervision_message {
	SUPERVISION_HANDLE = 1, // to the child: u8 kind, u32 number; at most one descriptor
	SUPERVISION_BEGIN,      // to the child
	SUPERVISION_STOP,       // to the child: finish what is in flight, then leave
	SUPERVISION_COMMAND, // to the child: a local command (link/control.h); answered with RESULT
	SUPERVISION_READY,   // to the supervisor: a line on its sandbox, lines of warnings
	SUPERVISION_FAILED,  // to the supervisor: why the child cannot serve
	SUPERVISION_RESULT,  // to the supervisor: an answer, or a part of one
	SUPERVISION_REQUEST, // to the supervisor: a local command that another process answers
	SUPERVISION_PUBLISH, // keeper to the supervisor: a new directory table (one descriptor)
	SUPERVISION_SETTLED, // to the supervisor: what a later BEGIN ended is in use
	SUPERVISION_PING,    // to the child: is anybody there?
	SUPERVISION_PONG,    // to the supervisor: every loop of the process turns
	SUPERVISION_SIBLING, // to keeper: u8 which; id: the process id that it has now
};

enum handle_kind {
	HANDLE_CONFIG =
		1, // sealed page: the typed configuration (config/encode.h), this process's part
	HANDLE_LISTENER,      // listening socket; number: struct listener_number
	HANDLE_CERTIFICATE,   // sealed page: certificate chain and key as PEM; number: index
	HANDLE_DIRECTORY,     // sealed page: the directory table (policy/directory.h)
	HANDLE_SPOOL_DIR,     // folder; number: the part of the spool (spool/layout.h)
	HANDLE_MAIL_DIR,      // folder
	HANDLE_STATE_DIR,     // folder: keeper's database and secrets
	HANDLE_COMMIT_PAGE,   // shared page: commit marks (spool/pages.h)
	HANDLE_PRESSURE_PAGE, // shared page: free segments and pressure (spool/pages.h)
	HANDLE_WAKE,          // channel from receive to deliver: "something was committed"
	HANDLE_FACTS,         // channel to the facts process (link/facts.h)
	HANDLE_KEEPER,        // channel to keeper (link/keeper.h); number: of the thread
	HANDLE_CLIENT,      // their other ends: of keeper by thread of receive, of facts by process
	HANDLE_CONTROL,     // listening local socket for commands
	HANDLE_LOG,         // where log lines go
	HANDLE_SYSLOG,      // connected datagram socket
	HANDLE_TRUST_STORE, // sealed page: CA certificates as PEM
	HANDLE_SECRETS,     // sealed page: smarthost passwords; deliver only
	HANDLE_KIND_COUNT,
};

enum {
	SUPERVISION_HANDLES_MAX = 8192, // in one process, replaced ones included
};

// A socket is known by what it is for: an address of a listener of the configuration, and one of
// the threads that serve it.
struct listener_number {
	unsigned listener; // index in the configuration
	uint8_t address;   // index in the listener
	uint8_t thread;
};

static inline uint32_t listener_number_pack(struct listener_number number)
{
	return number.listener << 16 | (uint32_t)number.address << 8 | number.thread;
}

static inline struct listener_number listener_number_of(uint32_t packed)
{
	return (struct listener_number){ packed >> 16, (uint8_t)(packed >> 8), (uint8_t)packed };
}

struct handle {
	enum handle_kind kind; // 0: taken or replaced, and swept away soon
	uint32_t number;
	int fd;
	bool fresh; // came with the latest BEGIN
};

struct supervision {
	struct os_channel *channel;
	struct handle *handles;
	unsigned count;
	const struct supervision_calls *calls;
	void *context;
};

// What a process does when told. changed comes after each later BEGIN. closed: the supervisor is
// gone, so the process must leave at once.
struct supervision_calls {
	void (*changed)(void *context);
	void (*stop)(void *context);
	void (*ping)(void *context); // is answered with supervision_pong
	void (*command)(void *context, uint32_t id, struct view payload);
	void (*result)(void *context, uint32_t id, struct view payload);
	void (*sibling)(void *context, uint8_t which, int32_t pid); // NULL: it does not care
	void (*closed)(void *context);
};

// Blocks until the first BEGIN. ERROR_TIMEOUT after 30 s, ERROR_INVALID on nonsense.
enum error supervision_receive_first(struct supervision *supervision) must_check;
// From then on messages arrive on the loop.
enum error supervision_attach(struct supervision *supervision, struct os_loop *loop,
			      const struct supervision_calls *calls, void *context) must_check;
void supervision_done(struct supervision *supervision); // closes all handles still in the set

// The descriptor, which stays the set's; -1 where there is none.
int supervision_get(const struct supervision *supervision, enum handle_kind kind, uint32_t number);
// The descriptor, which becomes the caller's; -1 where there is none.
int supervision_take(struct supervision *supervision, enum handle_kind kind, uint32_t number);
// A handle of this kind came with the latest BEGIN.
bool supervision_is_fresh(const struct supervision *supervision, enum handle_kind kind);
// One of the descriptors of this kind, in no order, which becomes the caller's; -1 at the end.
int supervision_take_any(struct supervision *supervision, enum handle_kind kind,
			 uint32_t *ret_number);
// Maps the sealed page of such a handle, until supervision_unmap. ERROR_NOT_FOUND, ERROR_INVALID.
enum error supervision_map(const struct supervision *supervision, enum handle_kind kind,
			   uint32_t number, struct view *ret_bytes) must_check;
void supervision_unmap(struct view bytes); // accepts an empty view
// The next handle of this kind from *position on (start with 0); NULL at the end.
struct handle *supervision_next(struct supervision *supervision, enum handle_kind kind,
				unsigned *position);

enum error supervision_send(struct supervision *supervision, enum supervision_message type,
			    uint32_t id, struct view payload) must_check;
void supervision_pong(struct supervision *supervision); // to a ping
// Tells the supervisor why this process cannot serve, before the loop or on it; the process then
// ends with status EX_CONFIG (78), and is started again after a while.
void supervision_fail(struct supervision *supervision, struct view why);
// Keeper's new directory table; the descriptor stays the caller's.
enum error supervision_publish(struct supervision *supervision, int fd) must_check;

// The supervisor's half. fd -1 takes the handle away. The descriptor stays the caller's.
enum error supervision_send_handle(struct os_channel *channel, enum handle_kind kind,
				   uint32_t number, int fd) must_check;
