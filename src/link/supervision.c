#include "link/supervision.h"

#include <stdlib.h>

#include "base/wire.h"
#include "os/page.h"
#include "os/socket.h"

enum { START_TIMEOUT_MS = 30000, CHANNEL_QUEUE_MAX = 256 };

static struct handle *find(const struct supervision *supervision, enum handle_kind kind,
			   uint32_t number)
{
	for (unsigned i = 0; i < supervision->count; i++) {
		struct handle *handle = &supervision->handles[i];

		if (handle->kind == kind && handle->number == number) {
			return handle;
		}
	}
	return NULL;
}

// Their places are kept until sweep, so that a walk over the handles may take some.
static void forget(struct handle *handle)
{
	handle->kind = 0;
}

static enum error put(struct supervision *supervision, struct handle handle)
{
	struct handle *old = find(supervision, handle.kind, handle.number);

	if (old) {
		forget(old);
	}
	if (handle.fd < 0) {
		return OK;
	}
	if (supervision->count >= SUPERVISION_HANDLES_MAX) {
		return ERROR_LIMIT;
	}
	supervision->handles[supervision->count++] = handle;
	return OK;
}

static void close_all(struct os_message *message, unsigned from)
{
	for (unsigned i = from; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
}

// Takes the message's descriptors in every case.
static enum error take_handle(struct supervision *supervision, struct os_message *message)
{
	struct wire_reader reader = wire_reader_of(message->payload);
	struct handle handle = { .kind = wire_u8(&reader), .fresh = true };
	enum error error = ERROR_INVALID;

	handle.number = wire_u32(&reader);
	handle.fd = message->fd_count ? message->fds[0] : -1;
	if (wire_finished(&reader) && handle.kind > 0 && handle.kind < HANDLE_KIND_COUNT &&
	    message->fd_count <= 1) {
		error = put(supervision, handle);
	}
	close_all(message, error == OK ? 1 : 0);
	return error;
}

// The process has what came with the latest BEGIN: closes what that replaced.
static void sweep(struct supervision *supervision)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < supervision->count; i++) {
		struct handle *handle = &supervision->handles[i];

		if (handle->kind == 0) {
			os_socket_close(handle->fd);
			continue;
		}
		handle->fresh = false;
		supervision->handles[kept++] = *handle;
	}
	supervision->count = kept;
}

enum error supervision_receive_first(struct supervision *supervision)
{
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	struct os_message message;
	enum error error;

	*supervision = (struct supervision){ 0 };
	supervision->handles = calloc(SUPERVISION_HANDLES_MAX, sizeof *supervision->handles);
	if (!supervision->handles) {
		return ERROR_NO_MEMORY;
	}
	for (;;) {
		error = os_message_receive(SUPERVISION_FD, START_TIMEOUT_MS, &buffer, &message);
		if (error != OK) {
			break;
		}
		if (message.type != SUPERVISION_HANDLE) {
			close_all(&message, 0);
			error = message.type == SUPERVISION_BEGIN ? OK : ERROR_INVALID;
			break;
		}
		error = take_handle(supervision, &message);
		if (error != OK) {
			break;
		}
	}
	buffer_done(&buffer);
	return error;
}

static void on_closed(void *context, enum error reason)
{
	struct supervision *supervision = context;

	(void)reason;
	supervision->calls->closed(supervision->context);
}

// A supervisor that cannot be told takes this process for one that hangs.
static void answer(struct supervision *supervision, enum supervision_message type)
{
	enum error error = supervision_send(supervision, type, 0, (struct view){ 0 });

	(void)error;
}

void supervision_pong(struct supervision *supervision)
{
	answer(supervision, SUPERVISION_PONG);
}

static void on_message(void *context, struct os_message *message)
{
	struct supervision *supervision = context;
	const struct supervision_calls *calls = supervision->calls;

	if (message->type == SUPERVISION_HANDLE) {
		if (take_handle(supervision, message) != OK) {
			calls->closed(supervision->context);
		}
		return;
	}
	close_all(message, 0);
	switch (message->type) {
	case SUPERVISION_BEGIN:
		calls->changed(supervision->context);
		sweep(supervision);
		answer(supervision, SUPERVISION_SETTLED);
		break;
	case SUPERVISION_SIBLING:
		if (calls->sibling && message->payload.len == 1) {
			calls->sibling(supervision->context, (uint8_t)message->payload.data[0],
				       (int32_t)message->id);
		}
		break;
	case SUPERVISION_PING: calls->ping(supervision->context); break;
	case SUPERVISION_STOP: calls->stop(supervision->context); break;
	case SUPERVISION_COMMAND:
		calls->command(supervision->context, message->id, message->payload);
		break;
	case SUPERVISION_RESULT:
		if (calls->result) {
			calls->result(supervision->context, message->id, message->payload);
		}
		break;
	default: calls->closed(supervision->context); break;
	}
}

