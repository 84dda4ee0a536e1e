#include "base/check.h"
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "os/message.h"
#include "os/page.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/worker.h"

// This program starts itself; with arguments it is the child, which shuts the door and then acts
// its part. A part ends with the line of the first check that failed, as its exit status modulo
// 256, or with 0.

#define CHECK(condition_) \
	do { \
		if (!(condition_)) { \
			fprintf(stderr, "line %d: %s, errno %d\n", __LINE__, #condition_, errno); \
			_exit(__LINE__ % 255 + 1); \
		} \
	} while (0)
#define CHECK_REFUSED(call_) CHECK((call_) < 0 && errno == EPERM)

enum { MEMORY_MAX = 1 << 30, DESCRIPTORS_MAX = 77 };

static const char *folder; // of the test, from the second argument

static void enter(int rights, const char *const *read_dirs, const char *const *write_dirs)
{
	const struct os_sandbox sandbox = {
		.process = "test",
		.rights = rights,
		.read_dirs = read_dirs,
		.write_dirs = write_dirs,
		.descriptors_max = DESCRIPTORS_MAX,
		.memory_max = MEMORY_MAX,
	};
	struct buffer level = buffer_with_max(4096), warnings = buffer_with_max(4096);

	CHECK(os_sandbox_enter(&sandbox, &level, &warnings) == OK);
	CHECK(view_find_text(buffer_view(&level), VIEW("no_new_privs")) < level.len);
	buffer_done(&level);
	buffer_done(&warnings);
}

static void *do_nothing(void *context)
{
	return context;
}

static void play_without_rights(void)
{
	struct sockaddr_in nowhere = { .sin_family = AF_INET };
	pthread_t thread;

	enter(0, NULL, NULL);
	CHECK_REFUSED(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_REFUSED(connect(0, (struct sockaddr *)&nowhere, sizeof nowhere));
	CHECK_REFUSED(bind(0, (struct sockaddr *)&nowhere, sizeof nowhere));
	CHECK_REFUSED(listen(0, 1));
	CHECK_REFUSED(accept4(0, NULL, NULL, 0));
	CHECK_REFUSED(open("/etc/passwd", O_RDONLY));
	CHECK_REFUSED(openat(AT_FDCWD, folder, O_RDONLY));
	CHECK_REFUSED(mkdir("/tmp/never", 0700));
	CHECK_REFUSED(unlink("/tmp/never"));
	CHECK_REFUSED(rename("/tmp/never", "/tmp/never2"));
	CHECK_REFUSED(kill(getppid(), 0));
	CHECK_REFUSED(setuid(0));
	CHECK_REFUSED(chmod(folder, 0777));
	CHECK(pthread_create(&thread, NULL, do_nothing, NULL) == EPERM);
	CHECK_REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	CHECK_REFUSED(syscall(SYS_memfd_create, "page", 0));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 }) < 0);
	CHECK(fcntl(0, F_SETOWN, getppid()) < 0 && errno == ENOSYS);
	CHECK(fcntl(0, F_SETSIG, SIGTERM) < 0 && errno == ENOSYS);
	CHECK(fcntl(0, F_GETLK, &(struct flock){ 0 }) < 0 && errno == ENOSYS);
	CHECK(setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, "", 1) < 0 && errno == ENOSYS);
	CHECK(setsockopt(0, SOL_TCP, TCP_ULP, "tls", 3) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	      MAP_FAILED);
	CHECK(prctl(PR_SET_DUMPABLE, 1) < 0);
}

static void stop_loop(void *context)
{
	os_loop_stop(context);
}

