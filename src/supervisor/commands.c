// What local commands ask of the supervisor: status, reload and stop are answered here; those for
// deliver go on to it and their answers back to keeper.
#include <stdlib.h>
#include <sysexits.h>

#include "os/clock.h"
#include "os/log.h"
#include "supervisor/supervisor_private.h"

struct request {
	struct list link;
	struct supervisor *supervisor;
	uint32_t id;        // ours
	uint32_t keeper_id; // of the question
	enum control_command command;
	unsigned waiting; // bits of enum child_name
	struct buffer answers[CHILD_COUNT];
	uint64_t generation; // of a reload: that is to be used
	struct buffer words; // of a reload
	struct os_timer deadline;
};

static void send_part(struct supervisor *supervisor, uint32_t keeper_id,
		      const struct control_part *part)
{
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX + 16);
	enum error error;

	control_part_encode(&bytes, part);
	error = buffer_error(&bytes);
	if (error == OK) {
		error = crew_answer_keeper(&supervisor->crew, keeper_id, buffer_view(&bytes));
	}
	if (error != OK) {
		LOG(LOG_WARNING, "answer_lost",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	}
	buffer_done(&bytes);
}

static void send_end(struct supervisor *supervisor, uint32_t keeper_id, int status,
		     struct view words)
{
	struct control_part part = {
		.end = true,
		.status = (uint8_t)status,
		.text = view_first(words, CONTROL_PART_BYTES_MAX),
	};

	send_part(supervisor, keeper_id, &part);
}

static void send_data(struct supervisor *supervisor, uint32_t keeper_id, struct view data)
{
	while (data.len) {
		struct control_part part = { .text = view_first(data, CONTROL_PART_BYTES_MAX) };

		send_part(supervisor, keeper_id, &part);
		data = view_from(data, CONTROL_PART_BYTES_MAX);
	}
}

static void request_free(struct request *request)
{
	list_remove(&request->link);
	os_timer_stop(&request->deadline);
	for (int i = 0; i < CHILD_COUNT; i++) {
		buffer_done(&request->answers[i]);
	}
	buffer_done(&request->words);
	request->supervisor->request_count--;
	free(request);
}

// ---- status

static void add_lines(struct buffer *out, struct view lines)
{
	struct view line;
	bool first = true;

	buffer_add_byte(out, '[');
	while (view_next_part(&lines, '\n', &line)) {
		if (line.len) {
			buffer_add_text(out, first ? "" : ",");
			control_add_json_text(out, line);
			first = false;
		}
	}
	buffer_add_byte(out, ']');
}

static void add_ports(struct buffer *out, const struct material *material)
{
	buffer_add_text(out, "\"ports\":[");
	for (unsigned i = 0; i < material->socket_count; i++) {
		const struct material_socket *socket = &material->sockets[i];
		const struct config_listener *listener =
			&material->config->listeners.items[socket->number.listener];
		struct buffer address = buffer_with_max(128);

		os_address_add_text(&address, &socket->address);
		buffer_add_text(out, i ? ",{\"listener\":" : "{\"listener\":");
		control_add_json_text(out, listener->name);
		buffer_add_text(out, ",\"address\":");
		control_add_json_text(out, buffer_view(&address));
		buffer_printf(out, ",\"port\":%u,\"role\":\"%s\",\"tls\":\"%s\"}",
			      socket->address.port,
			      listener->role == ROLE_SUBMISSION ? "submission" : "relay",
			      listener->tls == CONFIG_TLS_IMPLICIT ? "implicit" : "starttls");
		buffer_done(&address);
	}
	buffer_add_text(out, "],");
}

// silent: bits of those that were asked how they are and said nothing.
static void add_processes(struct buffer *out, const struct crew *crew, unsigned silent)
{
	buffer_add_text(out, "\"processes\":[");
	for (int i = 0; i < CHILD_COUNT; i++) {
		const struct child *child = &crew->children[i];

		buffer_printf(out,
			      "%s{\"name\":\"%s\",\"state\":\"%s\",\"pid\":%ld,\"restarts\":%llu,"
			      "\"hangs\":%llu",
			      i ? "," : "", child_name_text(child->name),
			      silent & 1u << i ? "silent" : child_state_text(child->state),
			      (long)child->pid, (unsigned long long)child->restarts,
			      (unsigned long long)child->hangs);
		buffer_add_text(out, ",\"sandbox\":");
		control_add_json_text(out, buffer_view(&child->sandbox));
		buffer_add_text(out, ",\"warnings\":");
		add_lines(out, buffer_view(&child->warnings));
		if (child->failure.len) {
			buffer_add_text(out, ",\"failure\":");
			control_add_json_text(out, buffer_view(&child->failure));
		}
		buffer_add_byte(out, '}');
	}
	buffer_add_text(out, "],");
}

