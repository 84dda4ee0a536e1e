// The listening sockets.
#include <string.h>

#include "supervisor/material_private.h"

enum { BACKLOG = 4096 };

static int find(const struct material *material, const struct os_address *address)
{
	for (unsigned i = 0; material && i < material->socket_count; i++) {
		if (os_address_equal(&material->sockets[i].address, address)) {
			return material->sockets[i].fd;
		}
	}
	return -1;
}

static enum error bind_one(struct material *material, const struct material *old, uint32_t number,
			   const struct os_address *address, struct buffer *said)
{
	struct os_listen_options options = { .backlog = BACKLOG, .reuse_port = false };
	struct material_socket *socket = &material->sockets[material->socket_count];
	int existing = find(old, address);
	enum error error;

	if (material->socket_count == MATERIAL_SOCKETS_MAX) {
		return ERROR_LIMIT;
	}
	*socket = (struct material_socket){ .number = number, .address = *address };
	error = existing >= 0 ? os_socket_duplicate(existing, &socket->fd)
			      : os_socket_listen(address, options, &socket->fd);
	if (error == OK) {
		material->socket_count++;
		return OK;
	}
	buffer_add_text(said, "cannot listen on ");
	os_address_add_text(said, address);
	buffer_printf(said, " port %u: %s%s\n", address->port, error_text(error),
		      error == ERROR_PERMISSION
			      ? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
		      : error == ERROR_BUSY ? " (is another mail server running?)"
					    : "");
	return error;
}

static struct os_address address_of(const struct ip_address *ip, uint16_t port)
{
	struct os_address address = { .family = ip->family, .port = port };

	memcpy(address.ip6, ip->bytes, ip->family == 4 ? 4 : 16);
	return address;
}

static enum error bind_listener(struct material *material, const struct material *old,
				uint32_t index, const struct config_listener *listener,
				struct buffer *said)
{
	static const struct ip_address any[] = { { .family = 4 }, { .family = 6 } };
	uint16_t port = (uint16_t)listener->port;
	size_t count = listener->addresses.count;
	bool everywhere = count == 0;
	enum error error = OK;

	for (size_t i = 0; i < (everywhere ? 2 : count) && error == OK; i++) {
		struct os_address address =
			address_of(everywhere ? &any[i] : &listener->addresses.items[i], port);

		error = bind_one(material, old, index * 256 + (uint32_t)i, &address, said);
		if (everywhere && i == 1 && error == ERROR_UNSUPPORTED) {
			error = OK; // a machine without IPv6; the line above says so
		}
	}
	return error;
}

enum error sockets_open(struct material *material, const struct material *old, struct buffer *said)
{
	const struct config *config = material->config;
	enum error error = OK;

	material->sockets = arena_alloc_array(&material->arena, MATERIAL_SOCKETS_MAX,
					      sizeof *material->sockets);
	if (!material->sockets) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < config->listeners.count && error == OK; i++) {
		error = bind_listener(material, old, (uint32_t)i, &config->listeners.items[i],
				      said);
	}
	return error;
}

void sockets_close(struct material *material)
{
	for (unsigned i = 0; i < material->socket_count; i++) {
		os_socket_close(material->sockets[i].fd);
	}
	material->socket_count = 0;
}
