// Relay control: who may send mail through us to whom, decided for each RCPT on the normalised
// mailbox only (attack A37). Facts in, verdict out; RFC 5321 sections 3.6 and 7.9.
//
//	facts.directory = NULL;
//	verdict = relay_decide(&rules, &facts);            // may say NEED_DIRECTORY
//	directory_resolve(..., &answer); facts.directory = &answer;
//	verdict = relay_decide(&rules, &facts);
#pragma once

#include "policy/directory.h"
#include "policy/networks.h"
#include "policy/pattern.h"
#include "policy/verdict.h"

enum {
	RELAY_NETWORKS_MAX = 10000,
	RELAY_DOMAINS_MAX = 100000,
	RELAY_SENDERS_MAX = 10000, // of one network
};

struct relay_network {
	struct network network;
	struct patterns senders; // reverse-paths it may use; none: any
};

struct relay_rules {
	const struct relay_network *networks; // the first that holds the client counts
	size_t network_count;
	const struct view *domains; // backup MX: as in struct address, sorted by view_compare
	size_t domain_count;
};

// A network that `check` must refuse (NULL when it is fine): the phrase says why. Too wide, or
// public without a list of senders.
const char *relay_network_fault(const struct relay_network *network);

enum listener_role { ROLE_RELAY, ROLE_SUBMISSION };

struct relay_facts {
	enum listener_role role;
	struct ip_address client;
	struct view login; // the account's address; empty: not logged in
	const struct address *reverse_path;
	const struct address *recipient;
	const struct directory_answer *directory; // NULL: not looked up
};

enum relay_destination {
	RELAY_TO_DIRECTORY, // facts.directory->recipients, in place of the recipient
	RELAY_ONWARD,       // the recipient itself goes on by routes or MX
};

struct relay_verdict {
	struct verdict verdict;
	enum relay_destination destination; // where accepted
};

// The client's network is among those that may relay, whatever the sender.
bool relay_is_trusted(const struct relay_rules *rules, const struct ip_address *client);
struct relay_verdict relay_decide(const struct relay_rules *rules, const struct relay_facts *facts);
