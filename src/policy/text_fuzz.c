// What people write about networks and senders: what is read is written and read back as the same,
// and a network or pattern holds what it was made from.
#include "base/fuzz.h"
#include "policy/networks.h"
#include "policy/pattern.h"

static void check_address(struct view text)
{
	struct buffer out = buffer_with_max(200);
	struct ip_address address, again;
	struct network around;

	if (ip_address_parse(text, &address)) {
		MUST(address.family == 4 || address.family == 6);
		ip_address_add_text(&out, &address);
		MUST(ip_address_parse(buffer_view(&out), &again));
		MUST(ip_address_equal(&address, &again));
		around = network_around(&address, text.len % 40);
		MUST(network_contains(&around, &address));
		MUST(!network_is_private(&around) || !ip_address_is_public(&address));
	}
	buffer_done(&out);
}

static void check_network(struct view text)
{
	struct buffer out = buffer_with_max(200);
	struct network network, again;

	if (network_parse(text, &network)) {
		MUST(network.bits <= (network.address.family == 4 ? 32 : 128));
		MUST(network_contains(&network, &network.address));
		network_add_text(&out, &network);
		MUST(network_parse(buffer_view(&out), &again));
		MUST(ip_address_equal(&network.address, &again.address));
		MUST(network.bits == again.bits);
		if (network.bits > 0) {
			struct ip_address other = network.address;

			other.bytes[(network.bits - 1) / 8] ^= 0x80 >> (network.bits - 1) % 8;
			MUST(!network_contains(&network, &other));
		}
	}
	buffer_done(&out);
}

static void check_pattern(struct view text, struct arena *arena)
{
	struct buffer out = buffer_with_max(4096), once_more = buffer_with_max(4096);
	struct pattern pattern, again;
	struct address address;

	if (pattern_parse(arena, text, &pattern) == OK) {
		pattern_add_text(&out, &pattern);
		MUST(pattern_parse(arena, buffer_view(&out), &again) == OK);
		MUST(pattern.kind == again.kind && view_equal(pattern.domain, again.domain));
		pattern_add_text(&once_more, &again);
		MUST(view_equal(buffer_view(&out), buffer_view(&once_more)));
	}
	// An address is a pattern that fits it alone.
	if (address_parse(arena, text, ADDRESS_UTF8, &address) == ADDRESS_OK &&
	    view_find(text, '*') == text.len) {
		MUST(pattern_parse(arena, address.text, &pattern) == OK);
		MUST(pattern.kind == PATTERN_ADDRESS && pattern_matches(&pattern, &address));
	}
	buffer_done(&out);
	buffer_done(&once_more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(1 << 16);
	struct view text = view_of(data, size);

	check_address(text);
	check_network(text);
	check_pattern(text, &arena);
	arena_done(&arena);
	return 0;
}
