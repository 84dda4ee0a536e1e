#include "deliver/deliverer_private.h"
#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "sim/child.h"

enum { WAKE_QUEUE_MAX = 16, ANSWER_BYTES_MAX = 1024 * 1024, DELIVER_DEEDS = 5 };

struct deliver {
	struct child child;
	struct facts_client *facts;
	struct wake {
		struct deliver *deliver;
		struct os_channel *channel; // NULL: that receive is not there
	} wakes[CHILD_RECEIVES];
	struct deliverer *deliverer;
	const struct config *config; // of the latest generation
	uint64_t connections_max;    // an earlier one's, until as few are open
	int spool[SPOOL_PARTS], mail_dir;
	uint64_t counted[DELIVER_DEEDS]; // already, of what it did
};

static struct child *make(void)
{
	struct deliver *deliver = child_alloc(sizeof *deliver);

	for (unsigned i = 0; i < CHILD_RECEIVES; i++) {
		deliver->wakes[i].deliver = deliver;
	}
	return &deliver->child;
}

static void on_wake(void *context, struct os_message *message)
{
	struct wake *wake = context;

	(void)message;
	deliverer_wake(wake->deliver->deliverer);
}

static void on_receive_closed(void *context, enum error reason)
{
	struct wake *wake = context;

	(void)reason;
	os_channel_free(wake->channel);
	wake->channel = NULL;
}

static enum error open_deliverer(struct deliver *deliver, struct deliverer_parts *parts)
{
	const struct child_given *given = &deliver->child.given;
	void *commits[CHILD_RECEIVES] = { NULL }, *queue = NULL;
	struct deliver_generation *generation;
	enum error error = os_page_map(given->queue_page, sizeof *parts->store.queue, true, &queue);

	for (unsigned i = 0; i < CHILD_RECEIVES && error == OK; i++) {
		error = os_page_map(given->commit_pages[i], sizeof(struct spool_commit_page), false,
				    &commits[i]);
		parts->store.commits[1 + i] = commits[i];
	}
	if (error == OK) {
		error = deliver_generation_new(given->config, (struct view){ 0 }, &generation);
	}
	if (error != OK) {
		return error;
	}
	parts->store.queue = queue;
	parts->store.segment_bytes = given->segment_bytes;
	parts->store.checkpoint_segments = 2;
	parts->store.copy_forward_segments = 6;
	parts->generation = generation;
	error = deliverer_new(parts, &deliver->deliverer);
	deliver->config = generation->config;
	deliver_generation_unref(generation);
	return error;
}

static enum error start(struct child *child)
{
	struct deliver *deliver = (struct deliver *)child;
	struct deliverer_parts parts = { 0 };
	struct directory directory;
	enum error error = child_start_loop(child);

	if (error == OK) {
		error = os_dir_open("/spool/" SPOOL_RECEIVE_PATH, &deliver->spool[SPOOL_RECEIVE]);
	}
	if (error == OK) {
		error = os_dir_open("/spool/" SPOOL_DELIVER_PATH, &deliver->spool[SPOOL_DELIVER]);
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
		parts.spool[SPOOL_RECEIVE] = deliver->spool[SPOOL_RECEIVE];
		parts.spool[SPOOL_DELIVER] = deliver->spool[SPOOL_DELIVER];
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
	struct wake *wake;

	if (wire == WIRE_FACTS) {
		child->error = facts_client_attach(deliver->facts, fd);
		return;
	}
	wake = &deliver->wakes[wire == WIRE_WAKE_2];
	os_channel_free(wake->channel);
	wake->channel = NULL;
	child->error = os_channel_new(child->loop, fd, WAKE_QUEUE_MAX, on_wake, on_receive_closed,
				      wake, &wake->channel);
	deliverer_wake(deliver->deliverer);
}

static void give_order(struct deliver *deliver, enum control_command word)
{
	struct control_argument all = { .name = VIEW("all") };
	struct control_request request = { word, &all, 1 };
	struct buffer answer = buffer_with_max(ANSWER_BYTES_MAX);
	struct buffer words = buffer_with_max(ANSWER_BYTES_MAX);
	int status = deliverer_command(deliver->deliverer, &request, &answer, &words);

	if (status != 0) {
		ledger_violation(deliver->child.given.ledger, PROMISE_SOUND, LEDGER_ALL,
				 "queue command: status %d, %.*s", status,
				 VIEW_ARG(buffer_view(&words)));
	}
	buffer_done(&answer);
	buffer_done(&words);
}

// As the operator does, with messages that were held as poisonous, or that wait too long for him.
static void command(struct child *child, bool release, bool flush)
{
	if (release) {
		give_order((struct deliver *)child, CONTROL_QUEUE_RELEASE);
	}
	if (flush) {
		give_order((struct deliver *)child, CONTROL_QUEUE_FLUSH);
	}
}

static void reload(struct child *child)
{
	struct deliver *deliver = (struct deliver *)child;
	struct deliver_generation *generation;

	if (deliver_generation_new(child->given.config, (struct view){ 0 }, &generation) == OK) {
		if (deliver->connections_max < deliver->config->outbound.connections) {
			deliver->connections_max = deliver->config->outbound.connections;
		}
		deliverer_configure(deliver->deliverer, generation);
		deliver->config = generation->config;
		deliver_generation_unref(generation);
	}
}

// What it has done since the last look.
static void count_deeds(struct deliver *deliver, const struct deliverer_counters *counters)
{
	struct spool_store_status store = spool_store_status(deliver->deliverer->store);
	const struct {
		enum deed deed;
		uint64_t count;
	} counts[DELIVER_DEEDS] = {
		{ DEED_DELIVERED, counters->delivered },
		{ DEED_DEFERRED, counters->deferred },
		{ DEED_BOUNCED, counters->bounces },
		{ DEED_CHECKPOINT, store.checkpoints },
		{ DEED_COPIED_FORWARD, store.copied_forward },
	};

	for (unsigned i = 0; i < DELIVER_DEEDS; i++) {
		deliver->child.given.ledger->deeds[counts[i].deed] +=
			counts[i].count - deliver->counted[i];
		deliver->counted[i] = counts[i].count;
	}
}

// Connections that are open at a reload end by themselves.
static void check(struct child *child)
{
	struct deliver *deliver = (struct deliver *)child;
	struct deliverer_counters counters = deliverer_counters(deliver->deliverer);

	count_deeds(deliver, &counters);
	if (counters.open <= deliver->config->outbound.connections) {
		deliver->connections_max = deliver->config->outbound.connections;
	}
	child_check_bound(child, "connections open", counters.open, deliver->connections_max);
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
	for (unsigned i = 0; i < CHILD_RECEIVES; i++) {
		os_channel_free(deliver->wakes[i].channel);
	}
	spool_layout_close(deliver->spool);
	os_dir_close(deliver->mail_dir);
}

const struct child_calls child_deliver = {
	.name = "deliver",
	.make = make,
	.start = start,
	.attach = attach,
	.stop = stop,
	.finish = finish,
	.command = command,
	.reload = reload,
	.check = check,
};
