// Any path, mailbox, domain or literal: what is accepted is bounded, free of controls, and reads
// back as itself; a domain's one form is its own one form.
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/address.h"

enum { ANY = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER };

static void check_domain(struct arena *arena, struct view text)
{
	struct view domain, again;

	if (address_domain_normalise(arena, text, &domain) == ADDRESS_OK) {
		MUST(domain.len > 0 && domain.len <= ADDRESS_DOMAIN_MAX && text_is_ascii(domain));
		MUST(address_domain_normalise(arena, domain, &again) == ADDRESS_OK);
		MUST(view_equal(domain, again));
		MUST(text_is_printable(address_domain_display(arena, domain)));
	}
}

static void check_address(struct arena *arena, const struct address *address, unsigned allow)
{
	struct address again;

	MUST(address->text.len <= ADDRESS_MAILBOX_MAX && text_is_printable(address->text));
	MUST(address_parse(arena, address->text, ANY, &again) == ADDRESS_OK);
	MUST(view_equal(address->text, again.text) && view_equal(address->key, again.key));
	MUST(address->needs_smtputf8 == again.needs_smtputf8 && address->routing == again.routing);
	MUST(address->literal == again.literal);
	MUST((allow & ADDRESS_UTF8) || text_is_ascii(address->text));
	MUST((allow & ADDRESS_NULL) || address->text.len > 0);
	MUST((allow & ADDRESS_POSTMASTER) || address_is_null(address) || address->domain.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(1 << 18);
	struct view input = view_of(data, size), rest;
	struct address address;
	uint8_t ip[16];

	check_domain(&arena, input);
	(void)address_literal_parse(input, ip);
	for (unsigned allow = 0; allow <= ANY; allow++) {
		rest = input;
		if (address_take_path(&arena, &rest, allow, &address) == ADDRESS_OK) {
			MUST(rest.len < size && input.data[size - rest.len - 1] == '>');
			check_address(&arena, &address, allow);
		} else {
			MUST(rest.len == size);
		}
		rest = input;
		if (address_take_mailbox(&arena, &rest, allow, &address) == ADDRESS_OK) {
			MUST(rest.len < size && address.text.len > 0);
			check_address(&arena, &address, allow);
		} else {
			MUST(rest.len == size);
		}
	}
	arena_done(&arena);
	return 0;
}
