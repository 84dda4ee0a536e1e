// Any path: what is accepted is bounded, free of controls, and reads back as itself.
#include <stdlib.h>

#include "base/text.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANY = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(1 << 16);
	struct view rest = view_of(data, size), domain;
	struct address address, again;

	if (address_domain_normalise(&arena, rest, &domain) == ADDRESS_OK &&
	    (domain.len > ADDRESS_DOMAIN_MAX || !text_is_ascii(domain))) {
		abort();
	}
	if (address_take_path(&arena, &rest, ANY, &address) == ADDRESS_OK) {
		if (address.text.len > ADDRESS_MAILBOX_MAX || !text_is_printable(address.text) ||
		    address_parse(&arena, address.text, ANY, &again) != ADDRESS_OK ||
		    !view_equal(address.text, again.text) || !view_equal(address.key, again.key)) {
			abort();
		}
	}
	arena_done(&arena);
	return 0;
}
