// The ways to a site as the DNS names them: addresses and ports in the order in which policy/way.h
// looks at them, and what was learnt of each. One loop thread.
#pragma once

#include "deliver/origin.h"
#include "policy/mx.h"
#include "policy/route.h"
#include "policy/way.h"

enum { WAY_LIST_MAX = 128 };

// One address and port to try.
struct way {
	struct os_address address;
	struct view host;  // the generation's or the list's own
	unsigned failures; // in a row
	uint64_t paused_until_ms;
	bool needs_name;       // IPv6 in public: from an origin with a confirmed name
	struct origin *origin; // then; NULL: it has none
};

struct way_list {
	struct arena arena; // of the ways and their host names
	struct way *items;
	unsigned count, capacity;
};

// What else was found.
struct way_tally {
	unsigned refused;          // addresses
	unsigned temporary, bogus; // hosts
};

// We listen there: a connection to this host would be one to ourselves (RFC 5321 section 5.1).
bool way_leads_to_us(const struct config *config, const struct facts_answer *answer,
		     struct view host);

// An empty list with room for so many ways, at most WAY_LIST_MAX. All three fill the list whatever
// they return; its arena is the caller's to end.
enum error way_list_init(struct way_list *list, unsigned capacity) must_check;
// Of the MX hosts, in their order; of a smarthost, by its ports.
enum error way_list_of_hosts(struct way_list *list, const struct facts_answer *answer,
			     const struct mx_hosts *hosts, struct deliverer *deliverer,
			     const struct config_outbound *outbound,
			     struct way_tally *tally) must_check;
enum error way_list_of_smarthost(struct way_list *list, const struct facts_answer *answer,
				 const struct smarthost *smarthost) must_check;
struct way *way_list_add(struct way_list *list, const struct os_address *address,
			 struct view host); // NULL: no room
struct way *way_list_find(const struct way_list *list, const struct os_address *address);
