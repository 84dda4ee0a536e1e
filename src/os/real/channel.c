#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "os/real/datagram.h"

enum { MESSAGES_PER_TURN = 16 }; // so that one busy channel does not starve the loop

struct waiting_message {
	struct list link;
	int fds[OS_MESSAGE_FDS_MAX]; // duplicates
	unsigned fd_count;
	size_t len;
	char bytes[]; // header and payload
};

struct os_channel {
	int fd;
	struct os_watch *watch;
	struct list waiting;
	unsigned waiting_count, waiting_max;
	os_channel_message_fn *on_message;
	os_channel_closed_fn *on_closed;
	void *context;
	bool is_busy;   // inside a callback: freed after it
	bool is_closed; // on_closed was called
	bool is_freed;
};

static void drop_waiting(struct os_channel *channel, struct waiting_message *message)
{
	list_remove(&message->link);
	channel->waiting_count--;
	os_datagram_close_fds(message->fds, message->fd_count);
	free(message);
}

static struct waiting_message *first_waiting(struct os_channel *channel)
{
	return list_empty(&channel->waiting)
		       ? NULL
		       : CONTAINER_OF(channel->waiting.next, struct waiting_message, link);
}

static void release(struct os_channel *channel)
{
	struct waiting_message *message;

	while ((message = first_waiting(channel))) {
		drop_waiting(channel, message);
	}
	os_watch_free(channel->watch);
	if (channel->fd >= 0) {
		close(channel->fd);
	}
	free(channel);
}

static void close_down(struct os_channel *channel, enum error reason)
{
	os_watch_free(channel->watch);
	channel->watch = NULL;
	channel->is_closed = true;
	channel->on_closed(channel->context, reason);
}

static enum error receive_some(struct os_channel *channel)
{
	char bytes[OS_DATAGRAM_SIZE_MAX];

	for (unsigned i = 0; i < MESSAGES_PER_TURN && !channel->is_freed; i++) {
		struct os_message message;
		enum error error = os_datagram_receive(channel->fd, bytes, &message);

		if (error != OK) {
			return error == ERROR_AGAIN ? OK : error;
		}
		channel->on_message(channel->context, &message);
	}
	return OK;
}

static enum error send_waiting(struct os_channel *channel)
{
	struct waiting_message *message;

	while ((message = first_waiting(channel))) {
		enum error error =
			os_datagram_send(channel->fd, view_of(message->bytes, message->len),
					 (struct view){ 0 }, message->fds, message->fd_count);

		if (error == ERROR_AGAIN) {
			return OK;
		}
		// The other end is gone: what it said before is read first, then that it is gone.
		if (error != OK && error != ERROR_CLOSED) {
			return error;
		}
		drop_waiting(channel, message);
	}
	return os_watch_set(channel->watch, OS_READABLE);
}

static void channel_ready(void *context, int events)
{
	struct os_channel *channel = context;
	enum error error = OK;

	channel->is_busy = true;
	if (events & OS_READABLE) {
		error = receive_some(channel);
	}
	if (error == OK && events & OS_WRITABLE && !channel->is_freed) {
		error = send_waiting(channel);
	}
	if (error != OK && !channel->is_freed) {
		close_down(channel, error);
	}
	channel->is_busy = false;
	if (channel->is_freed) {
		release(channel);
	}
}

enum error os_channel_new(struct os_loop *loop, int fd, unsigned queue_max,
			  os_channel_message_fn *on_message, os_channel_closed_fn *on_closed,
			  void *context, struct os_channel **ret_channel)
{
	struct os_channel *channel = calloc(1, sizeof *channel);
	enum error error;

	if (!channel) {
		close(fd);
		return ERROR_NO_MEMORY;
	}
	channel->fd = fd;
	channel->waiting_max = queue_max;
	channel->on_message = on_message;
	channel->on_closed = on_closed;
	channel->context = context;
	list_init(&channel->waiting);
	error = os_watch_new(loop, fd, channel_ready, channel, &channel->watch);
	if (error == OK) {
		error = os_watch_set(channel->watch, OS_READABLE);
	}
	if (error != OK) {
		release(channel);
		return error;
	}
	*ret_channel = channel;
	return OK;
}

static enum error duplicate_fds(struct waiting_message *message, const int *fds, unsigned fd_count)
{
	for (unsigned i = 0; i < fd_count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			return error_from_errno(errno);
		}
		message->fds[message->fd_count++] = fd;
	}
	return OK;
}

static enum error put_waiting(struct os_channel *channel, struct view header, struct view payload,
			      const int *fds, unsigned fd_count)
{
	struct waiting_message *message;
	enum error error;

	if (channel->waiting_count >= channel->waiting_max) {
		return ERROR_LIMIT;
	}
	message = calloc(1, sizeof *message + header.len + payload.len);
	if (!message) {
		return ERROR_NO_MEMORY;
	}
	message->len = header.len + payload.len;
	memcpy(message->bytes, header.data, header.len);
	if (payload.len) {
		memcpy(message->bytes + header.len, payload.data, payload.len);
	}
	list_add_last(&channel->waiting, &message->link);
	channel->waiting_count++;
	error = duplicate_fds(message, fds, fd_count);
	if (error == OK) {
		error = os_watch_set(channel->watch, OS_READABLE | OS_WRITABLE);
	}
	if (error != OK) {
		drop_waiting(channel, message);
	}
	return error;
}

enum error os_channel_send(struct os_channel *channel, uint16_t type, uint32_t id,
			   struct view payload, const int *fds, unsigned fd_count)
{
	char bytes[OS_DATAGRAM_HEADER_SIZE];
	struct view header = view_of(bytes, sizeof bytes);
	enum error error = ERROR_AGAIN;

	if (payload.len > OS_MESSAGE_SIZE_MAX || fd_count > OS_MESSAGE_FDS_MAX) {
		return ERROR_LIMIT;
	}
	if (channel->is_closed || channel->is_freed) {
		return ERROR_CLOSED;
	}
	os_datagram_put_header(bytes, type, id, fd_count);
	if (channel->waiting_count == 0) {
		error = os_datagram_send(channel->fd, header, payload, fds, fd_count);
	}
	if (error == ERROR_AGAIN) {
		error = put_waiting(channel, header, payload, fds, fd_count);
	}
	return error;
}

void os_channel_free(struct os_channel *channel)
{
	if (!channel) {
		return;
	}
	if (channel->is_busy) {
		channel->is_freed = true;
		os_watch_free(channel->watch);
		channel->watch = NULL;
		return;
	}
	release(channel);
}
