// The shape of traffic to one site: concurrency that grows on success and shrinks on refusal,
// back-off with jitter, a circuit breaker, and the key under which connections are reused. Pure
// state and updates; clock (monotonic ms) and randomness are handed in; the caller owns the state.
#pragma once

#include "base/buffer.h"
#include "policy/networks.h"

struct site_settings {
	unsigned concurrency_first;           // default 5
	unsigned concurrency_max;             // default 20
	unsigned failures_max;                // in a row, then the breaker opens; default 5
	uint64_t backoff_first_ms;            // default 30 s
	uint64_t backoff_max_ms;              // default 30 min
	unsigned messages_per_connection_max; // default 100
	uint64_t connection_ms;               // then it takes no more; default 1 h
	uint64_t idle_ms;                     // a connection is kept open for; default 5 s
};

struct site_settings site_settings_default(void);

struct site {
	unsigned open;            // connections, those being made included
	unsigned concurrency;     // allowed now
	unsigned successes;       // since the last growth
	unsigned failures;        // in a row
	unsigned backoffs;        // in a row
	uint64_t closed_until_ms; // nothing is begun before; 0: open for business
	bool probing;             // after a back-off: one connection only, until it succeeds
	bool has_delivered;       // since it last failed
	uint64_t delivered_ms;    // the last time
};

void site_init(struct site *site, const struct site_settings *settings);

enum site_event {
	SITE_DELIVERED,   // a message was accepted
	SITE_TOO_MANY,    // 421 or a refused connection while others of ours are open
	SITE_REFUSED,     // 421, or 4xx to the greeting, EHLO or MAIL: the host wants less of us
	SITE_UNREACHABLE, // no connection, or it broke
};

// How many connections may be begun now.
unsigned site_room(const struct site *site, uint64_t now_ms);
// When room may appear again without an event; 0: only through an event.
uint64_t site_next_ms(const struct site *site, uint64_t now_ms);
// It took mail within the last hour and did not fail since: what it is given is not lost to a host
// that only hangs (attack A25).
bool site_is_proven(const struct site *site, uint64_t now_ms);
void site_opened(struct site *site); // a connection is begun
void site_closed(struct site *site); // it has ended, however
void site_learn(struct site *site, const struct site_settings *settings, enum site_event event,
		uint64_t now_ms, uint64_t seed);

// Two deliveries may share a connection only when all of this is equal (attack A50).
struct site_connection_key {
	struct view server; // the name that the certificate was or would be checked for
	uint16_t port;
	uint8_t tls;              // policy, as its number
	struct ip_address source; // none: any
	struct view source_name;  // for EHLO
	struct view login;        // at the smarthost
	struct view password_file;
	struct view tenant;
};

// Appends bytes that are equal exactly when the keys are.
void site_connection_key_add(struct buffer *out, const struct site_connection_key *key);
// A connection that has carried so many, and stood for so long, may carry one more.
bool site_may_reuse(const struct site_settings *settings, unsigned messages_sent,
		    uint64_t stood_ms);
