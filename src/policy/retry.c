#include "policy/retry.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };

struct retry_settings retry_settings_default(void)
{
	return (struct retry_settings){
		.first_ms = 5 * MINUTE_MS,
		.longest_ms = 4 * HOUR_MS,
		.expire_ms = UINT64_C(5) * 24 * HOUR_MS,
		.warn_ms = 4 * HOUR_MS,
	};
}

// How many doublings a class begins with: where a person must act first, haste only makes noise.
static const unsigned head_start[RETRY_CLASS_COUNT] = {
	[RETRY_TLS] = 1,
	[RETRY_LOGIN] = 2,
};

static uint64_t base_delay_ms(const struct retry_settings *settings, enum retry_class class,
			      unsigned attempts)
{
	unsigned doublings = (attempts ? attempts - 1 : 0) + head_start[class];
	uint64_t delay_ms = settings->first_ms;

	while (doublings-- && delay_ms < settings->longest_ms) {
		delay_ms *= 2;
	}
	return delay_ms < settings->longest_ms ? delay_ms : settings->longest_ms;
}

// Within a fifth to both sides, so that what failed together does not come back together.
static uint64_t jittered_ms(uint64_t delay_ms, uint64_t seed)
{
	uint64_t span = delay_ms / 5 * 2;

	return delay_ms - span / 2 + (span ? seed % (span + 1) : 0);
}

struct retry_verdict retry_decide(const struct retry_settings *settings,
				  const struct retry_facts *facts)
{
	uint64_t age_ms = facts->now_ms > facts->arrived_ms ? facts->now_ms - facts->arrived_ms : 0;
	uint64_t delay_ms =
		jittered_ms(base_delay_ms(settings, facts->class, facts->attempts), facts->seed);
	uint64_t left_ms = settings->expire_ms > age_ms ? settings->expire_ms - age_ms : 0;

	if (left_ms == 0) {
		return (struct retry_verdict){ .expired = true };
	}
	return (struct retry_verdict){
		.warn = settings->warn_ms && !facts->warned && !facts->null_reverse_path &&
			age_ms >= settings->warn_ms,
		// The last attempt falls on the moment of expiry.
		.next_ms = facts->now_ms + (delay_ms < left_ms ? delay_ms : left_ms),
	};
}
