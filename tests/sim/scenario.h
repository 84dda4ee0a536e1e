// One seed: a server on a machine of its own, clients and remote servers around it, bad weather and
// crashes for a while, then calm until the queue is empty; then every promise is checked.
#pragma once

#include "base/buffer.h"
#include "sim/box.h"

struct scenario_setup {
	struct box_setup box;
	FILE *print; // the trace as it happens; NULL: no
};

struct scenario_result {
	struct spec spec;
	uint64_t faults; // that struck: crashes, losses, errors, misbehaviour of peers
	uint64_t steps, virtual_ms;
	uint64_t digest; // two runs that have the same were the same
	uint32_t broken; // bits of enum promise
	unsigned violations;
	unsigned letters, crashes, repeats;
	uint64_t deeds[DEED_COUNT];
};

// Violations, and what led to them, are appended to text.
struct scenario_result scenario_run(const struct spec *spec, const struct scenario_setup *setup,
				    struct buffer *text);
