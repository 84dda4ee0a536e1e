// What a run is made of: its seed, and what is left out of it. A whole run leaves nothing out; the
// shrinker (shrink.h) looks for the smallest that still breaks a promise. Two runs of one spec are
// the same, event by event.
#pragma once

#include "base/buffer.h"

// What can be left out. In the order in which the shrinker tries to do without.
enum spec_part {
	SPEC_TLS,      // clients and remote servers use STARTTLS
	SPEC_LOGINS,   // some letters come in by submission
	SPEC_UPGRADES, // a new receive beside the old one
	SPEC_RELOADS,
	SPEC_CLOCK_JUMPS,
	SPEC_DNS_FAILS,
	SPEC_REMOTES_MISBEHAVE,
	SPEC_CLIENTS_VANISH,
	SPEC_NETWORK_FAILS, // connections refused, lost and reset, short transfers
	SPEC_SLOW_SYNCS,
	SPEC_READ_ERRORS,
	SPEC_OPEN_ERRORS,
	SPEC_WRITE_ERRORS, // EIO and ENOSPC
	SPEC_SYNC_ERRORS,
	SPEC_FULL_DISKS,
	SPEC_STOPS,       // a process is asked to leave
	SPEC_SYNC_DEATHS, // a sync fails, and the process dies before the next
	SPEC_FACTS_DIES,
	SPEC_RECEIVE_DIES,
	SPEC_DELIVER_DIES,
	SPEC_POWER_LOSSES,
	SPEC_PART_COUNT,
};

struct spec {
	uint64_t seed;
	uint64_t variation;      // the same letters, other chances; 0 at first
	uint32_t without;        // bits of enum spec_part
	unsigned letters_max;    // in all; 0: no bound
	unsigned recipients_max; // of each; 0: no bound
};

static inline bool spec_has(const struct spec *spec, enum spec_part part)
{
	return !(spec->without >> part & 1);
}

const char *spec_part_name(enum spec_part part);
// The words of the command line that make this run, and how they are read again. The list of parts
// is separated by commas; false: one of them does not exist.
void spec_add_text(const struct spec *spec, struct buffer *out);
bool spec_parse_without(const char *list, uint32_t *ret_without);
