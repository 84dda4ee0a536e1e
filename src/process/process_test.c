// The life of a process, with the test as its supervisor: what it was told lies ready on the
// channel before the life begins, what it answered is read when it is over.
#include "process/process.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/check.h"
#include "link/control.h"
#include "link/test_supervisor.h"
#include "os/socket.h"

enum { ANSWER_BYTES = CONTROL_PART_BYTES_MAX + 5 };

struct world {
	struct process process;
	int supervisor; // the other end of the channel; -1: gone
	enum error start_gives;
	unsigned changed, done;
	bool orphan_on_command;
};

static enum error start(void *context, struct buffer *said)
{
	struct world *world = context;

	buffer_add_text(&world->process.level, "uid 1, seccomp");
	buffer_add_text(said, "no landlock");
	if (world->start_gives != OK) {
		return world->start_gives;
	}
	assert_int_equal(os_loop_new(&world->process.loop), OK);
	return process_attach(&world->process);
}

static enum error on_changed(void *context, struct buffer *said)
{
	struct world *world = context;

	buffer_add_text(said, "a bad key");
	world->changed++;
	return ERROR_INVALID; // it goes on with what it had
}

static void on_stop(void *context)
{
	struct world *world = context;

	process_leave(&world->process);
}

static void on_command(void *context, uint32_t id, struct view payload)
{
	struct world *world = context;
	struct buffer json = buffer_with_max(ANSWER_BYTES);

	assert_view(payload, "a command");
	while (json.len < ANSWER_BYTES) {
		buffer_add_text(&json, "x");
	}
	if (world->orphan_on_command) {
		os_socket_close(world->supervisor);
		world->supervisor = -1;
	} else {
		process_answer(&world->process, id, buffer_view(&json), EX_NOINPUT,
			       VIEW("no such thing"));
	}
	buffer_done(&json);
}

static void done(void *context)
{
	struct world *world = context;

	world->done++;
}

static const struct process_role role = {
	.name = "test",
	.title = "packetboat: test",
	.user = "packetboat-test",
	.start = start,
	.changed = on_changed,
	.stop = on_stop,
	.command = on_command,
	.done = done,
};

static void tell(struct world *world, enum supervision_message type, uint32_t id, const char *text)
{
	assert_int_equal(os_message_send(world->supervisor, (uint16_t)type, id,
					 view_from_text(text), NULL, 0),
			 OK);
}

static void hears(struct world *world, struct buffer *buffer, enum supervision_message type,
		  const char *text)
{
	struct os_message message;

	assert_int_equal(os_message_receive(world->supervisor, 1000, buffer, &message), OK);
	assert_int_equal(message.type, type);
	assert_view(message.payload, text);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	world->supervisor = test_supervisor_open();
	tell(world, SUPERVISION_BEGIN, 0, "");
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	os_socket_close(world->supervisor);
	free(world);
	return 0;
}

static void one_that_cannot_serve_says_why(void **state)
{
	struct world *world = *state;
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);

	world->start_gives = ERROR_NOT_FOUND;
	assert_int_equal(process_run(&world->process, &role, world), EX_CONFIG);
	hears(world, &buffer, SUPERVISION_FAILED, "no landlock: not found");
	assert_int_equal(world->done, 1);
	os_socket_close(SUPERVISION_FD);
	buffer_done(&buffer);
}

static void one_that_can_says_its_warnings_and_lives_until_it_is_stopped(void **state)
{
	struct world *world = *state;
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);

	tell(world, SUPERVISION_BEGIN, 0, "");
	tell(world, SUPERVISION_STOP, 0, "");
	assert_int_equal(process_run(&world->process, &role, world), EX_OK);
	hears(world, &buffer, SUPERVISION_READY, "uid 1, seccomp\nno landlock");
	assert_int_equal(world->changed, 1);
	assert_int_equal(world->done, 1);
	buffer_done(&buffer);
}

static void a_long_answer_comes_in_parts_and_ends(void **state)
{
	struct world *world = *state;
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	struct control_part part = { 0 };
	size_t text_bytes = 0;

	tell(world, SUPERVISION_COMMAND, 7, "a command");
	tell(world, SUPERVISION_STOP, 0, "");
	assert_int_equal(process_run(&world->process, &role, world), EX_OK);
	hears(world, &buffer, SUPERVISION_READY, "uid 1, seccomp\nno landlock");
	while (!part.end) {
		struct os_message message;

		assert_int_equal(os_message_receive(world->supervisor, 1000, &buffer, &message),
				 OK);
		assert_int_equal(message.type, SUPERVISION_RESULT);
		assert_int_equal(message.id, 7);
		assert_int_equal(control_part_decode(message.payload, &part), OK);
		text_bytes += part.end ? 0 : part.text.len;
	}
	assert_int_equal(text_bytes, ANSWER_BYTES);
	assert_int_equal(part.status, EX_NOINPUT);
	assert_view(part.text, "no such thing");
	buffer_done(&buffer);
}

static void it_leaves_when_the_supervisor_is_gone(void **state)
{
	struct world *world = *state;

	world->orphan_on_command = true;
	tell(world, SUPERVISION_COMMAND, 7, "a command");
	assert_int_equal(process_run(&world->process, &role, world), EX_OSERR);
	assert_int_equal(world->done, 1);
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_cannot_serve_says_why),
		TEST(one_that_can_says_its_warnings_and_lives_until_it_is_stopped),
		TEST(a_long_answer_comes_in_parts_and_ends),
		TEST(it_leaves_when_the_supervisor_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
