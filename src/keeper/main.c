#include "keeper/main.h"

#include "config/encode.h"
#include "keeper/keeper.h"
#include "link/password.h"
#include "link/users.h"
#include "os/log.h"
#include "process/process.h"

enum {
	HASH_THREADS = 2,
	DESCRIPTORS_MAX = 256,
	CONFIG_MEMORY_MAX = 256 * 1024 * 1024,
	FOLDER_BYTES_MAX = 4096,
};

struct keeper_process {
	struct process process;
	struct keeper *keeper;
	struct arena arena; // of config
	const struct config *config;
	struct buffer folder;
};

// ---- what was handed over

// The earlier arena, which may still be in use, is handed back.
static enum error load_config(struct keeper_process *own, struct arena *ret_earlier)
{
	struct arena arena = arena_with_max(CONFIG_MEMORY_MAX);
	const struct config *config;
	struct view bytes;
	enum error error = supervision_map(&own->process.supervision, HANDLE_CONFIG, 0, &bytes);

	if (error != OK) {
		return error;
	}
	error = config_decode(bytes, CONFIG_KEEPER, &arena, &config);
	supervision_unmap(bytes);
	if (error != OK) {
		arena_done(&arena);
		return error;
	}
	*ret_earlier = own->arena;
	own->arena = arena;
	own->config = config;
	process_log(&own->process, config);
	return OK;
}

static enum error take_clients(struct keeper_process *own)
{
	struct supervision *supervision = &own->process.supervision;
	uint32_t number;
	int fd;

	while ((fd = supervision_take_any(supervision, HANDLE_CLIENT, &number)) >= 0) {
		enum error error = keeper_add_client(own->keeper, fd);

		if (error != OK) {
			return error;
		}
	}
	return OK;
}

static enum error take_control(struct keeper_process *own)
{
	int listener = supervision_get(&own->process.supervision, HANDLE_CONTROL, 0);

	return listener < 0 ? OK : keeper_set_control(own->keeper, listener);
}

// ---- what keeper wants from the supervisor

static void publish(void *context, int fd)
{
	struct keeper_process *own = context;
	enum error error = supervision_publish(&own->process.supervision, fd);

	if (error != OK) {
		LOG(LOG_ERROR, "publish_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static void forward(void *context, uint32_t id, struct view request)
{
	struct keeper_process *own = context;
	enum error error =
		supervision_send(&own->process.supervision, SUPERVISION_REQUEST, id, request);

	if (error != OK) {
		LOG(LOG_ERROR, "command_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static const struct keeper_calls keeper_calls = { publish, forward };

// ---- what the supervisor says later

static enum error on_changed(void *context, struct buffer *said)
{
	struct keeper_process *own = context;
	struct arena earlier = { 0 };
	enum error error = take_clients(own);

	(void)said;
	if (error == OK && supervision_is_fresh(&own->process.supervision, HANDLE_CONTROL)) {
		error = take_control(own);
	}
	if (error == OK && supervision_is_fresh(&own->process.supervision, HANDLE_CONFIG)) {
		error = load_config(own, &earlier);
		if (error == OK) {
			error = keeper_configure(own->keeper, own->config);
		}
	}
	arena_done(&earlier);
	return error;
}

static void on_stop(void *context)
{
	struct keeper_process *own = context;
	struct keeper_counters counters = keeper_counters(own->keeper);

	LOG(LOG_INFO, "stopping", LOG_NUMBER("logins", counters.logins),
	    LOG_NUMBER("logins_failed", counters.logins_failed),
	    LOG_NUMBER("logins_limited", counters.logins_limited),
	    LOG_NUMBER("logins_refused_busy", counters.logins_refused_busy));
	process_leave(&own->process);
}

static void on_result(void *context, uint32_t id, struct view part)
{
	struct keeper_process *own = context;

	keeper_control_result(own->keeper, id, part);
}

static void on_sibling(void *context, uint8_t which, int32_t pid)
{
	struct keeper_process *own = context;

	keeper_set_sibling(own->keeper, which, pid);
}

// No command is for keeper: it asks, and answers what is its own.
static void on_command(void *context, uint32_t id, struct view payload)
{
	(void)context;
	(void)payload;
	LOG(LOG_ERROR, "odd_message", LOG_NUMBER("number", id));
}

// ---- start

static enum error shut_door(struct keeper_process *own, struct buffer *said)
{
	const char *dirs[] = { buffer_text(&own->folder), NULL };
	struct os_sandbox door = {
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_LISTEN_LOCAL |
			  OS_MAY_PUBLISH,
		.write_dirs = dirs,
		.descriptors_max = DESCRIPTORS_MAX,
	};

	return process_shut_door(&own->process, door, said);
}

static enum error open_keeper(struct keeper_process *own)
{
	struct keeper_setup setup = {
		.folder = buffer_text(&own->folder),
		.config = own->config,
		.threads = HASH_THREADS,
		.password_cost = PASSWORD_COST,
		.calls = &keeper_calls,
		.context = own,
	};
	enum error error = os_loop_new(&own->process.loop);

	if (error == OK) {
		error = process_attach(&own->process);
	}
	if (error == OK) {
		setup.loop = own->process.loop;
		error = keeper_new(&setup, &own->keeper);
	}
	return error;
}

static enum error start(void *context, struct buffer *said)
{
	struct keeper_process *own = context;
	struct arena none = { 0 };
	enum error error = load_config(own, &none);

	if (error == OK) {
		buffer_printf(&own->folder, "%.*s/" USERS_FOLDER, VIEW_ARG(own->config->data_dir));
		error = buffer_error(&own->folder);
	}
	if (error == OK) {
		error = shut_door(own, said);
	}
	if (error == OK) {
		error = open_keeper(own);
		if (error != OK) {
			buffer_printf(said, "the accounts in %s", buffer_text(&own->folder));
		}
	}
	if (error == OK) {
		error = take_clients(own);
	}
	return error == OK ? take_control(own) : error;
}

static void done(void *context)
{
	struct keeper_process *own = context;

	keeper_free(own->keeper);
}

int keeper_main(void)
{
	static const struct process_role role = {
		.name = "keeper",
		.title = "packetboat: keeper",
		.user = "packetboat-keep",
		.start = start,
		.changed = on_changed,
		.stop = on_stop,
		.command = on_command,
		.result = on_result,
		.sibling = on_sibling,
		.done = done,
	};
	struct keeper_process own = { .folder = buffer_with_max(FOLDER_BYTES_MAX) };
	int status = process_run(&own.process, &role, &own);

	arena_done(&own.arena);
	buffer_done(&own.folder);
	return status;
}
