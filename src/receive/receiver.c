#include "receive/receiver.h"

#include <stdlib.h>

#include "os/log.h"
#include "receive/session.h"

enum {
	ACCEPTS_PER_TURN = 64,
	ACCEPT_PAUSE_MS = 100,
};

static void on_connection(void *context, int events);

// ---- connections

static void on_pause_over(void *context)
{
	struct receiver_accept *accept = context;

	if (os_watch_set(accept->watch, OS_READABLE) != OK) {
		os_timer_set(&accept->pause, ACCEPT_PAUSE_MS);
	}
}

static void pause_accepting(struct receiver_accept *accept)
{
	LOG(LOG_WARNING, "accept_paused", LOG_TEXT("listener", accept->listener->config->name),
	    LOG_TEXT("reason", VIEW("no descriptors left")));
	if (os_watch_set(accept->watch, 0) == OK) {
		os_timer_set(&accept->pause, ACCEPT_PAUSE_MS);
	}
}

static void on_connection(void *context, int events)
{
	struct receiver_accept *accept = context;
	struct receiver *receiver = accept->receiver;
	const struct config_limits *limits = &receiver->generation->config->limits;

	(void)events;
	for (int turn = 0; turn < ACCEPTS_PER_TURN; turn++) {
		struct os_address address;
		struct ip_address peer;
		int socket;
		enum error error = os_socket_accept(accept->fd, &socket, &address);
		bool admitted;

		if (error == ERROR_LIMIT) {
			pause_accepting(accept);
		}
		if (error == ERROR_AGAIN || error == ERROR_LIMIT) {
			return;
		}
		if (error != OK) {
			continue; // this connection broke before we had it
		}
		peer = ip_address_of(address.family, address.ip6);
		admitted = receive_common_admit(receiver->parts.common, &peer, limits->connections,
						(uint32_t)limits->connections_per_address);
		receiver->counters.connections++;
		receiver->counters.refused_connections += !admitted;
		session_start(receiver, accept->listener, socket, &peer, !admitted);
	}
}

// ---- life

static void bury(void *context)
{
	struct receiver *receiver = context;
	struct list *link;

	while ((link = receiver->gone.next) != &receiver->gone) {
		session_bury(CONTAINER_OF(link, struct session, link));
	}
}

enum error receiver_new(const struct receiver_parts *parts, struct receiver **ret_receiver)
{
	struct receiver *receiver = calloc(1, sizeof *receiver);
	enum error error;

	if (!receiver) {
		return ERROR_NO_MEMORY;
	}
	receiver->parts = *parts;
	receiver->loop = parts->loop;
	list_init(&receiver->sessions);
	list_init(&receiver->gone);
	spool_id_source_init(&receiver->ids, parts->node, spool_writer_last_id(parts->writer));
	receiver->bury = (struct os_hook){ .fn = bury, .context = receiver };
	os_hook_add_before_sleep(receiver->loop, &receiver->bury);
	receiver->scratch = calloc(1, RECEIVER_SCRATCH_BYTES);
	error = receiver->scratch ? OK : ERROR_NO_MEMORY;
	if (error == OK) {
		error = spool_port_new(parts->writer, parts->loop, &receiver->port);
	}
	if (error != OK) {
		receiver_free(receiver);
		return error;
	}
	*ret_receiver = receiver;
	return OK;
}

static void close_listeners(struct receiver *receiver)
{
	for (unsigned i = 0; i < receiver->accept_count; i++) {
		struct receiver_accept *accept = &receiver->accepts[i];

		os_timer_stop(&accept->pause);
		os_watch_free(accept->watch);
		os_socket_close(accept->fd);
	}
	free(receiver->accepts);
	receiver->accepts = NULL;
	receiver->accept_count = 0;
}

void receiver_free(struct receiver *receiver)
{
	if (!receiver) {
		return;
	}
	receiver->stopped = NULL;
	close_listeners(receiver);
	while (!list_empty(&receiver->sessions)) {
		session_end(CONTAINER_OF(receiver->sessions.next, struct session, link));
	}
	bury(receiver);
	os_hook_remove(receiver->loop, &receiver->bury);
	spool_port_free(receiver->port);
	receive_generation_unref(receiver->generation);
	free(receiver->scratch);
	free(receiver);
}

static enum error open_listener(struct receiver *receiver, struct receiver_accept *accept,
				const struct receiver_socket *socket)
{
	enum error error;

	*accept = (struct receiver_accept){ .receiver = receiver, .fd = socket->fd };
	os_timer_init(&accept->pause, receiver->loop, on_pause_over, accept);
	accept->listener = &receiver->generation->listeners[socket->index];
	error = os_watch_new(receiver->loop, accept->fd, on_connection, accept, &accept->watch);
	return error == OK ? os_watch_set(accept->watch, OS_READABLE) : error;
}

enum error receiver_configure(struct receiver *receiver, struct receive_generation *generation,
			      const struct receiver_socket *sockets, unsigned socket_count)
{
	enum error error = OK;

	close_listeners(receiver);
	receive_generation_ref(generation);
	receive_generation_unref(receiver->generation);
	receiver->generation = generation;
	receiver->accepts = calloc(socket_count ? socket_count : 1, sizeof *receiver->accepts);
	if (!receiver->accepts || socket_count > RECEIVER_LISTENERS_MAX) {
		error = ERROR_NO_MEMORY;
	}
	for (unsigned i = 0; i < socket_count; i++) {
		if (error == OK && sockets[i].index < generation->listener_count) {
			receiver->accept_count++;
			error = open_listener(receiver, &receiver->accepts[i], &sockets[i]);
		} else {
			os_socket_close(sockets[i].fd);
			error = error == OK ? ERROR_INVALID : error;
		}
	}
	return error;
}

void receiver_set_directory(struct receiver *receiver, struct directory directory)
{
	receiver->directory = directory;
}

void receiver_left(struct receiver *receiver)
{
	void (*stopped)(void *context) = receiver->stopped;

	if (stopped && receiver->counters.sessions == 0 && receiver->committing == 0) {
		receiver->stopped = NULL;
		stopped(receiver->stopped_context);
	}
}

void receiver_stop(struct receiver *receiver, void (*stopped)(void *context), void *context)
{
	struct list *link = receiver->sessions.next;

	receiver->stopping = true;
	receiver->stopped = stopped;
	receiver->stopped_context = context;
	close_listeners(receiver);
	while (link != &receiver->sessions) {
		struct session *session = CONTAINER_OF(link, struct session, link);

		link = link->next;
		session_shut(session);
	}
	receiver_left(receiver);
}

struct receiver_counters receiver_counters(const struct receiver *receiver)
{
	return receiver->counters;
}
