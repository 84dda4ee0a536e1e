// The ways to a site: the addresses and ports of its hosts, in the order of the MX set or of a
// smarthost's ports. Which is tried next, and how long one that failed is passed over. IPv6 is for
// sending only where our address has a name that leads back to it (the callers find out), for many
// receivers refuse for good what comes from one without; where a site has nothing else, it is tried
// all the same rather than that its mail expires. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WAY_NONE = -1 };

struct way_facts {
	bool tried;    // by this connection
	bool paused;   // it failed lately
	bool nameless; // IPv6, from an address of ours without a confirmed name
};

// The index of the one to try: in order, those that failed lately last; WAY_NONE when all were.
int way_choose(const struct way_facts *ways, unsigned count);

// How long one is passed over after so many failures in a row: a minute, then twice as long each
// time, at most half an hour.
uint64_t way_pause_ms(unsigned failures);
