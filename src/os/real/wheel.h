// The timer wheel of a loop: seven wheels of 64 slots, 1 ms to 2^36 ms wide. A timer lies in the
// wheel of the highest digit (base 64) in which its due time differs from now, and moves down a
// wheel when that digit is reached. Adding and removing cost a few stores; finding the next due
// time, one bit scan per wheel. One owner, one thread; timers stay their owners'.
#pragma once

#include "os/loop.h"

enum { WHEEL_DIGIT_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_DIGIT_BITS, WHEEL_LEVELS = 7 };

#define WHEEL_NEVER UINT64_MAX
#define WHEEL_DELAY_MAX_MS (1ull << 40)

struct wheel {
	uint64_t now_ms;
	uint64_t occupied[WHEEL_LEVELS]; // a bit per slot that holds timers
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	struct list due; // due now, or before
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
void wheel_add(struct wheel *wheel, struct os_timer *timer); // for timer->due_ms
void wheel_remove(struct wheel *wheel, struct os_timer *timer);
// When wheel_run is to be called next: no later than the first due time, seldom before it.
uint64_t wheel_next_ms(const struct wheel *wheel);
// Calls all that are due up to now_ms, in their order; those set meanwhile wait for the next run.
void wheel_run(struct wheel *wheel, uint64_t now_ms);
