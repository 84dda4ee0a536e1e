// The user commands (add, passwd, list, remove), as local control requests (link/control.h) over
// the database. The same code answers them in keeper while the server runs, and in the command
// itself while it does not; a lock makes sure that only one of them is there. Passwords are hashed
// on the calling thread. One owner, one thread.
//
// Arguments: one plain address (none for list); option "password" for add and passwd, "sender" for
// add, any number of times.
#pragma once

#include "base/buffer.h"
#include "link/control.h"
#include "link/database.h"

enum { USERS_LIST_BYTES_MAX = 64 * 1024 * 1024 }; // of JSON

#define USERS_FOLDER "keeper" // inside data_dir, mode 0700, of keeper's uid

// That folder's database and lock.
struct user_store {
	int lock;
	struct database *database;
};

// ERROR_BUSY: keeper, or another command, holds it. Creates the files where they are missing.
enum error user_store_open(const char *folder, struct user_store *ret_store) must_check;
void user_store_close(struct user_store *store);

struct user_outcome {
	uint8_t status;    // of sysexits.h
	const char *words; // for people: one phrase; "" where all went well
	bool changed;      // the directory is to be published anew
};

// cost: of password hashes. list appends its JSON text to out: an array of objects with address,
// disabled, damaged (may not log in, its senders are not known) and senders.
struct user_outcome user_run(struct database *database, unsigned cost,
			     const struct control_request *request, struct buffer *out);
