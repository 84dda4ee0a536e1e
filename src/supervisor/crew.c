#include "supervisor/crew.h"

#include <signal.h>

#include "link/tls.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/page.h"
#include "spool/pages.h"
#include "supervisor/crew_private.h"

enum { CHANNEL_QUEUE_MAX = 8192 };

static void child_start(struct child *child);

const char *child_name_text(enum child_name name)
{
	static const char *const names[CHILD_COUNT] = {
		[CHILD_KEEPER] = "keeper",
		[CHILD_FACTS] = "facts",
		[CHILD_DELIVER] = "deliver",
		[CHILD_RECEIVE] = "receive",
	};

	return names[name];
}

const char *child_state_text(enum child_state state)
{
	static const char *const states[] = {
		[CHILD_DOWN] = "down",
		[CHILD_STARTING] = "starting",
		[CHILD_READY] = "ready",
		[CHILD_STOPPING] = "stopping",
	};

	return states[state];
}

void child_log(enum log_level level, const char *event, const struct child *child,
	       struct view reason)
{
	LOG(level, event, LOG_TEXT("child", view_from_text(child_name_text(child->name))),
	    LOG_NUMBER("pid", (uint64_t)child->pid), LOG_TEXT("reason", reason));
}

// ---- what a child says

static void publish_directory(struct crew *crew, struct os_message *message)
{
	static const enum child_name readers[] = { CHILD_DELIVER, CHILD_RECEIVE };

	if (message->fd_count != 1) {
		return;
	}
	os_page_close(crew->directory);
	crew->directory = message->fds[0];
	message->fd_count = 0;
	for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
		struct child *reader = &crew->children[readers[i]];

		reader->directory_due = true;
		handover_settle(reader);
		if (reader->state == CHILD_DOWN && !os_timer_is_set(&reader->again)) {
			child_start(reader); // it waited for the first directory
		}
	}
}

static void on_ready(struct child *child, struct view words)
{
	struct view sandbox = { 0 };

	if (child->state != CHILD_STARTING) {
		return;
	}
	child->state = CHILD_READY;
	buffer_clear(&child->sandbox);
	buffer_clear(&child->warnings);
	if (view_next_part(&words, '\n', &sandbox)) {
		buffer_add(&child->sandbox, view_first(sandbox, CREW_WORDS_MAX));
		buffer_add(&child->warnings, view_first(words, CREW_WORDS_MAX));
	}
	buffer_clear(&child->failure);
	LOG(LOG_INFO, "started", LOG_TEXT("child", view_from_text(child_name_text(child->name))),
	    LOG_NUMBER("pid", (uint64_t)child->pid),
	    LOG_TEXT("sandbox", buffer_view(&child->sandbox)));
	handover_settled(child);
}

static void on_message(void *context, struct os_message *message)
{
	struct child *child = context;
	struct crew *crew = child->crew;

	switch (message->type) {
	case SUPERVISION_READY: on_ready(child, message->payload); break;
	case SUPERVISION_FAILED:
		buffer_clear(&child->failure);
		buffer_add(&child->failure, view_first(message->payload, CREW_WORDS_MAX));
		child_log(LOG_ERROR, "failed", child, message->payload);
		break;
	case SUPERVISION_RESULT:
		crew->calls->result(crew->context, child->name, message->id, message->payload);
		break;
	case SUPERVISION_REQUEST:
		if (child->name == CHILD_KEEPER) {
			crew->calls->request(crew->context, message->id, message->payload);
		}
		break;
	case SUPERVISION_SETTLED: handover_settled(child); break;
	case SUPERVISION_PONG: watchdog_heard(child); break;
	case SUPERVISION_PUBLISH:
		if (child->name == CHILD_KEEPER) {
			publish_directory(crew, message);
		}
		break;
	default: child_log(LOG_WARNING, "odd_message", child, (struct view){ 0 }); break;
	}
	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
}

static void child_ended(struct child *child);

// One that stays without its channel is of no use to anybody.
static void on_closed(void *context, enum error reason)
{
	struct child *child = context;

	(void)reason;
	os_channel_free(child->channel);
	child->channel = NULL;
	if (!child->pid) {
		child_ended(child);
	} else if (!os_timer_is_set(&child->killer)) {
		os_timer_set(&child->killer, CREW_LEAVE_MS);
	}
}

// ---- start and end

static void start_later(struct child *child)
{
	os_timer_set(&child->again, child->backoff_ms);
	child->backoff_ms *= 2;
	if (child->backoff_ms > CREW_BACKOFF_MAX_MS) {
		child->backoff_ms = CREW_BACKOFF_MAX_MS;
	}
}

