#include "smtp/pace.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t after(uint64_t start_ms, uint64_t span_ms)
{
	return span_ms > UINT64_MAX - start_ms ? UINT64_MAX : start_ms + span_ms;
}

uint64_t smtp_pace_deadline_ms(struct smtp_pace_limits limits, struct smtp_pace_facts facts)
{
	uint64_t deadline_ms = earlier(after(facts.last_ms, limits.stall_ms),
				       after(facts.started_ms, limits.total_ms));
	uint64_t earned_ms;

	if (limits.rate_bytes_per_second_min == 0) {
		return deadline_ms;
	}
	if (__builtin_mul_overflow(facts.bytes, 1000, &earned_ms)) {
		return deadline_ms;
	}
	earned_ms /= limits.rate_bytes_per_second_min;
	return earlier(deadline_ms, after(after(facts.started_ms, limits.grace_ms), earned_ms));
}
