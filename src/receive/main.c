#include "receive/main.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config/encode.h"
#include "link/control.h"
#include "link/supervision.h"
#include "os/log.h"
#include "os/page.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "os/socket.h"
#include "receive/receiver.h"

enum {
	POOL_THREADS = 2,
	POOL_JOBS_MAX = 100000,
	DESCRIPTORS_SPARE = 256, // beyond connections and large bodies
	WAKE_QUEUE_MAX = 16,
	STATUS_BYTES_MAX = 4096,
};

struct receive {
	struct supervision supervision;
	struct os_loop *loop;
	struct os_pool *pool;
	struct spool_writer *writer;
	struct spool_commit_page *commit;
	const struct spool_queue_page *queue;
	struct os_wake *committed;  // from the committer's thread
	struct os_channel *deliver; // told that something was committed
	struct keeper_client *keeper;
	struct receiver *receiver;
	struct view directory; // the page in use
	uint8_t ticket_secret[TLS_TICKET_SECRET_SIZE];
	unsigned family;
	bool separate_users; // was started as root: the spool is shared by group
	int status;
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

static void unmap(struct view page)
{
	os_page_unmap((void *)(uintptr_t)page.data, page.len);
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
		error = supervision_map(&receive->supervision, HANDLE_CONFIG, 0, &material.config);
	}
	if (error == OK) {
		error = load_identities(&receive->supervision, &material, identities, max);
	}
	if (error == OK) {
		error = receive_generation_new(&material, problem, ret_generation);
	}
	unmap(material.config);
	for (size_t i = 0; i < material.identity_count; i++) {
		unmap(identities[i].certificate);
	}
	free(identities);
	return error;
}

static enum error load_directory(struct receive *receive)
{
	struct directory directory;
	struct view bytes;
	enum error error = supervision_map(&receive->supervision, HANDLE_DIRECTORY, 0, &bytes);

	if (error == OK) {
		error = directory_open(bytes, &directory);
	}
	if (error == OK) {
		receiver_set_directory(receive->receiver, directory);
		unmap(receive->directory);
		receive->directory = bytes;
	}
	return error;
}

// The listening sockets are duplicated by the kernel for each reload; the receiver takes them.
static enum error hand_over_sockets(struct receive *receive, struct receive_generation *generation)
{
	struct receiver_socket sockets[RECEIVER_LISTENERS_MAX];
	unsigned count = 0, position = 0;
	struct handle *handle;

