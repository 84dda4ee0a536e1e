#include "receive/main.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "os/log.h"
#include "os/page.h"
#include "os/random.h"
#include "os/socket.h"
#include "process/process.h"
#include "process/trace.h"
#include "receive/threads.h"
#include "spool/layout.h"

enum {
	DESCRIPTORS_SPARE = 256,      // beyond connections and large bodies
	DESCRIPTORS_PER_THREAD = 256, // its listeners, twice during a reload, and its loop's own
	WAKE_QUEUE_MAX = 16,
	STATUS_BYTES_MAX = 4096,
	PATH_BYTES_MAX = 8192,
};

struct receive {
	struct process process;
	struct spool_writer *writer;
	struct spool_commit_page *commit;
	const struct spool_queue_page *queue;
	struct os_wake *committed;  // from the committer's thread
	struct os_channel *deliver; // told that something was committed
	struct receive_common *common;
	struct trace_ring *trace;
	struct receive_threads *threads;
	unsigned thread_count;
	uint8_t ticket_secret[TLS_TICKET_SECRET_SIZE];
	unsigned family;
};

// ---- what was handed over

static enum error load_identities(struct supervision *supervision,
				  struct receive_material *material,
				  struct tls_identity *identities, size_t max)
{
	struct handle *handle;
	unsigned position = 0;

	while ((handle = supervision_next(supervision, HANDLE_CERTIFICATE, &position))) {
		struct view pem;
		enum error error = ERROR_LIMIT;

		if (handle->number < max) {
			error = supervision_map(supervision, HANDLE_CERTIFICATE, handle->number,
						&pem);
		}
		if (error != OK) {
			return error;
		}
		// Chain and key travel in one page; OpenSSL finds each in it.
		identities[handle->number] = (struct tls_identity){ pem, pem };
		if (material->identity_count <= handle->number) {
			material->identity_count = handle->number + 1;
		}
	}
	return OK;
}

static enum error load_generation(struct receive *receive, struct buffer *problem,
				  struct receive_generation **ret_generation)
{
	static const size_t max = RECEIVE_CERTIFICATES_MAX;
	struct tls_identity *identities = calloc(max, sizeof *identities);
	struct receive_material material = { .identities = identities };
	enum error error = identities ? OK : ERROR_NO_MEMORY;

	memcpy(material.ticket_secret, receive->ticket_secret, sizeof material.ticket_secret);
	if (error == OK) {
		error = supervision_map(&receive->process.supervision, HANDLE_CONFIG, 0,
					&material.config);
	}
	if (error == OK) {
		error = load_identities(&receive->process.supervision, &material, identities, max);
	}
	if (error == OK) {
		error = receive_generation_new(&material, problem, ret_generation);
	}
	supervision_unmap(material.config);
	for (size_t i = 0; i < material.identity_count; i++) {
		supervision_unmap(identities[i].certificate);
	}
	free(identities);
	return error;
}

// The listening sockets are duplicated by the kernel for each reload; the threads take them.
static enum error hand_over_sockets(struct receive *receive, struct receive_generation *generation)
{
	struct supervision *supervision = &receive->process.supervision;
	struct receive_socket *sockets = calloc(supervision->count + 1, sizeof *sockets);
	unsigned count = 0, position = 0;
	struct handle *handle;
	enum error error;

	if (!sockets) {
		return ERROR_NO_MEMORY;
	}
	while ((handle = supervision_next(supervision, HANDLE_LISTENER, &position))) {
		struct listener_number number = listener_number_of(handle->number);
		struct receive_socket *socket = &sockets[count];

		socket->thread = number.thread;
		socket->socket.index = number.listener;
		if (number.listener < generation->listener_count &&
		    os_socket_duplicate(handle->fd, &socket->socket.fd) == OK) {
			count++;
		}
	}
	error = receive_threads_configure(receive->threads, generation, sockets, count);
	free(sockets);
	return error;
}

static void use_directory(void *context, struct directory directory)
{
	struct receive *receive = context;

	receive_threads_set_directory(receive->threads, directory);
}

static enum error configure(struct receive *receive, struct buffer *problem)
{
	struct receive_generation *generation;
	enum error error = load_generation(receive, problem, &generation);

	if (error != OK) {
		return error;
	}
	process_log(&receive->process, generation->config);
	process_trace_configure(receive->trace, generation->config);
	error = hand_over_sockets(receive, generation);
	receive_generation_unref(generation);
	return error;
}

// ---- what the supervisor says later

static void attach_keeper(struct receive *receive)
{
	uint32_t thread;
	int fd;

	while ((fd = supervision_take_any(&receive->process.supervision, HANDLE_KEEPER, &thread)) >=
	       0) {
		if (receive_threads_attach_keeper(receive->threads, thread, fd) != OK) {
			LOG(LOG_ERROR, "keeper_lost", LOG_TEXT("reason", VIEW("no channel")));
		}
	}
}

