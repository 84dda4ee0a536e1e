#include "process/process.h"

#include <stdlib.h>
#include <sysexits.h>

#include "link/control.h"
#include "os/log.h"

enum {
	SAID_BYTES_MAX = 4096,
	LEVEL_BYTES_MAX = 512,
	PART_HEAD_BYTES_MAX = 16,
};

// ---- what the supervisor says

static void on_changed(void *context)
{
	struct process *process = context;
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);
	enum error error = process->role->changed(process->context, &said);

	if (error != OK) {
		LOG(LOG_ERROR, "reload_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))),
		    LOG_TEXT("text", buffer_view(&said)));
	}
	buffer_done(&said);
}

static void on_stop(void *context)
{
	struct process *process = context;

	process->role->stop(process->context);
}

static void on_command(void *context, uint32_t id, struct view payload)
{
	struct process *process = context;

	process->role->command(process->context, id, payload);
}

static void on_ping(void *context)
{
	struct process *process = context;

	if (process->role->ping) {
		process->role->ping(process->context);
	} else {
		process_pong(process);
	}
}

static void on_result(void *context, uint32_t id, struct view payload)
{
	struct process *process = context;

	if (process->role->result) {
		process->role->result(process->context, id, payload);
	}
}

static void on_sibling(void *context, uint8_t which, int32_t pid)
{
	struct process *process = context;

	if (process->role->sibling) {
		process->role->sibling(process->context, which, pid);
	}
}

static void on_closed(void *context)
{
	struct process *process = context;

	if (process->role->exits_orphaned) {
		_Exit(EX_OSERR);
	}
	process->status = EX_OSERR;
	os_loop_stop(process->loop);
}

static const struct supervision_calls calls = {
	.changed = on_changed,
	.stop = on_stop,
	.ping = on_ping,
	.command = on_command,
	.result = on_result,
	.sibling = on_sibling,
	.closed = on_closed,
};

// ---- its life

// What has failed may be named by what was said last; warnings before it are lines of their own.
static void add_why(struct buffer *said, enum error error)
{
	bool is_named = said->len && said->data[said->len - 1] != '\n';

	buffer_printf(said, "%s%s", is_named ? ": " : "", error_text(error));
}

static enum error say_ready(struct process *process, struct view warnings)
{
	struct buffer words = buffer_with_max(LEVEL_BYTES_MAX + SAID_BYTES_MAX + 1);
	enum error error;

	buffer_add(&words, buffer_view(&process->level));
	buffer_add_byte(&words, '\n');
	buffer_add(&words, warnings);
	error = supervision_send(&process->supervision, SUPERVISION_READY, 0, buffer_view(&words));
	buffer_done(&words);
	return error;
}

int process_run(struct process *process, const struct process_role *role, void *context)
{
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);
	enum error error;

	*process = (struct process){
		.role = role,
		.context = context,
		.began_as_root = os_process_is_root(), // not any more, behind the door
		.level = buffer_with_max(LEVEL_BYTES_MAX),
	};
	os_process_name(role->title);
	error = supervision_receive_first(&process->supervision);
	if (error == OK) {
		error = role->start(context, &said);
	}
	if (error != OK) {
		add_why(&said, error);
		if (error == ERROR_PERMISSION && process->began_as_root) {
			buffer_printf(&said,
				      "; its files in data_dir must belong to the user %s (was the "
				      "server started as somebody else before?)",
				      role->user);
		}
		supervision_fail(&process->supervision, buffer_view(&said));
		process->status = EX_CONFIG;
	} else if (say_ready(process, buffer_view(&said)) == OK) {
		os_loop_run(process->loop);
	}
	buffer_done(&said);
	role->done(context);
	supervision_done(&process->supervision);
	os_loop_free(process->loop);
	buffer_done(&process->level);
	return process->status;
}

void process_leave(void *context)
{
	struct process *process = context;

	os_loop_stop(process->loop);
}

void process_pong(void *context)
{
	struct process *process = context;

	supervision_pong(&process->supervision);
}

// ---- for start and changed

void process_log(const struct process *process, const struct config *config)
{
	struct log_settings settings = {
		.json = config->log.format == CONFIG_LOG_JSON,
		.level = (enum log_level)config->log.level,
		.fd = supervision_get(&process->supervision, HANDLE_LOG, 0),
		.syslog_fd = supervision_get(&process->supervision, HANDLE_SYSLOG, 0),
	};

	if (settings.fd < 0 && settings.syslog_fd < 0) {
		settings.fd = 2;
	}
	log_setup(process->role->name, settings);
}

static enum error find_user(const struct process_role *role, struct os_user *ret_user,
			    struct buffer *said)
{
	struct os_user user, group;
	const char *sought = role->user;
	enum error error = os_user_find(sought, &user);

	if (error == OK && role->group) {
		sought = role->group;
		error = os_user_find(sought, &group);
		user.gid = group.gid;
	}
	if (error != OK) {
		buffer_printf(said, "the user %s", sought);
		return error;
	}
	*ret_user = user;
	return OK;
}

enum error process_shut_door(struct process *process, struct os_sandbox door, struct buffer *said)
{
	struct os_user user;

	door.process = process->role->name;
	if (process->began_as_root) {
		enum error error = find_user(process->role, &user, said);

		if (error != OK) {
			return error;
		}
		door.user = &user;
	}
	return os_sandbox_enter(&door, &process->level, said);
}

enum error process_attach(struct process *process)
{
	return supervision_attach(&process->supervision, process->loop, &calls, process);
}

enum error process_load_directory(struct process *process,
				  void (*use)(void *context, struct directory))
{
	struct directory directory;
	struct view page;
	enum error error = supervision_map(&process->supervision, HANDLE_DIRECTORY, 0, &page);

	if (error != OK) {
		return error;
	}
	error = directory_open(page, &directory);
	if (error != OK) {
		supervision_unmap(page);
		return error;
	}
	use(process->context, directory);
	supervision_unmap(process->directory);
	process->directory = page;
	return OK;
}

// ---- for command

static void send_part(struct process *process, uint32_t id, const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX + PART_HEAD_BYTES_MAX);
	enum error error;

	control_part_encode(&bytes, part);
	error = supervision_send(&process->supervision, SUPERVISION_RESULT, id,
				 buffer_view(&bytes));
	if (error != OK) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&bytes);
}

void process_answer(struct process *process, uint32_t id, struct view json, int status,
		    struct view words)
{
	for (; json.len; json = view_from(json, CONTROL_PART_BYTES_MAX)) {
		send_part(
			process, id,
			&(struct control_part){ .text = view_first(json, CONTROL_PART_BYTES_MAX) });
	}
	send_part(process, id,
		  &(struct control_part){ .end = true, .status = (uint8_t)status, .text = words });
}