static void play_daily_work(void)
{
	struct os_message message;
	struct os_loop *loop;
	struct os_timer timer;
	struct buffer bytes = buffer_with_max(16 << 20);
	struct view sealed;
	int fds[2], page;

	CHECK(os_channel_pair(fds) == OK);
	enter(OS_MAY_PUBLISH, NULL, NULL);
	CHECK(os_loop_new(&loop) == OK);
	os_timer_init(&timer, loop, stop_loop, loop);
	os_timer_set(&timer, 2);
	os_loop_run(loop);
	os_loop_free(loop);
	CHECK(os_page_sealed("table", VIEW("bytes"), &page) == OK);
	CHECK(os_message_send(fds[0], 1, 2, VIEW("x"), &page, 1) == OK);
	CHECK(os_message_receive(fds[1], 100, &bytes, &message) == OK);
	CHECK(os_page_map_sealed(message.fds[0], &sealed) == OK && sealed.len == 5);
	CHECK(buffer_reserve(&bytes, 15 << 20));
	CHECK(os_random_below(10) < 10 && os_clock_mono_us() && os_clock_wall_ms());
	log_setup("test", (struct log_settings){ .level = LOG_INFO, .fd = fds[0] });
	LOG(LOG_INFO, "works", LOG_NUMBER("n", 1));
	CHECK(read(fds[1], bytes.data, 100) > 20);
	os_process_name("renamed");
	buffer_done(&bytes);
}

static void play_limits(void)
{
	struct rlimit limit;

	enter(0, NULL, NULL);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == DESCRIPTORS_MAX);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	limit.rlim_cur = limit.rlim_max = 10;
	CHECK(setrlimit(RLIMIT_CORE, &limit) < 0);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void play_files(void)
{
	char read_path[200], write_path[200];
	const char *read_dirs[] = { read_path, "/etc/hosts", NULL };
	const char *write_dirs[] = { write_path, NULL };
	int dir, sub, file;

	snprintf(read_path, sizeof read_path, "%s/read", folder);
	snprintf(write_path, sizeof write_path, "%s/write", folder);
	CHECK(os_dir_open(read_path, &dir) == OK);
	CHECK(os_file_replace_at(dir, "file", VIEW("x"), 0644) == OK);
	enter(OS_MAY_OPEN | OS_MAY_CREATE, read_dirs, write_dirs);
	CHECK(os_file_open_at(dir, "file", OS_READ, 0, &file) == OK);
	CHECK(os_file_open_at(dir, "file", OS_WRITE, 0, &file) == ERROR_PERMISSION);
	CHECK(os_file_open_at(dir, "new", OS_WRITE | OS_CREATE, 0600, &file) == ERROR_PERMISSION);
	CHECK(os_file_remove_at(dir, "file") == ERROR_PERMISSION);
	CHECK(os_file_open_path("/etc/hosts", OS_READ, 0, &file) == OK);
	CHECK(os_file_open_path("/etc/passwd", OS_READ, 0, &file) == ERROR_PERMISSION);
	CHECK(os_file_open_path("/proc/self/mem", OS_READ, 0, &file) == ERROR_PERMISSION);
	CHECK(os_dir_open(write_path, &dir) == OK);
	CHECK(os_dir_make_at(dir, "tmp", 0700) == OK);
	CHECK(os_dir_open_at(dir, "tmp", &sub) == OK);
	CHECK(os_file_replace_at(sub, "mail", VIEW("x"), 0600) == OK);
	CHECK(os_file_rename_at(sub, "mail", dir, "mail") == OK);
	CHECK(os_file_remove_at(dir, "mail") == OK);
	CHECK(os_dir_remove_at(dir, "tmp") == OK);
	CHECK(symlinkat("/etc", dir, "link") < 0);
}

static void play_open_without_create(void)
{
	const char *dirs[] = { folder, NULL };
	int dir, file;

	enter(OS_MAY_OPEN, NULL, dirs);
	CHECK(os_dir_open(folder, &dir) == OK);
	CHECK(os_file_open_at(dir, "new", OS_WRITE | OS_CREATE, 0600, &file) == ERROR_PERMISSION);
	CHECK(os_dir_make_at(dir, "new", 0700) == ERROR_PERMISSION);
}

static void count_run(void *context)
{
	os_wake_send(context);
}

static struct os_wake *wake_that_stops(struct os_loop *loop)
{
	struct os_wake *wake = NULL;

