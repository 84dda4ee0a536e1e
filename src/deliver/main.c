#include "deliver/main.h"

#include <stdlib.h>
#include <sysexits.h>

#include "deliver/deliverer.h"
#include "link/supervision.h"
#include "os/log.h"
#include "os/page.h"
#include "os/sandbox.h"
#include "os/socket.h"

enum {
	DESCRIPTORS_SPARE = 1024, // segments, Maildir, large bodies
	SAID_BYTES_MAX = 4096,
	ANSWER_BYTES_MAX = 64 * 1024 * 1024,
	WAKE_QUEUE_MAX = 16,
	ARGUMENTS_BYTES_MAX = 256 * 1024,
};

struct deliver {
	struct supervision supervision;
	struct os_loop *loop;
	struct facts_client *facts;
	struct os_channel *receive; // tells that something was committed
	struct deliverer *deliverer;
	struct view directory; // the page in use
	bool separate_users;   // started as root
	int status;
};

// ---- what was handed over

static void unmap(struct view page)
{
	os_page_unmap((void *)(uintptr_t)page.data, page.len);
}

static enum error load_generation(struct deliver *deliver,
				  struct deliver_generation **ret_generation)
{
	struct view config, authorities = { 0 };
	enum error error = supervision_map(&deliver->supervision, HANDLE_CONFIG, 0, &config);

	if (error != OK) {
		return error;
	}
	if (supervision_map(&deliver->supervision, HANDLE_TRUST_STORE, 0, &authorities) != OK) {
		authorities = (struct view){ 0 }; // then no certificate is ever verified
	}
	error = deliver_generation_new(config, authorities, ret_generation);
	unmap(config);
	unmap(authorities);
	return error;
}

static enum error load_directory(struct deliver *deliver)
{
	struct directory directory;
	struct view bytes;
	enum error error = supervision_map(&deliver->supervision, HANDLE_DIRECTORY, 0, &bytes);

	if (error == OK) {
		error = directory_open(bytes, &directory);
	}
	if (error == OK) {
		deliverer_set_directory(deliver->deliverer, directory);
		unmap(deliver->directory);
		deliver->directory = bytes;
	}
	return error;
}

static void set_up_log(struct deliver *deliver, const struct config *config)
{
	struct log_settings settings = {
		.json = config->log.format == CONFIG_LOG_JSON,
		.level = (enum log_level)config->log.level,
		.fd = supervision_get(&deliver->supervision, HANDLE_LOG, 0),
		.syslog_fd = supervision_get(&deliver->supervision, HANDLE_SYSLOG, 0),
	};

	if (settings.fd < 0 && settings.syslog_fd < 0) {
		settings.fd = 2;
	}
	log_setup("deliver", settings);
}

static void attach_facts(struct deliver *deliver)
{
	int fd = supervision_take(&deliver->supervision, HANDLE_FACTS, 0);

	if (fd >= 0 && facts_client_attach(deliver->facts, fd) != OK) {
		LOG(LOG_ERROR, "facts_lost", LOG_TEXT("reason", VIEW("no channel")));
	}
}

static void on_wake(void *context, struct os_message *message)
{
	struct deliver *deliver = context;

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	deliverer_wake(deliver->deliverer);
}

static void on_receive_closed(void *context, enum error reason)
{
	struct deliver *deliver = context;

	(void)reason;
	os_channel_free(deliver->receive);
	deliver->receive = NULL;
}

static void attach_receive(struct deliver *deliver)
{
	struct handle *handle;
	unsigned position = 0;
	int fd;

	handle = supervision_next(&deliver->supervision, HANDLE_WAKE, &position);
	if (!handle) {
		return;
	}
	fd = supervision_take(&deliver->supervision, HANDLE_WAKE, handle->number);
	os_channel_free(deliver->receive);
	deliver->receive = NULL;
	if (fd >= 0 && os_channel_new(deliver->loop, fd, WAKE_QUEUE_MAX, on_wake, on_receive_closed,
				      deliver, &deliver->receive) != OK) {
		LOG(LOG_ERROR, "receive_lost", LOG_TEXT("reason", VIEW("no channel")));
	}
	// What was committed while nobody could tell us.
	deliverer_wake(deliver->deliverer);
}

// ---- what the supervisor says later

