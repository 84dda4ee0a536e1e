#include <stdlib.h>

#include "base/list.h"
#include "link/facts.h"

enum {
	// The process gives up at the deadline; its answer needs a moment to come over.
	GRACE_MS = 500,
	ANSWER_ARENA_MAX = 128 * 1024,
};

struct facts_client {
	struct inquirer inquirer;
};

static bool on_answer(struct inquiry *inquiry, const struct os_message *message)
{
	struct facts_request *request;
	struct arena arena = arena_with_max(ANSWER_ARENA_MAX);
	struct facts_answer answer;
	bool fits;

	if (!inquiry) { // what came too late is not waited for any more
		return true;
	}
	request = CONTAINER_OF(inquiry, struct facts_request, inquiry);
	fits = message->type == request->kind &&
	       facts_answer_decode(request->kind, message->payload, &arena, &answer) == OK;
	if (fits) {
		inquiry_forget(inquiry);
		request->fn(request->context, &answer);
	}
	arena_done(&arena);
	return fits;
}

static void on_give_up(struct inquiry *inquiry)
{
	struct facts_request *request = CONTAINER_OF(inquiry, struct facts_request, inquiry);
	struct facts_answer answer = { .kind = request->kind, .result = FACTS_TEMPORARY };

	request->fn(request->context, &answer);
}

static const struct inquirer_calls calls = { on_answer, on_give_up };

enum error facts_client_attach(struct facts_client *client, int fd)
{
	return inquirer_attach(&client->inquirer, fd);
}

enum error facts_client_new(struct os_loop *loop, int fd, struct facts_client **ret_client)
{
	struct facts_client *client = calloc(1, sizeof *client);
	enum error error;

	if (!client) {
		return ERROR_NO_MEMORY;
	}
	inquirer_init(&client->inquirer, loop, FACTS_QUESTIONS_MAX, &calls);
	error = fd < 0 ? OK : inquirer_attach(&client->inquirer, fd);
	if (error != OK) {
		facts_client_free(client);
		return error;
	}
	*ret_client = client;
	return OK;
}

void facts_client_free(struct facts_client *client)
{
	if (client) {
		inquirer_done(&client->inquirer);
		free(client);
	}
}

enum error facts_ask(struct facts_client *client, struct facts_request *request,
		     const struct facts_question *question, uint64_t deadline_ms,
		     facts_answer_fn *fn, void *context)
{
	struct buffer out = buffer_with_max(FACTS_QUESTION_SIZE_MAX);
	uint32_t wire_ms = deadline_ms < UINT32_MAX ? (uint32_t)deadline_ms : UINT32_MAX;
	struct facts_question checked;
	enum error error;

	request->kind = question->kind;
	request->fn = fn;
	request->context = context;
	facts_question_encode(&out, question, wire_ms);
	error = buffer_error(&out) == OK ? facts_question_decode(question->kind, buffer_view(&out),
								 &checked, &wire_ms)
					 : ERROR_INVALID;
	if (error == OK) {
		error = inquirer_ask(&client->inquirer, &request->inquiry, (uint16_t)question->kind,
				     buffer_view(&out), deadline_ms + GRACE_MS);
	}
	buffer_done(&out);
	return error;
}

void facts_request_cancel(struct facts_request *request)
{
	inquiry_forget(&request->inquiry);
}
