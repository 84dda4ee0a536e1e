#include "policy/way.h"

enum { PAUSE_FIRST_MS = 60 * 1000, DOUBLINGS_MAX = 5, PAUSE_MAX_MS = 30 * 60 * 1000 };

static bool has_named(const struct way_facts *ways, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!ways[i].nameless) {
			return true;
		}
	}
	return false;
}

int way_choose(const struct way_facts *ways, unsigned count)
{
	bool named = has_named(ways, count);
	int paused = WAY_NONE;

	for (unsigned i = 0; i < count; i++) {
		if (ways[i].tried || (named && ways[i].nameless)) {
			continue;
		}
		if (!ways[i].paused) {
			return (int)i;
		}
		if (paused == WAY_NONE) {
			paused = (int)i;
		}
	}
	return paused;
}

uint64_t way_pause_ms(unsigned failures)
{
	unsigned doublings = failures ? failures - 1 : 0;
	uint64_t pause_ms = (uint64_t)PAUSE_FIRST_MS
			    << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);

	return pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
}
