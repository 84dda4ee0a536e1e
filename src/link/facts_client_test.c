#include "base/check.h"
#include "link/facts.h"

#include <string.h>

// The client on one end of a channel; on the other the test plays the facts process.
struct scene {
	struct os_loop *loop;
	struct facts_client *client;
	struct os_channel *process;
	struct os_timer end; // should an expected call never come
	const char *reply;   // NULL: silence
	size_t reply_len;
	unsigned asked, answered;
	struct facts_answer answer;
	struct facts_address address;
	char name[64];
	bool closed;
};

static void on_question(void *context, struct os_message *message)
{
	struct scene *scene = context;
	struct facts_question question;
	uint32_t deadline_ms;

	scene->asked++;
	assert_int_equal(
		facts_question_decode(message->type, message->payload, &question, &deadline_ms),
		OK);
	if (scene->reply) {
		assert_int_equal(os_channel_send(scene->process, message->type, message->id,
						 view_of(scene->reply, scene->reply_len), NULL, 0),
				 OK);
	}
}

static void on_closed(void *context, enum error reason)
{
	struct scene *scene = context;

	(void)reason;
	scene->closed = true;
	os_loop_stop(scene->loop);
}

static void on_end(void *context)
{
	os_loop_stop(context);
}

static void on_answer(void *context, const struct facts_answer *answer)
{
	struct scene *scene = context;

	scene->answered++;
	scene->answer = *answer;
	if (answer->host_count > 0) {
		memcpy(scene->name, answer->hosts[0].name.data, answer->hosts[0].name.len);
		scene->address = answer->hosts[0].addresses[0];
	}
	os_loop_stop(scene->loop);
}

