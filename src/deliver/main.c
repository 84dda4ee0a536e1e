#include "deliver/main.h"

#include <sysexits.h>

#include "deliver/deliverer.h"
#include "link/control.h"
#include "os/log.h"
#include "os/page.h"
#include "os/socket.h"
#include "process/process.h"
#include "process/trace.h"

enum {
	DESCRIPTORS_SPARE = 1024, // segments, Maildir, large bodies
	WORDS_BYTES_MAX = 4096,
	ANSWER_BYTES_MAX = 64 * 1024 * 1024,
	WAKE_QUEUE_MAX = 16,
	RECEIVES_MAX = 4, // at a time: the one that leaves beside the one that takes its place
	ARGUMENTS_BYTES_MAX = 256 * 1024,
	PATHS_BYTES_MAX = 32 * 1024,
};

// One that tells us that something was committed.
struct receive_link {
	struct deliver *deliver;
	struct os_channel *channel; // NULL: none
};

struct deliver {
	struct process process;
	struct facts_client *facts;
	struct trace_ring *trace;
	struct receive_link receives[RECEIVES_MAX];
	unsigned receive_next; // where the next one goes: the oldest's place
	struct deliverer *deliverer;
};

// ---- what was handed over

static enum error load_generation(struct deliver *deliver,
				  struct deliver_generation **ret_generation)
{
	struct view config, authorities = { 0 };
	enum error error =
		supervision_map(&deliver->process.supervision, HANDLE_CONFIG, 0, &config);

	if (error != OK) {
		return error;
	}
	if (supervision_map(&deliver->process.supervision, HANDLE_TRUST_STORE, 0, &authorities) !=
	    OK) {
		authorities = (struct view){ 0 }; // then no certificate is ever verified
	}
	error = deliver_generation_new(config, authorities, ret_generation);
	supervision_unmap(config);
	supervision_unmap(authorities);
	return error;
}

static void use_directory(void *context, struct directory directory)
{
	struct deliver *deliver = context;

	deliverer_set_directory(deliver->deliverer, directory);
}

static void attach_facts(struct deliver *deliver)
{
	int fd = supervision_take(&deliver->process.supervision, HANDLE_FACTS, 0);

	if (fd >= 0 && facts_client_attach(deliver->facts, fd) != OK) {
		LOG(LOG_ERROR, "facts_lost", LOG_TEXT("reason", VIEW("no channel")));
	}
}

static void on_wake(void *context, struct os_message *message)
{
	struct receive_link *link = context;

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	deliverer_wake(link->deliver->deliverer);
}

static void on_receive_closed(void *context, enum error reason)
{
	struct receive_link *link = context;

	(void)reason;
	os_channel_free(link->channel);
	link->channel = NULL;
}

static void add_receive(struct deliver *deliver, int fd)
{
	struct receive_link *link = &deliver->receives[deliver->receive_next++ % RECEIVES_MAX];

	os_channel_free(link->channel);
	*link = (struct receive_link){ .deliver = deliver };
	if (os_channel_new(deliver->process.loop, fd, WAKE_QUEUE_MAX, on_wake, on_receive_closed,
			   link, &link->channel) != OK) {
		LOG(LOG_ERROR, "receive_lost", LOG_TEXT("reason", VIEW("no channel")));
	}
}

// An earlier one, which may still be leaving, is heard until it closes its end.
static void attach_receive(struct deliver *deliver)
{
	uint32_t number;
	int fd;

	while ((fd = supervision_take_any(&deliver->process.supervision, HANDLE_WAKE, &number)) >=
	       0) {
		add_receive(deliver, fd);
		// What was committed while nobody could tell us.
		deliverer_wake(deliver->deliverer);
	}
}

// ---- what the supervisor says later

static enum error on_changed(void *context, struct buffer *said)
{
	struct deliver *deliver = context;
	const struct supervision *supervision = &deliver->process.supervision;
	struct deliver_generation *generation;
	enum error error = OK;

	(void)said;
	attach_facts(deliver);
	attach_receive(deliver);
	if (supervision_is_fresh(supervision, HANDLE_DIRECTORY)) {
		error = process_load_directory(&deliver->process, use_directory);
	}
	if (error == OK && supervision_is_fresh(supervision, HANDLE_CONFIG)) {
		error = load_generation(deliver, &generation);
		if (error == OK) {
			process_log(&deliver->process, generation->config);
			process_trace_configure(deliver->trace, generation->config);
			deliverer_configure(deliver->deliverer, generation);
			deliver_generation_unref(generation);
		}
	}
	return error;
}

static void on_stop(void *context)
{
	struct deliver *deliver = context;

	LOG(LOG_INFO, "stopping",
	    LOG_NUMBER("in_hand", deliverer_counters(deliver->deliverer).in_hand));
	deliverer_stop(deliver->deliverer, process_leave, &deliver->process);
}

static void on_command(void *context, uint32_t id, struct view payload)
{
	struct deliver *deliver = context;
	struct buffer answer = buffer_with_max(ANSWER_BYTES_MAX);
	struct buffer words = buffer_with_max(WORDS_BYTES_MAX);
	struct arena arena = arena_with_max(ARGUMENTS_BYTES_MAX);
	struct control_request request;
	int status = EX_DATAERR;

	if (control_request_decode(payload, &arena, &request) == OK) {
		status = deliverer_command(deliver->deliverer, &request, &answer, &words);
	}
	process_answer(&deliver->process, id, buffer_view(&answer), status, buffer_view(&words));
	arena_done(&arena);
	buffer_done(&answer);
	buffer_done(&words);
}

