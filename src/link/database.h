// The database: accounts with their password hashes and sender patterns (SQLite, WAL, synchronous).
// One owner, one thread, in keeper or in a command that runs while keeper does not. Parameters are
// always bound; what is read back is checked like input (attack A15). Every table has a tenant.
#pragma once

#include "base/arena.h"

enum {
	DATABASE_ADDRESS_MAX = 254,
	DATABASE_HASH_MAX = 128,
	DATABASE_SENDERS_MAX = 100, // of one account
	DATABASE_SENDER_MAX = 260,  // bytes of one pattern
	DATABASE_ACCOUNTS_MAX = 1000 * 1000,
};

struct database;

// Opens, creates or brings up to date. ERROR_UNSUPPORTED: made by a later version. ERROR_CORRUPT:
// not a database of ours. ERROR_BUSY: in use. The caller has made the file with mode 0600.
enum error database_open(const char *path, struct database **ret_database) must_check;
void database_close(struct database *database); // accepts NULL

struct account {
	struct view address; // the key of a struct address
	struct view password_hash;
	bool disabled;              // may not log in; its mail is still delivered
	const struct view *senders; // patterns as text
	size_t sender_count;
	bool damaged; // in a walk: what is stored breaks its bounds; all else is not to be known
};

// ERROR_NOT_FOUND; ERROR_CORRUPT when what is stored breaks its bounds. Views lie in the arena.
enum error database_account_get(struct database *database, struct view address, struct arena *arena,
				struct account *ret_account) must_check;
// Durable when it returns. ERROR_EXISTS, ERROR_INVALID (bounds), ERROR_LIMIT, ERROR_NO_SPACE.
enum error database_account_add(struct database *database,
				const struct account *account) must_check;
enum error database_account_set_password(struct database *database, struct view address,
					 struct view password_hash) must_check; // ERROR_NOT_FOUND
enum error database_account_remove(struct database *database,
				   struct view address) must_check; // ERROR_NOT_FOUND

// Accounts in order of address, those after the given one (empty: from the start). The callback
// returns false to end the walk; the account is valid during the call only. A damaged one does not
// end it: it is told with its address, or without where that breaks its bounds.
typedef bool database_account_fn(void *context, const struct account *account);
enum error database_account_each(struct database *database, struct view after,
				 database_account_fn *fn, void *context) must_check;
