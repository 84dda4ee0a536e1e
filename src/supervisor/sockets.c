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

static const struct material_socket *find(const struct material *material,
					  const struct os_address *address)
{
	for (unsigned i = 0; material && i < material->socket_count; i++) {
		if (os_address_equal(&material->sockets[i].address, address)) {
			return &material->sockets[i];
		}
	}
	return NULL;
}

// Somebody else's program does not let go; ours that may still be dying does.
static bool is_worth_waiting(const struct os_address *address)
{
	struct os_socket_holder holder;

	return os_socket_find_holder(address, &holder) != OK ||
	       view_starts(view_from_text(holder.name), VIEW("packetboat"));
}

// deadline_ms 0: without waiting.
static enum error listen_patiently(const struct os_address *address,
				   struct os_listen_options options, uint64_t deadline_ms,
				   int *ret_fd)
{
	enum error error;

	while ((error = os_socket_listen(address, options, ret_fd)) == ERROR_BUSY &&
	       os_clock_mono_ms() < deadline_ms && is_worth_waiting(address)) {
		os_process_pause(BIND_PAUSE_MS);
	}
	return error;
}

// Nobody else may have the port, not even somebody who would share it with us.
static enum error listen_for_all(const struct os_address *address, unsigned threads,
				 uint64_t deadline_ms, int *ret_fds)
{
	struct os_listen_options options = {
		.backlog = BACKLOG,
		.reuse_port = threads > 1,
		.is_first = threads > 1,
	};
	enum error error = listen_patiently(address, options, deadline_ms, &ret_fds[0]);

	options.is_first = false;
	for (unsigned i = 1; i < threads && error == OK; i++) {
		error = os_socket_listen(address, options, &ret_fds[i]);
	}
	return error;
}

static enum error take_over(const struct material_socket *existing, unsigned threads, int *ret_fds)
{
	enum error error = OK;

	for (unsigned i = 0; i < threads && error == OK; i++) {
		error = os_socket_duplicate(existing->fds[i], &ret_fds[i]);
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

static void close_all(struct material_socket *socket)
{
	for (unsigned i = 0; i < CONFIG_THREADS_MAX; i++) {
		os_socket_close(socket->fds[i]);
	}
}

static enum error bind_one(struct material *material, const struct material *old,
			   struct listener_number number, const struct os_address *address,
			   uint64_t deadline_ms, struct buffer *said)
{
	struct material_socket *socket = &material->sockets[material->socket_count];
	const struct material_socket *existing = find(old, address);
	unsigned threads = material->threads;
	enum error error;

	if ((material->socket_count + 1) * threads > MATERIAL_SOCKETS_MAX) {
		buffer_printf(said, "more than %u addresses to listen on, with %u threads\n",
			      MATERIAL_SOCKETS_MAX / threads, threads);
		return ERROR_LIMIT;
	}
	*socket = (struct material_socket){ .number = number, .address = *address };
	memset(socket->fds, -1, sizeof socket->fds);
	error = existing ? take_over(existing, threads, socket->fds)
			 : listen_for_all(address, threads, deadline_ms, socket->fds);
	if (error == OK) {
		material->socket_count++;
	} else {
		close_all(socket);
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
				unsigned index, uint64_t deadline_ms, struct buffer *said)
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

		error = bind_one(material, old, (struct listener_number){ index, (uint8_t)i, 0 },
				 &address, deadline_ms, said);
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
		error = bind_listener(material, old, (unsigned)i, deadline_ms, said);
	}
	return error;
}

void sockets_close(struct material *material)
{
	for (unsigned i = 0; i < material->socket_count; i++) {
		close_all(&material->sockets[i]);
	}
	material->socket_count = 0;
}
