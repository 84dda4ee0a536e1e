// Makes a failing run small: fewer letters and recipients, and without every kind of trouble that
// the failure does not need. What is left tells the story.
#pragma once

#include "sim/runner.h"

// failing: of a run that broke a promise; it becomes the smallest that was found to break the same
// one. ret_run is its run, or one of failing itself. The number of runs that it took is returned.
unsigned shrink(struct runner *runner, struct spec *failing, uint32_t broken, struct run *ret_run);
