// Limits on failed logins (attack A34), per client address and per account. The same wrong password
// from the same address counts once (a phone with an old password bans nobody), and an address that
// logged in well lately is not locked out of an account that strangers attack. The answer to a
// limited login is temporary and the same whether the account exists or not.
//
//	if (login_may_try(...)) { check the password; login_failed(...) or login_succeeded(...); }
#pragma once

#include "policy/rate.h"

struct login_limits {
	struct rate_limit per_address;
	struct rate_limit per_account;
	uint64_t known_ms;  // how long a good login is remembered
	uint64_t repeat_ms; // how long a wrong password is remembered (as a keyed hash)
};

struct login_limits login_limits_default(void);

struct login_facts {
	struct hash_key secret;   // of the process, for keys
	struct ip_address client; // family 0 (a local socket): no limit per address
	struct view account;      // as given, case-folded
	struct view password;     // is not kept
	uint64_t now_ms;          // monotonic
};

bool login_may_try(const struct rate_table *table, const struct login_limits *limits,
		   const struct login_facts *facts);
void login_failed(struct rate_table *table, const struct login_limits *limits,
		  const struct login_facts *facts);
void login_succeeded(struct rate_table *table, const struct login_limits *limits,
		     const struct login_facts *facts);
