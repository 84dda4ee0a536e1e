#include "deliver/deliverer.h"
#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "sim/child.h"

enum { FAMILY = 1, WAKE_QUEUE_MAX = 16, ANSWER_BYTES_MAX = 1024 * 1024 };

struct deliver {
	struct child child;
	struct facts_client *facts;
	struct os_channel *receive;
	struct deliverer *deliverer;
	int spool_dir, mail_dir;
};

static struct child *make(void)
{
	return child_alloc(sizeof(struct deliver));
}

static void on_wake(void *context, struct os_message *message)
{
	struct deliver *deliver = context;

	(void)message;
	deliverer_wake(deliver->deliverer);
}

static void on_receive_closed(void *context, enum error reason)
{
	struct deliver *deliver = context;

	(void)reason;
	os_channel_free(deliver->receive);
	deliver->receive = NULL;
}

static enum error open_deliverer(struct deliver *deliver, struct deliverer_parts *parts)
{
	const struct child_given *given = &deliver->child.given;
	void *commit = NULL, *queue = NULL;
	struct deliver_generation *generation;
	enum error error =
		os_page_map(given->commit_page, sizeof(struct spool_commit_page), false, &commit);

	if (error == OK) {
		error = os_page_map(given->queue_page, sizeof *parts->store.queue, true, &queue);
	}
	if (error == OK) {
		error = deliver_generation_new(given->config, (struct view){ 0 }, &generation);
	}
	if (error != OK) {
		return error;
	}
	parts->store.queue = queue;
	parts->store.commits[FAMILY] = commit;
	parts->store.segment_bytes = given->segment_bytes;
	parts->store.checkpoint_segments = 2;
	parts->store.copy_forward_segments = 6;
	parts->generation = generation;
	error = deliverer_new(parts, &deliver->deliverer);
	deliver_generation_unref(generation);
	return error;
}

static void poked(void *child)
{
	child_poked(child, &child_deliver);
}

static enum error start(struct child *child)
{
	struct deliver *deliver = (struct deliver *)child;
	struct deliverer_parts parts = { 0 };
	struct directory directory;
	enum error error = child_start_loop(child, poked);

	if (error == OK) {
		error = os_dir_open("/spool", &deliver->spool_dir);
	}
	if (error == OK) {
		error = os_dir_open("/mail", &deliver->mail_dir);
	}
	if (error == OK) {
		error = facts_client_new(child->loop, -1, &deliver->facts);
	}
	if (error == OK) {
		parts.loop = child->loop;
		parts.facts = deliver->facts;
		parts.spool_dir = deliver->spool_dir;
		parts.mail_dir = deliver->mail_dir;
		error = open_deliverer(deliver, &parts);
	}
	if (error == OK) {
		error = directory_open(child->given.directory, &directory);
	}
	if (error == OK) {
		deliverer_set_directory(deliver->deliverer, directory);
	}
	return error;
}

static void attach(struct child *child, enum child_wire wire, int fd)
{
	struct deliver *deliver = (struct deliver *)child;

	if (wire == WIRE_FACTS) {
		child->error = facts_client_attach(deliver->facts, fd);
		return;
	}
	os_channel_free(deliver->receive);
	deliver->receive = NULL;
	child->error = os_channel_new(child->loop, fd, WAKE_QUEUE_MAX, on_wake, on_receive_closed,
				      deliver, &deliver->receive);
	deliverer_wake(deliver->deliverer);
}

static void command(struct deliver *deliver, enum control_command word)
{
	struct control_argument all = { .name = VIEW("all") };
	struct control_request request = { word, &all, 1 };
	struct buffer answer = buffer_with_max(ANSWER_BYTES_MAX);
	struct buffer words = buffer_with_max(ANSWER_BYTES_MAX);
	int status = deliverer_command(deliver->deliverer, &request, &answer, &words);

	if (status != 0) {
		ledger_violation(deliver->child.given.ledger, LEDGER_ALL,
				 "queue command: status %d, %.*s", status,
				 VIEW_ARG(buffer_view(&words)));
	}
	buffer_done(&answer);
	buffer_done(&words);
}

// As the operator does with messages that were held as poisonous.
static void release(struct child *child)
{
	command((struct deliver *)child, CONTROL_QUEUE_RELEASE);
	command((struct deliver *)child, CONTROL_QUEUE_FLUSH);
}

static void stop(struct child *child)
{
	deliverer_stop(((struct deliver *)child)->deliverer, child_left, child);
}

static void finish(struct child *child)
{
	struct deliver *deliver = (struct deliver *)child;

	deliverer_free(deliver->deliverer);
	facts_client_free(deliver->facts);
	os_channel_free(deliver->receive);
	os_dir_close(deliver->spool_dir);
	os_dir_close(deliver->mail_dir);
}

const struct child_calls child_deliver = { "deliver", make, start, attach, stop, finish, release };
