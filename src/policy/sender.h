// Which addresses a login may use, in the reverse-path and in From and Sender: its own, with any
// plus detail, the aliases that end only at it, and its patterns (`user add --sender`). Attack A35.
// The null reverse-path is allowed (a disposition notification must use it, RFC 8098); null in From
// is not. Addresses that only a catch-all brings to it are not its own.
//
// Asked for each address that a message shows; facts in, verdict out, may say NEED_DIRECTORY.
#pragma once

#include "policy/directory.h"
#include "policy/pattern.h"
#include "policy/verdict.h"

enum { SENDER_PATTERNS_MAX = 100 }; // of one account

enum sender_place { SENDER_REVERSE_PATH, SENDER_FROM };

struct sender_facts {
	enum sender_place place;
	const struct address *login;
	struct patterns patterns; // of the login's account
	const struct address *address;
	const struct directory_answer *directory; // of address; NULL: not looked up
};

struct verdict sender_decide(const struct sender_facts *facts);
