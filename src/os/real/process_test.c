#include "base/check.h"
#include "os/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// This program starts itself; with an argument it is the child, and acts its part.

static struct os_exit wait_for_exit(pid_t pid)
{
	struct os_exit end = { 0 };

	for (unsigned i = 0; i < 1000; i++) {
		enum error error = os_process_reap(&end);

		if (error == OK && end.pid == pid) {
			return end;
		}
		usleep(5000);
	}
	fail();
	return end;
}

static pid_t start(const char *part, const struct os_child_fd *fds, unsigned fd_count)
{
	const char *arguments[] = { "child", part, NULL };
	pid_t pid = 0;

	assert_int_equal(os_process_start_self(arguments, fds, fd_count, &pid), OK);
	return pid;
}

static int pipe_holding(const char *text)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0); // not closed on exec: the start must see to it
	assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
	close(ends[1]);
	return ends[0];
}

static bool holds(int fd, const char *text)
{
	char bytes[16] = "";

	return read(fd, bytes, sizeof bytes - 1) > 0 && strcmp(bytes, text) == 0;
}

static unsigned count_open_fds(void)
{
	DIR *walk = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(walk)) {
		count++;
	}
	closedir(walk);
	return count - 3; // ".", ".." and its own
}

static int play_descriptors(void)
{
	return holds(3, "three") && holds(4, "four") && holds(9, "nine") && count_open_fds() == 6
		       ? 0
		       : 1;
}

// Each stands where another is wanted, and some have no close-on-exec.
static void descriptors_get_their_numbers_and_no_other_is_left(void **state)
{
	int four = fcntl(pipe_holding("four"), F_DUPFD, 20);
	int three = fcntl(pipe_holding("three"), F_DUPFD, 20);
	int nine = fcntl(pipe_holding("nine"), F_DUPFD, 20);
	const struct os_child_fd fds[] = { { 3, 4 }, { 4, 3 }, { nine, 9 } };

	(void)state;
	assert_int_equal(dup2(four, 3), 3);
	assert_int_equal(dup2(three, 4), 4);
	assert_int_equal(wait_for_exit(start("descriptors", fds, 3)).status, 0);
	for (int fd = 3; fd < 40; fd++) {
		close(fd);
	}
}

static int play_signals(void)
{
	struct sigaction action;
	sigset_t blocked;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	sigaction(SIGPIPE, NULL, &action);
	return !sigismember(&blocked, SIGTERM) && action.sa_handler == SIG_DFL ? 7 : 1;
}

static void a_child_begins_with_fresh_signals(void **state)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN }, action;
	sigset_t term, before;
	pid_t pid;

	(void)state;
	sigaction(SIGPIPE, &ignored, &action);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	pid = start("signals", NULL, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGPIPE, &action, NULL);
	assert_int_equal(wait_for_exit(pid).status, 7);
}

static int play_wait(void)
{
	pause();
	return 0;
}

static void an_end_by_signal_is_told(void **state)
{
	struct os_exit end;
	pid_t pid;

	(void)state;
	assert_int_equal(os_process_reap(&end), ERROR_AGAIN);
	pid = start("wait", NULL, 0);
	assert_int_equal(os_process_reap(&end), ERROR_AGAIN);
	assert_int_equal(os_process_signal(pid, SIGTERM), OK);
	end = wait_for_exit(pid);
	assert_int_equal(end.signal, SIGTERM);
	assert_int_equal(end.status, -1);
	assert_int_equal(os_process_signal(0, SIGTERM), ERROR_INVALID);
	assert_int_equal(os_process_signal(-1, SIGTERM), ERROR_INVALID);
}

// The middle one starts the last, which holds the pipe open, and dies.
static int play_middle(void)
{
	const char *arguments[] = { "child", "wait", NULL };
	const struct os_child_fd fd = { 3, 3 };
	pid_t pid;

	return os_process_start_self(arguments, &fd, 1, &pid) == OK ? 0 : 1;
}

