// The door that each process shuts behind itself: uid, capabilities, resource limits, no_new_privs,
// Landlock, seccomp; and non-dumpable. Where the kernel lacks one, it goes on and says so.
#pragma once

#include "base/buffer.h"
#include "os/process.h"

enum os_sandbox_right {
	OS_MAY_CONNECT = 1,       // socket() and connect() to the network
	OS_MAY_OPEN = 2,          // open by path, inside the folders below
	OS_MAY_CREATE = 4,        // create, rename and remove inside the writable folders
	OS_MAY_THREAD = 8,        // start threads
	OS_MAY_LISTEN_LOCAL = 16, // accept on a local socket that was handed over
	OS_MAY_ACCEPT = 32,       // accept on listeners that were handed over
	OS_MAY_START = 64,        // fork and exec this program: the supervisor only
};

struct os_sandbox {
	const char *process; // its name, for messages
	int rights;
	const char *const *read_dirs;  // NULL-terminated; may be NULL
	const char *const *write_dirs; // NULL-terminated; may be NULL
	const struct os_user *user;    // NULL: stay who we are
	uint64_t descriptors_max;
	uint64_t memory_max; // bytes of address space; 0: no limit
};

// Appends one line for each layer that this kernel lacks (shown by `packetboat status`).
enum error os_sandbox_enter(const struct os_sandbox *sandbox, struct buffer *warnings) must_check;
