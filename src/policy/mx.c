#include "policy/mx.h"

#include <stdlib.h>

#include "base/hash.h"

struct candidate {
	uint16_t preference;
	uint64_t order; // random, among equals
	struct view host;
};

static int compare(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->preference != b->preference) {
		return a->preference < b->preference ? -1 : 1;
	}
	return a->order < b->order ? -1 : a->order > b->order;
}

static bool is_own(const struct mx_facts *facts, struct view host)
{
	for (size_t i = 0; i < facts->own_name_count; i++) {
		if (view_equal(host, facts->own_names[i])) {
			return true;
		}
	}
	return false;
}

static bool is_repeated(const struct mx_hosts *hosts, struct view host)
{
	for (size_t i = 0; i < hosts->count; i++) {
		if (view_equal(hosts->hosts[i], host)) {
			return true;
		}
	}
	return false;
}

// RFC 5321 section 5.1: ourselves and all that are not preferred to us are left out.
static struct mx_hosts take(const struct mx_facts *facts, const struct candidate *candidates,
			    size_t count)
{
	struct mx_hosts hosts = { .outcome = MX_HOSTS };
	unsigned limit = UINT16_MAX + 1U;

	for (size_t i = 0; i < count; i++) {
		if (is_own(facts, candidates[i].host)) {
			limit = candidates[i].preference;
			break;
		}
	}
	for (size_t i = 0; i < count && hosts.count < MX_HOSTS_MAX; i++) {
		if (candidates[i].preference < limit && !is_repeated(&hosts, candidates[i].host)) {
			hosts.hosts[hosts.count] = candidates[i].host;
			hosts.preferences[hosts.count++] = candidates[i].preference;
		}
	}
	if (hosts.count == 0) {
		hosts.outcome = MX_LOOP;
	}
	return hosts;
}

struct mx_hosts mx_decide(const struct mx_facts *facts)
{
	struct candidate candidates[MX_RECORDS_MAX];
	size_t records =
		facts->record_count < MX_RECORDS_MAX ? facts->record_count : MX_RECORDS_MAX;
	struct hash_key key = { facts->seed, 0 };
	struct mx_hosts hosts;
	size_t count = 0;

	for (size_t i = 0; i < records; i++) {
		// A root host beside others is a mistake (RFC 7505 section 3): it is passed over.
		if (facts->records[i].host.len) {
			candidates[count++] = (struct candidate){
				.preference = facts->records[i].preference,
				.order = hash_siphash(key, facts->records[i].host),
				.host = facts->records[i].host,
			};
		}
	}
	if (count == 0 && facts->record_count) {
		return (struct mx_hosts){ .outcome = MX_NULL };
	}
	if (count == 0) {
		candidates[count++] = (struct candidate){ .host = facts->domain };
	}
	qsort(candidates, count, sizeof *candidates, compare);
	hosts = take(facts, candidates, count);
	hosts.implicit = facts->record_count == 0;
	return hosts;
}

void mx_hosts_drop_ours(struct mx_hosts *hosts, size_t ours)
{
	while (ours > 0 && hosts->preferences[ours - 1] == hosts->preferences[ours]) {
		ours--;
	}
	hosts->count = ours;
	if (ours == 0) {
		hosts->outcome = MX_LOOP;
	}
}

enum mx_address_verdict mx_address_decide(const struct ip_address *address, bool allow_private)
{
	bool multicast =
		address->family == 6 ? address->bytes[0] == 0xff : address->bytes[0] >= 224;

	if (address->family == 0 || multicast ||
	    ip_address_equal(address, &(struct ip_address){ .family = address->family })) {
		return MX_ADDRESS_NONSENSE;
	}
	if (!allow_private && !ip_address_is_public(address)) {
		return MX_ADDRESS_PRIVATE;
	}
	return MX_ADDRESS_USABLE;
}
