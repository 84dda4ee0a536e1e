#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/real/layers.h"

enum { EVERYBODY = 0, PRCTL_SET_VMA = 0x53564d41 }; // the C library names its memory with it

// Calls without conditions. One that this architecture or libseccomp does not know is skipped.
struct group {
	int rights; // any of these
	const char *const *names;
};

// clang-format off
static const char *const names_everybody[] = {
	// descriptors that we hold
	"read", "readv", "write", "writev", "pread64", "preadv", "pwrite64", "pwritev", "close",
	"lseek", "_llseek", "fstat", "fstat64", "newfstatat", "fstatat64", "statx",
	// sockets that we hold
	"recv", "recvfrom", "recvmsg", "send", "sendto", "sendmsg", "shutdown", "getsockopt",
	"getsockname", "getpeername",
	// waiting
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll",
	"eventfd2", "pipe", "pipe2", "futex", "nanosleep", "clock_nanosleep", "restart_syscall",
	// memory
	"munmap", "mremap", "madvise", "brk", "membarrier",
	// time, chance, and what we are
	"clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrandom",
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
	"getresgid", "getgroups", "capget", "uname", "sysinfo", "getcpu", "sched_getaffinity",
	"sched_yield", "getrlimit", "ugetrlimit",
	// signals, threads that run, the end
	"rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigreturn", "sigreturn",
	"sigaltstack", "set_robust_list", "rseq", "exit", "exit_group", NULL
};

// By path, where Landlock says which, and what is done with a file or a folder.
static const char *const names_open[] = {
	"open", "openat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "stat",
	"lstat", "flock", "fstatfs", "fstatfs64", "fdatasync", "fsync", "getdents64", "fadvise64",
	NULL
};
// Changes of files and folders; Landlock says which.
static const char *const names_create[] = {
	"mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2",
	"fchmod", NULL
};
static const char *const names_resize[] = { "ftruncate", "ftruncate64", NULL };
static const char *const names_publish[] = { "memfd_create", NULL };
static const char *const names_connect[] = { "connect", "bind", NULL };
static const char *const names_accept[] = { "accept", "accept4", NULL };
// Children, what makes a child less than its parent, and what is done before a door is shut.
static const char *const names_start[] = {
	"fork", "vfork", "wait4", "waitid", "waitpid", "kill", "listen", "setuid", "setgid",
	"setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid",
	"capset", "setrlimit", "chmod", "fchmodat", "chown", "fchownat", "fchown", "fchown32",
	"sched_setaffinity", "socketpair",
	"close_range", "dup", "dup2", "dup3", "umask", "getcwd", "statfs", "statfs64",
	"select", "_newselect", "pselect6", "epoll_create", "recvmmsg", "sendmmsg", "mlock",
	"munlock", "msync", NULL
};
// clang-format on

static const struct group groups[] = {
	{ EVERYBODY, names_everybody },
	{ OS_MAY_OPEN | OS_MAY_START, names_open },
	{ OS_MAY_CREATE | OS_MAY_START, names_create },
	{ OS_MAY_CREATE | OS_MAY_PUBLISH | OS_MAY_START, names_resize },
	{ OS_MAY_PUBLISH | OS_MAY_START, names_publish },
	{ OS_MAY_CONNECT | OS_MAY_CONNECT_LOCAL | OS_MAY_START, names_connect },
	{ OS_MAY_ACCEPT | OS_MAY_LISTEN_LOCAL | OS_MAY_START, names_accept },
	{ OS_MAY_START, names_start },
};

// clang-format off
// With conditions for others; the supervisor's filter holds for its children too, from their exec
// through their start until they set their own, so it must let all of this through.
static const char *const names_any_way_to_start[] = {
	"execve", "execveat", "clone", "clone3", "socket", "mmap", "mmap2", "mprotect", "prctl",
	"ioctl", "fcntl", "fcntl64", "setsockopt", "tgkill", "prlimit64", "seccomp",
	"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "arch_prctl",
	"set_tid_address", NULL
};

