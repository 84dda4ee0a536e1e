// The domain half of address.h, for address.c alone.
#pragma once

#include "mail/address.h"

// A name without trailing dot, to lower-case A-labels.
enum address_fault address_domain_canonical(struct arena *arena, struct view text, bool underscore,
					    struct view *ret_domain) must_check;

// The one form of a literal that address_literal_parse has accepted; data NULL without memory.
struct view address_literal_canonical(struct arena *arena, struct view text,
				      enum address_literal literal, const uint8_t *ip);

// RFC 5893 section 2, for a domain in U-labels.
bool address_domain_keeps_bidi_rule(struct view u_labels);
