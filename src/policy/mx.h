// From DNS answers to the hosts to try: RFC 5321 section 5, null MX (RFC 7505), loops to ourselves
// (5.4.6), and addresses that mail must not be sent to (attacks A20, A28). Pure: the caller asks
// the DNS, randomness is a fact.
#pragma once

#include "base/view.h"
#include "policy/networks.h"

enum {
	MX_RECORDS_MAX = 100, // looked at; the rest of an answer is ignored
	MX_HOSTS_MAX = 20,    // tried for one domain
};

struct mx_record {
	uint16_t preference;
	struct view host; // normalised; empty: the root, "no mail here"
};

enum mx_outcome {
	MX_HOSTS,
	MX_NULL, // the domain takes no mail: 5.1.10, for good
	MX_LOOP, // we are its best MX, but it is not ours: 5.4.6, for good
};

struct mx_facts {
	struct view
		domain; // normalised; the host itself where there are no MX records (implicit MX)
	const struct mx_record *records;
	size_t record_count;
	const struct view *own_names; // our hostnames, normalised
	size_t own_name_count;
	uint64_t seed; // random: order among equals
};

struct mx_hosts {
	enum mx_outcome outcome;
	struct view hosts[MX_HOSTS_MAX]; // in the order to try; views of the facts
	uint16_t preferences[MX_HOSTS_MAX];
	size_t count;
	bool implicit; // the domain itself, for want of MX records
};

struct mx_hosts mx_decide(const struct mx_facts *facts);
// One of them, by its place, has an address of ours: it goes, and all that are not preferred to it.
void mx_hosts_drop_ours(struct mx_hosts *hosts, size_t ours);

enum mx_address_verdict {
	MX_ADDRESS_USABLE,
	MX_ADDRESS_PRIVATE,  // and private ones are not allowed
	MX_ADDRESS_NONSENSE, // unspecified or multicast: never
};

enum mx_address_verdict mx_address_decide(const struct ip_address *address, bool allow_private);