static void on_deliver_message(void *context, struct os_message *message)
{
	(void)context;
	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
}

static void on_deliver_closed(void *context, enum error reason)
{
	struct receive *receive = context;

	(void)reason;
	os_channel_free(receive->deliver);
	receive->deliver = NULL;
}

static void attach_deliver(struct receive *receive)
{
	int fd = supervision_take(&receive->process.supervision, HANDLE_WAKE, 0);

	if (fd < 0) {
		return;
	}
	os_channel_free(receive->deliver);
	receive->deliver = NULL;
	if (os_channel_new(receive->process.loop, fd, WAKE_QUEUE_MAX, on_deliver_message,
			   on_deliver_closed, receive, &receive->deliver) != OK) {
		LOG(LOG_ERROR, "deliver_lost", LOG_TEXT("reason", VIEW("no channel")));
	}
}

static void on_committed(void *context)
{
	struct receive *receive = context;

	// A full queue means that deliver has wake-ups waiting already.
	if (receive->deliver &&
	    os_channel_send(receive->deliver, 1, 0, (struct view){ 0 }, NULL, 0) == ERROR_CLOSED) {
		on_deliver_closed(receive, ERROR_CLOSED);
	}
}

static enum error on_changed(void *context, struct buffer *said)
{
	struct receive *receive = context;
	const struct supervision *supervision = &receive->process.supervision;
	enum error error = OK;

	attach_keeper(receive);
	attach_deliver(receive);
	if (supervision_is_fresh(supervision, HANDLE_CONFIG)) {
		error = configure(receive, said);
	}
	if (error == OK && supervision_is_fresh(supervision, HANDLE_DIRECTORY)) {
		error = process_load_directory(&receive->process, use_directory);
	}
	return error;
}

static void on_stop(void *context)
{
	struct receive *receive = context;
	uint64_t connections[CONFIG_THREADS_MAX];
	struct receiver_counters counters = receive_threads_counters(receive->threads, connections);

	LOG(LOG_INFO, "stopping", LOG_NUMBER("sessions", counters.sessions));
	receive_threads_stop(receive->threads, process_leave, &receive->process);
}

static void on_ping(void *context)
{
	struct receive *receive = context;

	receive_threads_ping(receive->threads, process_pong, &receive->process);
}

static void add_status(struct buffer *out, struct receive *receive)
{
	uint64_t connections[CONFIG_THREADS_MAX];
	struct receiver_counters counters = receive_threads_counters(receive->threads, connections);
	struct spool_writer_status writer = spool_writer_status(receive->writer);
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "sessions", counters.sessions },
		{ "connections", counters.connections },
		{ "connections_refused", counters.refused_connections },
		{ "messages", counters.messages },
		{ "bytes", counters.bytes },
		{ "commands_4xx", counters.commands_4xx },
		{ "commands_5xx", counters.commands_5xx },
		{ "recipients_refused", counters.refused_recipients },
		{ "recipients_unknown", counters.unknown_recipients },
		{ "recipients_limited", counters.limited_recipients },
		{ "relay_attempts", counters.relay_attempts },
		{ "messages_refused", counters.refused_messages },
		{ "messages_failed", counters.failed_messages },
		{ "bytes_discarded", counters.discarded_bytes },
		{ "bodies_spilled", counters.spilled },
		{ "logins", counters.logins },
		{ "logins_failed", counters.failed_logins },
		{ "tls_failures", counters.tls_failures },
		{ "hostile_sessions", counters.hostile },
		{ "body_bytes", atomic_load(&receive->common->body_bytes) },
		{ "clients_forgotten", receive_common_forgotten(receive->common) },
		{ "spool_batches", writer.batches },
		{ "spool_records", writer.records },
		{ "spool_failures", writer.failures },
		{ "spool_segments", writer.segments },
	};

	buffer_add_text(out, "{");
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buffer_printf(out, "\"%s\":%llu,", numbers[i].name,
			      (unsigned long long)numbers[i].value);
	}
	buffer_printf(out, "\"threads\":%u,\"connections_by_thread\":[", receive->thread_count);
	for (unsigned i = 0; i < receive->thread_count; i++) {
		buffer_printf(out, "%s%llu", i ? "," : "", (unsigned long long)connections[i]);
	}
	buffer_add_text(out, "],");
	process_trace_add_status(out, receive->trace);
	buffer_printf(out, "\"spool\":\"%s\"}", error_text(writer.error));
}

// Status is the one command for this process.
static void on_command(void *context, uint32_t id, struct view payload)
{
	struct receive *receive = context;
	struct buffer status = buffer_with_max(STATUS_BYTES_MAX);

	(void)payload;
	add_status(&status, receive);
	process_answer(&receive->process, id, buffer_view(&status), EX_OK, (struct view){ 0 });
	buffer_done(&status);
}

// ---- start

static void wake_deliver(void *context)
{
	struct receive *receive = context;

	os_wake_send(receive->committed);
}

