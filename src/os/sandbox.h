// The door that each process shuts behind itself: uid, capabilities, resource limits, no_new_privs,
// Landlock, seccomp; and non-dumpable. Where the kernel lacks one, it goes on and says so. Works as
// root and not as root.
//
// To be entered by the only thread, before workers, pools and libraries start any. What was opened
// before stays usable. After it, a system call
//   - that the rights cover works;
//   - that belongs to a right that is lacking (socket, open, clone, accept, setuid ...) fails with
//     EPERM, as a forbidden thing does: a library that only tries goes on without;
//   - that is not known here fails with ENOSYS, so that a C library newer than this list falls back
//     to the older call (clone3 to clone), as on an old kernel;
//   - that only a process taken over would make (exec, ptrace, mount, bpf ...) kills the process.
// Memory that is both written and run cannot be made: nothing may be loaded after it (dlopen).
// The supervisor's door holds for its children as well until they shut theirs: with OS_MAY_START
// the filter is the union of theirs with what starting takes, there is no Landlock, the hard limits
// stay, and of root's capabilities BIND_SERVICE, SETUID, SETGID, DAC_READ_SEARCH and KILL.
#pragma once

#include "base/buffer.h"
#include "os/process.h"

enum os_sandbox_right {
	OS_MAY_CONNECT = 1,         // socket() and connect() to the network
	OS_MAY_OPEN = 2,            // open by path, inside the folders below
	OS_MAY_CREATE = 4,          // create, rename and remove inside the writable folders
	OS_MAY_THREAD = 8,          // start threads
	OS_MAY_LISTEN_LOCAL = 16,   // accept on a local socket that was handed over
	OS_MAY_ACCEPT = 32,         // accept on listeners that were handed over
	OS_MAY_CONNECT_LOCAL = 128, // socket() and connect() to local sockets
	OS_MAY_PUBLISH = 256,       // make pages for other processes
	OS_MAY_START = 64,          // fork and exec this program: the supervisor only
};

struct os_sandbox {
	const char *process; // its name, for messages
	int rights;
	const char *const *read_dirs;  // folders or files; NULL-terminated; may be NULL
	const char *const *write_dirs; // the same; reading is included
	const struct os_user *user;    // NULL: stay who we are
	uint64_t descriptors_max;      // 0: as it is
	uint64_t memory_max;           // bytes of address space; 0: no limit
};

// Appends to level what is in force from now on, in words on one line, and to warnings one line for
// each layer that this kernel lacks; `packetboat status` shows both.
// ERROR_BUSY: other threads run. Folders are opened as the user: ERROR_NOT_FOUND, ERROR_PERMISSION.
// After a failure the process is half shut, and must end.
enum error os_sandbox_enter(const struct os_sandbox *sandbox, struct buffer *level,
			    struct buffer *warnings) must_check;
