#include "keeper/main.h"

#include <sysexits.h>

#include "config/encode.h"
#include "keeper/keeper.h"
#include "link/password.h"
#include "link/supervision.h"
#include "link/users.h"
#include "os/log.h"
#include "os/page.h"
#include "os/sandbox.h"

enum {
	HASH_THREADS = 2,
	DESCRIPTORS_MAX = 256,
	CONFIG_MEMORY_MAX = 256 * 1024 * 1024,
	TEXT_MAX = 4096,
};

struct keeper_process {
	struct supervision supervision;
	struct os_loop *loop;
	struct keeper *keeper;
	struct arena arena; // of config
	const struct config *config;
	struct buffer folder;
	int status;
};

// ---- what was handed over

static void set_up_log(struct keeper_process *process)
{
	struct log_settings settings = {
		.json = process->config->log.format == CONFIG_LOG_JSON,
		.level = (enum log_level)process->config->log.level,
		.fd = supervision_get(&process->supervision, HANDLE_LOG, 0),
		.syslog_fd = supervision_get(&process->supervision, HANDLE_SYSLOG, 0),
	};

	if (settings.fd < 0 && settings.syslog_fd < 0) {
		settings.fd = 2;
	}
	log_setup("keeper", settings);
}

// The earlier arena, which may still be in use, is handed back.
static enum error load_config(struct keeper_process *process, struct arena *ret_earlier)
{
	struct arena arena = arena_with_max(CONFIG_MEMORY_MAX);
	const struct config *config;
	struct view bytes;
	enum error error = supervision_map(&process->supervision, HANDLE_CONFIG, 0, &bytes);

	if (error != OK) {
		return error;
	}
	error = config_decode(bytes, CONFIG_KEEPER, &arena, &config);
	os_page_unmap((void *)(uintptr_t)bytes.data, bytes.len);
	if (error != OK) {
		arena_done(&arena);
		return error;
	}
	*ret_earlier = process->arena;
	process->arena = arena;
	process->config = config;
	set_up_log(process);
	return OK;
}

static enum error take_clients(struct keeper_process *process)
{
	struct supervision *supervision = &process->supervision;
	struct handle *handle;
	unsigned position = 0;

	while ((handle = supervision_next(supervision, HANDLE_CLIENT, &position))) {
		int fd = supervision_take(supervision, HANDLE_CLIENT, handle->number);
		enum error error = keeper_add_client(process->keeper, fd);

		if (error != OK) {
			return error;
		}
		position = 0; // the set has changed
	}
	return OK;
}

static enum error take_control(struct keeper_process *process)
{
	int listener = supervision_get(&process->supervision, HANDLE_CONTROL, 0);

	return listener < 0 ? OK : keeper_set_control(process->keeper, listener);
}

// ---- what keeper wants from the supervisor

