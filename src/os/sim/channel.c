// os/message.h: datagrams that keep order and boundaries, with descriptors riding along.
#include "os/message.h"

#include <stdlib.h>
#include <string.h>

#include "os/sim/network.h"

enum {
	KERNEL_SLOTS = 16, // datagrams that may wait at the receiver
	LATENCY_US_MAX = 100,
	DELIVER_MAX = 32, // in one turn of the loop
	CONNECT_BACKLOG = 64,
};

struct end {
	struct sim_object object;
	struct list link; // of the listener that it waits at
	struct end *peer; // NULL once it is freed
	struct list inbox, outbox;
	unsigned inbox_count; // those in flight too
	unsigned outbox_count;
	uint64_t arrival_us;
	int32_t peer_pid;
	bool is_closed, has_end;
};

struct datagram {
	struct list link;
	struct sim_event event;
	struct end *to;
	bool is_end;
	uint16_t type;
	uint32_t id;
	struct sim_object *objects[OS_MESSAGE_FDS_MAX];
	unsigned object_count;
	size_t len;
	char bytes[];
};

// ---- ends -----------------------------------------------------------------------------------

static int end_events(struct sim_object *object)
{
	const struct end *end = CONTAINER_OF(object, struct end, object);
	int events = list_empty(&end->inbox) && !end->has_end ? 0 : OS_READABLE;

	return !end->peer || end->peer->inbox_count < KERNEL_SLOTS ? events | OS_WRITABLE : events;
}

static void datagram_free(struct datagram *datagram)
{
	for (unsigned i = 0; i < datagram->object_count; i++) {
		sim_object_release(datagram->objects[i], false);
	}
	free(datagram);
}

static void datagrams_free(struct list *box)
{
	struct list *link;

	while ((link = list_take_first(box))) {
		datagram_free(CONTAINER_OF(link, struct datagram, link));
	}
}

static void datagram_arrives(struct sim_event *event)
{
	struct datagram *datagram = CONTAINER_OF(event, struct datagram, event);
	struct end *end = datagram->to;

	if (end->is_closed) {
		datagram_free(datagram);
	} else if (datagram->is_end) {
		end->has_end = true;
		datagram_free(datagram);
	} else {
		sim_trace("message %u arrives, %zu bytes", datagram->type, datagram->len);
		list_add_last(&end->inbox, &datagram->link);
	}
	if (!end->is_closed) {
		sim_object_changed(&end->object);
	}
	sim_object_drop(&end->object);
}

static void datagram_post(struct datagram *datagram, struct end *to)
{
	uint64_t at_us = sim_current->now_us + sim_below(LATENCY_US_MAX);

	if (at_us <= to->arrival_us) {
		at_us = to->arrival_us + 1;
	}
	to->arrival_us = at_us;
	to->inbox_count += !datagram->is_end;
	datagram->to = sim_object_keep(&to->object);
	datagram->event.fn = datagram_arrives;
	sim_event_set(&datagram->event, at_us - sim_current->now_us);
}

static void end_close(struct sim_object *object, bool by_crash)
{
	struct end *end = CONTAINER_OF(object, struct end, object);
	struct datagram *datagram;

	(void)by_crash;
	end->is_closed = true;
	datagrams_free(&end->inbox);
	datagrams_free(&end->outbox);
	if (end->peer && !end->peer->is_closed) {
		datagram = SIM_NEW(struct datagram);
		datagram->is_end = true;
		datagram_post(datagram, end->peer);
	}
}

static void end_free(struct sim_object *object)
{
	struct end *end = CONTAINER_OF(object, struct end, object);

	if (end->peer) {
		end->peer->peer = NULL;
	}
	free(end);
}

static struct end *end_new(void)
{
	struct end *end = SIM_NEW(struct end);

	sim_object_init(&end->object, SIM_CHANNEL);
	end->object.events = end_events;
	end->object.close = end_close;
	end->object.free = end_free;
	end->peer_pid = sim_current->process->id;
	list_init(&end->inbox);
	list_init(&end->outbox);
	return end;
}

static void ends_join(struct end *a, struct end *b)
{
	a->peer = b;
	b->peer = a;
}

enum error os_channel_pair(int ret_fds[2])
{
	struct end *a = end_new(), *b = end_new();
	enum error error;
	int fd;

	ends_join(a, b);
	error = sim_fd_new(&a->object, &fd);
	if (error) {
		b->object.free(&b->object);
		return error;
	}
	error = sim_fd_new(&b->object, &ret_fds[1]);
	if (error) {
		sim_fd_close(fd);
		return error;
	}
	ret_fds[0] = fd;
	return OK;
}

// ---- datagrams ------------------------------------------------------------------------------

static struct datagram *datagram_new(uint16_t type, uint32_t id, struct view payload,
				     const int *fds, unsigned fd_count)
{
	struct datagram *datagram = sim_alloc(sizeof *datagram + payload.len);

	datagram->type = type;
	datagram->id = id;
	datagram->len = payload.len;
	if (payload.len) {
		memcpy(datagram->bytes, payload.data, payload.len);
	}
	for (unsigned i = 0; i < fd_count; i++) {
		datagram->objects[i] = sim_fd_any(fds[i]);
		sim_object_hold(datagram->objects[i]);
	}
	datagram->object_count = fd_count;
	return datagram;
}

