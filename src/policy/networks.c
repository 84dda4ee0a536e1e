#include "policy/networks.h"

#include <arpa/inet.h>
#include <string.h>

enum { TEXT_MAX = 45 }; // the longest IPv6 address: an IPv4-mapped one written out

static unsigned family_bits(uint8_t family)
{
	return family == 4 ? 32 : family == 6 ? 128 : 0;
}

struct ip_address ip_address_of(uint8_t family, const uint8_t *bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip_address address = { 0 };

	if (family == 6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
		family = 4;
		bytes += sizeof mapped;
	}
	if (family_bits(family)) {
		address.family = family;
		memcpy(address.bytes, bytes, family_bits(family) / 8);
	}
	return address;
}

bool ip_address_parse(struct view text, struct ip_address *ret_address)
{
	bool v6 = view_find(text, ':') < text.len;
	char copy[TEXT_MAX + 1] = "";
	uint8_t bytes[16];

	if (text.len == 0 || text.len > TEXT_MAX || view_find(text, '\0') < text.len) {
		return false;
	}
	memcpy(copy, text.data, text.len);
	if (inet_pton(v6 ? AF_INET6 : AF_INET, copy, bytes) != 1) {
		return false;
	}
	*ret_address = ip_address_of(v6 ? 6 : 4, bytes);
	return true;
}

void ip_address_add_text(struct buffer *out, const struct ip_address *address)
{
	char text[INET6_ADDRSTRLEN];

	if (address->family && inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, address->bytes,
					 text, sizeof text)) {
		buffer_add_text(out, text);
	}
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct network network_around(const struct ip_address *address, unsigned bits)
{
	struct network network = { .address = *address };
	unsigned max = family_bits(address->family);

	network.bits = (uint8_t)(bits < max ? bits : max);
	for (unsigned i = 0; i < sizeof network.address.bytes; i++) {
		unsigned kept = network.bits > i * 8 ? network.bits - i * 8 : 0;

		if (kept < 8) {
			network.address.bytes[i] &= (uint8_t)(0xff00 >> kept);
		}
	}
	return network;
}

bool network_parse(struct view text, struct network *ret_network)
{
	size_t slash = view_find(text, '/');
	struct ip_address address;
	struct network network;
	uint64_t bits;

	if (!ip_address_parse(view_first(text, slash), &address)) {
		return false;
	}
	bits = family_bits(address.family);
	if (slash < text.len) {
		// The prefix of a mapped address would count from another start: too confusing.
		bool mapped = address.family == 4 && view_find(text, ':') < text.len;

		if (mapped || !view_to_u64(view_from(text, slash + 1), bits, &bits)) {
			return false;
		}
	}
	network = network_around(&address, (unsigned)bits);
	if (!ip_address_equal(&network.address, &address)) {
		return false;
	}
	*ret_network = network;
	return true;
}

void network_add_text(struct buffer *out, const struct network *network)
{
	ip_address_add_text(out, &network->address);
	if (network->bits < family_bits(network->address.family)) {
		buffer_printf(out, "/%u", (unsigned)network->bits);
	}
}

bool network_contains(const struct network *network, const struct ip_address *address)
{
	struct network around;

	if (network->address.family == 0 || network->address.family != address->family) {
		return false;
	}
	around = network_around(address, network->bits);
	return ip_address_equal(&around.address, &network->address);
}

// The special-purpose registries of IANA (RFC 6890), as far as they matter to mail.
struct special {
	struct network network;
	bool private; // ours alone: a sender there is somebody we know
};

#define V4(a, b, c, d, bits_) \
	{ \
		{ 4, { a, b, c, d } }, bits_ \
	}
#define V6(a, b, bits_) \
	{ \
		{ 6, { (a) >> 8, (a)&0xff, (b) >> 8, (b)&0xff } }, bits_ \
	}

static const struct special specials[] = {
	{ V4(10, 0, 0, 0, 8), true },
	{ V4(172, 16, 0, 0, 12), true },
	{ V4(192, 168, 0, 0, 16), true },
	{ V4(127, 0, 0, 0, 8), true },
	{ V4(169, 254, 0, 0, 16), true },
	{ V4(100, 64, 0, 0, 10), true },
	{ V4(0, 0, 0, 0, 8), false },
	{ V4(192, 0, 0, 0, 24), false },
	{ V4(192, 0, 2, 0, 24), false },
	{ V4(198, 18, 0, 0, 15), false },
	{ V4(198, 51, 100, 0, 24), false },
	{ V4(203, 0, 113, 0, 24), false },
	{ V4(224, 0, 0, 0, 3), false }, // multicast, reserved, broadcast
	{ { { 6, { [15] = 1 } }, 128 }, true },
	{ V6(0xfc00, 0, 7), true },
	{ V6(0xfe80, 0, 10), true },
	{ V6(0x0000, 0, 8), false }, // unspecified, v4-compatible
	{ V6(0x0064, 0xff9b, 32), false },
	{ V6(0x0100, 0, 8), false },
	{ V6(0x2001, 0x0db8, 32), false },
	{ V6(0x2001, 0x0000, 23), false }, // Teredo, benchmarking, ORCHID
	{ V6(0x2002, 0, 16), false },
	{ V6(0xfec0, 0, 10), false },
	{ V6(0xff00, 0, 8), false },
};

enum { SPECIAL_COUNT = sizeof specials / sizeof *specials };

bool ip_address_is_public(const struct ip_address *address)
{
	for (unsigned i = 0; i < SPECIAL_COUNT; i++) {
		if (network_contains(&specials[i].network, address)) {
			return false;
		}
	}
	return address->family != 0;
}

bool network_is_private(const struct network *network)
{
	for (unsigned i = 0; i < SPECIAL_COUNT; i++) {
		const struct network *special = &specials[i].network;

		if (specials[i].private && network->bits >= special->bits &&
		    network_contains(special, &network->address)) {
			return true;
		}
	}
	return false;
}

bool network_is_too_wide(const struct network *network)
{
	return network->bits < (network->address.family == 4 ? 8 : 32);
}