static void a_child_dies_with_its_parent(void **state)
{
	struct os_child_fd fd = { .wanted = 3 };
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fd.fd = ends[1];
	assert_int_equal(wait_for_exit(start("middle", &fd, 1)).status, 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0); // comes when the last has gone
	close(ends[0]);
}

static int play_compute(void)
{
	volatile unsigned sum = 1;

	while (sum) {
		sum += 2;
	}
	return 1;
}

static void what_computes_is_told_from_what_waits(void **state)
{
	pid_t waits = start("wait", NULL, 0), computes = start("compute", NULL, 0);
	uint64_t first = 0, later = 0;

	(void)state;
	assert_int_equal(os_process_cpu_us(computes, &first), OK);
	for (unsigned i = 0; i < 1000 && later <= first; i++) {
		usleep(5000);
		assert_int_equal(os_process_cpu_us(computes, &later), OK);
	}
	assert_true(later > first);
	do { // until its start is over
		assert_int_equal(os_process_cpu_us(waits, &first), OK);
		usleep(100000);
		assert_int_equal(os_process_cpu_us(waits, &later), OK);
	} while (later != first);
	assert_int_equal(os_process_signal(waits, SIGKILL), OK);
	wait_for_exit(waits);
	assert_int_equal(os_process_signal(computes, SIGKILL), OK);
	wait_for_exit(computes);
	assert_int_equal(os_process_cpu_us(waits, &later), ERROR_NOT_FOUND);
}

// A manager's socket, by path and by an abstract name.
static void a_service_manager_is_told(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[32], bytes[32];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(os_process_notify(VIEW("READY=1")), OK);
	snprintf(name, sizeof name, "@packetboat-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(bind(manager, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(os_process_notify(VIEW("READY=1")), OK);
	assert_int_equal(recv(manager, bytes, sizeof bytes, 0), 7);
	assert_memory_equal(bytes, "READY=1", 7);
	setenv("NOTIFY_SOCKET", "neither", 1);
	assert_int_equal(os_process_notify(VIEW("READY=1")), ERROR_INVALID);
	unsetenv("NOTIFY_SOCKET");
	close(manager);
}

static void users_are_found_by_name(void **state)
{
	struct os_user user = { 7, 7 };

	(void)state;
	assert_int_equal(os_user_find("no-such-user-here", &user), ERROR_NOT_FOUND);
	assert_int_equal(user.uid, 7);
	assert_int_equal(os_user_find("root", &user), OK);
	assert_int_equal(user.uid, 0);
}

static int play_become(void)
{
	struct os_user nobody = { 65534, 65534 };
	int death_signal = 0;

	if (os_process_become(nobody) != OK || getuid() != 65534 || getegid() != 65534 ||
	    getgroups(0, NULL) != 0 || setuid(0) == 0) {
		return 1;
	}
	prctl(PR_GET_PDEATHSIG, &death_signal);
	return death_signal == SIGKILL ? 0 : 2;
}

static void becoming_a_user_cannot_be_undone(void **state)
{
	(void)state;
	if (!os_process_is_root()) {
		skip();
	}
	assert_int_equal(wait_for_exit(start("become", NULL, 0)).status, 0);
}

static const struct {
	const char *name;
	int (*play)(void);
} parts[] = {
	{ "descriptors", play_descriptors }, { "signals", play_signals }, { "wait", play_wait },
	{ "compute", play_compute },         { "middle", play_middle },   { "become", play_become },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_get_their_numbers_and_no_other_is_left),
		cmocka_unit_test(a_child_begins_with_fresh_signals),
		cmocka_unit_test(an_end_by_signal_is_told),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(what_computes_is_told_from_what_waits),
		cmocka_unit_test(a_service_manager_is_told),
		cmocka_unit_test(users_are_found_by_name),
		cmocka_unit_test(becoming_a_user_cannot_be_undone),
	};

	for (size_t i = 0; i < COUNT_OF(parts) && argc > 1; i++) {
		if (strcmp(argv[1], parts[i].name) == 0) {
			_exit(parts[i].play());
		}
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
