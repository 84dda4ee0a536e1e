// How clients behave, and what follows: guesses at recipients (attack A34), attempts to relay (A37)
// and bodies that came to nothing (A27) are charged to whoever answers for them, and a budget that
// is used up is refused for a while. Facts in, verdict out; what is left of the budgets is a fact.
//
// Who answers: the login where there is one, else the client's address (IPv4) or /64 (IPv6), so
// that nobody who logged in is held up by strangers behind the same address. Trusted networks are
// not charged. A host of a big provider errs often among thousands of good messages: each message
// that is taken gives back one guess and its own bytes, so it is the share that counts. A message,
// not a recipient: who guesses beside known names has to leave a message for each further guess.
//
// What follows: of guesses and discarded bytes, a temporary refusal, since the good mail of the
// same address has to come later all the same; every name of ours gets it, so that it tells
// nothing, but the postmaster is always reached. An attempt to relay more closes the connection,
// and harms no other mail of the same address.
#pragma once

#include "policy/rate.h"
#include "policy/verdict.h"

struct conduct_limits {
	uint32_t unknown_recipients; // in the period, of each address or login
	uint32_t relay_attempts;
	uint64_t discarded_bytes;
	uint64_t period_ms;
};

struct conduct_client {
	struct hash_key secret; // of the process, for keys
	struct ip_address address;
	struct view login; // empty: not logged in
	uint64_t now_ms;   // monotonic
};

// The budgets that are used up: EFFECT_ bits.
unsigned conduct_used_up(const struct rate_table *table, const struct conduct_limits *limits,
			 const struct conduct_client *client);

struct conduct_facts {
	struct verdict verdict; // of relay control, on a recipient
	bool is_trusted;        // the client's network may relay
	bool is_ours;           // the verdict tells whether we have the recipient
	bool is_postmaster;
	unsigned used_up; // EFFECT_ bits
};

// The verdict to give in place of that one; its effects are to be charged.
struct verdict conduct_decide(const struct conduct_facts *facts);

// Applies effects; bytes are those of EFFECT_CHARGE_DISCARDED_BYTES.
void conduct_charge(struct rate_table *table, const struct conduct_limits *limits,
		    const struct conduct_client *client, unsigned effects, uint64_t bytes);
// A message of so many bytes was taken.
void conduct_credit(struct rate_table *table, const struct conduct_limits *limits,
		    const struct conduct_client *client, uint64_t bytes);
