#include "supervisor/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "config/reload.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "os/sandbox.h"
#include "supervisor/supervisor_private.h"

enum { CERTIFICATES_LOOK_MS = 30 * 1000, DESCRIPTORS_MAX = 16 * 1024 };

// ---- reload and stop

static void log_lines(enum log_level level, const char *event, struct view lines)
{
	struct view line;

	while (view_next_part(&lines, '\n', &line)) {
		LOG(level, event, LOG_TEXT("text", line));
	}
}

static void say_what_needs_a_restart(const struct config *old, const struct config *new,
				     struct buffer *said)
{
	struct arena arena = arena_with_max(1 << 20);
	struct config_difference difference;

	if (config_compare(old, new, &arena, &difference) == OK) {
		for (size_t i = 0; i < difference.restart.count; i++) {
			buffer_printf(said, "%.*s has changed: that takes a restart\n",
				      VIEW_ARG(difference.restart.items[i]));
		}
	}
	arena_done(&arena);
}

enum error supervisor_reload(struct supervisor *supervisor, struct buffer *said)
{
	struct material *old = supervisor->material, *fresh = NULL;
	enum error error = material_load(supervisor->config_path, said, &fresh);

	if (error == OK) {
		error = material_prepare(fresh, old, &supervisor->dirs, said);
	}
	if (error != OK) {
		material_free(fresh);
		log_lines(LOG_ERROR, "reload_refused", buffer_view(said));
		return error;
	}
	say_what_needs_a_restart(old->config, fresh->config, said);
	supervisor->material = fresh;
	log_setup("supervisor", material_log_settings(fresh));
	crew_reconfigure(&supervisor->crew, fresh);
	material_free(old);
	log_lines(LOG_WARNING, "reload", buffer_view(said));
	LOG(LOG_NOTICE, "reloaded",
	    LOG_TEXT("configuration", view_from_text(supervisor->config_path)));
	return OK;
}

static void announce(const char *state)
{
	enum error error = os_process_notify(view_from_text(state));

	if (error != OK) {
		LOG(LOG_WARNING, "notify_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
}

void supervisor_stop(struct supervisor *supervisor)
{
	announce("STOPPING=1");
	LOG(LOG_NOTICE, "stopping", LOG_NUMBER("pid", (uint64_t)os_process_id()));
	crew_stop(&supervisor->crew);
}

static void on_certificates(void *context)
{
	struct supervisor *supervisor = context;
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);

	if (material_refresh_certificates(supervisor->material, &supervisor->dirs, &said)) {
		LOG(LOG_NOTICE, "certificates_renewed",
		    LOG_NUMBER("count", supervisor->material->certificate_count));
		crew_renew_certificates(&supervisor->crew);
	}
	log_lines(LOG_ERROR, "certificates_refused", buffer_view(&said));
	buffer_done(&said);
	os_timer_set(&supervisor->certificates, CERTIFICATES_LOOK_MS);
}

// ---- what happens

static void on_signal(void *context, int number)
{
	struct supervisor *supervisor = context;
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);

	if (number == SIGCHLD) {
		crew_reap(&supervisor->crew);
	} else if (number == SIGHUP) {
		(void)!supervisor_reload(supervisor, &said); // it is logged
	} else {
		supervisor_stop(supervisor);
	}
	buffer_done(&said);
}

static void on_request(void *context, uint32_t id, struct view payload)
{
	commands_request(context, id, payload);
}

static void on_result(void *context, enum child_name from, uint32_t id, struct view payload)
{
	commands_result(context, from, id, payload);
}

static void on_settled(void *context)
{
	struct supervisor *supervisor = context;

	commands_settled(supervisor);
	if (!supervisor->is_announced && crew_is_ready(&supervisor->crew)) {
		supervisor->is_announced = true;
		announce("READY=1");
	}
}

static void on_child_gone(void *context, enum child_name name)
{
	commands_child_gone(context, name);
}

static void on_stopped(void *context)
{
	struct supervisor *supervisor = context;

	os_loop_stop(supervisor->loop);
}

static const struct crew_calls calls = {
	.request = on_request,
	.result = on_result,
	.settled = on_settled,
	.child_gone = on_child_gone,
	.stopped = on_stopped,
};

// ---- start

static enum error take_lock(struct supervisor *supervisor, struct buffer *said)
{
	enum error error = os_file_open_at(supervisor->dirs.data, "lock",
					   OS_READ | OS_WRITE | OS_CREATE, 0600, &supervisor->lock);

	if (error == OK) {
		error = os_file_lock(supervisor->lock);
	}
	if (error == ERROR_BUSY) {
		buffer_printf(said, "another server runs on %.*s; stop it with: packetboat stop",
			      VIEW_ARG(supervisor->material->config->data_dir));
	} else if (error != OK) {
		buffer_printf(said, "cannot lock %.*s/lock: %s",
			      VIEW_ARG(supervisor->material->config->data_dir), error_text(error));
	}
	return error;
}

static enum error open_control(const struct supervisor *supervisor, int *ret_control,
			       struct buffer *said)
{
	struct view data_dir = supervisor->material->config->data_dir;
	struct buffer path = buffer_with_max(4096);
	enum error error;

