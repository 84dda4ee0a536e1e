// Reading of DNS answers (RFC 1035, RFC 2181, RFC 2308) as they come off the wire: bounded, and for
// the few record types that mail asks for. Attack A20: compression loops, short rdata, sets of
// thousands, alias loops and odd bytes in names end here. Pure.
#pragma once

#include "base/arena.h"
#include "link/facts.h"

enum {
	DNS_RECORDS_MAX = 100,      // kept of the type that was asked for
	DNS_RECORDS_SEEN_MAX = 512, // looked at in one answer; what follows is ignored
	DNS_ALIASES_MAX = 8,        // CNAME records followed
	DNS_TTL_MAX_S = 24 * 3600,
	DNS_ARENA_MAX = 64 * 1024, // what one answer's names may take
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_AAAA = 28 };

struct dns_record {
	struct view name; // MX, PTR: a host name: lower case, no final dot; empty: the root
	uint16_t preference;
	struct facts_address address; // A, AAAA
};

// FACTS_FOUND: at least one record. FACTS_TEMPORARY: a failure of the server, records none of which
// can be used, or aliases that never end.
struct dns_answer {
	enum facts_result result;
	bool secure; // validated; set by who has asked
	uint32_t ttl_s;
	unsigned count;
	struct dns_record records[DNS_RECORDS_MAX];
};

// A packet that holds the answer to a question of this type. ERROR_INVALID: it does not.
enum error dns_answer_parse(struct view packet, enum dns_type type, struct arena *arena,
			    struct dns_answer *ret_answer) must_check;

// The name under which the PTR records of an address are.
void dns_reverse_name(struct buffer *out, const struct facts_address *address);
