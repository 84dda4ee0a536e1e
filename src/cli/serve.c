// The server as a whole: serve, reload, stop, and the version.
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#include "cli/call.h"
#include "cli/run.h"
#include "cli/screen.h"
#include "os/clock.h"
#include "os/file.h"
#include "supervisor/supervisor.h"

enum {
	STOP_MS = 3 * 60 * 1000, // the processes end one after the other, each in a bounded time
	LOOK_MS = 20,
};

int run_serve(const struct invocation *invocation)
{
	return supervisor_serve(invocation->config_path);
}

static int order(struct call *call, const struct invocation *invocation)
{
	int status = call_begin(call, invocation, false);

	if (status == EX_OK) {
		status = call_ask(call);
		call_say_words(call, status);
	}
	return status;
}

int run_reload(const struct invocation *invocation)
{
	struct call call;
	int status = order(&call, invocation);

	if (status == EX_OK) {
		screen_say("reloaded %s\n", invocation->config_path);
	} else if (status == EX_CONFIG) {
		screen_say("nothing was changed\n");
	}
	call_end(&call);
	return status;
}

// The supervisor holds a lock for as long as it runs.
static bool is_stopped(int data_dir)
{
	int lock;
	enum error error = os_file_open_at(data_dir, "lock", OS_READ | OS_WRITE, 0, &lock);

	if (error != OK) {
		return true;
	}
	error = os_file_lock(lock);
	os_file_close(lock);
	return error != ERROR_BUSY;
}

static int wait_until_stopped(const struct call *call)
{
	uint64_t until_ms = os_clock_mono_ms() + STOP_MS;
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000 * 1000 };
	bool stopped = false;
	int dir;

	if (os_dir_open(call->loaded.data_dir.data, &dir) != OK) {
		screen_say("packetboat: stopping, but %s cannot be watched\n",
			   call->loaded.data_dir.data);
		return EX_NOPERM;
	}
	while (!(stopped = is_stopped(dir)) && os_clock_mono_ms() < until_ms) {
		nanosleep(&pause, NULL);
	}
	os_dir_close(dir);
	screen_say(stopped ? "stopped\n" : "packetboat: still stopping; see its log\n");
	return stopped ? EX_OK : EX_TEMPFAIL;
}

int run_stop(const struct invocation *invocation)
{
	struct call call;
	int status = order(&call, invocation);

	if (status == EX_OK) {
		status = wait_until_stopped(&call);
	}
	call_end(&call);
	return status;
}

int run_version(const struct invocation *invocation)
{
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	int status;

	buffer_add_text(&out, invocation->json ? "{\"version\":\"" PACKETBOAT_VERSION "\"}\n"
					       : "packetboat " PACKETBOAT_VERSION "\n");
	status = screen_print(&out);
	buffer_done(&out);
	return status;
}
