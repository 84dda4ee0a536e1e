// Processes, for the supervisor and for what each child does to itself at its start.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/view.h"

struct os_user {
	uint32_t uid, gid;
};

enum error os_user_find(const char *name, struct os_user *ret_user) must_check; // ERROR_NOT_FOUND
bool os_process_is_root(void);

struct os_child_fd {
	int fd;     // in this process
	int wanted; // its number in the child
};

// Starts this very program again (/proc/self/exe: a fresh address layout) with these arguments; all
// other descriptors are closed but 0, 1 and 2. The child dies with this process.
enum error os_process_start_self(const char *const *arguments, const struct os_child_fd *fds,
				 unsigned fd_count, pid_t *ret_pid) must_check;
enum error os_process_signal(pid_t pid, int number) must_check;
// The time that all its threads have spent computing: it grows while the process gets on.
enum error os_process_cpu_us(pid_t pid, uint64_t *ret_us) must_check; // ERROR_NOT_FOUND

struct os_exit {
	pid_t pid;
	int status; // exit status, or -1
	int signal; // that ended it, or 0
};

// A child that has ended; ERROR_AGAIN when there is none now.
enum error os_process_reap(struct os_exit *ret_exit) must_check;
// Tells the service manager that started this process, if it asked to be told (NOTIFY_SOCKET), such
// as "READY=1" (systemd's sd_notify).
enum error os_process_notify(struct view state) must_check;
void os_process_name(const char *name); // as ps shows it
unsigned os_process_core_count(void);   // that it may run on; at least 1
pid_t os_process_id(void);
void os_process_pause(uint64_t ms); // blocks the thread: for start-up only
enum error os_process_become(struct os_user user) must_check; // gid, groups, uid; not to be undone