	buffer_printf(&path, "%.*s/run/control", VIEW_ARG(data_dir));
	error = os_channel_listen(buffer_text(&path), 0660, ret_control);
	if (error != OK) {
		buffer_printf(said, "cannot open the control socket %s: %s%s", buffer_text(&path),
			      error_text(error), path.len > 100 ? " (its path is too long)" : "");
	}
	buffer_done(&path);
	return error;
}

static enum error prepare(struct supervisor *supervisor, int *ret_control, struct buffer *said)
{
	enum error error = material_find_users(&supervisor->users, said);

	if (error == OK) {
		error = material_load(supervisor->config_path, said, &supervisor->material);
	}
	if (error == OK) {
		error = material_open_dirs(supervisor->material->config, &supervisor->users,
					   &supervisor->dirs, said);
	}
	if (error == OK) {
		error = take_lock(supervisor, said);
	}
	if (error == OK) {
		error = material_prepare(supervisor->material, NULL, &supervisor->dirs, said);
	}
	return error == OK ? open_control(supervisor, ret_control, said) : error;
}

static enum error shut_door(struct supervisor *supervisor)
{
	struct os_sandbox sandbox = {
		.process = "supervisor",
		.rights = OS_MAY_START | OS_MAY_OPEN | OS_MAY_CREATE | OS_MAY_THREAD |
			  OS_MAY_CONNECT | OS_MAY_ACCEPT | OS_MAY_LISTEN_LOCAL,
		.descriptors_max = DESCRIPTORS_MAX,
	};

	return os_sandbox_enter(&sandbox, &supervisor->sandbox, &supervisor->warnings);
}

static enum error watch_signals(struct supervisor *supervisor, struct os_signal **signals)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	enum error error = OK;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && error == OK; i++) {
		error = os_signal_new(supervisor->loop, numbers[i], on_signal, supervisor,
				      &signals[i]);
	}
	return error;
}

static void run(struct supervisor *supervisor, int control)
{
	struct os_signal *signals[4] = { 0 };
	enum error error = os_loop_new(&supervisor->loop);

	if (error == OK) {
		error = watch_signals(supervisor, signals);
	}
	if (error == OK) {
		error = crew_init(&supervisor->crew, supervisor->loop, &supervisor->users,
				  &supervisor->dirs, supervisor->material, control, &calls,
				  supervisor);
	}
	if (error == OK) {
		os_timer_init(&supervisor->certificates, supervisor->loop, on_certificates,
			      supervisor);
		os_timer_set(&supervisor->certificates, CERTIFICATES_LOOK_MS);
		LOG(LOG_NOTICE, "starting", LOG_TEXT("version", VIEW(PACKETBOAT_VERSION)),
		    LOG_TEXT("hostname", supervisor->material->config->hostname),
		    LOG_NUMBER("ports", supervisor->material->socket_count),
		    LOG_TEXT("sandbox", buffer_view(&supervisor->sandbox)));
		crew_start(&supervisor->crew);
		os_loop_run(supervisor->loop);
		LOG(LOG_NOTICE, "stopped", LOG_NUMBER("pid", (uint64_t)os_process_id()));
		os_timer_stop(&supervisor->certificates);
		commands_done(supervisor);
		crew_done(&supervisor->crew);
	} else {
		LOG(LOG_ERROR, "start_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		supervisor->status = EX_OSERR;
	}
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		os_signal_free(signals[i]);
	}
	os_loop_free(supervisor->loop);
}

// Problems of the configuration begin with their place.
static void say_why_not(struct view said, enum error error)
{
	struct view line;

	if (said.len == 0) {
		said = view_from_text(error_text(error));
	}
	while (view_next_part(&said, '\n', &line)) {
		if (line.len) {
			fprintf(stderr, "%s%.*s\n",
				error == ERROR_INVALID ? "" : "packetboat: ", VIEW_ARG(line));
		}
	}
}

int supervisor_serve(const char *config_path)
{
	struct supervisor supervisor = {
		.config_path = config_path,
		.started_ms = os_clock_mono_ms(),
		.sandbox = buffer_with_max(SAID_BYTES_MAX),
		.warnings = buffer_with_max(SAID_BYTES_MAX),
		.dirs = { -1, -1, -1, -1, { -1, -1 } },
		.lock = -1,
	};
	struct buffer said = buffer_with_max(SAID_BYTES_MAX);
	int control = -1;
	enum error error;

	list_init(&supervisor.requests);
	error = prepare(&supervisor, &control, &said);
	if (error == OK) {
		log_setup("supervisor", material_log_settings(supervisor.material));
		log_lines(LOG_WARNING, "configuration", buffer_view(&said));
		error = shut_door(&supervisor);
		buffer_clear(&said);
		buffer_add_text(&said, "cannot enter the sandbox");
	}
	if (error == OK) {
		run(&supervisor, control);
	} else {
		say_why_not(buffer_view(&said), error);
		supervisor.status = error == ERROR_INVALID ? EX_CONFIG : EX_OSERR;
	}
	material_free(supervisor.material);
	os_file_close(supervisor.lock);
	material_close_dirs(&supervisor.dirs);
	buffer_done(&supervisor.sandbox);
	buffer_done(&supervisor.warnings);
	buffer_done(&said);
	return supervisor.status;
}