enum error supervision_attach(struct supervision *supervision, struct os_loop *loop,
			      const struct supervision_calls *calls, void *context)
{
	sweep(supervision);
	supervision->calls = calls;
	supervision->context = context;
	return os_channel_new(loop, SUPERVISION_FD, CHANNEL_QUEUE_MAX, on_message, on_closed,
			      supervision, &supervision->channel);
}

void supervision_done(struct supervision *supervision)
{
	for (unsigned i = 0; i < supervision->count; i++) {
		os_socket_close(supervision->handles[i].fd);
	}
	os_channel_free(supervision->channel);
	free(supervision->handles);
	*supervision = (struct supervision){ 0 };
}

int supervision_get(const struct supervision *supervision, enum handle_kind kind, uint32_t number)
{
	const struct handle *handle = find(supervision, kind, number);

	return handle ? handle->fd : -1;
}

int supervision_take(struct supervision *supervision, enum handle_kind kind, uint32_t number)
{
	struct handle *handle = find(supervision, kind, number);
	int fd = -1;

	if (handle) {
		fd = handle->fd;
		handle->fd = -1;
		forget(handle);
	}
	return fd;
}

int supervision_take_any(struct supervision *supervision, enum handle_kind kind,
			 uint32_t *ret_number)
{
	unsigned position = 0;
	struct handle *handle = supervision_next(supervision, kind, &position);

	if (!handle) {
		return -1;
	}
	*ret_number = handle->number;
	return supervision_take(supervision, kind, handle->number);
}

bool supervision_is_fresh(const struct supervision *supervision, enum handle_kind kind)
{
	for (unsigned i = 0; i < supervision->count; i++) {
		if (supervision->handles[i].kind == kind && supervision->handles[i].fresh) {
			return true;
		}
	}
	return false;
}

enum error supervision_map(const struct supervision *supervision, enum handle_kind kind,
			   uint32_t number, struct view *ret_bytes)
{
	int fd = supervision_get(supervision, kind, number);

	return fd < 0 ? ERROR_NOT_FOUND : os_page_map_sealed(fd, ret_bytes);
}

void supervision_unmap(struct view bytes)
{
	os_page_unmap((void *)(uintptr_t)bytes.data, bytes.len);
}

struct handle *supervision_next(struct supervision *supervision, enum handle_kind kind,
				unsigned *position)
{
	while (*position < supervision->count) {
		struct handle *handle = &supervision->handles[(*position)++];

		if (handle->kind == kind) {
			return handle;
		}
	}
	return NULL;
}

enum error supervision_send(struct supervision *supervision, enum supervision_message type,
			    uint32_t id, struct view payload)
{
	if (!supervision->channel) {
		return os_message_send(SUPERVISION_FD, (uint16_t)type, id, payload, NULL, 0);
	}
	return os_channel_send(supervision->channel, (uint16_t)type, id, payload, NULL, 0);
}

void supervision_fail(struct supervision *supervision, struct view why)
{
	enum error error =
		supervision_send(supervision, SUPERVISION_FAILED, 0, view_first(why, 4096));

	(void)error; // a supervisor that cannot be told sees the exit status
}

enum error supervision_publish(struct supervision *supervision, int fd)
{
	return os_channel_send(supervision->channel, SUPERVISION_PUBLISH, 0, (struct view){ 0 },
			       &fd, 1);
}

enum error supervision_send_handle(struct os_channel *channel, enum handle_kind kind,
				   uint32_t number, int fd)
{
	struct buffer payload = buffer_with_max(16);
	enum error error;

	wire_add_u8(&payload, (uint8_t)kind);
	wire_add_u32(&payload, number);
	error = buffer_error(&payload);
	if (error == OK) {
		error = os_channel_send(channel, SUPERVISION_HANDLE, 0, buffer_view(&payload), &fd,
					fd >= 0 ? 1 : 0);
	}
	buffer_done(&payload);
	return error;
}
