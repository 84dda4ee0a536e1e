// How rough it is outside of the server, in chances per thousand; all 0 is calm. The scenario sets
// it, clients and remote servers obey it.
#pragma once

#include "os/sim/sim.h"

struct weather {
	unsigned client_vanishes;  // a client breaks off somewhere
	unsigned remote_defers;    // a remote server says 4xx
	unsigned remote_resets;    // it breaks the connection at an event
	unsigned remote_stalls;    // it is silent for a while, perhaps too long
	unsigned remote_loses;     // it takes a message, and its reply never arrives
	unsigned remote_turns_off; // it says 421 or 554 to who connects
	unsigned dns_fails;
};

static inline bool weather_strikes(struct sim *sim, unsigned per_thousand)
{
	return per_thousand && sim_random_below(sim, 1000) < per_thousand;
}
