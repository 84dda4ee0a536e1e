// Mail addresses of RFC 5321 section 4.1.2 with the UTF-8 of RFC 6531, and domain names. Strict:
// what is not named here is refused. Everything that a result views lies in the arena given (not in
// the input) and is already in its one canonical form, so that decisions compare views and never
// text as it was sent (attack A37).
//
// Limits: local part 64 octets, domain 253 (255 in DNS's own form), mailbox 254, path 256, in the
// form sent and in the canonical form. NUL, CR, LF and other controls never pass. Pure; any thread.
#pragma once

#include "base/arena.h"

enum {
	ADDRESS_LOCAL_MAX = 64,
	ADDRESS_DOMAIN_MAX = 253,
	ADDRESS_MAILBOX_MAX = 254,
	ADDRESS_PATH_MAX = 256,
};

enum address_fault {
	ADDRESS_OK = 0,
	ADDRESS_NO_MEMORY,  // the arena is at its maximum
	ADDRESS_SYNTAX,     // not a mailbox or path
	ADDRESS_TOO_LONG,   // one of the limits above
	ADDRESS_NEEDS_UTF8, // well-formed so far, but not ASCII and ADDRESS_UTF8 was not given
	ADDRESS_BAD_UTF8,   // ill-formed UTF-8, or controls and invisible marks in it
	ADDRESS_BAD_DOMAIN, // no domain name (label too long, bad hyphen, trailing dot, not IDNA
			    // 2008)
};

// One lower-case phrase for a reply or a configuration error; never NULL.
const char *address_fault_text(enum address_fault fault);

enum address_literal {
	ADDRESS_LITERAL_NONE,
	ADDRESS_LITERAL_IPV4,
	ADDRESS_LITERAL_IPV6,
	ADDRESS_LITERAL_GENERAL, // [tag:text] with a tag that we do not know
};

struct address {
	// The whole in the form to send and to store: local part quoted only where it must be,
	// domain as below. Empty for the null reverse-path.
	struct view text;
	// The same with the local part case-folded (Unicode, NFC) for tables and for comparing:
	// two addresses name one mailbox when their keys are equal.
	struct view key;
	struct view local;   // without quotes and backslashes; never empty but for the null path
	struct view domain;  // lower-case A-labels without trailing dot, or "[...]"; may be empty,
			     // for <postmaster> alone
	struct view display; // the domain with U-labels, for people; domain where it has none
	enum address_literal literal;
	uint8_t ip[16];      // network order; the first 4 for IPv4
	bool needs_smtputf8; // the local part is not ASCII (a domain always has its A-labels)
	bool routing;        // local part holds % ! @ or an encoded word: never to be relayed
};

static inline bool address_is_null(const struct address *address)
{
	return address->text.len == 0;
}

enum {
	ADDRESS_UTF8 = 1,       // UTF-8 local parts and U-labels (SMTPUTF8 was asked for)
	ADDRESS_NULL = 2,       // the null path <>
	ADDRESS_POSTMASTER = 4, // postmaster without a domain, in any case
};

// Takes a path (with its < and >) off the front of *rest, which is left alone on failure. A source
// route is checked and dropped. What follows the > is the caller's to judge.
enum address_fault address_take_path(struct arena *arena, struct view *rest, unsigned allow,
				     struct address *ret_address) must_check;

// The same for a mailbox without brackets: it ends at a blank, a > or the end. The null path does
// not exist here.
enum address_fault address_take_mailbox(struct arena *arena, struct view *rest, unsigned allow,
					struct address *ret_address) must_check;

// The whole text is one mailbox: configuration, header fields, stored records (address.text read
// back with all three permissions gives an equal address; empty text is then the null path).
enum address_fault address_parse(struct arena *arena, struct view text, unsigned allow,
				 struct address *ret_address) must_check;

// user+detail: splits the local part at the first of the separators that is not its first byte.
// False, with the whole as user and no detail, where there is none.
bool address_split(struct view local, struct view separators, struct view *ret_user,
		   struct view *ret_detail);

// A domain name alone, as HELO, DNS answers and configuration have it: as in struct address, but
// one trailing dot is taken off and underscores pass. No literals.
enum address_fault address_domain_normalise(struct arena *arena, struct view text,
					    struct view *ret_domain) must_check;

// The U-labels of a normalised domain, for people; the domain itself where it has none.
struct view address_domain_display(struct arena *arena, struct view domain);

// "[192.0.2.1]", "[IPv6:2001:db8::1]", "[tag:text]". ret_ip has room for 16 bytes.
enum address_literal address_literal_parse(struct view text, uint8_t *ret_ip);
