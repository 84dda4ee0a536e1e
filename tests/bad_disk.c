// An LD_PRELOAD shim: the calls that write and sync fail as a page says that the test shares with
// the server's processes. Built by tests/test_disk.py.
//
// The page is a table of counters: process (receive, deliver), call (fdatasync, fsync, pwrite,
// pwritev), so many next calls of it fail with EIO. A sync that fails does not reach the disk; a
// write that fails writes nothing.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { CALL_FDATASYNC, CALL_FSYNC, CALL_PWRITE, CALL_PWRITEV, CALL_COUNT };
enum { PROCESS_COUNT = 2, LINE_MAX_BYTES = 256 };

typedef _Atomic unsigned counters[PROCESS_COUNT][CALL_COUNT];

static _Atomic unsigned *mine; // this process' line of the page, or NULL

// Which process this is stands in its arguments: packetboat --process NAME.
static int number_of_process(void)
{
	static const char *const names[PROCESS_COUNT] = { "receive", "deliver" };
	char line[LINE_MAX_BYTES] = "";
	int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(file, line, sizeof line - 1);
	const char *place = line;

	close(file);
	for (int word = 0; word < 2 && place < line + len; word++) {
		place += strlen(place) + 1;
	}
	for (int i = 0; i < PROCESS_COUNT; i++) {
		if (strcmp(place, names[i]) == 0) {
			return i;
		}
	}
	return -1;
}

// Before main, so before the process shuts its door.
__attribute__((constructor)) static void map_page(void)
{
	const char *path = getenv("BAD_DISK_PAGE");
	int number = number_of_process();
	int file = path && number >= 0 ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (file >= 0) {
		counters *page =
			mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

		close(file);
		mine = page == MAP_FAILED ? NULL : (*page)[number];
	}
}

static int fails(enum call call)
{
	unsigned left = mine ? atomic_load(&mine[call]) : 0;

	while (left && !atomic_compare_exchange_weak(&mine[call], &left, left - 1)) {
		// another thread was faster
	}
	errno = left ? EIO : errno;
	return left != 0;
}

int fdatasync(int file)
{
	return fails(CALL_FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
	return fails(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, file);
}

ssize_t pwrite64(int file, const void *bytes, size_t len, off64_t offset)
{
	return fails(CALL_PWRITE) ? -1 : syscall(SYS_pwrite64, file, bytes, len, offset);
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset)
{
	return fails(CALL_PWRITEV) ? -1 : syscall(SYS_pwritev, file, parts, count, offset, 0L);
}