// What they say of themselves. Who has taken one over shall not change what stands beside it.
static void add_answers(struct buffer *out, const struct request *request)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		const struct buffer *answer = &request->answers[i];
		struct view name = view_from_text(child_name_text((enum child_name)i));

		if (answer->len == 0) {
			continue;
		}
		buffer_printf(out, "\"%.*s\":", VIEW_ARG(name));
		if (buffer_error(answer) == OK && control_is_json_object(buffer_view(answer))) {
			buffer_add(out, buffer_view(answer));
		} else {
			LOG(LOG_WARNING, "answer_invalid", LOG_TEXT("process", name),
			    LOG_NUMBER("bytes", answer->len));
			buffer_add_text(out, "{\"problem\":\"its answer was not valid\"}");
		}
		buffer_add_byte(out, ',');
	}
}

static void answer_status(struct request *request)
{
	struct supervisor *supervisor = request->supervisor;
	const struct crew *crew = &supervisor->crew;
	struct buffer out = buffer_with_max((CHILD_COUNT + 1) * ANSWER_BYTES_MAX);
	bool ready = crew_is_ready(crew) && !request->waiting;

	buffer_printf(&out, "{\"version\":\"%s\",\"state\":\"%s\",\"uptime_ms\":%llu,",
		      PACKETBOAT_VERSION,
		      crew->stopping     ? "stopping"
		      : ready            ? "ready"
		      : request->waiting ? "hanging"
					 : "starting",
		      (unsigned long long)(os_clock_mono_ms() - supervisor->started_ms));
	buffer_add_text(&out, "\"hostname\":");
	control_add_json_text(&out, supervisor->material->config->hostname);
	buffer_add_text(&out, ",\"configuration\":");
	control_add_json_text(&out, view_from_text(supervisor->config_path));
	buffer_add_text(&out, ",\"separate_users\":");
	buffer_add_text(&out, supervisor->users.root ? "true," : "false,");
	buffer_add_text(&out, "\"sandbox\":");
	control_add_json_text(&out, buffer_view(&supervisor->sandbox));
	buffer_add_byte(&out, ',');
	add_ports(&out, supervisor->material);
	add_processes(&out, crew, request->waiting);
	add_answers(&out, request);
	buffer_add_text(&out, "\"warnings\":");
	add_lines(&out, buffer_view(&supervisor->warnings));
	buffer_add_byte(&out, '}');
	send_data(supervisor, request->keeper_id, buffer_view(&out));
	send_end(supervisor, request->keeper_id, ready ? EX_OK : EX_TEMPFAIL,
		 ready ? (struct view){ 0 } : VIEW("not every process is ready"));
	buffer_done(&out);
}

// ---- reload

static void answer_reload(struct request *request)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		if (request->waiting & 1u << i) {
			buffer_printf(&request->words, "%s is still busy taking it up\n",
				      child_name_text((enum child_name)i));
		}
	}
	send_end(request->supervisor, request->keeper_id, request->waiting ? EX_TEMPFAIL : EX_OK,
		 buffer_view(&request->words));
}

// ---- requests that wait for others

static void finish(struct request *request, const struct control_part *end)
{
	if (request->command == CONTROL_STATUS) {
		answer_status(request);
	} else if (request->command == CONTROL_RELOAD) {
		answer_reload(request);
	} else if (end) {
		send_part(request->supervisor, request->keeper_id, end);
	} else {
		send_end(request->supervisor, request->keeper_id, EX_TEMPFAIL,
			 VIEW("the process that answers this did not; see `packetboat status`"));
	}
	request_free(request);
}

static void on_deadline(void *context)
{
	finish(context, NULL);
}

static struct request *request_new(struct supervisor *supervisor, uint32_t keeper_id,
				   enum control_command command)
{
	struct request *request =
		supervisor->request_count < REQUESTS_MAX ? calloc(1, sizeof *request) : NULL;

	if (!request) {
		return NULL;
	}
	request->supervisor = supervisor;
	request->id = ++supervisor->request_id;
	request->keeper_id = keeper_id;
	request->command = command;
	for (int i = 0; i < CHILD_COUNT; i++) {
		request->answers[i] = buffer_with_max(ANSWER_BYTES_MAX);
	}
	request->words = buffer_with_max(SAID_BYTES_MAX);
	os_timer_init(&request->deadline, supervisor->loop, on_deadline, request);
	os_timer_set(&request->deadline, REQUEST_MS);
	list_add_last(&supervisor->requests, &request->link);
	supervisor->request_count++;
	return request;
}

static void ask(struct request *request, enum child_name name, struct view payload)
{
	if (crew_command(&request->supervisor->crew, name, request->id, payload) == OK) {
		request->waiting |= 1u << name;
	}
}

static void forward(struct supervisor *supervisor, uint32_t keeper_id, enum control_command command,
		    struct view payload)
{
	struct request *request = request_new(supervisor, keeper_id, command);

