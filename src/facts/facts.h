// The facts process: answers what the others ask about the outside world (link/facts.h) with
// libunbound. It sees no mail, no keys, no spool. Where the configuration leaves the way open, it
// tries them in order: recursion before forwarding, each validated before not, and takes the first
// that works. One owner, the loop's thread.
#pragma once

#include "config/config.h"
#include "link/facts.h"

enum {
	FACTS_CHANNELS_MAX = 16, // processes that ask
	FACTS_JOBS_MAX = 4096,   // questions in hand; further ones get FACTS_TEMPORARY at once
};

struct facts;

struct facts_options {
	const struct config_dns *dns;
	struct view system_servers; // the text of /etc/resolv.conf: for forwarding where no server
				    // is configured
	struct view trust_anchors;  // DS or DNSKEY records, one a line; empty: the root's own keys
};

// What the way is, for the log and for `status`.
struct facts_way {
	bool settled; // false while ways are being tried
	bool proven;  // it has answered for the root; else it is the last one, or the only one
	bool forward;
	bool validate;
};

// on_way (may be NULL) is called whenever a way was settled on. ERROR_INVALID: a server or a trust
// anchor that is none, or no way at all. The options are copied.
enum error facts_new(struct os_loop *loop, const struct facts_options *options,
		     void (*on_way)(void *context, struct facts_way way), void *context,
		     struct facts **ret_facts) must_check;
void facts_free(struct facts *facts); // drops what is in hand; accepts NULL

// A process that asks; takes the descriptor. number names it: a second one replaces the first.
// ERROR_LIMIT: number is not below FACTS_CHANNELS_MAX.
enum error facts_channel_add(struct facts *facts, unsigned number, int fd) must_check;

struct facts_counters {
	unsigned in_hand;    // questions
	uint64_t questions;  // answered
	uint64_t secure;     // of these, proven by DNSSEC
	uint64_t bogus;      // and proven to be forged
	uint64_t over_limit; // refused, since too many were in hand
};
struct facts_counters facts_counters(const struct facts *facts);
