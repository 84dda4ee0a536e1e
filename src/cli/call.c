#include "cli/call.h"

#include <sysexits.h>

#include "cli/screen.h"
#include "link/password.h"
#include "os/message.h"
#include "os/process.h"
#include "os/socket.h"

enum { PATH_BYTES_MAX = 4096, WORDS_BYTES_MAX = CONTROL_PART_BYTES_MAX + 1 };

// ---- configuration

static void say_problems(const struct config_loaded *loaded)
{
	struct buffer text = buffer_with_max(SCREEN_BYTES_MAX);

	for (size_t i = 0; i < loaded->problems.count; i++) {
		if (!loaded->problems.items[i].warning) {
			config_problem_add_text(&text, &loaded->problems.items[i]);
			buffer_add_byte(&text, '\n');
		}
	}
	screen_say("%s", buffer_text(&text));
	buffer_done(&text);
}

int call_load(struct call *call, const struct invocation *invocation)
{
	enum error error;

	*call = (struct call){
		.invocation = invocation,
		.arena = arena_with_max(CALL_MEMORY_MAX),
		.path = buffer_with_max(PATH_BYTES_MAX),
		.data = buffer_with_max(CALL_ANSWER_BYTES_MAX),
		.words = buffer_with_max(WORDS_BYTES_MAX),
	};
	error = config_load(config_files_of_disk(), invocation->config_path, &call->arena,
			    &call->loaded);
	if (error != OK) {
		screen_say("packetboat: %s: %s\n", invocation->config_path, error_text(error));
		return EX_OSERR;
	}
	return EX_OK;
}

int call_begin(struct call *call, const struct invocation *invocation, bool whole)
{
	int status = call_load(call, invocation);

	if (status != EX_OK) {
		return status;
	}
	if (!call->loaded.data_dir.len) {
		say_problems(&call->loaded);
		screen_say("packetboat: the configuration is needed to find the server; "
			   "--config FILE names another one\n");
		return EX_CONFIG;
	}
	buffer_printf(&call->path, "%.*s/run/control", VIEW_ARG(call->loaded.data_dir));
	return whole ? call_need_whole(call) : EX_OK;
}

int call_need_whole(const struct call *call)
{
	if (!call->loaded.config) {
		say_problems(&call->loaded);
		screen_say("packetboat: this needs a good configuration\n");
		return EX_CONFIG;
	}
	return EX_OK;
}

void call_end(struct call *call)
{
	arena_done(&call->arena);
	buffer_done(&call->path);
	buffer_done(&call->data);
	buffer_done(&call->words);
}

// ---- one request

static enum error send_request(int fd, const struct control_request *request)
{
	struct buffer bytes = buffer_with_max(CONTROL_REQUEST_BYTES_MAX);
	enum error error;

	control_request_encode(&bytes, request);
	error = buffer_error(&bytes);
	if (error == OK) {
		error = os_message_send(fd, CONTROL_REQUEST, 1, buffer_view(&bytes), NULL, 0);
	}
	password_wipe(bytes.data, bytes.len);
	buffer_done(&bytes);
	return error;
}

static enum error receive_part(struct call *call, int fd, struct buffer *bytes, bool *ret_end,
			       int *ret_status)
{
	struct os_message message;
	struct control_part part;
	enum error error = os_message_receive(fd, CALL_PART_MS, bytes, &message);

	if (error != OK) {
		return error;
	}
	for (unsigned i = 0; i < message.fd_count; i++) {
		os_socket_close(message.fds[i]);
	}
	if (message.type != CONTROL_ANSWER) {
		return ERROR_INVALID;
	}
	error = control_part_decode(message.payload, &part);
	if (error != OK) {
		return error;
	}
	buffer_add(part.end ? &call->words : &call->data, part.text);
	*ret_end = part.end;
	*ret_status = part.status;
	return buffer_error(&call->data);
}

enum error call_server(struct call *call, const struct control_request *request, int *ret_status)
{
	struct buffer bytes = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	bool end = false;
	int fd, status = EX_OK;
	enum error error = os_channel_connect(buffer_text(&call->path), &fd);

	if (error != OK) {
		return error == ERROR_NOT_FOUND ? ERROR_REFUSED : error;
	}
	error = send_request(fd, request);
	while (error == OK && !end) {
		error = receive_part(call, fd, &bytes, &end, &status);
	}
	if (error == OK) {
		*ret_status = status;
	}
	os_socket_close(fd);
	buffer_done(&bytes);
	return error == ERROR_REFUSED ? ERROR_RESET : error;
}

int call_say_failure(const struct call *call, enum error error)
{
	const char *config = call->invocation->config_path;
	struct view path = buffer_view(&call->path);

	switch (error) {
	case ERROR_REFUSED:
		screen_say("packetboat: no server is running for %s\n"
			   "start it with: packetboat serve --config %s\n",
			   config, config);
		return EX_UNAVAILABLE;
	case ERROR_PERMISSION:
		screen_say("packetboat: you may not command the server (%.*s)\n"
			   "root may, and the user that the server was started as; try: sudo "
			   "packetboat %s\n",
			   VIEW_ARG(path), call->invocation->command->words);
		return EX_NOPERM;
	case ERROR_CLOSED:
	case ERROR_RESET:
		screen_say("packetboat: the server broke off%s\n",
			   os_process_is_root()
				   ? "; see its log"
				   : "; only root and the user that it runs as may command it");
		return EX_TEMPFAIL;
	case ERROR_TIMEOUT:
		screen_say("packetboat: the server does not answer; see its log\n");
		return EX_TEMPFAIL;
	default:
		screen_say("packetboat: cannot ask the server (%.*s): %s\n", VIEW_ARG(path),
			   error_text(error));
		return EX_TEMPFAIL;
	}
}

void call_say_words(struct call *call, int status)
{
	struct view rest = buffer_view(&call->words), line;
	struct buffer safe = buffer_with_max(WORDS_BYTES_MAX * 4);

	while (view_next_part(&rest, '\n', &line)) {
		if (line.len) {
			buffer_add_text(&safe, status == EX_OK ? "" : "packetboat: ");
			screen_add_safe(&safe, line);
			buffer_add_byte(&safe, '\n');
		}
	}
	screen_say("%s", buffer_text(&safe));
	buffer_done(&safe);
	buffer_clear(&call->words);
}

int call_ask(struct call *call)
{
	const struct invocation *invocation = call->invocation;
	struct control_request request = {
		.command = invocation->command->request,
		.arguments = invocation->arguments,
		.argument_count = invocation->argument_count,
	};
	int status = EX_OK;
	enum error error = call_server(call, &request, &status);

	if (error != OK) {
		return call_say_failure(call, error);
	}
	return status;
}
