// Password hashes: yescrypt by libxcrypt. Slow by intent, so never on a loop that serves the
// network (keeper's pool). Any thread. A stored hash is untrusted: other methods, and costs above
// ours, are refused before any work is spent.
#pragma once

#include "base/error.h"
#include "base/view.h"

enum {
	PASSWORD_MAX = 511,       // bytes
	PASSWORD_HASH_SIZE = 128, // room for a hash with its NUL
	PASSWORD_COST = 5,        // about 20 ms and 16 MiB
	PASSWORD_COST_TEST = 1,   // for tests: about 1 ms
	PASSWORD_COST_MAX = 8,
};

struct password_hash {
	char text[PASSWORD_HASH_SIZE]; // NUL-terminated
};

// ERROR_INVALID: empty, too long, or with a NUL. ERROR_CRYPTO.
enum error password_hash(struct view password, unsigned cost,
			 struct password_hash *ret_hash) must_check;
// A hash of a password that nobody has: for logins of unknown users, so that they cost the same.
enum error password_hash_of_nobody(unsigned cost, struct password_hash *ret_hash) must_check;
// A hash of the method and costs that we make: only for such a one is work spent.
bool password_hash_is_ours(struct view hash);
// In constant time as far as the comparison goes; false for a hash that is not ours.
bool password_matches(struct view password, struct view hash);
void password_wipe(void *bytes, size_t len); // not optimised away