static enum error open_writer(struct receive *receive, const struct config *config)
{
	struct supervision *supervision = &receive->process.supervision;
	unsigned position = 0;
	struct handle *page = supervision_next(supervision, HANDLE_COMMIT_PAGE, &position);
	int queue = supervision_get(supervision, HANDLE_PRESSURE_PAGE, 0);
	struct spool_writer_settings settings;
	void *commit = NULL, *pressure = NULL;
	enum error error = ERROR_NOT_FOUND;

	if (page && queue >= 0) {
		error = os_page_map(page->fd, sizeof *receive->commit, true, &commit);
	}
	if (error == OK) {
		error = os_page_map(queue, sizeof *receive->queue, false, &pressure);
	}
	if (error != OK) {
		return error;
	}
	receive->commit = commit;
	receive->queue = pressure;
	receive->family = page->number;
	settings = spool_writer_defaults((uint16_t)receive->family);
	settings.segment_bytes = (uint32_t)config->queue.segment_size_bytes;
	settings.reserve_bytes = config->queue.disk_reserve_bytes;
	settings.shared_group = receive->process.began_as_root;
	settings.commit = receive->commit;
	settings.queue = receive->queue;
	settings.wake = wake_deliver;
	settings.wake_context = receive;
	return spool_writer_open(supervision_get(supervision, HANDLE_SPOOL_DIR, SPOOL_RECEIVE),
				 receive->process.loop, &settings, &receive->writer);
}

static enum error open_threads(struct receive *receive)
{
	struct receive_threads_parts parts = {
		.loop = receive->process.loop,
		.count = receive->thread_count,
		.family = receive->family,
		.common = receive->common,
		.writer = receive->writer,
		.trace = receive->trace,
	};

	return receive_threads_new(&parts, &receive->threads);
}

static enum error open_all(struct receive *receive, const struct config *config)
{
	enum error error = os_loop_new(&receive->process.loop);

	if (error == OK) {
		error = receive_common_new(&receive->common);
	}
	if (error == OK) {
		error = os_wake_new(receive->process.loop, on_committed, receive,
				    &receive->committed);
	}
	if (error == OK) {
		error = open_writer(receive, config);
	}
	if (error == OK) {
		error = process_trace_new(&receive->process, receive->family, config,
					  &receive->trace);
	}
	return error == OK ? open_threads(receive) : error;
}

static enum error shut_door(struct receive *receive, const struct config *config,
			    struct buffer *said)
{
	struct arena arena = arena_with_max(PATH_BYTES_MAX);
	const char *dirs[] = { spool_layout_path(&arena, config->spool_dir, SPOOL_RECEIVE_PATH),
			       NULL };
	struct os_sandbox door = {
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_ACCEPT,
		.write_dirs = dirs,
		.descriptors_max = config->limits.connections * 2 + DESCRIPTORS_SPARE +
				   config->threads * DESCRIPTORS_PER_THREAD,
	};
	enum error error =
		dirs[0] ? process_shut_door(&receive->process, door, said) : ERROR_NO_MEMORY;

	arena_done(&arena);
	return error;
}

static enum error start(void *context, struct buffer *said)
{
	struct receive *receive = context;
	struct receive_generation *generation;
	enum error error = load_generation(receive, said, &generation);

	if (error != OK) {
		return error;
	}
	process_log(&receive->process, generation->config);
	receive->thread_count = (unsigned)generation->config->threads;
	error = shut_door(receive, generation->config, said);
	if (error == OK) {
		error = open_all(receive, generation->config);
		if (error != OK) {
			buffer_printf(said, "the spool %.*s",
				      VIEW_ARG(generation->config->spool_dir));
		}
	}
	if (error == OK) {
		attach_keeper(receive);
		attach_deliver(receive);
		error = process_load_directory(&receive->process, use_directory);
	}
	if (error == OK) {
		error = hand_over_sockets(receive, generation);
	}
	if (error == OK) {
		error = process_attach(&receive->process);
	}
	receive_generation_unref(generation);
	return error;
}

static void done(void *context)
{
	struct receive *receive = context;

	receive_threads_free(receive->threads);
	trace_ring_free(receive->trace);
	receive_common_free(receive->common);
	spool_writer_close(receive->writer);
	os_channel_free(receive->deliver);
	os_wake_free(receive->committed);
}

int receive_main(void)
{
	static const struct process_role role = {
		.name = "receive",
		.title = "packetboat: receive",
		.user = "packetboat-net",
		.group = "packetboat",  // that shares the spool with deliver
		.exits_orphaned = true, // what was answered is in the log
		.start = start,
		.changed = on_changed,
		.stop = on_stop,
		.command = on_command,
		.ping = on_ping,
		.done = done,
	};
	struct receive receive = { 0 };

	os_random_bytes(receive.ticket_secret, sizeof receive.ticket_secret);
	return process_run(&receive.process, &role, &receive);
}
