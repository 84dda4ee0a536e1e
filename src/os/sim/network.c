#include "os/sim/network.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW_BYTES = 64 * 1024,
	PORT_FIRST = 32768,
	LOCAL_LATENCY_US_MAX = 100,
};

enum packet_kind { SYN, SYN_ACK, REFUSED, BYTES, END, RESET };

struct packet {
	struct sim_event event;
	enum packet_kind kind;
	struct sim_stream *to;
	const struct sim_machine *machine; // of a SYN to a local listener
	size_t len;
	char bytes[];
};

// ---- streams --------------------------------------------------------------------------------

static size_t window_left(const struct sim_stream *stream)
{
	const struct sim_stream *peer = stream->peer;
	size_t used = peer ? peer->in_flight + peer->inbox.len : 0;

	return used < WINDOW_BYTES ? WINDOW_BYTES - used : 0;
}

static int stream_events(struct sim_object *object)
{
	const struct sim_stream *stream = CONTAINER_OF(object, struct sim_stream, object);
	int events = stream->is_reset ? OS_READABLE | OS_WRITABLE : 0;

	if (stream->inbox.len || stream->has_end) {
		events |= OS_READABLE;
	}
	if (!stream->is_connecting && window_left(stream)) {
		events |= OS_WRITABLE;
	}
	return events;
}

static void packet_arrives(struct sim_event *event);

static void packet_send(struct sim_stream *to, enum packet_kind kind, struct view bytes)
{
	struct packet *packet = sim_alloc(sizeof *packet + bytes.len);
	uint64_t latency_us = sim_below(
		to->remote.family == 1 ? LOCAL_LATENCY_US_MAX : sim_current->faults.latency_us_max);
	uint64_t at_us = sim_current->now_us + latency_us;

	if (at_us <= to->arrival_us) {
		at_us = to->arrival_us + 1;
	}
	to->arrival_us = at_us;
	packet->kind = kind;
	packet->to = sim_object_keep(&to->object);
	packet->machine = sim_current->process->machine;
	packet->len = bytes.len;
	if (bytes.len) {
		memcpy(packet->bytes, bytes.data, bytes.len);
	}
	packet->event.fn = packet_arrives;
	sim_event_set(&packet->event, at_us - sim_current->now_us);
}

static void stream_close(struct sim_object *object, bool by_crash)
{
	struct sim_stream *stream = CONTAINER_OF(object, struct sim_stream, object);
	struct sim_stream *peer = stream->peer;

	stream->is_closed = true;
	if (!peer || peer->is_closed || stream->is_reset ||
	    (sim_current->power_fails && sim_below(2))) {
		return;
	}
	if (by_crash || stream->inbox.len) {
		if (sim_below(2)) {
			peer->is_reset = true; // overtakes what is in flight
			sim_object_changed(&peer->object);
		} else {
			packet_send(peer, RESET, (struct view){ 0 });
		}
	} else if (!stream->has_sent_end) {
		packet_send(peer, END, (struct view){ 0 });
	}
}

static void stream_free(struct sim_object *object)
{
	struct sim_stream *stream = CONTAINER_OF(object, struct sim_stream, object);

	if (stream->peer) {
		stream->peer->peer = NULL;
	}
	buffer_done(&stream->inbox);
	free(stream);
}

static struct sim_stream *stream_new(const struct os_address *local,
				     const struct os_address *remote)
{
	struct sim_stream *stream = SIM_NEW(struct sim_stream);

	sim_object_init(&stream->object, SIM_STREAM);
	stream->object.events = stream_events;
	stream->object.close = stream_close;
	stream->object.free = stream_free;
	stream->local = *local;
	stream->remote = *remote;
	stream->inbox = buffer_with_max(WINDOW_BYTES);
	return stream;
}

// ---- listeners ------------------------------------------------------------------------------

static int listener_events(struct sim_object *object)
{
	const struct sim_listener *listener = CONTAINER_OF(object, struct sim_listener, object);

	return listener->waiting_count ? OS_READABLE : 0;
}

