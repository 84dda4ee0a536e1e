// IP addresses and networks (CIDR, RFC 4632 and 4291) as facts for decisions. An IPv4-mapped IPv6
// address is always its IPv4 address, so that one peer has one name. Pure; any thread.
#pragma once

#include "base/buffer.h"

struct ip_address {
	uint8_t family; // 4 or 6; 0: none, for example a local socket
	uint8_t bytes[16];
};

struct network {
	struct ip_address address; // bits beyond the prefix are zero
	uint8_t bits;              // length of the prefix: 0..32 or 0..128
};

// bytes: 4 or 16 in network order, as struct os_address has them. Another family gives none.
struct ip_address ip_address_of(uint8_t family, const uint8_t *bytes);
bool ip_address_parse(struct view text, struct ip_address *ret_address);
void ip_address_add_text(struct buffer *out, const struct ip_address *address);
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);
// An address that mail from the internet may be sent to: not private, loopback, link-local,
// unspecified, multicast, shared (RFC 6598), documentation or reserved, nor a translation of one
// (6to4, NAT64).
bool ip_address_is_public(const struct ip_address *address);

// "10.0.0.0/8", "2001:db8::/32", or an address alone, which is the network of that one. Bits set
// beyond the prefix are a fault: they mean that the writer meant something else.
bool network_parse(struct view text, struct network *ret_network);
// The network of this length around the address; an IPv4 prefix is at most 32 bits.
struct network network_around(const struct ip_address *address, unsigned bits);
void network_add_text(struct buffer *out, const struct network *network);
bool network_contains(const struct network *network, const struct ip_address *address);
// Lies wholly in private, loopback, link-local or shared address space.
bool network_is_private(const struct network *network);
// Wider than a /8, in IPv6 than a /32: too much to trust, `check` refuses it.
bool network_is_too_wide(const struct network *network);
