// Rates and counts by key in bounded memory: token buckets, and counts of what is open now. Keys
// are kept as keyed 64-bit hashes. The clock is handed in (monotonic milliseconds). One owner, one
// thread; a process with several threads gives each its own share or a lock.
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "policy/networks.h"

// What a key counts; the same bytes under another kind are another key.
enum rate_kind {
	RATE_CONNECTION = 1,
	RATE_UNKNOWN_RECIPIENT,
	RATE_RELAY_ATTEMPT,
	RATE_DISCARDED_BYTES,
	RATE_LOGIN_ADDRESS,
	RATE_LOGIN_ACCOUNT,
	RATE_LOGIN_PAIR,
	RATE_LOGIN_REPEAT,
	RATE_LOGIN_KNOWN,
};

// A hash under the secret of whoever asks: os_random_hash_key, drawn once by each process.
struct rate_key {
	uint64_t hash;
};

// One peer is one IPv4 address, or one IPv6 /64.
struct rate_key rate_key_of_address(struct hash_key secret, enum rate_kind kind,
				    const struct ip_address *address);
// Any text, such as an account.
struct rate_key rate_key_of_text(struct hash_key secret, enum rate_kind kind, struct view text);
// The key of both together.
struct rate_key rate_key_with(struct hash_key secret, struct rate_key key, struct view more);

// A bucket of burst tokens that fills again at burst per period.
struct rate_limit {
	uint32_t burst; // 0: no limit
	uint64_t period_ms;
};

struct rate_table;

// entries_max: buckets remembered; beyond it the one used longest ago is forgotten.
enum error rate_table_new(size_t entries_max, struct rate_table **ret_table) must_check;
void rate_table_free(struct rate_table *table);              // accepts NULL
size_t rate_table_forgotten(const struct rate_table *table); // a counter

// Takes tokens if that many are there; false, taking nothing, if not.
bool rate_take(struct rate_table *table, struct rate_key key, struct rate_limit limit,
	       uint32_t tokens, uint64_t now_ms);
// Takes tokens in any case, into a debt of eight bursts at the most: for what is only known
// afterwards, such as a failed login that others ran beside.
void rate_charge(struct rate_table *table, struct rate_key key, struct rate_limit limit,
		 uint32_t tokens, uint64_t now_ms);
// Gives tokens back, as far as they fit.
void rate_give(struct rate_table *table, struct rate_key key, struct rate_limit limit,
	       uint32_t tokens, uint64_t now_ms);
// Whether at least one token is there; changes nothing.
bool rate_has(const struct rate_table *table, struct rate_key key, struct rate_limit limit,
	      uint64_t now_ms);
// Milliseconds until a token is there; 0 if one is.
uint64_t rate_wait_ms(const struct rate_table *table, struct rate_key key, struct rate_limit limit,
		      uint64_t now_ms);
void rate_forget(struct rate_table *table, struct rate_key key);

// Counts of things open now, such as connections of one peer. A count in use is never forgotten.
struct count_table;

enum error count_table_new(size_t entries_max, struct count_table **ret_table) must_check;
void count_table_free(struct count_table *table); // accepts NULL
// One more, unless max are open already or the table is full: then false.
bool count_enter(struct count_table *table, struct rate_key key, uint32_t max);
void count_leave(struct count_table *table, struct rate_key key);
uint32_t count_open(const struct count_table *table, struct rate_key key);
