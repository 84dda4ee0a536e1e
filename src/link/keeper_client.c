#include <stdlib.h>

#include "link/keeper.h"
#include "link/password.h"
#include "os/random.h"
#include "os/socket.h"

enum {
	LOGIN_SIZE_MAX = KEEPER_USER_MAX + KEEPER_PASSWORD_MAX + 64,
	ANSWER_ARENA_MAX = 16 * 1024,
};

struct keeper_client {
	struct os_loop *loop;
	struct os_channel *channel; // NULL: no keeper now
	struct table waiting;       // by id
	uint32_t next_id;
};

static struct view id_key(const uint32_t *id)
{
	return view_of(id, sizeof *id);
}

static void request_forget(struct keeper_request *request)
{
	table_remove(&request->client->waiting, id_key(&request->id));
	os_timer_stop(&request->deadline);
	request->client = NULL;
}

static void request_answer(struct keeper_request *request, const struct keeper_answer *answer)
{
	request_forget(request);
	request->fn(request->context, answer);
}

static void request_give_up(void *context)
{
	struct keeper_answer answer = { .result = KEEPER_TEMPORARY };

	request_answer(context, &answer);
}

static void channel_drop(struct keeper_client *client)
{
	struct keeper_request *request;
	size_t position = 0;

	os_channel_free(client->channel);
	client->channel = NULL;
	// An answer's call may ask anew or cancel others, so each walk starts again.
	while ((request = table_next(&client->waiting, &position))) {
		request_give_up(request);
		position = 0;
	}
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	channel_drop(context);
}

static void on_message(void *context, struct os_message *message)
{
	struct keeper_client *client = context;
	struct keeper_request *request = table_get(&client->waiting, id_key(&message->id));
	struct arena arena = arena_with_max(ANSWER_ARENA_MAX);
	struct keeper_answer answer;

	for (unsigned i = 0; i < message->fd_count; i++) {
		os_socket_close(message->fds[i]);
	}
	if (message->type != KEEPER_LOGIN || message->fd_count ||
	    keeper_answer_decode(message->payload, &arena, &answer) != OK) {
		channel_drop(client);
	} else if (request) { // what came too late is not waited for any more
		request_answer(request, &answer);
	}
	arena_done(&arena);
}

enum error keeper_client_attach(struct keeper_client *client, int fd)
{
	struct os_channel *channel;
	enum error error = os_channel_new(client->loop, fd, KEEPER_QUESTIONS_MAX, on_message,
					  on_closed, client, &channel);

	if (error == OK) {
		channel_drop(client);
		client->channel = channel;
	}
	return error;
}

enum error keeper_client_new(struct os_loop *loop, int fd, struct keeper_client **ret_client)
{
	struct keeper_client *client = calloc(1, sizeof *client);
	enum error error;

	if (!client) {
		return ERROR_NO_MEMORY;
	}
	client->loop = loop;
	client->waiting = table_with_max(os_random_hash_key(), KEEPER_QUESTIONS_MAX);
	error = fd < 0 ? OK : keeper_client_attach(client, fd);
	if (error != OK) {
		keeper_client_free(client);
		return error;
	}
	*ret_client = client;
	return OK;
}

void keeper_client_free(struct keeper_client *client)
{
	struct keeper_request *request;
	size_t position = 0;

	if (!client) {
		return;
	}
	while ((request = table_next(&client->waiting, &position))) {
		os_timer_stop(&request->deadline);
		request->client = NULL;
	}
	table_done(&client->waiting);
	os_channel_free(client->channel);
	free(client);
}

static enum error send_login(struct keeper_client *client, uint32_t id,
			     const struct keeper_login *login)
{
	struct buffer out = buffer_with_max(LOGIN_SIZE_MAX);
	enum error error;

	// In one piece from the start, so that no copy of the password stays behind.
	if (!buffer_reserve(&out, LOGIN_SIZE_MAX)) {
		return ERROR_NO_MEMORY;
	}
	keeper_login_encode(&out, login);
	error = buffer_error(&out);
	if (error == OK) {
		error = os_channel_send(client->channel, KEEPER_LOGIN, id, buffer_view(&out), NULL,
					0);
	}
	password_wipe(out.data, out.len);
	buffer_done(&out);
	return error;
}

enum error keeper_ask_login(struct keeper_client *client, struct keeper_request *request,
			    const struct keeper_login *login, uint64_t deadline_ms,
			    keeper_answer_fn *fn, void *context)
{
	enum error error;

	if (!client->channel) {
		return ERROR_CLOSED;
	}
	do {
		request->id = ++client->next_id;
	} while (request->id == 0 || table_get(&client->waiting, id_key(&request->id)));
	error = table_add(&client->waiting, id_key(&request->id), request);
	if (error != OK) {
		return error;
	}
	request->client = client;
	request->fn = fn;
	request->context = context;
	os_timer_init(&request->deadline, client->loop, request_give_up, request);
	error = send_login(client, request->id, login);
	if (error != OK) {
		request_forget(request);
		return error;
	}
	os_timer_set(&request->deadline, deadline_ms);
	return OK;
}

void keeper_request_cancel(struct keeper_request *request)
{
	if (request->client) {
		request_forget(request);
	}
}
