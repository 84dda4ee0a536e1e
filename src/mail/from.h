// Who a message says that it is from: the mailboxes of its From field (RFC 5322 section 3.6.2, with
// the obsolete forms that are still sent: comments, blanks, source routes, empty list elements).
// Strict where forgery hides (attacks A35, A39): one From field, in a well-formed header, whose
// addresses are valid mailboxes of RFC 5321; otherwise the verdict says why not. Display names are
// skipped, never interpreted. Linear in the field's length; pure; any thread.
#pragma once

#include "mail/address.h"
#include "mail/header.h"

enum from_verdict {
	FROM_OK = 0,     // one field with at least one mailbox
	FROM_NO_MEMORY,  // the arena is at its maximum
	FROM_BAD_HEADER, // the header is malformed (header_facts_of says how)
	FROM_NO_FIELD,
	FROM_MANY_FIELDS,
	FROM_BAD_SYNTAX, // not a list of mailboxes, or an address in it is malformed
	FROM_NO_MAILBOX, // an empty list, or only empty groups
	FROM_TOO_MANY,   // more than HEADER_MAILBOXES_MAX
};

const char *from_verdict_text(enum from_verdict verdict); // one lower-case phrase; never NULL

struct mailbox {
	struct address address;
	struct mailbox *next;
};

struct mailbox_list {
	struct mailbox *first, *last;
	size_t count;
};

// The mailboxes of a message's only From field; all in the arena.
enum from_verdict from_parse(struct arena *arena, struct view message,
			     struct mailbox_list *ret_list) must_check;

// The same for the value of any field that holds an address list (folds allowed).
enum from_verdict mailbox_list_parse(struct arena *arena, struct view value,
				     struct mailbox_list *ret_list) must_check;
