#include "os/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/real/layers.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 // as GCC says it
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ADDRESS_SPACE_IS_OURS = false }; // most of it is the sanitizer's shadow
#else
enum { ADDRESS_SPACE_IS_OURS = true };
#endif

#if defined(__SANITIZE_ADDRESS__)
// The leak check at the end of a process needs ptrace on itself, which the sandbox punishes.
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}
#endif

static const unsigned supervisor_capabilities[] = {
	CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID, CAP_DAC_READ_SEARCH, CAP_KILL,
};

// Landlock and capabilities bind the calling thread only. /proc counts threads as links.
static bool is_single_threaded(void)
{
	struct stat status;

	return stat("/proc/self/task", &status) < 0 || status.st_nlink <= 3;
}

static bool set_limit(int resource, uint64_t value, bool keeps_hard, struct rlimit now)
{
	now.rlim_cur = value;
	if (!keeps_hard || now.rlim_max < value) {
		now.rlim_max = value;
	}
	return setrlimit(resource, &now) == 0;
}

// The supervisor's own limit is the soft one: its children may raise theirs. Root may be forbidden
// to raise a hard limit too, as in a container.
static enum error limit(int resource, uint64_t value, bool keeps_hard, struct buffer *warnings)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0) {
		return error_from_errno(errno);
	}
	if (set_limit(resource, value, keeps_hard, now)) {
		return OK;
	}
	if (errno != EPERM || value <= now.rlim_max) {
		return error_from_errno(errno);
	}
	buffer_printf(warnings, "limits: %llu %s wanted, this system allows %llu (%s)\n",
		      (unsigned long long)value,
		      resource == RLIMIT_NOFILE ? "open files" : "bytes of memory",
		      (unsigned long long)now.rlim_max,
		      resource == RLIMIT_NOFILE ? "ulimit -n, LimitNOFILE="
						: "ulimit -v, LimitAS=");
	return set_limit(resource, now.rlim_max, keeps_hard, now) ? OK : error_from_errno(errno);
}

static enum error set_limits(const struct os_sandbox *sandbox, struct buffer *warnings)
{
	bool is_supervisor = sandbox->rights & OS_MAY_START;
	enum error error = limit(RLIMIT_CORE, 0, false, warnings);

	if (error == OK && sandbox->descriptors_max) {
		error = limit(RLIMIT_NOFILE, sandbox->descriptors_max, is_supervisor, warnings);
	}
	if (error == OK && sandbox->memory_max && ADDRESS_SPACE_IS_OURS) {
		error = limit(RLIMIT_AS, sandbox->memory_max, is_supervisor, warnings);
	}
	return error;
}

// Keeps the supervisor's capabilities as far as they are there; all others go.
static enum error drop_capabilities(int rights, capng_select_t set)
{
	bool keep[sizeof supervisor_capabilities / sizeof *supervisor_capabilities] = { false };

	for (size_t i = 0; i < sizeof keep; i++) {
		keep[i] = rights & OS_MAY_START &&
			  capng_have_capability(CAPNG_PERMITTED, supervisor_capabilities[i]);
	}
	capng_clear(set);
	for (size_t i = 0; i < sizeof keep; i++) {
		if (keep[i]) {
			capng_update(CAPNG_ADD,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
				     supervisor_capabilities[i]);
		}
	}
	return capng_apply(set) < 0 ? ERROR_PERMISSION : OK;
}

static enum error drop_privileges(const struct os_sandbox *sandbox)
{
	enum error error = OK;

	if (capng_get_caps_process() < 0) {
		return ERROR_IO;
	}
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		error = drop_capabilities(sandbox->rights, CAPNG_SELECT_BOUNDS);
	}
	if (error == OK && sandbox->user) {
		error = os_process_become(*sandbox->user);
	}
	if (error == OK && capng_get_caps_process() < 0) {
		error = ERROR_IO;
	}
	return error == OK ? drop_capabilities(sandbox->rights, CAPNG_SELECT_CAPS) : error;
}

// A change of capabilities takes the parent's death signal away, as a change of user does.
static enum error close_to_others(int death_signal, pid_t parent)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    (death_signal && prctl(PR_SET_PDEATHSIG, death_signal) < 0)) {
		return error_from_errno(errno);
	}
	if (death_signal && getppid() != parent) {
		raise(death_signal);
	}
	return OK;
}

// Who it is and what it still may; each layer adds its own words.
static void add_identity(struct buffer *level)
{
	bool has_any = false;

	buffer_printf(level, "uid %u", (unsigned)geteuid());
	for (size_t i = 0; i < sizeof supervisor_capabilities / sizeof *supervisor_capabilities;
	     i++) {
		if (capng_have_capability(CAPNG_PERMITTED, supervisor_capabilities[i])) {
			buffer_printf(level, "%s%s", has_any ? " " : ", capabilities ",
				      capng_capability_to_name(supervisor_capabilities[i]));
			has_any = true;
		}
	}
	buffer_add_text(level, ", no_new_privs");
}

static enum error layer(enum error error, struct buffer *level, const char *name,
			struct buffer *warnings, const char *warning)
{
	if (error == ERROR_UNSUPPORTED) {
		buffer_add_text(warnings, warning);
		return OK;
	}
	if (error == OK) {
		buffer_printf(level, ", %s", name);
	}
	return error;
}

enum error os_sandbox_enter(const struct os_sandbox *sandbox, struct buffer *level,
			    struct buffer *warnings)
{
	pid_t parent = getppid();
	int death_signal = 0;
	enum error error;

	if (!is_single_threaded()) {
		return ERROR_BUSY;
	}
	umask(0); // every file is made with the mode that it is to have
	prctl(PR_GET_PDEATHSIG, &death_signal);
	error = set_limits(sandbox, warnings);
	if (error == OK) {
		error = drop_privileges(sandbox);
	}
	if (error == OK) {
		error = close_to_others(death_signal, parent);
	}
	if (error == OK) {
		add_identity(level);
	}
	if (error == OK && !(sandbox->rights & OS_MAY_START)) {
		error = layer(os_landlock_enter(sandbox), level, "landlock", warnings,
			      "landlock: this kernel lacks it (5.19 has it): files are guarded by "
			      "their permissions only\n");
	}
	if (error == OK) {
		error = layer(os_seccomp_enter(sandbox->rights), level, "seccomp", warnings,
			      "seccomp: this kernel lacks it: system calls are not filtered\n");
	}
	return error;
}
