#include <stdlib.h>

#include "base/list.h"
#include "link/keeper.h"
#include "link/password.h"

enum {
	LOGIN_SIZE_MAX = KEEPER_USER_MAX + KEEPER_PASSWORD_MAX + 64,
	ANSWER_ARENA_MAX = 16 * 1024,
};

struct keeper_client {
	struct inquirer inquirer;
};

static bool on_answer(struct inquiry *inquiry, const struct os_message *message)
{
	struct arena arena = arena_with_max(ANSWER_ARENA_MAX);
	struct keeper_answer answer;
	bool fits = message->type == KEEPER_LOGIN &&
		    keeper_answer_decode(message->payload, &arena, &answer) == OK;

	if (fits && inquiry) { // what came too late is not waited for any more
		struct keeper_request *request =
			CONTAINER_OF(inquiry, struct keeper_request, inquiry);

		inquiry_forget(inquiry);
		request->fn(request->context, &answer);
	}
	arena_done(&arena);
	return fits;
}

static void on_give_up(struct inquiry *inquiry)
{
	struct keeper_request *request = CONTAINER_OF(inquiry, struct keeper_request, inquiry);
	struct keeper_answer answer = { .result = KEEPER_TEMPORARY };

	request->fn(request->context, &answer);
}

static const struct inquirer_calls calls = { on_answer, on_give_up };

enum error keeper_client_attach(struct keeper_client *client, int fd)
{
	return inquirer_attach(&client->inquirer, fd);
}

enum error keeper_client_new(struct os_loop *loop, int fd, struct keeper_client **ret_client)
{
	struct keeper_client *client = calloc(1, sizeof *client);
	enum error error;

	if (!client) {
		return ERROR_NO_MEMORY;
	}
	inquirer_init(&client->inquirer, loop, KEEPER_QUESTIONS_MAX, &calls);
	error = fd < 0 ? OK : inquirer_attach(&client->inquirer, fd);
	if (error != OK) {
		keeper_client_free(client);
		return error;
	}
	*ret_client = client;
	return OK;
}

void keeper_client_free(struct keeper_client *client)
{
	if (client) {
		inquirer_done(&client->inquirer);
		free(client);
	}
}

enum error keeper_ask_login(struct keeper_client *client, struct keeper_request *request,
			    const struct keeper_login *login, uint64_t deadline_ms,
			    keeper_answer_fn *fn, void *context)
{
	struct buffer out = buffer_with_max(LOGIN_SIZE_MAX);
	enum error error;

	request->fn = fn;
	request->context = context;
	// In one piece from the start, so that no copy of the password stays behind.
	if (!buffer_reserve(&out, LOGIN_SIZE_MAX)) {
		return ERROR_NO_MEMORY;
	}
	keeper_login_encode(&out, login);
	error = buffer_error(&out);
	if (error == OK) {
		error = inquirer_ask(&client->inquirer, &request->inquiry, KEEPER_LOGIN,
				     buffer_view(&out), deadline_ms);
	}
	password_wipe(out.data, out.len);
	buffer_done(&out);
	return error;
}

void keeper_request_cancel(struct keeper_request *request)
{
	inquiry_forget(&request->inquiry);
}
