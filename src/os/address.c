#include "os/socket.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static enum error parse_path(struct view path, struct os_address *ret_address)
{
	struct os_address address = { .family = 1 };

	if (path.len == 0 || path.data[0] != '/' || path.len >= sizeof address.path ||
	    memchr(path.data, '\0', path.len)) {
		return ERROR_INVALID;
	}
	memcpy(address.path, path.data, path.len);
	*ret_address = address;
	return OK;
}

enum error os_address_parse(struct view text, uint16_t port, struct os_address *ret_address)
{
	struct os_address address = { .port = port };
	char copy[INET6_ADDRSTRLEN] = "";

	if (view_starts(text, VIEW("unix:"))) {
		return parse_path(view_from(text, 5), ret_address);
	}
	if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len)) {
		return ERROR_INVALID;
	}
	memcpy(copy, text.data, text.len);
	if (inet_pton(AF_INET, copy, address.ip4) == 1) {
		address.family = 4;
	} else if (inet_pton(AF_INET6, copy, address.ip6) == 1) {
		address.family = 6;
	} else {
		return ERROR_INVALID;
	}
	*ret_address = address.family == 6 ? os_address_from_ip6(address.ip6, port) : address;
	return OK;
}

struct os_address os_address_from_ip6(const uint8_t ip6[16], uint16_t port)
{
	struct os_address address = { .family = 6, .port = port };

	if (memcmp(ip6, mapped_prefix, sizeof mapped_prefix) == 0) {
		address.family = 4;
		memcpy(address.ip4, ip6 + sizeof mapped_prefix, sizeof address.ip4);
	} else {
		memcpy(address.ip6, ip6, sizeof address.ip6);
	}
	return address;
}

void os_address_add_text(struct buffer *out, const struct os_address *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (address->family == 1) {
		buffer_add_text(out, "unix:");
		buffer_add_text(out, address->path);
		return;
	}
	inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->ip6, text, sizeof text);
	buffer_add_text(out, text);
}

bool os_address_equal(const struct os_address *a, const struct os_address *b)
{
	if (a->family != b->family || a->port != b->port) {
		return false;
	}
	switch (a->family) {
	case 4: return memcmp(a->ip4, b->ip4, sizeof a->ip4) == 0;
	case 6: return memcmp(a->ip6, b->ip6, sizeof a->ip6) == 0;
	default: return strncmp(a->path, b->path, sizeof a->path) == 0;
	}
}