	CHECK(os_wake_new(loop, stop_loop, loop, &wake) == OK);
	return wake;
}

static void play_threads(void)
{
	struct os_worker *worker;
	struct os_loop *loop;
	struct os_wake *wake;

	enter(OS_MAY_THREAD, NULL, NULL);
	CHECK(os_loop_new(&loop) == OK);
	wake = wake_that_stops(loop);
	CHECK(os_worker_new(loop, "worker", count_run, wake, &worker) == OK);
	os_worker_kick(worker);
	os_loop_run(loop);
	os_worker_free(worker);
	os_wake_free(wake);
	os_loop_free(loop);
	CHECK_REFUSED(syscall(SYS_fork));
}

static void play_connect(void)
{
	struct os_address address;
	int client, server, listener = 3;
	struct os_address peer;

	enter(OS_MAY_CONNECT | OS_MAY_ACCEPT, NULL, NULL);
	CHECK(os_socket_local_address(listener, &address) == OK);
	CHECK(os_socket_connect(&address, NULL, &client) == OK);
	CHECK(os_socket_accept(listener, &server, &peer) == OK);
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) < 0);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0);
	CHECK_REFUSED(listen(client, 1));
}

static void play_exec(void)
{
	enter(OS_MAY_CONNECT | OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD, NULL, NULL);
	execl("/bin/true", "true", NULL);
}

static void play_ptrace(void)
{
	enter(0, NULL, NULL);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void play_abort(void)
{
	enter(0, NULL, NULL);
	abort();
}

static void play_second_thread(void)
{
	const struct os_sandbox sandbox = { .process = "test" };
	struct buffer level = buffer_with_max(4096), warnings = buffer_with_max(4096);
	struct os_worker *worker;

	CHECK(os_worker_new(NULL, "worker", stop_loop, NULL, &worker) == OK);
	CHECK(os_sandbox_enter(&sandbox, &level, &warnings) == ERROR_BUSY);
	os_worker_free(worker);
}

static void play_user(void)
{
	const struct os_user nobody = { 65534, 65534 };
	const struct os_sandbox sandbox = { .process = "test", .user = &nobody };
	struct buffer level = buffer_with_max(4096), warnings = buffer_with_max(4096);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	int death_signal = 0;

	CHECK(os_sandbox_enter(&sandbox, &level, &warnings) == OK);
	CHECK(getuid() == 65534 && getegid() == 65534);
	CHECK(syscall(SYS_capget, &header, caps) == 0);
	CHECK(caps[0].permitted == 0 && caps[1].permitted == 0 && caps[0].effective == 0);
	CHECK(prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && death_signal == SIGKILL);
}

static void play_supervisor(void)
{
	const char *arguments[] = { "child", "daily_work", folder, NULL };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	struct os_exit end = { 0 };
	enum error error;
	pid_t pid;

	enter(OS_MAY_START, NULL, NULL);
	CHECK(syscall(SYS_capget, &header, caps) == 0);
	CHECK(!(caps[0].permitted & (1u << CAP_SYS_ADMIN | 1u << CAP_DAC_OVERRIDE)));
	CHECK(geteuid() != 0 || caps[0].effective & 1u << CAP_SETUID);
	CHECK(os_process_start_self(arguments, NULL, 0, &pid) == OK);
	while ((error = os_process_reap(&end)) == ERROR_AGAIN) {
		usleep(2000);
	}
	CHECK(error == OK && end.pid == pid && end.status == 0);
	arguments[1] = os_process_is_root() ? "user" : "exec";
	CHECK(os_process_start_self(arguments, NULL, 0, &pid) == OK);
	while ((error = os_process_reap(&end)) == ERROR_AGAIN) {
		usleep(2000);
	}
	CHECK(error == OK && (os_process_is_root() ? end.status == 0 : end.signal == SIGSYS));
}

// The tests

static struct os_exit play(const char *part, const struct os_child_fd *fds, unsigned fd_count)
{
	const char *arguments[] = { "child", part, folder, NULL };
	struct os_exit end = { 0 };
	pid_t pid;

	assert_int_equal(os_process_start_self(arguments, fds, fd_count, &pid), OK);
	while (os_process_reap(&end) == ERROR_AGAIN) {
		usleep(2000);
	}
	assert_int_equal(end.pid, pid);
	return end;
}

#define PLAYED(name_) \
	static void name_(void **state) \
	{ \
		(void)state; \
		assert_int_equal(play(#name_, NULL, 0).status, 0); \
	}

PLAYED(without_rights)
PLAYED(daily_work)
PLAYED(limits)
PLAYED(files)
PLAYED(open_without_create)
PLAYED(threads)
PLAYED(second_thread)
PLAYED(supervisor)

static void connect_and_accept(void **state)
{
	struct os_child_fd fd = { .wanted = 3 };
	struct os_address address;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 4 }, &fd.fd), OK);
	assert_int_equal(play("connect", &fd, 1).status, 0);
	os_socket_close(fd.fd);
}

