#include "os/socket.h"
#include "supervisor/crew_private.h"

enum { RECEIVE_FAMILY = 1 };

// The channels between processes. A handle of kind `from_kind` goes to one end, `to_kind` to the
// other.
static const struct edge {
	enum child_name from, to;
	enum handle_kind from_kind, to_kind;
	uint32_t from_number, to_number;
	bool per_thread; // of receive: the numbers count up
} edges[] = {
	{ CHILD_RECEIVE, CHILD_KEEPER, HANDLE_KEEPER, HANDLE_CLIENT, 0, 0, true },
	{ CHILD_DELIVER, CHILD_FACTS, HANDLE_FACTS, HANDLE_CLIENT, 0, CHILD_DELIVER, false },
	{ CHILD_RECEIVE, CHILD_DELIVER, HANDLE_WAKE, HANDLE_WAKE, 0, RECEIVE_FAMILY, false },
};

static void hand(struct child *child, enum handle_kind kind, uint32_t number, int fd)
{
	enum error error;

	if (!child->channel) {
		return;
	}
	error = supervision_send_handle(child->channel, kind, number, fd);
	if (error != OK) {
		child_log(LOG_ERROR, "handover_failed", child, view_from_text(error_text(error)));
	}
}

static void begin(struct child *child)
{
	enum error error;

	if (!child->channel) {
		return;
	}
	error = os_channel_send(child->channel, SUPERVISION_BEGIN, 0, (struct view){ 0 }, NULL, 0);
	if (error == OK) {
		child->in_hand++;
	} else {
		child_log(LOG_ERROR, "handover_failed", child, view_from_text(error_text(error)));
	}
}

static void hand_certificates(struct child *child)
{
	const struct material *material = child->crew->material;

	for (unsigned i = 0; i < child->certificate_count || i < material->certificate_count; i++) {
		bool is_there = i < material->certificate_count;

		hand(child, HANDLE_CERTIFICATE, i, is_there ? material->certificates[i] : -1);
	}
	child->certificate_count = material->certificate_count;
}

static void hand_sockets(struct child *child)
{
	const struct material *material = child->crew->material;

	for (unsigned i = 0; i < child->listener_count; i++) {
		hand(child, HANDLE_LISTENER, child->listeners[i], -1);
	}
	child->listener_count = 0;
	for (unsigned i = 0; i < material->socket_count; i++) {
		const struct material_socket *socket = &material->sockets[i];
		struct listener_number number = socket->number;

		for (unsigned thread = 0; thread < material->threads; thread++) {
			number.thread = (uint8_t)thread;
			child->listeners[child->listener_count] = listener_number_pack(number);
			hand(child, HANDLE_LISTENER, child->listeners[child->listener_count++],
			     socket->fds[thread]);
		}
	}
}

// What depends on the configuration.
static void hand_configuration(struct child *child)
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
		hand_certificates(child);
		hand_sockets(child);
	}
	child->config_due = false;
	child->handed = child->crew->generation;
}

static void hand_directory(struct child *child)
{
	hand(child, HANDLE_DIRECTORY, 0, child->crew->directory);
	child->directory_due = false;
}

static void hand_own(struct child *child)
{
	const struct crew *crew = child->crew;

	switch (child->name) {
	case CHILD_RECEIVE:
		hand(child, HANDLE_SPOOL_DIR, SPOOL_RECEIVE, crew->dirs->spool[SPOOL_RECEIVE]);
		hand(child, HANDLE_COMMIT_PAGE, RECEIVE_FAMILY, crew->commit);
		hand(child, HANDLE_PRESSURE_PAGE, 0, crew->pressure_reader);
		hand_directory(child);
		break;
	case CHILD_DELIVER:
		hand(child, HANDLE_SPOOL_DIR, SPOOL_RECEIVE, crew->dirs->spool[SPOOL_RECEIVE]);
		hand(child, HANDLE_SPOOL_DIR, SPOOL_DELIVER, crew->dirs->spool[SPOOL_DELIVER]);
		hand(child, HANDLE_MAIL_DIR, 0, crew->dirs->mail);
		hand(child, HANDLE_COMMIT_PAGE, RECEIVE_FAMILY, crew->commit_reader);
		hand(child, HANDLE_PRESSURE_PAGE, 0, crew->pressure);
		hand(child, HANDLE_TRUST_STORE, 0, crew->trust_store);
		hand_directory(child);
		break;
	case CHILD_KEEPER:
		hand(child, HANDLE_STATE_DIR, 0, crew->dirs->state);
		hand(child, HANDLE_CONTROL, 0, crew->control);
		break;
	case CHILD_FACTS:
	case CHILD_COUNT: break;
	}
}

static void hand_channel(struct child *from, struct child *to, const struct edge *edge,
			 unsigned thread)
{
	int ends[2];
	enum error error = os_channel_pair(ends);

	if (error != OK) {
		child_log(LOG_ERROR, "handover_failed", from, view_from_text(error_text(error)));
		return;
	}
	hand(from, edge->from_kind, edge->from_number + thread, ends[0]);
	hand(to, edge->to_kind, edge->to_number + thread, ends[1]);
	os_socket_close(ends[0]);
	os_socket_close(ends[1]);
}

// New channels for the edges that this child has; neighbours that run are told at once.
static void hand_channels(struct child *child)
{
	struct crew *crew = child->crew;

	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		const struct edge *edge = &edges[i];
		struct child *from = &crew->children[edge->from];
		struct child *to = &crew->children[edge->to];
		unsigned count = edge->per_thread ? crew->material->threads : 1;

		if ((from != child && to != child) || !from->channel || !to->channel) {
			continue;
		}
		for (unsigned thread = 0; thread < count; thread++) {
			hand_channel(from, to, edge, thread);
		}
		begin(from == child ? to : from);
	}
}

// Who is one of us, so that keeper takes no command from it.
static void tell_keeper(const struct child *child)
{
	struct child *keeper = &child->crew->children[CHILD_KEEPER];
	char which = (char)child->name;
	enum error error = OK;

	if (child != keeper && child->pid && keeper->channel) {
		error = os_channel_send(keeper->channel, SUPERVISION_SIBLING, (uint32_t)child->pid,
					view_of(&which, 1), NULL, 0);
	}
	if (error != OK) {
		child_log(LOG_ERROR, "handover_failed", keeper, view_from_text(error_text(error)));
	}
}

void handover_first(struct child *child)
{
	const struct crew *crew = child->crew;

	child->in_hand = 0;
	child->listener_count = child->certificate_count = 0;
	hand_configuration(child);
	hand_own(child);
	hand_channels(child);
	begin(child);
	for (int i = 0; child->name == CHILD_KEEPER && i < CHILD_COUNT; i++) {
		tell_keeper(&crew->children[i]);
	}
	tell_keeper(child);
}

void handover_settle(struct child *child)
{
	if (!child->channel || child->in_hand || !(child->config_due || child->directory_due)) {
		return;
	}
	if (child->config_due) {
		hand_configuration(child);
	}
	if (child->directory_due) {
		hand_directory(child);
	}
	begin(child);
}

void handover_settled(struct child *child)
{
	struct crew *crew = child->crew;

	if (!child->in_hand || --child->in_hand) {
		return;
	}
	child->settled = child->handed;
	crew->calls->settled(crew->context);
	handover_settle(child);
}

bool crew_is_behind(const struct crew *crew, enum child_name name, uint64_t generation)
{
	const struct child *child = &crew->children[name];

	return child->channel && child->settled < generation;
}