// No code of ours or of a library reaches for these: whoever does has taken the process over.
static const char *const names_hostile[] = {
	"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "bpf",
	"perf_event_open", "userfaultfd", "mount", "umount2", "move_mount", "open_tree", "fsopen",
	"pivot_root", "chroot", "unshare", "setns", "open_by_handle_at", "init_module",
	"finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
	"swapoff", "add_key", "request_key", "keyctl", "iopl", "ioperm", "acct", "settimeofday",
	"clock_settime", "modify_ldt", NULL
};
// clang-format on
static const char *const names_exec[] = { "execve", "execveat", NULL };

// A call allowed when (argument & mask) == value, and the argument behind it is next, if there is
// one.
struct condition {
	int right; // needs it; EVERYBODY
	const char *name;
	unsigned argument;
	uint64_t mask, value;
	uint64_t next; // + 1; 0: any
};

#define EXACTLY UINT64_MAX
#define OPTION(level_, name_) \
	{ \
		EVERYBODY, "setsockopt", 1, EXACTLY, level_, name_ + 1 \
	}

#define FCNTL(right_, command_) \
	{ right_, "fcntl", 1, EXACTLY, command_ }, \
	{ \
		right_, "fcntl64", 1, EXACTLY, command_ \
	}

// A thread of this process, and nothing that clone can do besides.
enum {
	THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
	THREAD_MASK = THREAD_FLAGS | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
		      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_VFORK |
		      CLONE_PARENT | CLONE_PIDFD,
};

static const struct condition conditions[] = {
	{ EVERYBODY, "mmap", 2, PROT_EXEC, 0 },
	{ EVERYBODY, "mmap2", 2, PROT_EXEC, 0 },
	{ EVERYBODY, "mprotect", 2, PROT_EXEC, 0 },
	{ EVERYBODY, "prctl", 0, EXACTLY, PR_SET_NAME },
	{ EVERYBODY, "prctl", 0, EXACTLY, PR_GET_NAME },
	{ EVERYBODY, "prctl", 0, EXACTLY, PR_GET_DUMPABLE },
	{ EVERYBODY, "prctl", 0, EXACTLY, PR_GET_NO_NEW_PRIVS },
	{ EVERYBODY, "prctl", 0, EXACTLY, PR_GET_PDEATHSIG },
	{ EVERYBODY, "prctl", 0, EXACTLY, PRCTL_SET_VMA },
	{ EVERYBODY, "ioctl", 1, EXACTLY, FIONBIO },
	{ EVERYBODY, "ioctl", 1, EXACTLY, FIONREAD },
	{ EVERYBODY, "ioctl", 1, EXACTLY, FIOCLEX },
	{ EVERYBODY, "ioctl", 1, EXACTLY, TCGETS },
	// Not F_SETOWN and F_SETSIG, which make the kernel signal whom they name.
	FCNTL(EVERYBODY, F_DUPFD_CLOEXEC),
	FCNTL(EVERYBODY, F_GETFD),
	FCNTL(EVERYBODY, F_SETFD),
	FCNTL(EVERYBODY, F_GETFL),
	FCNTL(EVERYBODY, F_SETFL),
	FCNTL(EVERYBODY, F_GET_SEALS),
	FCNTL(EVERYBODY, F_ADD_SEALS),
	FCNTL(OS_MAY_OPEN, F_GETLK),
	FCNTL(OS_MAY_OPEN, F_SETLK),
	FCNTL(OS_MAY_OPEN, F_SETLKW),
	// Not filters, not tunnels of protocols: what we and the resolver set on a connection.
	OPTION(SOL_SOCKET, SO_REUSEADDR),
	OPTION(SOL_SOCKET, SO_LINGER),
	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(SOL_TCP, TCP_NODELAY),
	OPTION(SOL_TCP, TCP_MAXSEG),
	OPTION(SOL_IP, IP_TOS),
	OPTION(SOL_IP, IP_MTU_DISCOVER),
	OPTION(SOL_IP, IP_BIND_ADDRESS_NO_PORT),
	OPTION(SOL_IPV6, IPV6_V6ONLY),
	OPTION(SOL_IPV6, IPV6_TCLASS),
	OPTION(SOL_IPV6, IPV6_MTU),
	OPTION(SOL_IPV6, IPV6_MTU_DISCOVER),
	{ EVERYBODY, "prlimit64", 2, EXACTLY, 0 }, // asks, sets nothing
	{ OS_MAY_THREAD, "clone", 0, THREAD_MASK, THREAD_FLAGS },
	{ OS_MAY_CONNECT, "socket", 0, EXACTLY, AF_INET },
	{ OS_MAY_CONNECT, "socket", 0, EXACTLY, AF_INET6 },
	{ OS_MAY_CONNECT_LOCAL, "socket", 0, EXACTLY, AF_UNIX },
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
	for (; *names; names++) {
		int number = seccomp_syscall_resolve_name(*names);
		int status = number < 0 ? 0 : seccomp_rule_add(filter, action, number, 0);

		if (status < 0) {
			return status;
		}
	}
	return 0;
}

