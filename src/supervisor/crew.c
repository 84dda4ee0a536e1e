#include "supervisor/crew.h"

#include <signal.h>

#include "base/wire.h"
#include "link/tls.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/page.h"
#include "spool/pages.h"

enum { CHANNEL_QUEUE_MAX = 8192, RECEIVE_FAMILY = 1 };

// The channels between processes. A handle of kind `from_kind` goes to one end, `to_kind` to the
// other.
static const struct edge {
	enum child_name from, to;
	enum handle_kind from_kind, to_kind;
	uint32_t from_number, to_number;
} edges[] = {
	{ CHILD_RECEIVE, CHILD_KEEPER, HANDLE_KEEPER, HANDLE_CLIENT, 0, CHILD_RECEIVE },
	{ CHILD_DELIVER, CHILD_FACTS, HANDLE_FACTS, HANDLE_CLIENT, 0, CHILD_DELIVER },
	{ CHILD_RECEIVE, CHILD_DELIVER, HANDLE_WAKE, HANDLE_WAKE, 0, RECEIVE_FAMILY },
};

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

static void log_child(enum log_level level, const char *event, const struct child *child,
		      struct view reason)
{
	LOG(level, event, LOG_TEXT("child", view_from_text(child_name_text(child->name))),
	    LOG_NUMBER("pid", (uint64_t)child->pid), LOG_TEXT("reason", reason));
}

// ---- handing over

static void hand(struct child *child, enum handle_kind kind, uint32_t number, int fd)
{
	enum error error;

	if (!child->channel) {
		return;
	}
	error = supervision_send_handle(child->channel, kind, number, fd);
	if (error != OK) {
		log_child(LOG_ERROR, "handover_failed", child, view_from_text(error_text(error)));
	}
}

static void begin(struct child *child)
{
	enum error error = child->channel ? os_channel_send(child->channel, SUPERVISION_BEGIN, 0,
							    (struct view){ 0 }, NULL, 0)
					  : OK;

	if (error != OK) {
		log_child(LOG_ERROR, "handover_failed", child, view_from_text(error_text(error)));
	}
}

// had: how many it has now.
static void hand_certificates(struct child *child, unsigned had)
{
	const struct material *material = child->crew->material;

	for (unsigned i = 0; i < had || i < material->certificate_count; i++) {
		bool is_there = i < material->certificate_count;

		hand(child, HANDLE_CERTIFICATE, i, is_there ? material->certificates[i] : -1);
	}
}

static void hand_sockets(struct child *child, const struct material *old)
{
	const struct material *material = child->crew->material;

	for (unsigned i = 0; old && i < old->socket_count; i++) {
		hand(child, HANDLE_LISTENER, old->sockets[i].number, -1);
	}
	for (unsigned i = 0; i < material->socket_count; i++) {
		hand(child, HANDLE_LISTENER, material->sockets[i].number, material->sockets[i].fd);
	}
}

// What depends on the configuration; old: what it had before, or NULL.
static void hand_configuration(struct child *child, const struct material *old)
{
	static const int config_of[CHILD_COUNT] = {
		[CHILD_RECEIVE] = 0,
		[CHILD_DELIVER] = 1,
		[CHILD_FACTS] = 2,
		[CHILD_KEEPER] = 3,
	};
	const struct material *material = child->crew->material;

	hand(child, HANDLE_CONFIG, 0, material->configs[config_of[child->name]]);
	hand(child, HANDLE_LOG, 0, material->log);
	hand(child, HANDLE_SYSLOG, 0, material->syslog);
	if (child->name == CHILD_RECEIVE) {
		hand_certificates(child, old ? old->certificate_count : 0);
		hand_sockets(child, old);
	}
}

static void hand_own(struct child *child)
{
	const struct crew *crew = child->crew;

	switch (child->name) {
	case CHILD_RECEIVE:
		hand(child, HANDLE_SPOOL_DIR, 0, crew->dirs->spool);
		hand(child, HANDLE_COMMIT_PAGE, RECEIVE_FAMILY, crew->commit);
		hand(child, HANDLE_PRESSURE_PAGE, 0, crew->pressure_reader);
		hand(child, HANDLE_DIRECTORY, 0, crew->directory);
		break;
	case CHILD_DELIVER:
		hand(child, HANDLE_SPOOL_DIR, 0, crew->dirs->spool);
		hand(child, HANDLE_MAIL_DIR, 0, crew->dirs->mail);
		hand(child, HANDLE_COMMIT_PAGE, RECEIVE_FAMILY, crew->commit_reader);
		hand(child, HANDLE_PRESSURE_PAGE, 0, crew->pressure);
		hand(child, HANDLE_DIRECTORY, 0, crew->directory);
		hand(child, HANDLE_TRUST_STORE, 0, crew->trust_store);
		break;
	case CHILD_KEEPER:
		hand(child, HANDLE_STATE_DIR, 0, crew->dirs->state);
		hand(child, HANDLE_CONTROL, 0, crew->control);
		break;
	case CHILD_FACTS:
	case CHILD_COUNT: break;
	}
}

