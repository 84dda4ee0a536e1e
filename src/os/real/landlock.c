#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/real/layers.h"

// The build machine's header may be older than the kernel: what it may lack stands here.
enum {
	FS_REFER = 1 << 13,     // version 2: rename and link between folders
	FS_TRUNCATE = 1 << 14,  // version 3
	FS_IOCTL_DEV = 1 << 15, // version 5
	NET_BIND_TCP = 1 << 0,  // version 4
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_SOCKET = 1 << 0, // version 6
	SCOPE_SIGNAL = 1 << 1,
};

enum {
	VERSION_MIN = 2, // the first refuses every rename between folders, which Maildir needs
	FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	FS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE,
	FS_CREATE = LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
		    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_REFER,
	FS_OF_FILES = LANDLOCK_ACCESS_FS_READ_FILE | FS_WRITE,
	FS_OF_VERSION_2 = (FS_REFER << 1) - 1,
};

struct ruleset {
	uint64_t fs, net, scoped;
};

static struct ruleset handled(long version, int rights)
{
	struct ruleset ruleset = { .fs = FS_OF_VERSION_2 };

	if (version >= 3) {
		ruleset.fs |= FS_TRUNCATE;
	}
	if (version >= 4 && !(rights & OS_MAY_CONNECT)) {
		ruleset.net = NET_BIND_TCP | NET_CONNECT_TCP;
	}
	if (version >= 5) {
		ruleset.fs |= FS_IOCTL_DEV;
	}
	if (version >= 6) {
		ruleset.scoped = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL;
	}
	return ruleset;
}

static enum error allow(int ruleset_fd, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	enum error error = OK;
	struct stat status;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0) {
		return error_from_errno(errno);
	}
	if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode)) {
		rule.allowed_access &= FS_OF_FILES;
	}
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		error = error_from_errno(errno);
	}
	close(rule.parent_fd);
	return error;
}

static enum error allow_all(int ruleset_fd, const char *const *paths, uint64_t access)
{
	enum error error = OK;

	for (; paths && *paths && error == OK; paths++) {
		error = allow(ruleset_fd, *paths, access);
	}
	return error;
}

enum error os_landlock_enter(const struct os_sandbox *sandbox)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset = handled(version, sandbox->rights);
	uint64_t write = FS_READ | FS_WRITE | (sandbox->rights & OS_MAY_CREATE ? FS_CREATE : 0);
	enum error error = OK;
	int fd;

	if (version < VERSION_MIN) {
		return ERROR_UNSUPPORTED;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
	if (fd < 0) {
		return error_from_errno(errno);
	}
	if (sandbox->rights & (OS_MAY_OPEN | OS_MAY_CREATE)) {
		error = allow_all(fd, sandbox->read_dirs, FS_READ);
		if (error == OK) {
			error = allow_all(fd, sandbox->write_dirs, write & ruleset.fs);
		}
	}
	if (error == OK && syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
		error = error_from_errno(errno);
	}
	close(fd);
	return error;
}