	if (!request) {
		send_end(supervisor, keeper_id, EX_TEMPFAIL, VIEW("too many commands at once"));
		return;
	}
	if (command == CONTROL_STATUS) {
		ask(request, CHILD_RECEIVE, payload);
		ask(request, CHILD_DELIVER, payload);
		ask(request, CHILD_FACTS, payload);
	} else {
		ask(request, CHILD_DELIVER, payload);
	}
	if (!request->waiting) {
		finish(request, NULL);
	}
}

void commands_result(struct supervisor *supervisor, enum child_name from, uint32_t id,
		     struct view payload)
{
	struct request *request = NULL;
	struct control_part part;

	for (struct list *link = supervisor->requests.next; link != &supervisor->requests;
	     link = link->next) {
		struct request *candidate = CONTAINER_OF(link, struct request, link);

		request = candidate->id == id ? candidate : request;
	}
	if (!request || !(request->waiting & 1u << from) || request->command == CONTROL_RELOAD ||
	    control_part_decode(payload, &part) != OK) {
		return;
	}
	os_timer_set(&request->deadline, REQUEST_MS);
	if (part.end) {
		request->waiting &= ~(1u << from);
		if (!request->waiting) {
			finish(request, &part);
		}
	} else if (request->command == CONTROL_STATUS) {
		buffer_add(&request->answers[from], part.text);
	} else {
		send_part(supervisor, request->keeper_id, &part);
	}
}

void commands_child_gone(struct supervisor *supervisor, enum child_name name)
{
	struct list *link = supervisor->requests.next;

	if (name == CHILD_KEEPER) { // it asked; nobody waits any more
		commands_done(supervisor);
		return;
	}
	while (link != &supervisor->requests) {
		struct request *request = CONTAINER_OF(link, struct request, link);

		link = link->next;
		if (request->waiting & 1u << name) {
			request->waiting &= ~(1u << name);
			buffer_clear(&request->answers[name]);
			if (!request->waiting) {
				finish(request, NULL);
			}
		}
	}
}

// ---- reload and stop

// Its answer waits until all that run use the new configuration.
static void reload(struct supervisor *supervisor, uint32_t keeper_id)
{
	struct request *request = request_new(supervisor, keeper_id, CONTROL_RELOAD);
	enum error error;

	if (!request) {
		send_end(supervisor, keeper_id, EX_TEMPFAIL, VIEW("too many commands at once"));
		return;
	}
	error = supervisor_reload(supervisor, &request->words);
	if (error != OK) {
		if (request->words.len == 0) {
			buffer_add_text(&request->words, error_text(error));
		}
		send_end(supervisor, keeper_id, EX_CONFIG, buffer_view(&request->words));
		request_free(request);
		return;
	}
	request->generation = supervisor->crew.generation;
	request->waiting = (1u << CHILD_COUNT) - 1;
	os_timer_set(&request->deadline, RELOAD_MS);
	commands_settled(supervisor);
}

void commands_settled(struct supervisor *supervisor)
{
	struct list *link = supervisor->requests.next;

	while (link != &supervisor->requests) {
		struct request *request = CONTAINER_OF(link, struct request, link);

		link = link->next;
		for (int i = 0; request->command == CONTROL_RELOAD && i < CHILD_COUNT; i++) {
			if (!crew_is_behind(&supervisor->crew, (enum child_name)i,
					    request->generation)) {
				request->waiting &= ~(1u << i);
			}
		}
		if (request->command == CONTROL_RELOAD && !request->waiting) {
			finish(request, NULL);
		}
	}
}

void commands_request(struct supervisor *supervisor, uint32_t keeper_id, struct view payload)
{
	struct arena arena = arena_with_max(CONTROL_REQUEST_BYTES_MAX * 2);
	struct control_request request;

	if (control_request_decode(payload, &arena, &request) != OK) {
		send_end(supervisor, keeper_id, EX_PROTOCOL, VIEW("malformed request"));
	} else if (request.command == CONTROL_RELOAD) {
		reload(supervisor, keeper_id);
	} else if (request.command == CONTROL_STOP) {
		send_end(supervisor, keeper_id, EX_OK, VIEW("stopping"));
		supervisor_stop(supervisor);
	} else if (request.command == CONTROL_STATUS ||
		   control_command_answerer(request.command) == CONTROL_BY_DELIVER) {
		forward(supervisor, keeper_id, request.command, payload);
	} else {
		send_end(supervisor, keeper_id, EX_PROTOCOL,
			 VIEW("not a command for this process"));
	}
	arena_done(&arena);
}

void commands_done(struct supervisor *supervisor)
{
	struct list *link;

	while ((link = supervisor->requests.next) != &supervisor->requests) {
		request_free(CONTAINER_OF(link, struct request, link));
	}
}
