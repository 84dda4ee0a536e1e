#include "sim/spec.h"

#include <string.h>

static const char *const names[SPEC_PART_COUNT] = {
	[SPEC_TLS] = "tls",
	[SPEC_LOGINS] = "logins",
	[SPEC_UPGRADES] = "upgrades",
	[SPEC_RELOADS] = "reloads",
	[SPEC_CLOCK_JUMPS] = "clock-jumps",
	[SPEC_DNS_FAILS] = "dns-fails",
	[SPEC_REMOTES_MISBEHAVE] = "remotes-misbehave",
	[SPEC_CLIENTS_VANISH] = "clients-vanish",
	[SPEC_NETWORK_FAILS] = "network-fails",
	[SPEC_SLOW_SYNCS] = "slow-syncs",
	[SPEC_READ_ERRORS] = "read-errors",
	[SPEC_OPEN_ERRORS] = "open-errors",
	[SPEC_WRITE_ERRORS] = "write-errors",
	[SPEC_SYNC_ERRORS] = "sync-errors",
	[SPEC_FULL_DISKS] = "full-disks",
	[SPEC_STOPS] = "stops",
	[SPEC_SYNC_DEATHS] = "sync-deaths",
	[SPEC_FACTS_DIES] = "facts-dies",
	[SPEC_RECEIVE_DIES] = "receive-dies",
	[SPEC_DELIVER_DIES] = "deliver-dies",
	[SPEC_POWER_LOSSES] = "power-losses",
};

const char *spec_part_name(enum spec_part part)
{
	return names[part];
}

void spec_add_text(const struct spec *spec, struct buffer *out)
{
	const char *before = " --without ";

	buffer_printf(out, "--start %llu --seeds 1", (unsigned long long)spec->seed);
	if (spec->variation) {
		buffer_printf(out, " --variation %llu", (unsigned long long)spec->variation);
	}
	if (spec->letters_max) {
		buffer_printf(out, " --letters %u", spec->letters_max);
	}
	if (spec->recipients_max) {
		buffer_printf(out, " --recipients %u", spec->recipients_max);
	}
	for (int part = 0; part < SPEC_PART_COUNT; part++) {
		if (!spec_has(spec, part)) {
			buffer_printf(out, "%s%s", before, names[part]);
			before = ",";
		}
	}
}

bool spec_parse_without(const char *list, uint32_t *ret_without)
{
	struct view rest = view_from_text(list), name;
	uint32_t without = 0;

	while (view_next_part(&rest, ',', &name)) {
		int part = 0;

		while (part < SPEC_PART_COUNT && !view_equal(name, view_from_text(names[part]))) {
			part++;
		}
		if (part == SPEC_PART_COUNT) {
			return false;
		}
		without |= 1u << part;
	}
	*ret_without = without;
	return true;
}