static void listener_close(struct sim_object *object, bool by_crash)
{
	struct sim_listener *listener = CONTAINER_OF(object, struct sim_listener, object);
	struct list *link;

	(void)by_crash;
	listener->is_closed = true;
	while ((link = list_take_first(&listener->waiting))) {
		struct sim_stream *stream = CONTAINER_OF(link, struct sim_stream, link);

		stream_close(&stream->object, true);
		sim_object_drop(&stream->object);
	}
	listener->waiting_count = 0;
}

static void listener_free(struct sim_object *object)
{
	struct sim_listener *listener = CONTAINER_OF(object, struct sim_listener, object);

	list_remove(&listener->link);
	free(listener);
}

static bool is_any(const struct os_address *address)
{
	static const uint8_t zeros[16];

	return address->family == 4   ? !memcmp(address->ip4, zeros, 4)
	       : address->family == 6 ? !memcmp(address->ip6, zeros, 16)
				      : false;
}

static bool listener_hears(const struct sim_listener *listener, const struct os_address *address,
			   const struct sim_machine *machine)
{
	if (listener->is_closed || listener->address.family != address->family) {
		return false;
	}
	if (address->family == 1) {
		return listener->machine == machine &&
		       os_address_equal(&listener->address, address);
	}
	return os_address_equal(&listener->address, address) ||
	       (listener->address.port == address->port && is_any(&listener->address));
}

struct sim_listener *sim_listener_find(const struct os_address *address,
				       const struct sim_machine *machine)
{
	struct list *all = &sim_current->listeners;
	struct sim_listener *found = NULL;
	uint64_t count = 0;

	for (struct list *link = all->next; link != all; link = link->next) {
		struct sim_listener *listener = CONTAINER_OF(link, struct sim_listener, link);

		if (listener_hears(listener, address, machine) && sim_below(++count) == 0) {
			found = listener;
		}
	}
	return found;
}

void sim_listener_make_channel(struct sim_listener *listener,
			       void (*close)(struct sim_object *object, bool by_crash))
{
	listener->object.close = close;
	listener->is_channel = true;
}

static uint16_t port_take(void)
{
	uint16_t port = sim_current->port_next++;

	if (sim_current->port_next < PORT_FIRST) {
		sim_current->port_next = PORT_FIRST;
	}
	return port;
}

enum error sim_listener_new(const struct os_address *address, unsigned backlog, bool reuse_port,
			    struct sim_listener **ret_listener)
{
	const struct sim_machine *machine = sim_current->process->machine;
	struct sim_listener *listener = sim_listener_find(address, machine);

	if (listener && !(listener->reuse_port && reuse_port)) {
		return ERROR_BUSY;
	}
	listener = SIM_NEW(struct sim_listener);
	sim_object_init(&listener->object, SIM_LISTENER);
	listener->object.events = listener_events;
	listener->object.close = listener_close;
	listener->object.free = listener_free;
	listener->address = *address;
	if (address->family != 1 && !address->port) {
		listener->address.port = port_take();
	}
	listener->machine = machine;
	listener->reuse_port = reuse_port;
	listener->backlog = backlog ? backlog : 1;
	list_init(&listener->waiting);
	list_add_last(&sim_current->listeners, &listener->link);
	*ret_listener = listener;
	return OK;
}

// ---- arrivals -------------------------------------------------------------------------------

static void syn_arrives(struct packet *packet)
{
	struct sim_stream *client = packet->to, *server;
	struct sim_listener *listener = sim_listener_find(&client->remote, packet->machine);
	const struct sim_faults *faults = &sim_current->faults;

	if (client->is_closed || sim_strikes(&faults->connect_lost)) {
		return;
	}
	if (!listener || listener->is_channel || listener->waiting_count >= listener->backlog ||
	    sim_strikes(&faults->connect_refused)) {
		packet_send(client, REFUSED, (struct view){ 0 });
		return;
	}
	server = stream_new(&client->remote, &client->local);
	server->peer = client;
	client->peer = server;
	sim_object_keep(&server->object);
	list_add_last(&listener->waiting, &server->link);
	listener->waiting_count++;
	sim_object_changed(&listener->object);
	packet_send(client, SYN_ACK, (struct view){ 0 });
}

