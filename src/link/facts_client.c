#include <stdlib.h>

#include "link/facts.h"
#include "os/random.h"

enum {
	// The process gives up at the deadline; its answer needs a moment to come over.
	GRACE_MS = 500,
	ANSWER_ARENA_MAX = 128 * 1024,
};

struct facts_client {
	struct os_loop *loop;
	struct os_channel *channel; // NULL: no process now
	struct table waiting;       // by id
	uint32_t next_id;
};

static struct view id_key(const uint32_t *id)
{
	return view_of(id, sizeof *id);
}

static void request_forget(struct facts_request *request)
{
	table_remove(&request->client->waiting, id_key(&request->id));
	os_timer_stop(&request->deadline);
	request->client = NULL;
}

static void request_answer(struct facts_request *request, const struct facts_answer *answer)
{
	request_forget(request);
	request->fn(request->context, answer);
}

static void request_give_up(struct facts_request *request)
{
	struct facts_answer answer = { .kind = request->kind, .result = FACTS_TEMPORARY };

	request_answer(request, &answer);
}

static void on_deadline(void *context)
{
	request_give_up(context);
}

static void give_up_all(struct facts_client *client)
{
	struct facts_request *request;
	size_t position = 0;

	// An answer's call may ask anew or cancel others, so each walk starts again.
	while ((request = table_next(&client->waiting, &position))) {
		request_give_up(request);
		position = 0;
	}
}

static void channel_drop(struct facts_client *client)
{
	os_channel_free(client->channel);
	client->channel = NULL;
	give_up_all(client);
}

static void on_closed(void *context, enum error reason)
{
	(void)reason;
	channel_drop(context);
}

static void on_message(void *context, struct os_message *message)
{
	struct facts_client *client = context;
	struct facts_request *request = table_get(&client->waiting, id_key(&message->id));
	struct arena arena = arena_with_max(ANSWER_ARENA_MAX);
	struct facts_answer answer;

	// What came too late is not waited for any more.
	if (request &&
	    (message->type != request->kind || message->fd_count > 0 ||
	     facts_answer_decode(request->kind, message->payload, &arena, &answer) != OK)) {
		channel_drop(client);
	} else if (request) {
		request_answer(request, &answer);
	}
	arena_done(&arena);
}

enum error facts_client_attach(struct facts_client *client, int fd)
{
	struct os_channel *channel;
	enum error error = os_channel_new(client->loop, fd, FACTS_QUESTIONS_MAX, on_message,
					  on_closed, client, &channel);

	if (error == OK) {
		channel_drop(client);
		client->channel = channel;
	}
	return error;
}

enum error facts_client_new(struct os_loop *loop, int fd, struct facts_client **ret_client)
{
	struct facts_client *client = calloc(1, sizeof *client);
	enum error error;

	if (!client) {
		return ERROR_NO_MEMORY;
	}
	client->loop = loop;
	client->waiting = table_with_max(os_random_hash_key(), FACTS_QUESTIONS_MAX);
	error = fd < 0 ? OK : facts_client_attach(client, fd);
	if (error != OK) {
		facts_client_free(client);
		return error;
	}
	*ret_client = client;
	return OK;
}

void facts_client_free(struct facts_client *client)
{
	struct facts_request *request;
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

static enum error question_send(struct facts_client *client, uint32_t id,
				const struct facts_question *question, uint64_t deadline_ms)
{
	struct buffer out = buffer_with_max(FACTS_QUESTION_SIZE_MAX);
	uint32_t wire_ms = deadline_ms < UINT32_MAX ? (uint32_t)deadline_ms : UINT32_MAX;
	struct facts_question checked;
	enum error error;

	facts_question_encode(&out, question, wire_ms);
	error = buffer_error(&out) == OK ? facts_question_decode(question->kind, buffer_view(&out),
								 &checked, &wire_ms)
					 : ERROR_INVALID;
	if (error == OK) {
		error = os_channel_send(client->channel, (uint16_t)question->kind, id,
					buffer_view(&out), NULL, 0);
	}
	buffer_done(&out);
	return error;
}

enum error facts_ask(struct facts_client *client, struct facts_request *request,
		     const struct facts_question *question, uint64_t deadline_ms,
		     facts_answer_fn *fn, void *context)
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
	request->kind = question->kind;
	request->fn = fn;
	request->context = context;
	os_timer_init(&request->deadline, client->loop, on_deadline, request);
	error = question_send(client, request->id, question, deadline_ms);
	if (error != OK) {
		request_forget(request);
		return error;
	}
	os_timer_set(&request->deadline, deadline_ms + GRACE_MS);
	return OK;
}

void facts_request_cancel(struct facts_request *request)
{
	if (request->client) {
		request_forget(request);
	}
}
