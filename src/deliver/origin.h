// Origins: the addresses of ours that connections come from, and whether each has a
// forward-confirmed name (its PTR name leads back to it), which IPv6 is sent from only where it is
// so. The DNS is asked when an origin is first used and when the answer is out of date; nobody
// waits for it: until it is known the origin counts as nameless. One loop thread.
#pragma once

#include "config/config.h"
#include "link/facts.h"

struct deliverer;

enum { ORIGINS_MAX = 64 }; // more IPv6 addresses of ours than that count as nameless

struct origin {
	struct deliverer *deliverer;
	struct facts_address address;
	struct facts_request request;
	bool asking, known, confirmed;
	uint64_t expires_ms;
};

struct origins {
	struct origin *items[ORIGINS_MAX];
	unsigned count;
};

// The configured source for this family; NULL: the system chooses.
const struct config_source *origin_configured(const struct config_outbound *outbound,
					      uint8_t family);
// Where a connection to the peer would come from. NULL: nowhere, or no room.
struct origin *origin_for(struct deliverer *deliverer, const struct config_outbound *outbound,
			  const struct os_address *peer);
bool origin_has_name(struct origin *origin); // as far as is known
void origins_forget(struct origins *origins);
