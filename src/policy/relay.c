#include "policy/relay.h"

const char *relay_network_fault(const struct relay_network *network)
{
	if (network_is_too_wide(&network->network)) {
		return "trusts too much: at most a /8, in IPv6 a /32";
	}
	if (network->senders.count == 0 && !network_is_private(&network->network)) {
		return "is public, so it needs a list of senders";
	}
	return NULL;
}

static struct relay_verdict decided(struct verdict verdict, enum relay_destination destination)
{
	return (struct relay_verdict){ verdict, destination };
}

static struct relay_verdict refused(unsigned code, const char *enhanced, const char *text,
				    const char *reason, unsigned effects)
{
	struct verdict verdict = verdict_refuse(code, enhanced, text, reason);

	verdict.effects = effects;
	return decided(verdict, 0);
}

// The recipient's domain is ours (or it is the bare postmaster).
static struct relay_verdict decide_ours(const struct directory_answer *answer)
{
	switch (answer->status) {
	case DIRECTORY_FOUND: return decided(verdict_accept("directory"), RELAY_TO_DIRECTORY);
	case DIRECTORY_UNKNOWN:
		return refused(550, "5.1.1", "No such mailbox here", "unknown_recipient",
			       EFFECT_CHARGE_UNKNOWN_RECIPIENT);
	case DIRECTORY_LOOP:
		return refused(550, "5.4.6", "Its aliases lead in a circle", "alias_loop", 0);
	case DIRECTORY_TOO_MANY:
		return refused(550, "5.3.0", "Its aliases lead to too many recipients",
			       "alias_too_many", 0);
	default:
		return refused(451, "4.3.0", "The directory cannot be read now", "directory_broken",
			       0);
	}
}

static bool is_relay_domain(const struct relay_rules *rules, struct view domain)
{
	size_t low = 0, high = rules->domain_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = view_compare(domain, rules->domains[middle]);

		if (order == 0) {
			return true;
		}
		if (order < 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return false;
}

static const struct relay_network *network_of(const struct relay_rules *rules,
					      const struct ip_address *client)
{
	for (size_t i = 0; i < rules->network_count; i++) {
		if (network_contains(&rules->networks[i].network, client)) {
			return &rules->networks[i];
		}
	}
	return NULL;
}

bool relay_is_trusted(const struct relay_rules *rules, const struct ip_address *client)
{
	return network_of(rules, client) != NULL;
}

// The recipient is elsewhere: somebody must vouch for the client.
static struct relay_verdict decide_onward(const struct relay_rules *rules,
					  const struct relay_facts *facts)
{
	const struct relay_network *network;

	if (facts->login.len) {
		return decided(verdict_accept("login"), RELAY_ONWARD);
	}
	if (is_relay_domain(rules, facts->recipient->domain)) {
		return decided(verdict_accept("relay_domain"), RELAY_ONWARD);
	}
	network = network_of(rules, &facts->client);
	if (!network) {
		return refused(550, "5.7.1", "We do not relay for you", "relaying_denied",
			       EFFECT_CHARGE_RELAY_ATTEMPT);
	}
	if (network->senders.count && !patterns_match(network->senders, facts->reverse_path)) {
		return refused(550, "5.7.1", "Your network may not relay for this sender",
			       "relay_sender_denied", EFFECT_CHARGE_RELAY_ATTEMPT);
	}
	return decided(verdict_accept("relay_network"), RELAY_ONWARD);
}

struct relay_verdict relay_decide(const struct relay_rules *rules, const struct relay_facts *facts)
{
	const struct address *recipient = facts->recipient;

	if (facts->role == ROLE_SUBMISSION && facts->login.len == 0) {
		return refused(530, "5.7.0", "Authentication required", "login_required", 0);
	}
	if (address_is_null(recipient)) {
		return refused(553, "5.1.3", "The recipient is empty", "empty_recipient", 0);
	}
	if (recipient->literal != ADDRESS_LITERAL_NONE) {
		return refused(550, "5.1.2", "Address literals are not served", "address_literal",
			       EFFECT_CHARGE_RELAY_ATTEMPT);
	}
	// What looks like a route is refused wherever it leads: the next hop might follow it.
	if (recipient->routing) {
		return refused(550, "5.7.1", "Routing inside an address is not followed",
			       "routing_characters", EFFECT_CHARGE_RELAY_ATTEMPT);
	}
	if (!facts->directory) {
		return decided(verdict_need(NEED_DIRECTORY), 0);
	}
	if (facts->directory->status != DIRECTORY_NOT_OURS) {
		return decide_ours(facts->directory);
	}
	return decide_onward(rules, facts);
}