	while (count < RECEIVER_LISTENERS_MAX &&
	       (handle = supervision_next(&receive->supervision, HANDLE_LISTENER, &position))) {
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

static void set_up_log(struct receive *receive, const struct config *config)
{
	struct log_settings settings = {
		.json = config->log.format == CONFIG_LOG_JSON,
		.level = (enum log_level)config->log.level,
		.fd = supervision_get(&receive->supervision, HANDLE_LOG, 0),
		.syslog_fd = supervision_get(&receive->supervision, HANDLE_SYSLOG, 0),
	};

	if (settings.fd < 0 && settings.syslog_fd < 0) {
		settings.fd = 2;
	}
	log_setup("receive", settings);
}

static enum error configure(struct receive *receive, struct buffer *problem)
{
	struct receive_generation *generation;
	enum error error = load_generation(receive, problem, &generation);

	if (error != OK) {
		return error;
	}
	set_up_log(receive, generation->config);
	error = hand_over_sockets(receive, generation);
	receive_generation_unref(generation);
	return error;
}

// ---- what the supervisor says later

static void attach_keeper(struct receive *receive)
{
	int fd = supervision_take(&receive->supervision, HANDLE_KEEPER, 0);

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
	int fd = supervision_take(&receive->supervision, HANDLE_WAKE, 0);

	if (fd < 0) {
		return;
	}
	os_channel_free(receive->deliver);
	receive->deliver = NULL;
	if (os_channel_new(receive->loop, fd, WAKE_QUEUE_MAX, on_deliver_message, on_deliver_closed,
			   receive, &receive->deliver) != OK) {
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

static void on_changed(void *context)
{
	struct receive *receive = context;
	const struct supervision *supervision = &receive->supervision;
	struct buffer problem = buffer_with_max(STATUS_BYTES_MAX);
	enum error error = OK;

	attach_keeper(receive);
	attach_deliver(receive);
	if (supervision_is_fresh(supervision, HANDLE_CONFIG)) {
		error = configure(receive, &problem);
	}
	if (error == OK && supervision_is_fresh(supervision, HANDLE_DIRECTORY)) {
		error = load_directory(receive);
	}
	if (error != OK) {
		LOG(LOG_ERROR, "reload_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))),
		    LOG_TEXT("text", buffer_view(&problem)));
	}
	buffer_done(&problem);
}

static void leave(void *context)
{
	struct receive *receive = context;

	os_loop_stop(receive->loop);
}

static void on_stop(void *context)
{
	struct receive *receive = context;

	LOG(LOG_INFO, "stopping",
	    LOG_NUMBER("sessions", receiver_counters(receive->receiver).sessions));
	receiver_stop(receive->receiver, leave, receive);
}

// At once, with whatever is under way: what was answered is in the log.
static void on_supervisor_gone(void *context)
{
	(void)context;
	_Exit(EX_OSERR);
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
		{ "messages_refused", counters.refused_messages },
		{ "messages_failed", counters.failed_messages },
		{ "logins", counters.logins },
		{ "logins_failed", counters.failed_logins },
		{ "tls_failures", counters.tls_failures },
		{ "hostile_sessions", counters.hostile },
		{ "body_bytes", counters.body_bytes },
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
	buffer_printf(out, "\"spool\":\"%s\"}", error_text(writer.error));
}

static void send_part(struct receive *receive, uint32_t id, const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX);
	enum error error;

	control_part_encode(&bytes, part);
	error = supervision_send(&receive->supervision, SUPERVISION_RESULT, id,
				 buffer_view(&bytes));
	if (error != OK) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&bytes);
}

// Status is the one command for this process.
static void on_command(void *context, uint32_t id, struct view payload)
{
	struct receive *receive = context;
	struct buffer status = buffer_with_max(STATUS_BYTES_MAX);

	(void)payload;
	add_status(&status, receive);
	send_part(receive, id, &(struct control_part){ .text = buffer_view(&status) });
	send_part(receive, id, &(struct control_part){ .end = true });
	buffer_done(&status);
}

static const struct supervision_calls calls = {
	.changed = on_changed,
	.stop = on_stop,
	.command = on_command,
	.closed = on_supervisor_gone,
};

// ---- start

static void wake_deliver(void *context)
{
	struct receive *receive = context;

	os_wake_send(receive->committed);
}

static enum error open_writer(struct receive *receive, const struct config *config)
{
	struct supervision *supervision = &receive->supervision;
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
	settings.shared_group = receive->separate_users;
	settings.commit = receive->commit;
	settings.queue = receive->queue;
	settings.wake = wake_deliver;
	settings.wake_context = receive;
	return spool_writer_open(supervision_get(supervision, HANDLE_SPOOL_DIR, 0), receive->loop,
				 &settings, &receive->writer);
}

static enum error open_all(struct receive *receive, const struct config *config)
{
	struct receiver_parts parts = { 0 };
	enum error error = os_loop_new(&receive->loop);

	if (error == OK) {
		error = os_wake_new(receive->loop, on_committed, receive, &receive->committed);
	}
	if (error == OK) {
		error = os_pool_new(receive->loop, "receive-bodies", POOL_THREADS, POOL_JOBS_MAX,
				    &receive->pool);
	}
	if (error == OK) {
		error = open_writer(receive, config);
	}
	if (error == OK) {
		error = keeper_client_new(receive->loop, -1, &receive->keeper);
	}
	if (error == OK) {
		parts.loop = receive->loop;
		parts.writer = receive->writer;
		parts.pool = receive->pool;
		parts.keeper = receive->keeper;
		parts.node = (uint8_t)(receive->family * 16);
		error = receiver_new(&parts, &receive->receiver);
	}
	return error;
}

static enum error shut_door(const struct config *config, struct buffer *warnings)
{
	const char *dirs[] = { config->spool_dir.data, NULL };
	struct os_user user, group;
	struct os_sandbox sandbox = {
		.process = "receive",
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_ACCEPT,
		.write_dirs = dirs,
		.descriptors_max = config->limits.connections * 2 + DESCRIPTORS_SPARE,
	};

	if (os_process_is_root()) {
		enum error error = os_user_find("packetboat-net", &user);

		if (error == OK) {
			error = os_user_find("packetboat", &group);
		}
		if (error != OK) {
			return error;
		}
		user.gid = group.gid; // the group that shares the spool with deliver
		sandbox.user = &user;
	}
	return os_sandbox_enter(&sandbox, warnings);
}

static enum error start(struct receive *receive, struct buffer *said)
{
	const struct config *config;
	struct receive_generation *generation;
	enum error error = load_generation(receive, said, &generation);

	if (error != OK) {
		return error;
	}
	config = generation->config;
	set_up_log(receive, config);
	error = shut_door(config, said);
	if (error == OK) {
		error = open_all(receive, config);
	}
	if (error == OK) {
		attach_keeper(receive);
		attach_deliver(receive);
		error = load_directory(receive);
	}
	if (error == OK) {
		error = hand_over_sockets(receive, generation);
	}
	if (error == OK) {
		error = supervision_attach(&receive->supervision, receive->loop, &calls, receive);
	}
	receive_generation_unref(generation);
	return error;
}

static void stop(struct receive *receive)
{
	receiver_free(receive->receiver);
	os_pool_free(receive->pool);
	spool_writer_close(receive->writer);
	keeper_client_free(receive->keeper);
	os_channel_free(receive->deliver);
	os_wake_free(receive->committed);
	supervision_done(&receive->supervision);
	os_loop_free(receive->loop);
}

int receive_main(void)
{
	struct receive receive = { 0 };
	struct buffer said = buffer_with_max(STATUS_BYTES_MAX);
	enum error error;

	os_process_name("packetboat: receive");
	receive.separate_users = os_process_is_root();
	os_random_bytes(receive.ticket_secret, sizeof receive.ticket_secret);
	error = supervision_receive_first(&receive.supervision);
	if (error == OK) {
		error = start(&receive, &said);
	}
	if (error != OK) {
		buffer_printf(&said, "%s%s", said.len ? ": " : "", error_text(error));
		supervision_fail(&receive.supervision, buffer_view(&said));
		receive.status = EX_CONFIG;
	} else if (supervision_send(&receive.supervision, SUPERVISION_READY, 0,
				    buffer_view(&said)) == OK) {
		os_loop_run(receive.loop);
	}
	buffer_done(&said);
	stop(&receive);
	return receive.status;
}