static void stream_take(struct packet *packet)
{
	struct sim_stream *stream = packet->to;

	switch (packet->kind) {
	case SYN_ACK: stream->is_connecting = false; break;
	case REFUSED:
		stream->is_connecting = false;
		stream->connect_error = ERROR_REFUSED;
		stream->is_reset = true;
		break;
	case BYTES:
		stream->in_flight -= packet->len;
		if (!stream->is_reset) {
			buffer_add(&stream->inbox, view_of(packet->bytes, packet->len));
		}
		break;
	case END: stream->has_end = true; break;
	case RESET:
		stream->is_reset = true;
		stream->is_connecting = false;
		break;
	case SYN: break;
	}
	sim_object_changed(&stream->object);
}

static void packet_arrives(struct sim_event *event)
{
	static const char *const names[] = { "connect",      "connected", "connection refused",
					     "bytes arrive", "end",       "reset" };
	struct packet *packet = CONTAINER_OF(event, struct packet, event);
	struct sim_stream *stream = packet->to;

	sim_trace("port %u from %u: %s %zu", stream->local.port, stream->remote.port,
		  names[packet->kind], packet->len);
	if (packet->kind == SYN) {
		syn_arrives(packet);
	} else if (!stream->is_closed) {
		stream_take(packet);
	} else if (packet->kind == BYTES && stream->peer && !stream->peer->is_closed) {
		packet_send(stream->peer, RESET, (struct view){ 0 });
	}
	sim_object_drop(&stream->object);
	free(packet);
}

// ---- os/socket.h ----------------------------------------------------------------------------

enum error os_socket_listen(const struct os_address *address, struct os_listen_options options,
			    int *ret_listener)
{
	struct sim_listener *listener = NULL;
	enum error error;

	if (options.is_first && sim_listener_find(address, sim_current->process->machine)) {
		return ERROR_BUSY;
	}
	error = sim_listener_new(address, (unsigned)options.backlog, options.reuse_port, &listener);
	return error ? error : sim_fd_new(&listener->object, ret_listener);
}

enum error os_socket_accept(int fd, int *ret_socket, struct os_address *ret_peer)
{
	struct sim_listener *listener = sim_fd_object(fd, SIM_LISTENER);
	enum error error = sim_call_begin(SIM_ACCEPT, 0);
	struct sim_stream *stream;

	if (!error && !listener->waiting_count) {
		error = ERROR_AGAIN;
	}
	if (error) {
		return error;
	}
	stream = CONTAINER_OF(listener->waiting.next, struct sim_stream, link);
	error = sim_fd_new(&stream->object, ret_socket);
	if (error) {
		return error;
	}
	list_remove(&stream->link);
	listener->waiting_count--;
	if (ret_peer) {
		*ret_peer = stream->remote;
	}
	sim_object_drop(&stream->object);
	return OK;
}

static struct os_address default_source(const struct os_address *to)
{
	struct os_address source = { .family = to->family };

	if (to->family == 4) {
		source.ip4[0] = 127;
		source.ip4[3] = 1;
	} else if (to->family == 6) {
		source.ip6[15] = 1;
	}
	return source;
}

enum error os_socket_connect(const struct os_address *address, const struct os_address *source,
			     int *ret_socket)
{
	struct os_address local = source ? *source : default_source(address);
	enum error error = sim_call_begin(SIM_CONNECT, 0);
	struct sim_stream *stream;

	if (error) {
		return error;
	}
	if (local.family != 1 && !local.port) {
		local.port = port_take();
	}
	stream = stream_new(&local, address);
	stream->is_connecting = true;
	error = sim_fd_new(&stream->object, ret_socket);
	if (!error) {
		packet_send(stream, SYN, (struct view){ 0 });
	}
	return error;
}

enum error os_socket_connect_result(int socket)
{
	const struct sim_stream *stream = sim_fd_object(socket, SIM_STREAM);

	if (stream->is_connecting) {
		return ERROR_AGAIN;
	}
	return stream->connect_error ? stream->connect_error : stream->is_reset ? ERROR_RESET : OK;
}

enum error os_socket_local_address(int socket, struct os_address *ret_address)
{
	const struct sim_object *object = sim_fd_any(socket);