// ---- start

static enum error map_pages(struct deliver *deliver, struct spool_store_settings *settings)
{
	struct supervision *supervision = &deliver->process.supervision;
	struct handle *handle;
	unsigned position = 0;
	void *memory = NULL;
	enum error error = os_page_map(supervision_get(supervision, HANDLE_PRESSURE_PAGE, 0),
				       sizeof *settings->queue, true, &memory);

	settings->queue = memory;
	while (error == OK &&
	       (handle = supervision_next(supervision, HANDLE_COMMIT_PAGE, &position))) {
		if (handle->number == 0 || handle->number >= SPOOL_FAMILIES_MAX) {
			return ERROR_INVALID;
		}
		memory = NULL;
		error = os_page_map(handle->fd, sizeof **settings->commits, false, &memory);
		settings->commits[handle->number] = memory;
	}
	return error;
}

static enum error open_all(struct deliver *deliver, struct deliver_generation *generation)
{
	struct supervision *supervision = &deliver->process.supervision;
	struct deliverer_parts parts = {
		.spool = {
			[SPOOL_RECEIVE] = supervision_get(supervision, HANDLE_SPOOL_DIR,
							  SPOOL_RECEIVE),
			[SPOOL_DELIVER] = supervision_get(supervision, HANDLE_SPOOL_DIR,
							  SPOOL_DELIVER),
		},
		.mail_dir = supervision_get(supervision, HANDLE_MAIL_DIR, 0),
		.generation = generation,
	};
	enum error error = os_loop_new(&deliver->process.loop);

	if (error == OK) {
		error = map_pages(deliver, &parts.store);
	}
	if (error == OK) {
		error = facts_client_new(deliver->process.loop, -1, &deliver->facts);
	}
	if (error == OK) {
		error = process_trace_new(&deliver->process, 0, generation->config,
					  &deliver->trace);
	}
	if (error == OK) {
		parts.loop = deliver->process.loop;
		parts.trace = deliver->trace;
		parts.facts = deliver->facts;
		parts.store.segment_bytes = (uint32_t)generation->config->queue.segment_size_bytes;
		error = deliverer_new(&parts, &deliver->deliverer);
	}
	return error;
}

// What receive writes is read, and not written, but for bodies, which are removed.
static enum error shut_door(struct deliver *deliver, const struct config *config,
			    struct buffer *said)
{
	struct arena arena = arena_with_max(PATHS_BYTES_MAX);
	struct view spool_dir = config->spool_dir;
	const char *reads[] = { spool_layout_path(&arena, spool_dir, SPOOL_RECEIVE_PATH), NULL };
	const char *writes[] = { config->mail_dir.data,
				 spool_layout_path(&arena, spool_dir, SPOOL_DELIVER_PATH),
				 spool_layout_path(&arena, spool_dir, SPOOL_RECEIVE_BODY_PATH),
				 NULL };
	struct os_sandbox door = {
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_CONNECT |
			  OS_MAY_CONNECT_LOCAL,
		.read_dirs = reads,
		.write_dirs = writes,
		.descriptors_max = config->outbound.connections * 2 + DESCRIPTORS_SPARE,
	};
	enum error error = reads[0] && writes[1] && writes[2]
				   ? process_shut_door(&deliver->process, door, said)
				   : ERROR_NO_MEMORY;

	arena_done(&arena);
	return error;
}

static enum error start(void *context, struct buffer *said)
{
	struct deliver *deliver = context;
	struct deliver_generation *generation;
	enum error error = load_generation(deliver, &generation);

	if (error != OK) {
		return error;
	}
	process_log(&deliver->process, generation->config);
	error = shut_door(deliver, generation->config, said);
	if (error == OK) {
		error = open_all(deliver, generation);
		if (error != OK) {
			buffer_printf(said, "the spool %.*s",
				      VIEW_ARG(generation->config->spool_dir));
		}
	}
	if (error == OK) {
		attach_facts(deliver);
		attach_receive(deliver);
		error = process_load_directory(&deliver->process, use_directory);
	}
	if (error == OK) {
		error = process_attach(&deliver->process);
	}
	deliver_generation_unref(generation);
	return error;
}

static void done(void *context)
{
	struct deliver *deliver = context;

	deliverer_free(deliver->deliverer);
	trace_ring_free(deliver->trace);
	facts_client_free(deliver->facts);
	for (unsigned i = 0; i < RECEIVES_MAX; i++) {
		os_channel_free(deliver->receives[i].channel);
	}
}

int deliver_main(void)
{
	static const struct process_role role = {
		.name = "deliver",
		.title = "packetboat: deliver",
		.user = "packetboat-out",
		.group = "packetboat", // that shares the spool with receive
		.start = start,
		.changed = on_changed,
		.stop = on_stop,
		.command = on_command,
		.done = done,
	};
	struct deliver deliver = { 0 };

	return process_run(&deliver.process, &role, &deliver);
}