// New channels for the edges that this child has; neighbours that run are told at once.
static void hand_channels(struct child *child)
{
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		const struct edge *edge = &edges[i];
		bool is_from = edge->from == child->name;
		struct child *other = &child->crew->children[is_from ? edge->to : edge->from];
		int ends[2];

		if ((!is_from && edge->to != child->name) || !other->channel ||
		    os_channel_pair(ends) != OK) {
			continue;
		}
		hand(is_from ? child : other, edge->from_kind, edge->from_number, ends[0]);
		hand(is_from ? other : child, edge->to_kind, edge->to_number, ends[1]);
		os_socket_close(ends[0]);
		os_socket_close(ends[1]);
		begin(other);
	}
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

		hand(reader, HANDLE_DIRECTORY, 0, crew->directory);
		begin(reader);
		if (reader->state == CHILD_DOWN && !os_timer_is_set(&reader->again)) {
			child_start(reader); // it waited for the first directory
		}
	}
}

static void on_ready(struct child *child, struct view warnings)
{
	if (child->state != CHILD_STARTING) {
		return;
	}
	child->state = CHILD_READY;
	buffer_clear(&child->warnings);
	buffer_add(&child->warnings, view_first(warnings, CREW_WORDS_MAX));
	buffer_clear(&child->failure);
	log_child(LOG_INFO, "started", child, (struct view){ 0 });
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
		log_child(LOG_ERROR, "failed", child, message->payload);
		break;
	case SUPERVISION_RESULT:
		crew->calls->result(crew->context, child->name, message->id, message->payload);
		break;
	case SUPERVISION_REQUEST:
		if (child->name == CHILD_KEEPER) {
			crew->calls->request(crew->context, message->id, message->payload);
		}
		break;
	case SUPERVISION_PUBLISH:
		if (child->name == CHILD_KEEPER) {
			publish_directory(crew, message);
		}
		break;
	default: log_child(LOG_WARNING, "odd_message", child, (struct view){ 0 }); break;
	}
	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
}

// The end of the process itself is told by SIGCHLD. One that stays without its channel is of no
// use to anybody.
static void on_closed(void *context, enum error reason)
{
	struct child *child = context;

	(void)reason;
	os_channel_free(child->channel);
	child->channel = NULL;
	if (!os_timer_is_set(&child->killer)) {
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
		log_child(LOG_ERROR, "start_failed", child, view_from_text(error_text(error)));
		start_later(child);
		return;
	}
	child->state = CHILD_STARTING;
	child->started_ms = os_clock_mono_ms();
	hand_configuration(child, NULL);
	hand_own(child);
	hand_channels(child);
	begin(child);
}

static void on_again(void *context)
{
	child_start(context);
}

static void on_kill(void *context)
{
	struct child *child = context;

	log_child(LOG_WARNING, "stop_too_slow", child, (struct view){ 0 });
	if (child->pid && os_process_signal(child->pid, SIGKILL) != OK) {
		log_child(LOG_ERROR, "kill_failed", child, (struct view){ 0 });
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

static void on_exit(struct child *child, const struct os_exit *end)
{
	struct crew *crew = child->crew;
	bool was_stopping = child->state == CHILD_STOPPING;

	LOG(was_stopping ? LOG_INFO : LOG_ERROR, was_stopping ? "stopped" : "died",
	    LOG_TEXT("child", view_from_text(child_name_text(child->name))),
	    LOG_NUMBER("pid", (uint64_t)end->pid), LOG_NUMBER("signal", (uint64_t)end->signal),
	    LOG_NUMBER("exit", end->status < 0 ? 0 : (uint64_t)end->status));
	os_timer_stop(&child->killer);
	os_channel_free(child->channel);
	child->channel = NULL;
	child->pid = 0;
	child->state = CHILD_DOWN;
	crew->calls->child_gone(crew->context, child->name);
	if (crew->stopping) {
		stop_next(crew);
		return;
	}
	child->restarts += end->status != 0;
	// One that leaves in order wants to begin anew, such as facts with new servers.
	if (end->status == 0 || os_clock_mono_ms() - child->started_ms > CREW_STABLE_MS) {
		child->backoff_ms = CREW_BACKOFF_FIRST_MS;
	}
	start_later(child);
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
}

void crew_reconfigure(struct crew *crew, struct material *material)
{
	struct material *old = crew->material;

	crew->material = material;
	for (int i = 0; i < CHILD_COUNT; i++) {
		hand_configuration(&crew->children[i], old);
		begin(&crew->children[i]);
	}
}

void crew_renew_certificates(struct crew *crew)
{
	struct child *receive = &crew->children[CHILD_RECEIVE];

	hand(receive, HANDLE_CONFIG, 0, crew->material->configs[0]);
	hand_certificates(receive, crew->material->certificate_count);
	begin(receive);
}

void crew_stop(struct crew *crew)
{
	if (crew->stopping) {
		return;
	}
	crew->stopping = true;
	for (int i = 0; i < CHILD_COUNT; i++) {
		os_timer_stop(&crew->children[i].again);
	}
	stop_next(crew);
}

void crew_done(struct crew *crew)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		struct child *child = &crew->children[i];

		os_timer_stop(&child->again);
		os_timer_stop(&child->killer);
		os_channel_free(child->channel);
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
