// DNS questions to libunbound, which recurses or forwards, validates and caches; for the facts
// process alone, since it parses what attackers send. Its sockets and timers run on our loop
// (unbound-event.h); its answers are read by dns_answer.h. Each query ends by its own deadline, and
// each table of libunbound's is bounded (attacks A20, A21, A25).
//
// One owner, one thread: the loop's.
#pragma once

#include "link/dns_answer.h"
#include "os/loop.h"

enum {
	RESOLVER_SERVERS_MAX = 16,
	RESOLVER_DEADLINE_MAX_MS = 60 * 1000,
};

struct resolver;

struct resolver_options {
	bool forward;               // ask the servers; else recurse from the root
	const struct view *servers; // "192.0.2.53" or "127.0.0.1@5353"; forward needs one
	size_t server_count;
	bool validate;             // DNSSEC
	struct view trust_anchors; // DS or DNSKEY records, one a line; empty: the root's own keys
};

// ERROR_INVALID: a server or a trust anchor that is none.
enum error resolver_new(struct os_loop *loop, const struct resolver_options *options,
			struct resolver **ret_resolver) must_check;
void resolver_free(struct resolver *resolver); // after all its queries ended; accepts NULL

// Valid during the call only.
typedef void resolver_answer_fn(void *context, const struct dns_answer *answer);

// A query in progress, embedded in its owner; zero-initialised at first.
struct resolver_query {
	struct resolver *resolver; // NULL when it does not run
	struct resolver_ticket *ticket;
	enum dns_type type;
	resolver_answer_fn *fn;
	void *context;
	struct os_timer deadline;
};

// name: ASCII without a final dot. fn is called exactly once, unless cancelled; for a cached answer
// before this returns. What cannot be asked is answered with FACTS_TEMPORARY.
void resolver_ask(struct resolver *resolver, struct resolver_query *query, struct view name,
		  enum dns_type type, uint64_t deadline_ms, resolver_answer_fn *fn, void *context);
void resolver_query_cancel(struct resolver_query *query); // does nothing when it does not run