static enum error end_send(struct end *end, unsigned queue_max, struct datagram *datagram)
{
	if (!end->peer || end->peer->is_closed) {
		datagram_free(datagram);
		return ERROR_CLOSED;
	}
	if (end->peer->inbox_count < KERNEL_SLOTS) {
		datagram_post(datagram, end->peer);
	} else if (end->outbox_count < queue_max) {
		list_add_last(&end->outbox, &datagram->link);
		end->outbox_count++;
	} else {
		datagram_free(datagram);
		return ERROR_LIMIT;
	}
	return OK;
}

static void end_refill(struct end *end)
{
	struct end *peer = end->peer;
	struct list *link;

	if (peer && (link = list_take_first(&peer->outbox))) {
		peer->outbox_count--;
		datagram_post(CONTAINER_OF(link, struct datagram, link), end);
	}
	if (peer) {
		sim_object_changed(&peer->object);
	}
}

static struct datagram *end_take(struct end *end)
{
	struct list *link = list_take_first(&end->inbox);

	if (!link) {
		return NULL;
	}
	end->inbox_count--;
	end_refill(end);
	return CONTAINER_OF(link, struct datagram, link);
}

// The descriptors of the datagram become the current process's.
static enum error message_open(struct datagram *datagram, struct os_message *message)
{
	*message = (struct os_message){ .type = datagram->type,
					.id = datagram->id,
					.payload = view_of(datagram->bytes, datagram->len) };
	for (unsigned i = 0; i < datagram->object_count; i++) {
		if (sim_fd_new(datagram->objects[i], &message->fds[i])) {
			while (message->fd_count) {
				sim_fd_close(message->fds[--message->fd_count]);
			}
			return ERROR_LIMIT;
		}
		message->fd_count++;
	}
	return OK;
}

static enum error message_check(struct view payload, unsigned fd_count)
{
	return payload.len > OS_MESSAGE_SIZE_MAX || fd_count > OS_MESSAGE_FDS_MAX ? ERROR_INVALID
										  : OK;
}

// ---- on a loop ------------------------------------------------------------------------------

struct os_channel {
	int fd;
	struct end *end;
	struct os_watch *watch;
	unsigned queue_max;
	os_channel_message_fn *on_message;
	os_channel_closed_fn *on_closed;
	void *context;
	bool is_delivering, is_freed; // freed once the delivery returns
};

static void channel_closed(struct os_channel *channel, enum error reason)
{
	enum error error = os_watch_set(channel->watch, 0);

	(void)error; // nothing in the simulation fails there
	channel->on_closed(channel->context, reason);
}

// False when there is no more to deliver now.
static bool channel_deliver_one(struct os_channel *channel)
{
	struct datagram *datagram = end_take(channel->end);
	struct os_message message;
	enum error error;

	if (!datagram) {
		if (channel->end->has_end) {
			channel_closed(channel, ERROR_CLOSED);
		}
		return false;
	}
	error = message_open(datagram, &message);
	if (error) {
		channel_closed(channel, error);
	} else {
		channel->on_message(channel->context, &message);
	}
	datagram_free(datagram);
	return !error && !channel->is_freed;
}

static void channel_deliver(void *context, int events)
{
	struct os_channel *channel = context;
	unsigned left = DELIVER_MAX;

	(void)events;
	channel->is_delivering = true;
	while (left && channel_deliver_one(channel)) {
		left--;
	}
	channel->is_delivering = false;
	if (channel->is_freed) {
		sim_disown(channel);
	}
}

enum error os_channel_new(struct os_loop *loop, int fd, unsigned queue_max,
			  os_channel_message_fn *on_message, os_channel_closed_fn *on_closed,
			  void *context, struct os_channel **ret_channel)
{
	struct os_channel *channel = SIM_OWN(struct os_channel);
	enum error error;

	*channel = (struct os_channel){ .fd = fd,
					.end = sim_fd_object(fd, SIM_CHANNEL),
					.queue_max = queue_max,
					.on_message = on_message,
					.on_closed = on_closed,
					.context = context };
	error = os_watch_new(loop, fd, channel_deliver, channel, &channel->watch);
	if (!error) {
		error = os_watch_set(channel->watch, OS_READABLE);
	}
	*ret_channel = channel;
	return error;
}

enum error os_channel_send(struct os_channel *channel, uint16_t type, uint32_t id,
			   struct view payload, const int *fds, unsigned fd_count)
{
	enum error error = message_check(payload, fd_count);

	if (!error) {
		error = sim_call_begin(SIM_MESSAGE_SEND, 0);
	}
	return error ? error
		     : end_send(channel->end, channel->queue_max,
				datagram_new(type, id, payload, fds, fd_count));
}