static enum error start_process(struct child *child)
{
	const char *const arguments[] = { "packetboat", "--process", child_name_text(child->name),
					  NULL };
	int ends[2];
	enum error error = os_channel_pair(ends);

	if (error != OK) {
		return error;
	}
	error = os_channel_new(child->crew->loop, ends[0], CHANNEL_QUEUE_MAX, on_message, on_closed,
			       child, &child->channel);
	if (error == OK) {
		error = os_process_start_self(
			arguments, &(struct os_child_fd){ .fd = ends[1], .wanted = SUPERVISION_FD },
			1, &child->pid);
	}
	if (error != OK) {
		os_channel_free(child->channel);
		child->channel = NULL;
	}
	os_socket_close(ends[1]);
	return error;
}

static void child_start(struct child *child)
{
	enum error error;

	if (child->crew->stopping) {
		return;
	}
	error = start_process(child);
	if (error != OK) {
		child_log(LOG_ERROR, "start_failed", child, view_from_text(error_text(error)));
		start_later(child);
		return;
	}
	child->state = CHILD_STARTING;
	child->started_ms = os_clock_mono_ms();
	watchdog_heard(child);
	handover_first(child);
}

static void on_again(void *context)
{
	child_start(context);
}

static void on_kill(void *context)
{
	struct child *child = context;

	child_log(LOG_WARNING, "stop_too_slow", child, (struct view){ 0 });
	if (child->pid && os_process_signal(child->pid, SIGKILL) != OK) {
		child_log(LOG_ERROR, "kill_failed", child, (struct view){ 0 });
	}
}

// In this order, one after the other, so that what is on its way still arrives.
static void stop_next(struct crew *crew)
{
	static const enum child_name order[] = { CHILD_RECEIVE, CHILD_DELIVER, CHILD_FACTS,
						 CHILD_KEEPER };

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		struct child *child = &crew->children[order[i]];

		if (child->state == CHILD_STOPPING) {
			return;
		}
		if (child->state == CHILD_DOWN) {
			continue;
		}
		child->state = CHILD_STOPPING;
		os_timer_set(&child->killer, CREW_STOP_MS);
		if (!child->channel || os_channel_send(child->channel, SUPERVISION_STOP, 0,
						       (struct view){ 0 }, NULL, 0) != OK) {
			on_kill(child);
		}
		return;
	}
	crew->calls->stopped(crew->context);
}

// Its process is gone, and all that it said has been heard.
static void child_ended(struct child *child)
{
	struct crew *crew = child->crew;

	os_timer_stop(&child->killer);
	child->state = CHILD_DOWN;
	crew->calls->child_gone(crew->context, child->name);
	if (crew->stopping) {
		stop_next(crew);
		return;
	}
	// One that leaves in order wants to begin anew, such as facts with new servers.
	if (child->left_in_order || os_clock_mono_ms() - child->started_ms > CREW_STABLE_MS) {
		child->backoff_ms = CREW_BACKOFF_FIRST_MS;
	}
	start_later(child);
}

static void on_exit(struct child *child, const struct os_exit *end)
{
	bool was_stopping = child->state == CHILD_STOPPING;

	LOG(was_stopping ? LOG_INFO : LOG_ERROR, was_stopping ? "stopped" : "died",
	    LOG_TEXT("child", view_from_text(child_name_text(child->name))),
	    LOG_NUMBER("pid", (uint64_t)end->pid), LOG_NUMBER("signal", (uint64_t)end->signal),
	    LOG_NUMBER("exit", end->status < 0 ? 0 : (uint64_t)end->status));
	child->pid = 0;
	child->left_in_order = end->status == 0;
	child->restarts += !child->left_in_order;
	// Its last words may still be in the channel, which closes behind them.
	if (!child->channel) {
		child_ended(child);
	}
}

void crew_reap(struct crew *crew)
{
	struct os_exit end;

	while (os_process_reap(&end) == OK) {
		for (int i = 0; i < CHILD_COUNT; i++) {
			if (crew->children[i].pid == end.pid) {
				on_exit(&crew->children[i], &end);
				break;
			}
		}
	}
}

// ---- the crew as a whole

static enum error make_trust_store(struct crew *crew)
{
	struct buffer authorities = buffer_with_max(TLS_PEM_SIZE_MAX);
	enum error error = tls_system_authorities(&authorities);

	if (error != OK) {
		LOG(LOG_WARNING, "no_authorities",
		    LOG_TEXT("reason", view_from_text(error_text(error))),
		    LOG_TEXT("text", VIEW("no certificate of a smarthost can be verified; "
					  "install ca-certificates")));
		buffer_clear(&authorities);
	}
	error = os_page_sealed("authorities", buffer_view(&authorities), &crew->trust_store);
	buffer_done(&authorities);
	return error;
}