static void open_scene(struct scene *scene)
{
	int fds[2];

	*scene = (struct scene){ .reply = NULL };
	assert_int_equal(os_loop_new(&scene->loop), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(facts_client_new(scene->loop, fds[0], &scene->client), OK);
	assert_int_equal(os_channel_new(scene->loop, fds[1], 16, on_question, on_closed, scene,
					&scene->process),
			 OK);
	os_timer_init(&scene->end, scene->loop, on_end, scene->loop);
	os_timer_set(&scene->end, 10 * 1000);
}

static void close_scene(struct scene *scene)
{
	facts_client_free(scene->client);
	os_channel_free(scene->process);
	os_timer_stop(&scene->end);
	os_loop_free(scene->loop);
}

static enum error ask(struct scene *scene, struct facts_request *request, const char *name,
		      uint64_t deadline_ms)
{
	struct facts_question question = { .kind = FACTS_MAIL_ROUTE, .name = view_from_text(name) };

	return facts_ask(scene->client, request, &question, deadline_ms, on_answer, scene);
}

static void answer_comes_back_whole(void **state)
{
	struct facts_address addresses[] = { { 6, { 0x20, 1 } }, { 4, { 192, 0, 2, 1 } } };
	struct facts_host host = { VIEW("mx.example.org"), 10, FACTS_FOUND, true, 2, addresses };
	struct facts_answer answer = {
		FACTS_MAIL_ROUTE, FACTS_FOUND, true, false, false, false, 300, 1, &host
	};
	struct buffer reply = buffer_with_max(FACTS_ANSWER_SIZE_MAX);
	struct facts_request request = { 0 };
	struct scene scene;

	(void)state;
	open_scene(&scene);
	facts_answer_encode(&reply, &answer);
	scene.reply = reply.data;
	scene.reply_len = reply.len;
	assert_int_equal(ask(&scene, &request, "example.org", 5000), OK);
	assert_int_equal(scene.answered, 0);
	os_loop_run(scene.loop);
	assert_int_equal(scene.answered, 1);
	assert_int_equal(scene.answer.result, FACTS_FOUND);
	assert_true(scene.answer.secure);
	assert_int_equal(scene.answer.ttl_s, 300);
	assert_string_equal(scene.name, "mx.example.org");
	assert_int_equal(scene.address.family, 6);
	assert_null(request.inquiry.inquirer);
	close_scene(&scene);
	buffer_done(&reply);
}

static void a25_silence_ends_with_the_deadline(void **state)
{
	struct facts_request request = { 0 };
	struct scene scene;

	(void)state;
	open_scene(&scene);
	assert_int_equal(ask(&scene, &request, "example.org", 10), OK);
	os_loop_run(scene.loop);
	assert_int_equal(scene.answered, 1);
	assert_int_equal(scene.answer.result, FACTS_TEMPORARY);
	close_scene(&scene);
}

static void nonsense_closes_the_channel(void **state)
{
	static const struct view replies[] = {
		{ "", 0 },
		{ "\1\0", 2 },
		{ "\0\0\0\0\0\0\0", 7 },   // no such result
		{ "\1\x10\0\0\0\0\0", 7 }, // no such flag
		{ "\1\0\0\0\0\0\xff", 7 }, // more hosts than there can be
		{ "\1\0\0\0\0\0\0x", 8 },  // more than an answer
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(replies); i++) {
		struct facts_request request = { 0 };
		struct scene scene;

		open_scene(&scene);
		scene.reply = replies[i].data;
		scene.reply_len = replies[i].len;
		assert_int_equal(ask(&scene, &request, "example.org", 5000), OK);
		os_loop_run(scene.loop);
		assert_int_equal(scene.answered, 1);
		assert_int_equal(scene.answer.result, FACTS_TEMPORARY);
		assert_int_equal(ask(&scene, &request, "example.org", 5000), ERROR_CLOSED);
		close_scene(&scene);
	}
}

static void new_channel_serves_after_the_process_died(void **state)
{
	struct facts_request request = { 0 };
	struct scene scene;
	int fds[2];

	(void)state;
	open_scene(&scene);
	assert_int_equal(ask(&scene, &request, "example.org", 5000), OK);
	os_channel_free(scene.process);
	os_loop_run(scene.loop);
	assert_int_equal(scene.answer.result, FACTS_TEMPORARY);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(facts_client_attach(scene.client, fds[0]), OK);
	assert_int_equal(os_channel_new(scene.loop, fds[1], 16, on_question, on_closed, &scene,
					&scene.process),
			 OK);
	scene.reply = "\3\0\0\0\0\0\0";
	scene.reply_len = 7;
	assert_int_equal(ask(&scene, &request, "example.org", 5000), OK);
	os_loop_run(scene.loop);
	assert_int_equal(scene.answered, 2);
	assert_int_equal(scene.answer.result, FACTS_NO_DOMAIN);
	close_scene(&scene);
}

static void cancelled_question_is_not_answered(void **state)
{
	struct facts_request request = { 0 }, other = { 0 };
	struct scene scene;

	(void)state;
	open_scene(&scene);
	scene.reply = "\3\0\0\0\0\0\0";
	scene.reply_len = 7;
	assert_int_equal(ask(&scene, &request, "example.org", 5000), OK);
	assert_int_equal(ask(&scene, &other, "example.org", 5000), OK);
	facts_request_cancel(&request);
	facts_request_cancel(&request);
	os_loop_run(scene.loop);
	assert_int_equal(scene.asked, 2);
	assert_int_equal(scene.answered, 1);
	assert_null(other.inquiry.inquirer);
	close_scene(&scene);
}

static void names_that_cannot_exist_are_not_asked(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"a..b",
		".a",
		"a.",
		"a b",
		"a\nb",
		"caf\xc3\xa9.example",
		"[192.0.2.1]",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
	};
	struct facts_request request = { 0 };
	struct scene scene;

	(void)state;
	open_scene(&scene);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_int_equal(ask(&scene, &request, names[i], 5000), ERROR_INVALID);
		assert_null(request.inquiry.inquirer);
	}
	close_scene(&scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_comes_back_whole),
		cmocka_unit_test(a25_silence_ends_with_the_deadline),
		cmocka_unit_test(nonsense_closes_the_channel),
		cmocka_unit_test(new_channel_serves_after_the_process_died),
		cmocka_unit_test(cancelled_question_is_not_answered),
		cmocka_unit_test(names_that_cannot_exist_are_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