void os_channel_free(struct os_channel *channel)
{
	if (channel) {
		os_watch_free(channel->watch);
		sim_fd_close(channel->fd);
		channel->is_freed = true;
		if (!channel->is_delivering) {
			sim_disown(channel);
		}
	}
}

// ---- blocking -------------------------------------------------------------------------------

static bool end_has_room(void *context)
{
	const struct end *end = context;

	return !end->peer || end->peer->is_closed || end->peer->inbox_count < KERNEL_SLOTS;
}

static bool end_has_news(void *context)
{
	const struct end *end = context;

	return !list_empty(&end->inbox) || end->has_end;
}

enum error os_message_send(int fd, uint16_t type, uint32_t id, struct view payload, const int *fds,
			   unsigned fd_count)
{
	struct end *end = sim_fd_object(fd, SIM_CHANNEL);
	enum error error = message_check(payload, fd_count);

	if (!error) {
		error = sim_call_begin(SIM_MESSAGE_SEND, 0);
	}
	if (error) {
		return error;
	}
	sim_wait_until(end_has_room, end, 0);
	return end_send(end, 0, datagram_new(type, id, payload, fds, fd_count));
}

enum error os_message_receive(int fd, uint64_t timeout_ms, struct buffer *buffer,
			      struct os_message *ret_message)
{
	struct end *end = sim_fd_object(fd, SIM_CHANNEL);
	enum error error = sim_call_begin(SIM_MESSAGE_RECEIVE, 0);
	struct os_message message = { 0 };
	struct datagram *datagram;

	if (error) {
		return error;
	}
	if (!sim_wait_until(end_has_news, end, timeout_ms * 1000)) {
		return ERROR_TIMEOUT;
	}
	datagram = end_take(end);
	if (!datagram) {
		return ERROR_CLOSED;
	}
	buffer_clear(buffer);
	buffer_add(buffer, view_of(datagram->bytes, datagram->len));
	error = buffer_error(buffer);
	if (!error) {
		error = message_open(datagram, &message);
	}
	datagram_free(datagram);
	if (!error) {
		message.payload = buffer_view(buffer);
		*ret_message = message;
	}
	return error;
}

// ---- named ----------------------------------------------------------------------------------

static void listener_close(struct sim_object *object, bool by_crash)
{
	struct sim_listener *listener = CONTAINER_OF(object, struct sim_listener, object);
	struct list *link;

	listener->is_closed = true;
	listener->waiting_count = 0;
	while ((link = list_take_first(&listener->waiting))) {
		struct end *end = CONTAINER_OF(link, struct end, link);

		end_close(&end->object, by_crash);
		sim_object_drop(&end->object);
	}
}

static enum error path_address(const char *path, struct os_address *address)
{
	size_t len = strlen(path);

	if (len >= sizeof address->path) {
		return ERROR_INVALID;
	}
	*address = (struct os_address){ .family = 1 };
	memcpy(address->path, path, len);
	return OK;
}

enum error os_channel_listen(const char *path, uint32_t mode, int *ret_listener)
{
	struct sim_listener *listener = NULL;
	struct os_address address;
	enum error error = path_address(path, &address);

	(void)mode;
	if (!error) {
		error = sim_listener_new(&address, CONNECT_BACKLOG, false, &listener);
	}
	if (error) {
		return error;
	}
	sim_listener_make_channel(listener, listener_close);
	return sim_fd_new(&listener->object, ret_listener);
}

enum error os_channel_accept(int fd, int *ret_fd, struct os_peer *ret_peer)
{
	struct sim_listener *listener = sim_fd_object(fd, SIM_LISTENER);
	enum error error = sim_call_begin(SIM_ACCEPT, 0);
	struct end *end;

	if (!error && !listener->waiting_count) {
		error = ERROR_AGAIN;
	}
	if (error) {
		return error;
	}
	end = CONTAINER_OF(listener->waiting.next, struct end, link);
	error = sim_fd_new(&end->object, ret_fd);
	if (error) {
		return error;
	}
	list_remove(&end->link);
	listener->waiting_count--;
	if (ret_peer) {
		*ret_peer = (struct os_peer){ 1000, 1000, end->peer_pid };
	}
	sim_object_drop(&end->object);
	return OK;
}

enum error os_channel_connect(const char *path, int *ret_fd)
{
	struct sim_listener *listener;
	struct os_address address;
	enum error error = path_address(path, &address);
	struct end *own, *other;

	if (!error) {
		error = sim_call_begin(SIM_CONNECT, 0);
	}
	if (error) {
		return error;
	}
	listener = sim_listener_find(&address, sim_current->process->machine);
	if (!listener || !listener->is_channel || listener->waiting_count >= listener->backlog) {
		return ERROR_REFUSED;
	}
	own = end_new();
	error = sim_fd_new(&own->object, ret_fd);
	if (error) {
		return error;
	}
	other = end_new();
	ends_join(own, other);
	sim_object_keep(&other->object);
	list_add_last(&listener->waiting, &other->link);
	listener->waiting_count++;
	sim_object_changed(&listener->object);
	return OK;
}
