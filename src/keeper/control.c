#include <stdlib.h>
#include <sysexits.h>

#include "keeper/keeper_private.h"
#include "link/control.h"
#include "os/log.h"
#include "os/socket.h"

enum {
	PARTS_WAITING_MAX = 2048, // to one peer: the longest list fits
	REQUEST_MEMORY_MAX = 256 * 1024,
	PART_TEXT_MAX = CONTROL_PART_BYTES_MAX - 64,
};

// Somebody at the control socket; one request at a time.
struct peer {
	struct list link; // in control->peers
	struct keeper_control *control;
	struct os_channel *channel;
	uint32_t request_id;   // the peer's own number
	uint32_t forwarded_id; // ours; 0: none is out
};

struct keeper_control {
	struct keeper *keeper;
	struct os_watch *watch; // NULL: no listener
	int listener;
	struct list peers;
	unsigned peer_count;
	uint32_t last_id;
};

static void peer_free(struct peer *peer)
{
	list_remove(&peer->link);
	peer->control->peer_count--;
	os_channel_free(peer->channel);
	free(peer);
}

// False when the peer takes no more: then it is gone.
static bool send_bytes(struct peer *peer, struct view part)
{
	enum error error =
		os_channel_send(peer->channel, CONTROL_ANSWER, peer->request_id, part, NULL, 0);

	if (error != OK) {
		LOG(LOG_WARNING, "control_dropped",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		peer_free(peer);
	}
	return error == OK;
}

static bool send_part(struct peer *peer, const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX);
	bool sent;

	control_part_encode(&bytes, part);
	sent = send_bytes(peer, buffer_view(&bytes));
	buffer_done(&bytes);
	return sent;
}

static void send_end(struct peer *peer, uint8_t status, const char *words)
{
	(void)send_part(peer, &(struct control_part){ true, status, view_from_text(words) });
}

static bool send_data(struct peer *peer, struct view text)
{
	bool there = true;

	while (there && text.len) {
		struct control_part part = { .text = view_first(text, PART_TEXT_MAX) };

		there = send_part(peer, &part);
		text = view_from(text, PART_TEXT_MAX);
	}
	return there;
}

