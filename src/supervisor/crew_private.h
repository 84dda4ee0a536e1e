// Between the files that make the crew.
#pragma once

#include "os/log.h"
#include "supervisor/crew.h"

void child_log(enum log_level level, const char *event, const struct child *child,
	       struct view reason);

// ---- handover

void handover_first(struct child *child);   // all that is its own, to one that was just started
void handover_settle(struct child *child);  // what is due, unless something is in hand
void handover_settled(struct child *child); // it has answered a BEGIN

// ---- watchdog

void watchdog_start(struct crew *crew);
void watchdog_stop(struct crew *crew);
void watchdog_heard(struct child *child); // a sign of life
