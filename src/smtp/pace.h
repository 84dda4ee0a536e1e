// How slow a peer may be (attack A25): until when the next bytes of a body must have come. A pure
// function of counts and times; who asks arms one timer with it. Pure; any thread.
#pragma once

#include <stdint.h>

struct smtp_pace_limits {
	uint32_t grace_ms;                  // before the rate counts
	uint32_t rate_bytes_per_second_min; // over the whole body; 0: no minimum
	uint32_t stall_ms;                  // between two chunks
	uint32_t total_ms;                  // for the whole body
};

struct smtp_pace_facts {
	uint64_t started_ms; // the body may begin: 354 was answered
	uint64_t last_ms;    // the latest bytes came
	uint64_t bytes;      // so far
};

// On the clock of the facts. Past it, without more bytes: close with 421 4.4.2.
uint64_t smtp_pace_deadline_ms(struct smtp_pace_limits limits, struct smtp_pace_facts facts);