static void run_user_command(struct peer *peer, const struct control_request *request)
{
	struct keeper *keeper = peer->control->keeper;
	struct buffer out = buffer_with_max(USERS_LIST_BYTES_MAX);
	struct user_outcome outcome =
		user_run(keeper->store.database, keeper->setup.password_cost, request, &out);
	enum error error = OK;

	LOG(LOG_NOTICE, "command",
	    LOG_TEXT("name", view_from_text(control_command_words(request->command))),
	    LOG_NUMBER("status", outcome.status));
	if (outcome.changed) {
		error = keeper_publish(keeper);
	}
	if (outcome.status == EX_OK && !send_data(peer, buffer_view(&out))) {
		buffer_done(&out);
		return;
	}
	buffer_done(&out);
	if (error == OK) {
		send_end(peer, outcome.status, outcome.words);
	} else {
		LOG(LOG_ERROR, "publish_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		send_end(peer, EX_SOFTWARE, "stored, but the server could not take it into use");
	}
}

static void forward(struct peer *peer, struct view request)
{
	struct keeper_control *control = peer->control;
	const struct keeper_setup *setup = &control->keeper->setup;

	if (++control->last_id == 0) {
		control->last_id = 1;
	}
	peer->forwarded_id = control->last_id;
	setup->calls->forward(setup->context, peer->forwarded_id, request);
}

static void take_request(struct peer *peer, const struct os_message *message)
{
	struct arena arena = arena_with_max(REQUEST_MEMORY_MAX);
	struct control_request request;

	if (message->type != CONTROL_REQUEST || message->fd_count || peer->forwarded_id ||
	    control_request_decode(message->payload, &arena, &request) != OK) {
		peer_free(peer);
	} else {
		peer->request_id = message->id;
		if (control_command_answerer(request.command) == CONTROL_BY_KEEPER) {
			run_user_command(peer, &request);
		} else {
			forward(peer, message->payload);
		}
	}
	arena_done(&arena);
}

static void on_message(void *context, struct os_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	take_request(context, message);
	// It may have held a password.
	password_wipe((void *)(uintptr_t)message->payload.data, message->payload.len);
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	peer_free(context);
}

void keeper_control_result(struct keeper *keeper, uint32_t id, struct view bytes)
{
	struct list *peers = &keeper->control->peers;
	struct control_part part;

	if (id == 0 || control_part_decode(bytes, &part) != OK) {
		return;
	}
	for (struct list *link = peers->next; link != peers; link = link->next) {
		struct peer *peer = CONTAINER_OF(link, struct peer, link);

		if (peer->forwarded_id == id) {
			peer->forwarded_id = part.end ? 0 : id;
			(void)send_bytes(peer, bytes);
			return;
		}
	}
}

static enum error peer_new(struct keeper_control *control, int fd)
{
	struct peer *peer = calloc(1, sizeof *peer);
	enum error error;

	if (!peer) {
		os_socket_close(fd);
		return ERROR_NO_MEMORY;
	}
	error = os_channel_new(control->keeper->setup.loop, fd, PARTS_WAITING_MAX, on_message,
			       on_closed, peer, &peer->channel);
	if (error != OK) {
		free(peer);
		return error;
	}
	peer->control = control;
	list_add_last(&control->peers, &peer->link);
	control->peer_count++;
	return OK;
}

static bool is_sibling(const struct keeper *keeper, int32_t pid)
{
	for (size_t i = 0; i < KEEPER_SIBLINGS_MAX; i++) {
		if (pid && keeper->siblings[i] == pid) {
			return true;
		}
	}
	return false;
}

static void on_listener(void *context, int events)
{
	struct keeper_control *control = context;
	struct os_peer who;
	enum error error;
	int fd;

	(void)events;
	error = os_channel_accept(control->listener, &fd, &who);
	if (error == ERROR_AGAIN) {
		return;
	}
	if (error == OK && is_sibling(control->keeper, who.pid)) {
		os_socket_close(fd);
		error = ERROR_PERMISSION;
	} else if (error == OK && control->peer_count >= KEEPER_CONTROL_PEERS_MAX) {
		os_socket_close(fd);
		error = ERROR_LIMIT;
	} else if (error == OK) {
		error = peer_new(control, fd);
	}
	if (error != OK) {
		LOG(LOG_WARNING, "control_refused",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

void keeper_set_sibling(struct keeper *keeper, uint8_t which, int32_t pid)
{
	if (which < KEEPER_SIBLINGS_MAX) {
		keeper->siblings[which] = pid;
	}
}

enum error keeper_set_control(struct keeper *keeper, int listener)
{
	struct keeper_control *control = keeper->control;
	struct os_watch *watch;
	enum error error = os_watch_new(keeper->setup.loop, listener, on_listener, control, &watch);

	if (error == OK) {
		error = os_watch_set(watch, OS_READABLE);
		if (error != OK) {
			os_watch_free(watch);
		}
	}
	if (error == OK) {
		os_watch_free(control->watch);
		control->watch = watch;
		control->listener = listener;
	}
	return error;
}

enum error keeper_control_new(struct keeper *keeper, struct keeper_control **ret_control)
{
	struct keeper_control *control = calloc(1, sizeof *control);

	if (!control) {
		return ERROR_NO_MEMORY;
	}
	control->keeper = keeper;
	control->listener = -1;
	list_init(&control->peers);
	*ret_control = control;
	return OK;
}

void keeper_control_free(struct keeper_control *control)
{
	if (!control) {
		return;
	}
	os_watch_free(control->watch);
	while (!list_empty(&control->peers)) {
		peer_free(CONTAINER_OF(control->peers.next, struct peer, link));
	}
	free(control);
}
