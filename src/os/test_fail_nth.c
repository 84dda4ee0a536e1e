#include "os/test_fail_nth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

static struct fail_nth own_plan;
struct fail_nth *fail_nth_plan = &own_plan;

static const char *process_name = "command";

static int strikes(enum fail_kind kind)
{
	struct fail_nth *plan = fail_nth_plan;
	uint64_t count;

	if (!atomic_load(&plan->is_armed) || !(plan->kinds >> kind & 1) ||
	    (plan->process[0] != '*' && strcmp(plan->process, process_name) != 0)) {
		return 0;
	}
	count = atomic_fetch_add(&plan->count, 1) + 1;
	if (count < plan->nth || (count > plan->nth && !plan->is_lasting)) {
		return 0;
	}
	atomic_fetch_add(&plan->struck, 1);
	errno = (int)plan->error;
	return 1;
}

// TYPE name(parameters), with its arguments again: fails with the value.
#define WRAP(kind_, type_, failure_, name_, parameters_, arguments_) \
	type_ __real_##name_ parameters_; \
	type_ __wrap_##name_ parameters_; \
	type_ __wrap_##name_ parameters_ \
	{ \
		return strikes(kind_) ? (failure_) : __real_##name_ arguments_; \
	}

WRAP(FAIL_ALLOC, void *, NULL, malloc, (size_t size), (size))
WRAP(FAIL_ALLOC, void *, NULL, calloc, (size_t count, size_t size), (count, size))
WRAP(FAIL_ALLOC, void *, NULL, realloc, (void *old, size_t size), (old, size))
WRAP(FAIL_ALLOC, void *, NULL, reallocarray, (void *old, size_t count, size_t size),
     (old, count, size))
WRAP(FAIL_ALLOC, void *, NULL, aligned_alloc, (size_t to, size_t size), (to, size))
WRAP(FAIL_ALLOC, char *, NULL, strdup, (const char *text), (text))
WRAP(FAIL_ALLOC, char *, NULL, strndup, (const char *text, size_t max), (text, max))
WRAP(FAIL_READ, ssize_t, -1, pread64, (int fd, void *to, size_t len, off_t at), (fd, to, len, at))
WRAP(FAIL_WRITE, ssize_t, -1, pwrite64, (int fd, const void *from, size_t len, off_t at),
     (fd, from, len, at))
WRAP(FAIL_WRITE, ssize_t, -1, pwritev64, (int fd, const struct iovec *parts, int count, off_t at),
     (fd, parts, count, at))
WRAP(FAIL_SYNC, int, -1, fdatasync, (int fd), (fd))
WRAP(FAIL_SYNC, int, -1, fsync, (int fd), (fd))
WRAP(FAIL_NAME, int, -1, mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode))
WRAP(FAIL_NAME, int, -1, renameat, (int a, const char *from, int b, const char *to),
     (a, from, b, to))
WRAP(FAIL_NAME, int, -1, linkat, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags))
WRAP(FAIL_NAME, int, -1, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
WRAP(FAIL_INFO, int, -1, fstat64, (int fd, struct stat *ret), (fd, ret))
WRAP(FAIL_INFO, int, -1, fstatat64, (int dir, const char *name, struct stat *ret, int flags),
     (dir, name, ret, flags))
WRAP(FAIL_INFO, int, -1, fstatvfs64, (int fd, struct statvfs *ret), (fd, ret))
WRAP(FAIL_RESIZE, int, -1, ftruncate64, (int fd, off_t size), (fd, size))
WRAP(FAIL_MAP, void *, MAP_FAILED, mmap64,
     (void *at, size_t len, int protection, int flags, int fd, off_t offset),
     (at, len, protection, flags, fd, offset))
WRAP(FAIL_SOCKET, int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(FAIL_CONNECT, int, -1, connect, (int fd, const struct sockaddr *to, socklen_t len),
     (fd, to, len))
WRAP(FAIL_ACCEPT, int, -1, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
     (fd, from, len, flags))
WRAP(FAIL_SEND, ssize_t, -1, send, (int fd, const void *from, size_t len, int flags),
     (fd, from, len, flags))
WRAP(FAIL_RECEIVE, ssize_t, -1, recv, (int fd, void *to, size_t len, int flags),
     (fd, to, len, flags))
WRAP(FAIL_MESSAGE_SEND, ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(FAIL_MESSAGE_RECEIVE, ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags),
     (fd, message, flags))

int __real_openat64(int dir, const char *name, int flags, ...);
int __wrap_openat64(int dir, const char *name, int flags, ...);
int __wrap_openat64(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list list;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(list, flags);
		mode = va_arg(list, mode_t);
		va_end(list);
	}
	return strikes(FAIL_OPEN) ? -1 : __real_openat64(dir, name, flags, mode);
}

// ---- the program ----------------------------------------------------------------------------

// From OpenSSL. Here, weakly, since what is linked without it has no such function.
static void *library_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return strikes(FAIL_LIBRARY_ALLOC) ? NULL : __real_malloc(size);
}

static void *library_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return strikes(FAIL_LIBRARY_ALLOC) ? NULL : __real_realloc(old, size);
}

static void library_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	free(memory);
}

int CRYPTO_set_mem_functions(void *(*malloc_fn)(size_t, const char *, int),
			     void *(*realloc_fn)(void *, size_t, const char *, int),
			     void (*free_fn)(void *, const char *, int)) __attribute__((weak));

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *path = getenv("FAIL_NTH");
	struct fail_nth *plan;
	int fd;

	if (!path) {
		return;
	}
	if (argc > 2 && strcmp(argv[1], "--process") == 0) {
		process_name = argv[2];
	} else if (argc > 1 && strcmp(argv[1], "serve") == 0) {
		process_name = "supervisor";
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	plan = fd < 0 ? MAP_FAILED
		      : mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (plan == MAP_FAILED) {
		_exit(70);
	}
	close(fd);
	fail_nth_plan = plan;
	if (CRYPTO_set_mem_functions) {
		CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free);
	}
}