static void on_changed(void *context)
{
	struct deliver *deliver = context;
	struct deliver_generation *generation;
	enum error error = OK;

	attach_facts(deliver);
	attach_receive(deliver);
	if (supervision_is_fresh(&deliver->supervision, HANDLE_DIRECTORY)) {
		error = load_directory(deliver);
	}
	if (error == OK && supervision_is_fresh(&deliver->supervision, HANDLE_CONFIG)) {
		error = load_generation(deliver, &generation);
		if (error == OK) {
			set_up_log(deliver, generation->config);
			deliverer_configure(deliver->deliverer, generation);
			deliver_generation_unref(generation);
		}
	}
	if (error != OK) {
		LOG(LOG_ERROR, "reload_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static void leave(void *context)
{
	struct deliver *deliver = context;

	os_loop_stop(deliver->loop);
}

static void on_stop(void *context)
{
	struct deliver *deliver = context;

	LOG(LOG_INFO, "stopping",
	    LOG_NUMBER("in_hand", deliverer_counters(deliver->deliverer).in_hand));
	deliverer_stop(deliver->deliverer, leave, deliver);
}

static void on_supervisor_gone(void *context)
{
	struct deliver *deliver = context;

	deliver->status = EX_OSERR;
	os_loop_stop(deliver->loop);
}

// ---- local commands

static void send_part(struct deliver *deliver, uint32_t id, const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX + 16);
	enum error error;

	control_part_encode(&bytes, part);
	error = supervision_send(&deliver->supervision, SUPERVISION_RESULT, id,
				 buffer_view(&bytes));
	if (error != OK) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&bytes);
}

static void on_command(void *context, uint32_t id, struct view payload)
{
	struct deliver *deliver = context;
	struct buffer answer = buffer_with_max(ANSWER_BYTES_MAX);
	struct buffer words = buffer_with_max(SAID_BYTES_MAX);
	struct arena arena = arena_with_max(ARGUMENTS_BYTES_MAX);
	struct control_request request;
	int status = EX_DATAERR;
	struct view rest;

	if (control_request_decode(payload, &arena, &request) == OK) {
		status = deliverer_command(deliver->deliverer, &request, &answer, &words);
	}
	for (rest = buffer_view(&answer); rest.len;
	     rest = view_from(rest, CONTROL_PART_BYTES_MAX)) {
		send_part(
			deliver, id,
			&(struct control_part){ .text = view_first(rest, CONTROL_PART_BYTES_MAX) });
	}
	send_part(deliver, id,
		  &(struct control_part){
			  .end = true, .status = (uint8_t)status, .text = buffer_view(&words) });
	arena_done(&arena);
	buffer_done(&answer);
	buffer_done(&words);
}

static const struct supervision_calls calls = {
	.changed = on_changed,
	.stop = on_stop,
	.command = on_command,
	.closed = on_supervisor_gone,
};

// ---- start

static enum error map_pages(struct deliver *deliver, struct spool_store_settings *settings)
{
	struct supervision *supervision = &deliver->supervision;
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
	struct supervision *supervision = &deliver->supervision;
	struct deliverer_parts parts = {
		.spool_dir = supervision_get(supervision, HANDLE_SPOOL_DIR, 0),
		.mail_dir = supervision_get(supervision, HANDLE_MAIL_DIR, 0),
		.generation = generation,
	};
	enum error error = os_loop_new(&deliver->loop);

	if (error == OK) {
		error = map_pages(deliver, &parts.store);
	}
	if (error == OK) {
		error = facts_client_new(deliver->loop, -1, &deliver->facts);
	}
	if (error == OK) {
		parts.loop = deliver->loop;
		parts.facts = deliver->facts;
		parts.store.segment_bytes = (uint32_t)generation->config->queue.segment_size_bytes;
		parts.store.shared_group = deliver->separate_users;
		error = deliverer_new(&parts, &deliver->deliverer);
	}
	return error;
}

static enum error shut_door(const struct config *config, bool is_root, struct buffer *warnings)
{
	const char *dirs[] = { config->spool_dir.data, config->mail_dir.data, NULL };
	struct os_user user, group;
	struct os_sandbox sandbox = {
		.process = "deliver",
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_CONNECT,
		.write_dirs = dirs,
		.descriptors_max = config->outbound.connections * 2 + DESCRIPTORS_SPARE,
	};

	if (is_root) {
		enum error error = os_user_find("packetboat-out", &user);

		if (error == OK) {
			error = os_user_find("packetboat", &group);
		}
		if (error != OK) {
			return error;
		}
		user.gid = group.gid; // the group that shares the spool with receive
		sandbox.user = &user;
	}
	return os_sandbox_enter(&sandbox, warnings);
}

static enum error start(struct deliver *deliver, struct buffer *said)
{
	struct deliver_generation *generation;
	enum error error = load_generation(deliver, &generation);

	if (error != OK) {
		return error;
	}
	set_up_log(deliver, generation->config);
	deliver->separate_users = os_process_is_root(); // not any more, behind the door
	error = shut_door(generation->config, deliver->separate_users, said);
	if (error == OK) {
		error = open_all(deliver, generation);
	}
	if (error == OK) {
		attach_facts(deliver);
		attach_receive(deliver);
		error = load_directory(deliver);
	}
	if (error == OK) {
		error = supervision_attach(&deliver->supervision, deliver->loop, &calls, deliver);
	}
	deliver_generation_unref(generation);
	return error;
}

static void stop(struct deliver *deliver)
{
	deliverer_free(deliver->deliverer);
	facts_client_free(deliver->facts);
	os_channel_free(deliver->receive);
	supervision_done(&deliver->supervision);
	os_loop_free(deliver->loop);
}

int deliver_main(void)
{
	struct deliver deliver = { 0 };
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);
	enum error error;

	os_process_name("packetboat: deliver");
	error = supervision_receive_first(&deliver.supervision);
	if (error == OK) {
		error = start(&deliver, &said);
	}
	if (error != OK) {
		buffer_printf(&said, "%s%s", said.len ? ": " : "", error_text(error));
		supervision_fail(&deliver.supervision, buffer_view(&said));
		deliver.status = EX_CONFIG;
	} else if (supervision_send(&deliver.supervision, SUPERVISION_READY, 0,
				    buffer_view(&said)) == OK) {
		os_loop_run(deliver.loop);
	}
	buffer_done(&said);
	stop(&deliver);
	return deliver.status;
}
