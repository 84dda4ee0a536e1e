// Runs specs (spec.h), each in a process of its own, as many at a time as there are processors. A
// run that breaks off (an assertion, a sanitizer) or does not end has broken the promise "sound".
#pragma once

#include "sim/scenario.h"

struct runner;

struct run {
	struct scenario_result result;
	struct buffer text; // its violations and their stories
};

// setup must be alive as long. One at a time.
struct runner *runner_new(const struct scenario_setup *setup);
void runner_free(struct runner *runner); // ends what still runs

bool runner_has_room(const struct runner *runner);
bool runner_is_idle(const struct runner *runner);
void runner_start(struct runner *runner, const struct spec *spec); // where there is room
// Waits until one has ended: true, and ret_run->text is the caller's. False: a signal came.
bool runner_wait(struct runner *runner, struct run *ret_run);
void run_done(struct run *run);
