// The listening sockets.
#include <string.h>

#include "os/clock.h"
#include "os/process.h"
#include "supervisor/material_private.h"

enum {
	BACKLOG = 4096,
	BIND_PATIENCE_MS = 5000, // for the children of a server that was just killed, all ports
	BIND_PAUSE_MS = 50,
};

static int find(const struct material *material, const struct os_address *address)
{
	for (unsigned i = 0; material && i < material->socket_count; i++) {
		if (os_address_equal(&material->sockets[i].address, address)) {
			return material->sockets[i].fd;
		}
	}
	return -1;
}

// Somebody else's program does not let go; ours that may still be dying does.
static bool is_worth_waiting(const struct os_address *address)
{
	struct os_socket_holder holder;

	return os_socket_find_holder(address, &holder) != OK ||
	       view_starts(view_from_text(holder.name), VIEW("packetboat"));
}

// deadline_ms 0: without waiting.
static enum error listen_patiently(const struct os_address *address, uint64_t deadline_ms,
				   int *ret_fd)
{
	struct os_listen_options options = { .backlog = BACKLOG, .reuse_port = false };
	enum error error;

	while ((error = os_socket_listen(address, options, ret_fd)) == ERROR_BUSY &&
	       os_clock_mono_ms() < deadline_ms && is_worth_waiting(address)) {
		os_process_pause(BIND_PAUSE_MS);
	}
	return error;
}

static void say_why_not(const struct os_address *address, enum error error, struct buffer *said)
{
	struct os_socket_holder holder;

	buffer_add_text(said, "cannot listen on ");
	os_address_add_text(said, address);
	buffer_printf(said, " port %u: %s", address->port, error_text(error));
	if (error == ERROR_PERMISSION) {
		buffer_add_text(said, " (ports below 1024 need root or CAP_NET_BIND_SERVICE)");
	} else if (error == ERROR_BUSY && os_socket_find_holder(address, &holder) == OK) {
		buffer_printf(said,
			      "; process %d (%s) holds it (is another mail server running?): stop "
			      "it, or give the listener another port",
			      (int)holder.pid, holder.name);
	} else if (error == ERROR_BUSY) {
		buffer_printf(said,
			      " (is another mail server running?); who holds it, says: "
			      "ss -ltnp sport = :%u",
			      address->port);
	}
	buffer_add_byte(said, '\n');
}

static enum error bind_one(struct material *material, const struct material *old, uint32_t number,
			   const struct os_address *address, uint64_t deadline_ms,
			   struct buffer *said)
{
	struct material_socket *socket = &material->sockets[material->socket_count];
	int existing = find(old, address);
	enum error error;

	if (material->socket_count == MATERIAL_SOCKETS_MAX) {
		return ERROR_LIMIT;
	}
	*socket = (struct material_socket){ .number = number, .address = *address };
	error = existing >= 0 ? os_socket_duplicate(existing, &socket->fd)
			      : listen_patiently(address, deadline_ms, &socket->fd);
	if (error == OK) {
		material->socket_count++;
	} else {
		say_why_not(address, error, said);
	}
	return error;
}

static struct os_address address_of(const struct ip_address *ip, uint16_t port)
{
	struct os_address address = { .family = ip->family, .port = port };

	memcpy(address.ip6, ip->bytes, ip->family == 4 ? 4 : 16);
	return address;
}

static enum error bind_listener(struct material *material, const struct material *old,
				uint32_t index, uint64_t deadline_ms, struct buffer *said)
{
	static const struct ip_address any[] = { { .family = 4 }, { .family = 6 } };
	const struct config_listener *listener = &material->config->listeners.items[index];
	uint16_t port = (uint16_t)listener->port;
	size_t count = listener->addresses.count;
	bool everywhere = count == 0;
	enum error error = OK;

	for (size_t i = 0; i < (everywhere ? 2 : count) && error == OK; i++) {
		struct os_address address =
			address_of(everywhere ? &any[i] : &listener->addresses.items[i], port);

		error = bind_one(material, old, index * 256 + (uint32_t)i, &address, deadline_ms,
				 said);
		if (everywhere && i == 1 && error == ERROR_UNSUPPORTED) {
			error = OK; // a machine without IPv6; the line above says so
		}
	}
	return error;
}

enum error sockets_open(struct material *material, const struct material *old, struct buffer *said)
{
	const struct config *config = material->config;
	// A reload must not wait: the loop serves meanwhile.
	uint64_t deadline_ms = old ? 0 : os_clock_mono_ms() + BIND_PATIENCE_MS;
	enum error error = OK;

	material->sockets = arena_alloc_array(&material->arena, MATERIAL_SOCKETS_MAX,
					      sizeof *material->sockets);
	if (!material->sockets) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < config->listeners.count && error == OK; i++) {
		error = bind_listener(material, old, (uint32_t)i, deadline_ms, said);
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