static void hostile_calls_kill(void **state)
{
	(void)state;
	assert_int_equal(play("exec", NULL, 0).signal, SIGSYS);
	assert_int_equal(play("ptrace", NULL, 0).signal, SIGSYS);
}

static void a_process_can_still_abort(void **state)
{
	(void)state;
	assert_int_equal(play("abort", NULL, 0).signal, SIGABRT);
}

static void the_user_is_left_with_nothing(void **state)
{
	(void)state;
	if (!os_process_is_root()) {
		skip();
	}
	assert_int_equal(play("user", NULL, 0).status, 0);
}

static const struct {
	const char *name;
	void (*play)(void);
} parts[] = {
	{ "without_rights", play_without_rights },
	{ "daily_work", play_daily_work },
	{ "limits", play_limits },
	{ "files", play_files },
	{ "open_without_create", play_open_without_create },
	{ "threads", play_threads },
	{ "connect", play_connect },
	{ "exec", play_exec },
	{ "ptrace", play_ptrace },
	{ "abort", play_abort },
	{ "second_thread", play_second_thread },
	{ "user", play_user },
	{ "supervisor", play_supervisor },
};

static int make_folder(void **state)
{
	static char path[] = "/tmp/os-sandbox-test-XXXXXX";
	int dir;

	(void)state;
	folder = mkdtemp(path);
	assert_int_equal(os_dir_open(folder, &dir), OK);
	assert_int_equal(os_dir_make_at(dir, "read", 0755), OK);
	assert_int_equal(os_dir_make_at(dir, "write", 0755), OK);
	os_dir_close(dir);
	return 0;
}

static int remove_folder(void **state)
{
	int dir, sub;

	(void)state;
	assert_int_equal(os_dir_open(folder, &dir), OK);
	assert_int_equal(os_dir_open_at(dir, "read", &sub), OK);
	assert_int_equal(os_file_remove_at(sub, "file"), OK);
	os_dir_close(sub);
	assert_int_equal(os_dir_remove_at(dir, "read"), OK);
	assert_int_equal(os_dir_remove_at(dir, "write"), OK);
	os_dir_close(dir);
	rmdir(folder);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rights),
		cmocka_unit_test(daily_work),
		cmocka_unit_test(limits),
		cmocka_unit_test(files),
		cmocka_unit_test(open_without_create),
		cmocka_unit_test(threads),
		cmocka_unit_test(connect_and_accept),
		cmocka_unit_test(hostile_calls_kill),
		cmocka_unit_test(a_process_can_still_abort),
		cmocka_unit_test(second_thread),
		cmocka_unit_test(the_user_is_left_with_nothing),
		cmocka_unit_test(supervisor),
	};

	for (size_t i = 0; i < COUNT_OF(parts) && argc > 2; i++) {
		if (strcmp(argv[1], parts[i].name) == 0) {
			folder = argv[2];
			parts[i].play();
			exit(0); // with all that the sanitizers do at an exit
		}
	}
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