static bool is_granted(int rights, const struct condition *condition)
{
	return !condition->right || rights & condition->right;
}

static bool is_granted_in_part(int rights, const char *name)
{
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		if (strcmp(conditions[i].name, name) == 0 && is_granted(rights, &conditions[i])) {
			return true;
		}
	}
	return false;
}

static int add_condition(scmp_filter_ctx filter, int rights, const struct condition *condition)
{
	int number = seccomp_syscall_resolve_name(condition->name);

	if (number < 0 || rights & OS_MAY_START) {
		return 0;
	}
	if (!is_granted(rights, condition)) {
		// Of a name's several conditions the second finds this rule there already.
		int status = is_granted_in_part(rights, condition->name)
				     ? 0
				     : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);

		return status == -EEXIST ? 0 : status;
	}
	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, number, condition->next ? 2 : 1,
		SCMP_CMP64(condition->argument, SCMP_CMP_MASKED_EQ, condition->mask,
			   condition->value),
		SCMP_CMP64(condition->argument + 1, SCMP_CMP_EQ, condition->next - 1));
}

static int fill(scmp_filter_ctx filter, int rights)
{
	bool may_start = rights & OS_MAY_START;
	int status = add(filter, SCMP_ACT_KILL_PROCESS, names_hostile);

	for (size_t i = 0; i < sizeof groups / sizeof *groups && status == 0; i++) {
		bool is_allowed = !groups[i].rights || rights & groups[i].rights;

		status = add(filter, is_allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
			     groups[i].names);
	}
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions && status == 0; i++) {
		status = add_condition(filter, rights, &conditions[i]);
	}
	if (status < 0) {
		return status;
	}
	if (may_start) {
		return add(filter, SCMP_ACT_ALLOW, names_any_way_to_start);
	}
	status = add(filter, SCMP_ACT_KILL_PROCESS, names_exec);
	if (status < 0) {
		return status;
	}
	// abort and the C library signal the process itself.
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_CMP64(0, SCMP_CMP_EQ, (uint64_t)getpid()));
}

enum error os_seccomp_enter(int rights)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int status;

	if (!filter) {
		return ERROR_NO_MEMORY;
	}
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); // a tree of comparisons, not a list
	status = fill(filter, rights);
	if (status == 0) {
		status = seccomp_load(filter);
	}
	seccomp_release(filter);
	// libseccomp says ECANCELED for what the kernel refused.
	return status == -ECANCELED || status == -EINVAL || status == -ENOSYS
		       ? ERROR_UNSUPPORTED
		       : error_from_errno(-status);
}