static void publish(void *context, int fd)
{
	struct keeper_process *process = context;
	enum error error = supervision_publish(&process->supervision, fd);

	if (error != OK) {
		LOG(LOG_ERROR, "publish_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static void forward(void *context, uint32_t id, struct view request)
{
	struct keeper_process *process = context;
	enum error error =
		supervision_send(&process->supervision, SUPERVISION_REQUEST, id, request);

	if (error != OK) {
		LOG(LOG_ERROR, "command_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static const struct keeper_calls keeper_calls = { publish, forward };

// ---- what the supervisor says later

static void on_changed(void *context)
{
	struct keeper_process *process = context;
	struct arena earlier = { 0 };
	enum error error = take_clients(process);

	if (error == OK && supervision_is_fresh(&process->supervision, HANDLE_CONTROL)) {
		error = take_control(process);
	}
	if (error == OK && supervision_is_fresh(&process->supervision, HANDLE_CONFIG)) {
		error = load_config(process, &earlier);
		if (error == OK) {
			error = keeper_configure(process->keeper, process->config);
		}
	}
	arena_done(&earlier);
	if (error != OK) {
		LOG(LOG_ERROR, "reload_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

static void on_stop(void *context)
{
	struct keeper_process *process = context;
	struct keeper_counters counters = keeper_counters(process->keeper);

	LOG(LOG_INFO, "stopping", LOG_NUMBER("logins", counters.logins),
	    LOG_NUMBER("logins_failed", counters.logins_failed),
	    LOG_NUMBER("logins_limited", counters.logins_limited),
	    LOG_NUMBER("logins_refused_busy", counters.logins_refused_busy));
	os_loop_stop(process->loop);
}

static void on_result(void *context, uint32_t id, struct view part)
{
	struct keeper_process *process = context;

	keeper_control_result(process->keeper, id, part);
}

// No command is for keeper: it asks, and answers what is its own.
static void on_command(void *context, uint32_t id, struct view payload)
{
	(void)context;
	(void)payload;
	LOG(LOG_ERROR, "odd_message", LOG_NUMBER("number", id));
}

static void on_supervisor_gone(void *context)
{
	struct keeper_process *process = context;

	process->status = EX_OSERR;
	os_loop_stop(process->loop);
}

static const struct supervision_calls supervision_calls = {
	.changed = on_changed,
	.stop = on_stop,
	.command = on_command,
	.result = on_result,
	.closed = on_supervisor_gone,
};

// ---- start

static enum error shut_door(struct keeper_process *process, struct buffer *warnings)
{
	const char *dirs[] = { buffer_text(&process->folder), NULL };
	struct os_user user;
	struct os_sandbox sandbox = {
		.process = "keeper",
		.rights = OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD | OS_MAY_LISTEN_LOCAL,
		.write_dirs = dirs,
		.descriptors_max = DESCRIPTORS_MAX,
	};

	if (os_process_is_root()) {
		enum error error = os_user_find("packetboat-keep", &user);

		if (error != OK) {
			return error;
		}
		sandbox.user = &user;
	}
	return os_sandbox_enter(&sandbox, warnings);
}

static enum error open_keeper(struct keeper_process *process)
{
	struct keeper_setup setup = {
		.folder = buffer_text(&process->folder),
		.config = process->config,
		.threads = HASH_THREADS,
		.password_cost = PASSWORD_COST,
		.calls = &keeper_calls,
		.context = process,
	};
	enum error error = os_loop_new(&process->loop);

	if (error == OK) {
		error = supervision_attach(&process->supervision, process->loop, &supervision_calls,
					   process);
	}
	if (error == OK) {
		setup.loop = process->loop;
		error = keeper_new(&setup, &process->keeper);
	}
	return error;
}

static enum error start(struct keeper_process *process, struct buffer *said)
{
	struct arena none = { 0 };
	enum error error = load_config(process, &none);

	if (error == OK) {
		buffer_printf(&process->folder, "%.*s/" USERS_FOLDER,
			      VIEW_ARG(process->config->data_dir));
		error = buffer_error(&process->folder);
	}
	if (error == OK) {
		error = shut_door(process, said);
	}
	if (error == OK) {
		error = open_keeper(process);
	}
	if (error == OK) {
		error = take_clients(process);
	}
	return error == OK ? take_control(process) : error;
}

static void stop(struct keeper_process *process)
{
	keeper_free(process->keeper);
	supervision_done(&process->supervision);
	os_loop_free(process->loop);
	arena_done(&process->arena);
	buffer_done(&process->folder);
}

int keeper_main(void)
{
	struct keeper_process process = { .folder = buffer_with_max(TEXT_MAX) };
	struct buffer said = buffer_with_max(TEXT_MAX);
	enum error error;

	os_process_name("packetboat: keeper");
	error = supervision_receive_first(&process.supervision);
	if (error == OK) {
		error = start(&process, &said);
	}
	if (error != OK) {
		buffer_printf(&said, "%s%s", said.len ? ": " : "", error_text(error));
		supervision_fail(&process.supervision, buffer_view(&said));
		process.status = EX_CONFIG;
	} else if (supervision_send(&process.supervision, SUPERVISION_READY, 0,
				    buffer_view(&said)) == OK) {
		os_loop_run(process.loop);
	}
	buffer_done(&said);
	stop(&process);
	return process.status;
}