	*ret_address =
		object->kind == SIM_LISTENER
			? CONTAINER_OF(object, const struct sim_listener, object)->address
			: ((const struct sim_stream *)sim_fd_object(socket, SIM_STREAM))->local;
	return OK;
}

enum error os_socket_source_address(const struct os_address *peer, struct os_address *ret_address)
{
	*ret_address = default_source(peer);
	return OK;
}

bool os_socket_address_is_local(const struct os_address *address)
{
	struct os_address local = default_source(address);

	local.port = address->port;
	return os_address_equal(&local, address);
}

enum error os_socket_duplicate(int socket, int *ret_socket)
{
	return sim_fd_new(sim_fd_any(socket), ret_socket);
}

static size_t perhaps_less(size_t len)
{
	return len > 1 && sim_strikes(&sim_current->faults.transfer_short) ? 1 + sim_below(len - 1)
									   : len;
}

enum error os_socket_receive(int socket, void *bytes, size_t size, size_t *ret_len)
{
	struct sim_stream *stream = sim_fd_object(socket, SIM_STREAM);
	enum error error = sim_call_begin(SIM_RECEIVE, 0);
	size_t len;

	if (error) {
		return error;
	}
	if (!stream->inbox.len) {
		return stream->is_reset  ? ERROR_RESET
		       : stream->has_end ? ERROR_CLOSED
					 : ERROR_AGAIN;
	}
	len = perhaps_less(size < stream->inbox.len ? size : stream->inbox.len);
	memcpy(bytes, stream->inbox.data, len);
	buffer_consume(&stream->inbox, len);
	if (stream->peer) {
		sim_object_changed(&stream->peer->object);
	}
	*ret_len = len;
	return OK;
}

static void stream_break(struct sim_stream *stream)
{
	sim_trace("port %u: the connection breaks", stream->local.port);
	stream->is_reset = true;
	if (stream->peer && !stream->peer->is_closed) {
		packet_send(stream->peer, RESET, (struct view){ 0 });
	}
}

enum error os_socket_send(int socket, struct view bytes, size_t *ret_len)
{
	struct sim_stream *stream = sim_fd_object(socket, SIM_STREAM);
	enum error error = sim_call_begin(SIM_SEND, 0);
	size_t len = window_left(stream);

	if (error) {
		return error;
	}
	if (!stream->is_reset && sim_strikes(&sim_current->faults.send_reset)) {
		stream_break(stream);
	}
	if (stream->is_reset || stream->has_sent_end) {
		return ERROR_RESET;
	}
	if (stream->is_connecting || (!len && bytes.len)) {
		return ERROR_AGAIN;
	}
	len = perhaps_less(len < bytes.len ? len : bytes.len);
	if (!stream->peer) {
		packet_send(stream, RESET, (struct view){ 0 });
	} else if (len) {
		stream->peer->in_flight += len;
		packet_send(stream->peer, BYTES, view_first(bytes, len));
	}
	*ret_len = len;
	return OK;
}

enum error os_socket_send_parts(int socket, const struct os_socket_part *parts, unsigned count,
				size_t *ret_len)
{
	struct buffer all = buffer_with_max(WINDOW_BYTES);
	enum error error;

	for (unsigned i = 0; i < count && all.len < WINDOW_BYTES; i++) {
		struct view part = view_of(parts[i].data, parts[i].len);

		buffer_add(&all, view_first(part, WINDOW_BYTES - all.len));
	}
	error = os_socket_send(socket, buffer_view(&all), ret_len);
	buffer_done(&all);
	return error;
}

void os_socket_shutdown_send(int socket)
{
	struct sim_stream *stream = sim_fd_object(socket, SIM_STREAM);

	if (!stream->has_sent_end && !stream->is_reset && stream->peer) {
		stream->has_sent_end = true;
		packet_send(stream->peer, END, (struct view){ 0 });
	}
}

void os_socket_close(int socket)
{
	sim_fd_close(socket);
}

void os_socket_close_reset(int socket)
{
	struct sim_stream *stream = socket == -1 ? NULL : sim_fd_object(socket, SIM_STREAM);

	if (stream && stream->peer && !stream->is_reset) {
		stream_break(stream);
	}
	sim_fd_close(socket);
}
