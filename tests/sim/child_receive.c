#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "os/worker.h"
#include "receive/receiver.h"
#include "sim/child.h"

enum { FAMILY = 1, POOL_THREADS = 2, POOL_JOBS_MAX = 1000, WAKE_QUEUE_MAX = 16 };

struct receive {
	struct child child;
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
	struct spool_writer_settings settings = spool_writer_defaults(FAMILY);
	void *commit = NULL, *queue = NULL;
	int dir;
	enum error error = os_page_map(given->commit_page, sizeof *settings.commit, true, &commit);

	if (error == OK) {
		error = os_page_map(given->queue_page, sizeof *settings.queue, false, &queue);
	}
	if (error == OK) {
		error = os_dir_open("/spool", &dir);
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
	struct receive_material material = { .config = given->config };
	struct receiver_socket socket = { .fd = given->listener };
	struct buffer problem = buffer_with_max(4096);
	struct receive_generation *generation;
	struct directory directory;
	enum error error = receive_generation_new(&material, &problem, &generation);

	buffer_done(&problem);
	if (error != OK) {
		return error;
	}
	error = receiver_configure(receive->receiver, generation, &socket, 1);
	receive_generation_unref(generation);
	if (error == OK) {
		error = directory_open(given->directory, &directory);
	}
	if (error == OK) {
		receiver_set_directory(receive->receiver, directory);
	}
	return error;
}

static void poked(void *child)
{
	child_poked(child, &child_receive);
}

static enum error start(struct child *child)
{
	struct receive *receive = (struct receive *)child;
	struct receiver_parts parts = { .node = FAMILY * 16 };
	enum error error = child_start_loop(child, poked);

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
		parts.loop = child->loop;
		parts.common = receive->common;
		parts.writer = receive->writer;
		parts.pool = receive->pool;
		error = receiver_new(&parts, &receive->receiver);
	}
	return error == OK ? configure(receive) : error;
}

static void attach(struct child *child, enum child_wire wire, int fd)
{
	struct receive *receive = (struct receive *)child;

	(void)wire;
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
	os_channel_free(receive->deliver);
	os_pool_free(receive->pool);
	receive_common_free(receive->common);
	os_wake_free(receive->committed);
}

const struct child_calls child_receive = { "receive", make, start, attach, stop, finish, NULL };