static enum error make_pages(struct crew *crew)
{
	void *commit = NULL, *pressure = NULL;
	enum error error =
		os_page_new("commit", sizeof(struct spool_commit_page), &crew->commit, &commit);

	if (error == OK) {
		error = os_page_reader(crew->commit, &crew->commit_reader);
	}
	if (error == OK) {
		error = os_page_new("pressure", sizeof(struct spool_queue_page), &crew->pressure,
				    &pressure);
	}
	if (error == OK) {
		error = os_page_reader(crew->pressure, &crew->pressure_reader);
	}
	os_page_unmap(commit, sizeof(struct spool_commit_page));
	os_page_unmap(pressure, sizeof(struct spool_queue_page));
	return error;
}

enum error crew_init(struct crew *crew, struct os_loop *loop, const struct material_users *users,
		     const struct material_dirs *dirs, struct material *material, int control,
		     const struct crew_calls *calls, void *context)
{
	enum error error;

	*crew = (struct crew){
		.loop = loop,
		.users = users,
		.dirs = dirs,
		.material = material,
		.calls = calls,
		.context = context,
		.control = control,
		.commit = -1,
		.commit_reader = -1,
		.pressure = -1,
		.pressure_reader = -1,
		.trust_store = -1,
		.directory = -1,
	};
	for (int i = 0; i < CHILD_COUNT; i++) {
		struct child *child = &crew->children[i];

		child->crew = crew;
		child->name = (enum child_name)i;
		child->backoff_ms = CREW_BACKOFF_FIRST_MS;
		child->sandbox = buffer_with_max(CREW_WORDS_MAX);
		child->warnings = buffer_with_max(CREW_WORDS_MAX);
		child->failure = buffer_with_max(CREW_WORDS_MAX);
		os_timer_init(&child->again, loop, on_again, child);
		os_timer_init(&child->killer, loop, on_kill, child);
	}
	error = make_pages(crew);
	return error == OK ? make_trust_store(crew) : error;
}

// Receive and deliver wait for the first directory.
void crew_start(struct crew *crew)
{
	child_start(&crew->children[CHILD_KEEPER]);
	child_start(&crew->children[CHILD_FACTS]);
	watchdog_start(crew);
}

void crew_reconfigure(struct crew *crew, struct material *material)
{
	crew->material = material;
	crew->generation++;
	for (int i = 0; i < CHILD_COUNT; i++) {
		crew->children[i].config_due = true;
		handover_settle(&crew->children[i]);
	}
}

void crew_renew_certificates(struct crew *crew)
{
	struct child *receive = &crew->children[CHILD_RECEIVE];

	receive->config_due = true; // its certificates are part of it
	handover_settle(receive);
}

void crew_stop(struct crew *crew)
{
	if (crew->stopping) {
		return;
	}
	crew->stopping = true;
	watchdog_stop(crew);
	for (int i = 0; i < CHILD_COUNT; i++) {
		os_timer_stop(&crew->children[i].again);
	}
	stop_next(crew);
}

void crew_done(struct crew *crew)
{
	watchdog_stop(crew);
	for (int i = 0; i < CHILD_COUNT; i++) {
		struct child *child = &crew->children[i];

		os_timer_stop(&child->again);
		os_timer_stop(&child->killer);
		os_channel_free(child->channel);
		buffer_done(&child->sandbox);
		buffer_done(&child->warnings);
		buffer_done(&child->failure);
	}
	os_socket_close(crew->control);
	os_page_close(crew->commit);
	os_page_close(crew->commit_reader);
	os_page_close(crew->pressure);
	os_page_close(crew->pressure_reader);
	os_page_close(crew->trust_store);
	os_page_close(crew->directory);
}

enum error crew_command(struct crew *crew, enum child_name name, uint32_t id, struct view payload)
{
	struct child *child = &crew->children[name];

	if (!child->channel || child->state != CHILD_READY) {
		return ERROR_CLOSED;
	}
	return os_channel_send(child->channel, SUPERVISION_COMMAND, id, payload, NULL, 0);
}

enum error crew_answer_keeper(struct crew *crew, uint32_t id, struct view payload)
{
	struct child *keeper = &crew->children[CHILD_KEEPER];

	return keeper->channel
		       ? os_channel_send(keeper->channel, SUPERVISION_RESULT, id, payload, NULL, 0)
		       : ERROR_CLOSED;
}

bool crew_is_ready(const struct crew *crew)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		if (crew->children[i].state != CHILD_READY) {
			return false;
		}
	}
	return true;
}
