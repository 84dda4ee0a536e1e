// Patterns over addresses, as routes, relay networks and sender rights are written:
//
//	*                 any address, the null path too
//	<>                the null path
//	user@example.org  this mailbox
//	*@example.org     any mailbox there; so does example.org alone
//	*@*.example.org   any mailbox in a domain below it; so does *.example.org alone
//
// Compared on normalised addresses only (attack A37). Pure; what a pattern views lies in its arena.
#pragma once

#include "base/buffer.h"
#include "mail/address.h"

enum pattern_kind {
	PATTERN_ANY,
	PATTERN_NULL,
	PATTERN_ADDRESS, // key
	PATTERN_DOMAIN,  // domain
	PATTERN_BELOW,   // any domain that ends in "." and domain
};

struct pattern {
	enum pattern_kind kind;
	struct view key;    // as in struct address
	struct view domain; // as in struct address
};

struct patterns {
	const struct pattern *items;
	size_t count;
};

enum error pattern_parse(struct arena *arena, struct view text,
			 struct pattern *ret_pattern) must_check; // ERROR_INVALID, _NO_MEMORY
void pattern_add_text(struct buffer *out, const struct pattern *pattern);
bool pattern_matches(const struct pattern *pattern, const struct address *address);
// Whether any of them does; none of none.
bool patterns_match(struct patterns patterns, const struct address *address);
