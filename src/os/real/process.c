#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	USER_ENTRY_MAX = 16 * 1024, // bytes of one user's entry
	START_FDS_MAX = 64,         // descriptors handed to a child
	FIRST_FREE = 3,             // after standard input, output and error
};

enum error os_user_find(const char *name, struct os_user *ret_user)
{
	char bytes[USER_ENTRY_MAX];
	struct passwd entry, *found = NULL;
	int status = getpwnam_r(name, &entry, bytes, sizeof bytes, &found);

	if (!found) {
		return status && status != ENOENT ? error_from_errno(status) : ERROR_NOT_FOUND;
	}
	*ret_user = (struct os_user){ .uid = entry.pw_uid, .gid = entry.pw_gid };
	return OK;
}

bool os_process_is_root(void)
{
	return geteuid() == 0;
}

pid_t os_process_id(void)
{
	return getpid();
}

void os_process_name(const char *name)
{
	prctl(PR_SET_NAME, name);
}

unsigned os_process_core_count(void)
{
	cpu_set_t cores;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof cores, &cores) == 0) { // more than it holds: an error
		online = CPU_COUNT(&cores);
	}
	return online > 0 ? (unsigned)online : 1;
}

enum error os_process_signal(pid_t pid, int number)
{
	if (pid <= 0) {
		return ERROR_INVALID; // would reach a whole group
	}
	return kill(pid, number) < 0 ? error_from_errno(errno) : OK;
}

enum error os_process_cpu_us(pid_t pid, uint64_t *ret_us)
{
	struct timespec spent;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &spent) < 0) {
		return ERROR_NOT_FOUND;
	}
	*ret_us = (uint64_t)spent.tv_sec * 1000000 + (uint64_t)spent.tv_nsec / 1000;
	return OK;
}

void os_process_pause(uint64_t ms)
{
	struct timespec wait = { .tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&wait, NULL);
}

enum error os_process_reap(struct os_exit *ret_exit)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid < 0 && errno != ECHILD) {
		return error_from_errno(errno);
	}
	if (pid <= 0) {
		return ERROR_AGAIN;
	}
	*ret_exit = (struct os_exit){
		.pid = pid,
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	};
	return OK;
}

// A change of user takes the signal away that the parent's death is to send; it is asked for again,
// and a parent that died in between is noticed.
enum error os_process_become(struct os_user user)
{
	pid_t parent = getppid();
	int death_signal = 0;

	prctl(PR_GET_PDEATHSIG, &death_signal);
	if (setgroups(0, NULL) < 0 || setresgid(user.gid, user.gid, user.gid) < 0 ||
	    setresuid(user.uid, user.uid, user.uid) < 0) {
		return error_from_errno(errno);
	}
	if (user.uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
		return ERROR_PERMISSION; // it could be undone
	}
	if (death_signal) {
		prctl(PR_SET_PDEATHSIG, death_signal);
		if (getppid() != parent) {
			raise(death_signal);
		}
	}
	return OK;
}

// What follows runs in the child between fork and exec: only calls that are safe there.

static bool place_fds(const struct os_child_fd *fds, unsigned fd_count, int highest, int *report_fd)
{
	int moved[START_FDS_MAX];

	// First all away from the wanted numbers, so that none overwrites another.
	for (unsigned i = 0; i < fd_count; i++) {
		moved[i] = fcntl(fds[i].fd, F_DUPFD_CLOEXEC, highest + 1);
		if (moved[i] < 0) {
			return false;
		}
	}
	*report_fd = fcntl(*report_fd, F_DUPFD_CLOEXEC, highest + 1);
	for (int fd = FIRST_FREE; fd <= highest; fd++) {
		close(fd);
	}
	for (unsigned i = 0; i < fd_count; i++) {
		if (dup2(moved[i], fds[i].wanted) < 0) {
			return false;
		}
	}
	return *report_fd >= 0;
}

// Not closed at once, but by the exec: report_fd is among them. A kernel without it (before 5.11)
// leaves what was opened without O_CLOEXEC, which nothing of ours is.
static void close_others_at_exec(int highest)
{
	syscall(SYS_close_range, (unsigned)highest + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

static void reset_signals(void)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++) {
		sigaction(number, &by_default, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_child(const char *const *arguments, const struct os_child_fd *fds,
				   unsigned fd_count, int highest, pid_t parent, int report_fd)
{
	ssize_t told;
	int failure;

	reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && place_fds(fds, fd_count, highest, &report_fd)) {
		close_others_at_exec(highest);
		execv("/proc/self/exe", (char *const *)arguments);
	}
	failure = errno ? errno : EIO;
	told = write(report_fd, &failure, sizeof failure);
	_exit(told == sizeof failure ? 126 : 127);
}

// The pipe closes at the exec; what came through it before is the errno that prevented it.
static enum error started(int pipe_fd, pid_t pid)
{
	int failure = 0;
	ssize_t got;

	do {
		got = read(pipe_fd, &failure, sizeof failure);
	} while (got < 0 && errno == EINTR);
	if (got == 0) {
		return OK;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
		// interrupted
	}
	return got == sizeof failure ? error_from_errno(failure) : ERROR_IO;
}

enum error os_process_start_self(const char *const *arguments, const struct os_child_fd *fds,
				 unsigned fd_count, pid_t *ret_pid)
{
	int highest = FIRST_FREE - 1, pipe_fds[2];
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	enum error error;

	if (fd_count > START_FDS_MAX) {
		return ERROR_LIMIT;
	}
	for (unsigned i = 0; i < fd_count; i++) {
		if (fds[i].wanted < 0) {
			return ERROR_INVALID;
		}
		highest = fds[i].wanted > highest ? fds[i].wanted : highest;
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		return error_from_errno(errno);
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); // none may reach our handlers in the child
	pid = fork();
	if (pid == 0) {
		become_child(arguments, fds, fd_count, highest, parent, pipe_fds[1]);
	}
	error = pid < 0 ? error_from_errno(errno) : OK;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(pipe_fds[1]);
	if (error == OK) {
		error = started(pipe_fds[0], pid);
	}
	close(pipe_fds[0]);
	if (error == OK) {
		*ret_pid = pid;
	}
	return error;
}
