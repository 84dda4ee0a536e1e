// The user commands: add, passwd, list, remove. The same code serves them in keeper while the
// server runs and in the command itself while it does not; a lock file makes sure that only one
// does. One owner, one thread. Hashes on the calling thread.
#pragma once

#include "link/database.h"

enum { USERS_PAGE_MAX = 200 }; // accounts in one answer

// keeper's folder: the database and the lock.
struct user_store {
	int lock;
	struct database *database;
};

// ERROR_BUSY: keeper, or another command, holds it. Creates what is missing.
enum error user_store_open(const char *folder, struct user_store *ret_store) must_check;
void user_store_close(struct user_store *store);

enum user_action { USER_ADD = 1, USER_PASSWD, USER_LIST, USER_REMOVE };

struct user_command {
	enum user_action action;
	struct view address;        // LIST: those after it; empty: from the start
	struct view password;       // ADD, PASSWD
	const struct view *senders; // ADD: patterns
	size_t sender_count;
};

struct user_answer {
	enum error error; // OK, EXISTS, NOT_FOUND, INVALID, LIMIT, or what the system said
	struct view text; // one lower-case phrase for people; empty where OK
	const struct account *accounts; // LIST; without hashes
	size_t account_count;
	bool more; // LIST again, after the last one
};

// Applies it; the answer lies in the arena (a few MiB). cost: of password hashes.
struct user_answer user_apply(struct database *database, unsigned cost,
			      const struct user_command *command, struct arena *arena);

// For the control socket. Decoded views lie in the bytes, lists in the arena.
void user_command_encode(struct buffer *out, const struct user_command *command);
enum error user_command_decode(struct view bytes, struct arena *arena,
			       struct user_command *ret_command) must_check;
void user_answer_encode(struct buffer *out, const struct user_answer *answer);
enum error user_answer_decode(struct view bytes, struct arena *arena,
			      struct user_answer *ret_answer) must_check;
