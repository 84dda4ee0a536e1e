#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "os/socket.h"
#include "os/worker.h"
#include "receive/receiver.h"
#include "sim/child.h"
#include "spool/layout.h"

enum {
	POOL_THREADS = 2,
	POOL_JOBS_MAX = 1000,
	WAKE_QUEUE_MAX = 16,
	FILE_BYTES = 2 * SPOOL_BODY_BUFFER_BYTES, // that a body on its way into its file may hold
};

struct receive {
	struct child child;
	const struct config *config; // of the latest generation
	struct keeper_client *keeper;
	struct os_pool *pool;
	struct spool_writer *writer;
	struct os_wake *committed;
	struct os_channel *deliver;
	struct receive_common *common;
	struct receiver *receiver;
};

static struct child *make(void)
{
	return child_alloc(sizeof(struct receive));
}

static void on_deliver_message(void *context, struct os_message *message)
{
	(void)context;
	(void)message;
}

static void on_deliver_closed(void *context, enum error reason)
{
	struct receive *receive = context;

	(void)reason;
	os_channel_free(receive->deliver);
	receive->deliver = NULL;
}

static void on_committed(void *context)
{
	struct receive *receive = context;

	if (receive->deliver &&
	    os_channel_send(receive->deliver, 1, 0, (struct view){ 0 }, NULL, 0) == ERROR_CLOSED) {
		on_deliver_closed(receive, ERROR_CLOSED);
	}
}

static void wake_deliver(void *context)
{
	struct receive *receive = context;

	os_wake_send(receive->committed);
}

static enum error open_writer(struct receive *receive)
{
	const struct child_given *given = &receive->child.given;
	struct spool_writer_settings settings = spool_writer_defaults((uint16_t)given->family);
	void *commit = NULL, *queue = NULL;
	int dir;
	enum error error =
		os_page_map(given->commit_pages[0], sizeof *settings.commit, true, &commit);

	if (error == OK) {
		error = os_page_map(given->queue_page, sizeof *settings.queue, false, &queue);
	}
	if (error == OK) {
		error = os_dir_open("/spool/" SPOOL_RECEIVE_PATH, &dir);
	}
	if (error != OK) {
		return error;
	}
	settings.segment_bytes = given->segment_bytes;
	settings.reserve_bytes = 1024 * 1024;
	settings.reserve_inodes = 0;
	settings.commit = commit;
	settings.queue = queue;
	settings.wake = wake_deliver;
	settings.wake_context = receive;
	error = spool_writer_open(dir, receive->child.loop, &settings, &receive->writer);
	os_dir_close(dir);
	return error;
}

static enum error configure(struct receive *receive)
{
	const struct child_given *given = &receive->child.given;
	struct tls_identity identity = { given->certificate, given->key };
	struct receive_material material = { .config = given->config,
					     .identities = &identity,
					     .identity_count = 1 };
	struct receiver_socket sockets[CHILD_LISTENERS];
	struct buffer problem = buffer_with_max(4096);
	struct receive_generation *generation;
	struct directory directory;
	enum error error = receive_generation_new(&material, &problem, &generation);

	buffer_done(&problem);
	if (error != OK) {
		return error;
	}
	for (unsigned i = 0; i < CHILD_LISTENERS && error == OK; i++) {
		sockets[i].index = i;
		error = os_socket_duplicate(given->listeners[i], &sockets[i].fd);
	}
	if (error == OK) {
		error = receiver_configure(receive->receiver, generation, sockets, CHILD_LISTENERS);
		receive->config = generation->config;
	}
	receive_generation_unref(generation);
	if (error == OK) {
		error = directory_open(given->directory, &directory);
	}
	if (error == OK) {
		receiver_set_directory(receive->receiver, directory);
	}
	return error;
}

static enum error start(struct child *child)
{
	struct receive *receive = (struct receive *)child;
	struct receiver_parts parts = { .node = (uint8_t)(child->given.family * 16) };
	enum error error = child_start_loop(child);

	if (error == OK) {
		error = os_wake_new(child->loop, on_committed, receive, &receive->committed);
	}
	if (error == OK) {
		error = os_pool_new(child->loop, "receive-bodies", POOL_THREADS, POOL_JOBS_MAX,
				    &receive->pool);
	}
	if (error == OK) {
		error = open_writer(receive);
	}
	if (error == OK) {
		error = receive_common_new(&receive->common);
	}
	if (error == OK) {
		error = keeper_client_new(child->loop, -1, &receive->keeper);
	}
	if (error == OK) {
		parts.loop = child->loop;
		parts.common = receive->common;
		parts.keeper = receive->keeper;
		parts.writer = receive->writer;
		parts.pool = receive->pool;
		error = receiver_new(&parts, &receive->receiver);
	}
	return error == OK ? configure(receive) : error;
}

static void attach(struct child *child, enum child_wire wire, int fd)
{
	struct receive *receive = (struct receive *)child;

	if (wire == WIRE_KEEPER || wire == WIRE_KEEPER_2) {
		child->error = keeper_client_attach(receive->keeper, fd);
		return;
	}
	os_channel_free(receive->deliver);
	receive->deliver = NULL;
	child->error = os_channel_new(child->loop, fd, WAKE_QUEUE_MAX, on_deliver_message,
				      on_deliver_closed, receive, &receive->deliver);
}

static void stop(struct child *child)
{
	receiver_stop(((struct receive *)child)->receiver, child_left, child);
}

static void finish(struct child *child)
{
	struct receive *receive = (struct receive *)child;

	receiver_free(receive->receiver);
	spool_writer_close(receive->writer);
	keeper_client_free(receive->keeper);
	os_channel_free(receive->deliver);
	os_pool_free(receive->pool);
	receive_common_free(receive->common);
	os_wake_free(receive->committed);
}

// One that goes wrong leaves the server without a listener: it is over.
static void reload(struct child *child)
{
	if (configure((struct receive *)child) != OK) {
		child_left(child);
	}
}

static void check(struct child *child)
{
	const struct receive *receive = (const struct receive *)child;
	const struct config_limits *limits = &receive->config->limits;
	uint64_t body_bytes = atomic_load(&receive->common->body_bytes);

	// One body more may have been let in just below the bound.
	child_check_bound(child, "bytes of memory for messages", body_bytes,
			  limits->body_memory_bytes + FILE_BYTES +
				  limits->body_memory_per_message_bytes);
}

static void check_rest(struct child *child)
{
	const struct receive *receive = (const struct receive *)child;

	child_check_bound(child, "bytes of memory for messages at rest",
			  atomic_load(&receive->common->body_bytes), 0);
	child_check_bound(child, "sessions at rest", atomic_load(&receive->common->sessions), 0);
}

const struct child_calls child_receive = {
	.name = "receive",
	.make = make,
	.start = start,
	.attach = attach,
	.stop = stop,
	.finish = finish,
	.reload = reload,
	.check = check,
	.check_rest = check_rest,
};
const struct child_calls child_receive_2 = {
	.name = "receive-2",
	.make = make,
	.start = start,
	.attach = attach,
	.stop = stop,
	.finish = finish,
	.reload = reload,
	.check = check,
	.check_rest = check_rest,
};
