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
#include "receive/receiver.h"
#include "spool/layout.h"

enum {
	POOL_THREADS = 2,
	POOL_JOBS_MAX = 100000,
	DESCRIPTORS_SPARE = 256, // beyond connections and large bodies
	WAKE_QUEUE_MAX = 16,
	STATUS_BYTES_MAX = 4096,
	PATH_BYTES_MAX = 8192,
};

struct receive {
	struct process process;
	struct os_pool *pool;
	struct spool_writer *writer;
	struct spool_commit_page *commit;
	const struct spool_queue_page *queue;
	struct os_wake *committed;  // from the committer's thread
	struct os_channel *deliver; // told that something was committed
	struct receive_common *common;
	struct keeper_client *keeper;
	struct trace_ring *trace;
	struct receiver *receiver;
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

// The listening sockets are duplicated by the kernel for each reload; the receiver takes them.
static enum error hand_over_sockets(struct receive *receive, struct receive_generation *generation)
{
	struct receiver_socket sockets[RECEIVER_LISTENERS_MAX];
	unsigned count = 0, position = 0;
	struct handle *handle;

	while (count < RECEIVER_LISTENERS_MAX &&
	       (handle = supervision_next(&receive->process.supervision, HANDLE_LISTENER,
					  &position))) {
		int fd;

		if (handle->number / 256 >= generation->listener_count) {
			continue;
		}
		if (os_socket_duplicate(handle->fd, &fd) == OK) {
			sockets[count++] =
				(struct receiver_socket){ .fd = fd, .index = handle->number / 256 };
		}
	}
	return receiver_configure(receive->receiver, generation, sockets, count);
}

static void use_directory(void *context, struct directory directory)
{
	struct receive *receive = context;

	receiver_set_directory(receive->receiver, directory);
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
	int fd = supervision_take(&receive->process.supervision, HANDLE_KEEPER, 0);

	if (fd >= 0 && keeper_client_attach(receive->keeper, fd) != OK) {
		LOG(LOG_ERROR, "keeper_lost", LOG_TEXT("reason", VIEW("no channel")));
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

	LOG(LOG_INFO, "stopping",
	    LOG_NUMBER("sessions", receiver_counters(receive->receiver).sessions));
	receiver_stop(receive->receiver, process_leave, &receive->process);
}

static void add_status(struct buffer *out, const struct receive *receive)
{
	struct receiver_counters counters = receiver_counters(receive->receiver);
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

static enum error open_all(struct receive *receive, const struct config *config)
{
	struct receiver_parts parts = { 0 };
	enum error error = os_loop_new(&receive->process.loop);

	if (error == OK) {
		error = receive_common_new(&receive->common);
	}
	if (error == OK) {
		error = os_wake_new(receive->process.loop, on_committed, receive,
				    &receive->committed);
	}
	if (error == OK) {
		error = os_pool_new(receive->process.loop, "receive-bodies", POOL_THREADS,
				    POOL_JOBS_MAX, &receive->pool);
	}
	if (error == OK) {
		error = open_writer(receive, config);
	}
	if (error == OK) {
		error = keeper_client_new(receive->process.loop, -1, &receive->keeper);
	}
	if (error == OK) {
		error = process_trace_new(&receive->process, receive->family, config,
					  &receive->trace);
	}
	if (error == OK) {
		parts.loop = receive->process.loop;
		parts.common = receive->common;
		parts.writer = receive->writer;
		parts.pool = receive->pool;
		parts.keeper = receive->keeper;
		parts.trace = receive->trace;
		parts.node = (uint8_t)(receive->family * 16);
		error = receiver_new(&parts, &receive->receiver);
	}
	return error;
}

static enum error shut_door(struct receive *receive, const struct config *config,
			    struct buffer *said)
{
	struct arena arena = arena_with_max(PATH_BYTES_MAX);
	struct view part =
		arena_printf(&arena, "%.*s/" SPOOL_RECEIVE_PATH, VIEW_ARG(config->spool_dir));
	const char *dirs[] = { part.data, NULL };
	struct os_sandbox door = {
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_ACCEPT,
		.write_dirs = dirs,
		.descriptors_max = config->limits.connections * 2 + DESCRIPTORS_SPARE,
	};
	enum error error =
		part.data ? process_shut_door(&receive->process, door, said) : ERROR_NO_MEMORY;

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

	receiver_free(receive->receiver);
	trace_ring_free(receive->trace);
	os_pool_free(receive->pool);
	receive_common_free(receive->common);
	spool_writer_close(receive->writer);
	keeper_client_free(receive->keeper);
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
		.done = done,
	};
	struct receive receive = { 0 };

	os_random_bytes(receive.ticket_secret, sizeof receive.ticket_secret);
	return process_run(&receive.process, &role, &receive);
}
