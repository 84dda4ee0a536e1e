// Who hangs? One that serves is asked now and then, and its loop answers; one that still starts,
// with a million messages to recover, has no loop yet, but computes. Silence is counted in looks,
// not read from a clock, so that a machine that slept has no hanging processes when it wakes up.
#include <signal.h>

#include "supervisor/crew_private.h"

enum { LOOKS = 6 }; // in limits.process_silence

void watchdog_heard(struct child *child)
{
	child->asked = false;
	child->silent_looks = 0;
}

static void end(struct child *child)
{
	child->hangs++;
	child_log(LOG_ERROR, "hangs", child, VIEW("it gives no sign of life; see process_silence"));
	if (os_process_signal(child->pid, SIGABRT) != OK) {
		child_log(LOG_ERROR, "kill_failed", child, (struct view){ 0 });
	}
	os_timer_set(&child->killer, CREW_ABORT_MS);
}

static bool has_computed(struct child *child)
{
	uint64_t before_us = child->cpu_us;

	return os_process_cpu_us(child->pid, &child->cpu_us) != OK || child->cpu_us != before_us;
}

static void ask(struct child *child)
{
	// One whose channel takes nothing more is as silent as one that does not answer.
	child->asked = true;
	if (os_channel_send(child->channel, SUPERVISION_PING, 0, (struct view){ 0 }, NULL, 0) !=
	    OK) {
		child_log(LOG_WARNING, "ping_failed", child, (struct view){ 0 });
	}
}

static void look(struct child *child)
{
	bool is_starting = child->state == CHILD_STARTING;

	// Without its channel it ends by itself, or by the killer that is set then.
	if (!child->pid || !child->channel || os_timer_is_set(&child->killer) ||
	    !(is_starting || child->state == CHILD_READY)) {
		return;
	}
	if (is_starting ? has_computed(child) : !child->asked) {
		watchdog_heard(child);
	} else if (++child->silent_looks >= LOOKS) {
		child->silent_looks = 0;
		end(child);
	}
	if (!is_starting && !child->asked) {
		ask(child);
	}
}

static void on_look(void *context)
{
	struct crew *crew = context;

	for (int i = 0; i < CHILD_COUNT; i++) {
		look(&crew->children[i]);
	}
	watchdog_start(crew);
}

void watchdog_start(struct crew *crew)
{
	if (!crew->watchdog.fn) {
		os_timer_init(&crew->watchdog, crew->loop, on_look, crew);
	}
	os_timer_set(&crew->watchdog, crew->material->config->limits.process_silence_ms / LOOKS);
}

void watchdog_stop(struct crew *crew)
{
	os_timer_stop(&crew->watchdog);
}
