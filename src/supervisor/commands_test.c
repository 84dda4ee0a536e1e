// Local commands on their way between keeper and the others, over real channels: here this test is
// keeper, receive and deliver, one of them taken over by an attacker.
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/check.h"
#include "os/socket.h"
#include "supervisor/supervisor_private.h"

enum { QUESTION = 77 }; // keeper's number for it

struct world {
	struct supervisor supervisor;
	struct config config;
	struct material material;
	int ends[CHILD_COUNT]; // the children's
	struct buffer bytes;
};

static void on_closed(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static void on_message(void *context, struct os_message *message)
{
	struct child *child = context;
	struct supervisor *supervisor = CONTAINER_OF(child->crew, struct supervisor, crew);

	commands_result(supervisor, child->name, message->id, message->payload);
	os_loop_stop(supervisor->loop);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct supervisor *supervisor = &world->supervisor;

	list_init(&supervisor->requests);
	supervisor->config_path = "packetboat.yaml";
	supervisor->material = &world->material;
	world->material.config = &world->config;
	assert_int_equal(os_loop_new(&supervisor->loop), OK);
	for (int i = 0; i < CHILD_COUNT; i++) {
		struct child *child = &supervisor->crew.children[i];
		int pair[2];

		assert_int_equal(os_channel_pair(pair), OK);
		world->ends[i] = pair[1];
		child->crew = &supervisor->crew;
		child->name = (enum child_name)i;
		child->state = CHILD_READY;
		assert_int_equal(os_channel_new(supervisor->loop, pair[0], 100, on_message,
						on_closed, child, &child->channel),
				 OK);
	}
	world->bytes = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	commands_done(&world->supervisor);
	for (int i = 0; i < CHILD_COUNT; i++) {
		os_channel_free(world->supervisor.crew.children[i].channel);
		os_socket_close(world->ends[i]);
	}
	os_loop_free(world->supervisor.loop);
	buffer_done(&world->bytes);
	free(world);
	return 0;
}

static void keeper_asks(struct world *world, enum control_command command)
{
	struct control_request request = { .command = command };
	struct buffer bytes = buffer_with_max(CONTROL_REQUEST_BYTES_MAX);

	control_request_encode(&bytes, &request);
	commands_request(&world->supervisor, QUESTION, buffer_view(&bytes));
	buffer_done(&bytes);
}

// The number of the question that this child has got.
static uint32_t question_for(struct world *world, enum child_name name)
{
	struct os_message message;

	assert_int_equal(os_message_receive(world->ends[name], 1000, &world->bytes, &message), OK);
	assert_int_equal(message.type, SUPERVISION_COMMAND);
	return message.id;
}

static void answer(struct world *world, enum child_name from, uint32_t id, bool end,
		   const char *words)
{
	struct control_part part = { .end = end, .status = EX_OK, .text = view_from_text(words) };
	struct buffer bytes = buffer_with_max(CONTROL_PART_BYTES_MAX);

	control_part_encode(&bytes, &part);
	assert_int_equal(os_message_send(world->ends[from], SUPERVISION_RESULT, id,
					 buffer_view(&bytes), NULL, 0),
			 OK);
	buffer_done(&bytes);
	os_loop_run(world->supervisor.loop);
}

static void keeper_hears(struct world *world, const char *words)
{
	struct os_message message;
	struct control_part part;

	assert_int_equal(
		os_message_receive(world->ends[CHILD_KEEPER], 1000, &world->bytes, &message), OK);
	assert_int_equal(message.id, QUESTION);
	assert_int_equal(control_part_decode(message.payload, &part), OK);
	assert_true(part.end);
	assert_view(part.text, words);
}

static void what_deliver_says_goes_back_to_keeper(void **state)
{
	struct world *world = *state;

	keeper_asks(world, CONTROL_QUEUE_LIST);
	answer(world, CHILD_DELIVER, question_for(world, CHILD_DELIVER), true, "three");
	keeper_hears(world, "three");
}

// Receive reads the network. Whoever has taken it over may not tell the postmaster what waits.
static void a14_a_process_cannot_answer_for_another(void **state)
{
	struct world *world = *state;
	uint32_t id;

	keeper_asks(world, CONTROL_QUEUE_LIST);
	id = question_for(world, CHILD_DELIVER);
	answer(world, CHILD_RECEIVE, id, false, "forged");
	answer(world, CHILD_RECEIVE, id, true, "forged");
	answer(world, CHILD_DELIVER, id, true, "true");
	keeper_hears(world, "true");
}

// What keeper is told of a status, put together.
static void keeper_hears_all(struct world *world, struct buffer *out)
{
	struct os_message message;
	struct control_part part = { 0 };

	while (!part.end) {
		assert_int_equal(os_message_receive(world->ends[CHILD_KEEPER], 1000, &world->bytes,
						    &message),
				 OK);
		assert_int_equal(control_part_decode(message.payload, &part), OK);
		buffer_add(out, part.end ? (struct view){ 0 } : part.text);
	}
}

static void status_is(struct world *world, const char *received, const char *expected)
{
	struct buffer out = buffer_with_max(1 << 20);
	uint32_t id;

	keeper_asks(world, CONTROL_STATUS);
	id = question_for(world, CHILD_RECEIVE);
	(void)question_for(world, CHILD_DELIVER);
	(void)question_for(world, CHILD_FACTS);
	answer(world, CHILD_RECEIVE, id, false, received);
	answer(world, CHILD_RECEIVE, id, true, "");
	answer(world, CHILD_DELIVER, id, false, "{\"queued\":7}");
	answer(world, CHILD_DELIVER, id, true, "");
	answer(world, CHILD_FACTS, id, true, "");
	keeper_hears_all(world, &out);
	assert_true(control_is_json_object(buffer_view(&out)));
	assert_non_null(strstr(buffer_text(&out), expected));
	assert_non_null(strstr(buffer_text(&out), "\"deliver\":{\"queued\":7}"));
	buffer_done(&out);
}

static void a14_what_a_process_says_of_itself_changes_nothing_else_in_status(void **state)
{
	static const char refused[] = "\"receive\":{\"problem\":\"its answer was not valid\"}";

	status_is(*state, "{\"sessions\":3}", "\"receive\":{\"sessions\":3}");
	status_is(*state, "{},\"state\":\"ready\",\"x\":{}", refused);
	status_is(*state, "{\"a\":", refused);
	status_is(*state, "[]", refused);
}

static void a14_an_answer_that_is_too_long_is_not_shown_in_part(void **state)
{
	static char part[CONTROL_PART_BYTES_MAX - 100];
	struct world *world = *state;
	struct buffer out = buffer_with_max(1 << 20);
	uint32_t id;

	memset(part, ' ', sizeof part - 1);
	keeper_asks(world, CONTROL_STATUS);
	id = question_for(world, CHILD_RECEIVE);
	answer(world, CHILD_RECEIVE, id, false, "{}");
	for (size_t sent = 0; sent <= ANSWER_BYTES_MAX; sent += sizeof part - 1) {
		answer(world, CHILD_RECEIVE, id, false, part);
	}
	answer(world, CHILD_RECEIVE, id, true, "");
	answer(world, CHILD_DELIVER, id, true, "");
	answer(world, CHILD_FACTS, id, true, "");
	keeper_hears_all(world, &out);
	assert_non_null(strstr(buffer_text(&out), "\"receive\":{\"problem\":"));
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_deliver_says_goes_back_to_keeper, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a14_a_process_cannot_answer_for_another, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a14_what_a_process_says_of_itself_changes_nothing_else_in_status, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a14_an_answer_that_is_too_long_is_not_shown_in_part,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
