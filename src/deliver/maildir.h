// Filing into a Maildir: mail_dir/DOMAIN/USER/Maildir/{tmp,new,cur}. A message is written in tmp,
// synced, renamed into new, and new is synced, so that a message that was filed stays filed. Only
// os/file.h calls with single names: no path is ever built from an address (attacks A16, A54).
// Blocking; any thread.
#pragma once

#include "mail/address.h"
#include "mail/outgoing.h"

enum {
	MAILDIR_NAME_MAX = 255,
	MAILDIR_MODE_DIR = 0700,
	MAILDIR_MODE_FILE = 0600,
};

// The folder's name for a local part or a domain in canonical form: lower-case letters, digits,
// UTF-8 and "-_+=." stay, but for a dot in front; every other byte becomes %XX. Two different texts
// have two different names. ERROR_INVALID: empty, or too long.
enum error maildir_name(struct view text, char ret_name[MAILDIR_NAME_MAX + 1]) must_check;

// What is filed: chunks of the stored body, in order; the last is empty.
typedef enum error maildir_chunk_fn(void *context, struct view *ret_chunk);

struct maildir_message {
	struct view unique;            // names the file; letters, digits and dots
	const struct address *mailbox; // canonical
	struct outgoing_edits edits;   // fields in front, and those to leave out
	maildir_chunk_fn *chunk;
	void *context;
};

// ERROR_NO_SPACE, ERROR_PERMISSION, ERROR_IO ...: nothing is filed then. ERROR_EXISTS: a message of
// this name is there already, filed before a crash.
enum error maildir_file(int mail_dir, const struct maildir_message *message) must_check;
