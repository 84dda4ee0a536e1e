// A child's set of handles, as the supervisor fills and changes it.
#include "link/supervision.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/wire.h"
#include "link/test_supervisor.h"
#include "os/page.h"
#include "os/socket.h"

struct world {
	struct supervision child;
	struct os_loop *loop;
	struct os_channel *supervisor;
	unsigned changed, closed;
	int config_before; // as it was when the child heard of the change
	bool config_before_is_open;
	bool config_is_fresh, certificate_is_fresh;
	unsigned pings;
	unsigned settled, pongs; // that the supervisor has heard
	uint8_t sibling;
	int32_t sibling_pid;
};

static void on_changed(void *context)
{
	struct world *world = context;

	world->changed++;
	world->config_is_fresh = supervision_is_fresh(&world->child, HANDLE_CONFIG);
	world->certificate_is_fresh = supervision_is_fresh(&world->child, HANDLE_CERTIFICATE);
	world->config_before_is_open = lseek(world->config_before, 0, SEEK_CUR) >= 0;
	os_loop_stop(world->loop);
}

static void on_closed(void *context)
{
	struct world *world = context;

	world->closed++;
	os_loop_stop(world->loop);
}

static void on_sibling(void *context, uint8_t which, int32_t pid)
{
	struct world *world = context;

	world->sibling = which;
	world->sibling_pid = pid;
	os_loop_stop(world->loop);
}

static void on_ping(void *context)
{
	struct world *world = context;

	world->pings++;
	supervision_pong(&world->child);
}

static const struct supervision_calls calls = {
	.changed = on_changed,
	.ping = on_ping,
	.sibling = on_sibling,
	.closed = on_closed,
};

static void on_message(void *context, struct os_message *message)
{
	struct world *world = context;

	world->settled += message->type == SUPERVISION_SETTLED;
	world->pongs += message->type == SUPERVISION_PONG;
	os_loop_stop(world->loop);
}

static void on_end(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static int page_of(const char *text)
{
	int fd;

	assert_int_equal(os_page_sealed("test", view_from_text(text), &fd), OK);
	return fd;
}

static void give(struct world *world, enum handle_kind kind, uint32_t number, const char *text)
{
	int fd = text ? page_of(text) : -1;

	assert_int_equal(supervision_send_handle(world->supervisor, kind, number, fd), OK);
	os_page_close(fd);
}

static void begin(struct world *world)
{
	assert_int_equal(os_channel_send(world->supervisor, SUPERVISION_BEGIN, 0,
					 (struct view){ 0 }, NULL, 0),
			 OK);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	int end = test_supervisor_open();

	assert_int_equal(os_loop_new(&world->loop), OK);
	assert_int_equal(os_channel_new(world->loop, end, 100, on_message, on_end, world,
					&world->supervisor),
			 OK);
	give(world, HANDLE_CONFIG, 0, "first");
	give(world, HANDLE_CERTIFICATE, 0, "a");
	give(world, HANDLE_CERTIFICATE, 1, "b");
	give(world, HANDLE_CERTIFICATE, 2, "c");
	begin(world);
	assert_int_equal(supervision_receive_first(&world->child), OK);
	assert_int_equal(supervision_attach(&world->child, world->loop, &calls, world), OK);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	supervision_done(&world->child);
	os_channel_free(world->supervisor);
	os_loop_free(world->loop);
	free(world);
	return 0;
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	struct supervision child;
	struct os_message message;
	int supervisor = test_supervisor_open(), ends[2];

	(void)state;
	assert_int_equal(os_channel_pair(ends), OK);
	assert_int_equal(
		os_message_send(supervisor, SUPERVISION_BEGIN, 0, (struct view){ 0 }, &ends[0], 1),
		OK);
	os_socket_close(ends[0]);
	assert_int_equal(supervision_receive_first(&child), OK);
	assert_int_equal(os_message_receive(ends[1], 1000, &buffer, &message), ERROR_CLOSED);
	supervision_done(&child);
	os_socket_close(SUPERVISION_FD);
	os_socket_close(supervisor);
	os_socket_close(ends[1]);
	buffer_done(&buffer);
}

static void has(struct world *world, enum handle_kind kind, uint32_t number, const char *text)
{
	struct view bytes;

	assert_int_equal(supervision_map(&world->child, kind, number, &bytes), OK);
	assert_view(bytes, text);
	supervision_unmap(bytes);
}

static void a_handle_replaces_and_one_without_descriptor_takes_away(void **state)
{
	struct world *world = *state;

	has(world, HANDLE_CONFIG, 0, "first");
	has(world, HANDLE_CERTIFICATE, 2, "c");
	give(world, HANDLE_CONFIG, 0, "second");
	give(world, HANDLE_CERTIFICATE, 1, NULL);
	begin(world);
	os_loop_run(world->loop);
	assert_int_equal(world->changed, 1);
	has(world, HANDLE_CONFIG, 0, "second");
	has(world, HANDLE_CERTIFICATE, 0, "a");
	has(world, HANDLE_CERTIFICATE, 2, "c");
	assert_int_equal(supervision_get(&world->child, HANDLE_CERTIFICATE, 1), -1);
}

static void what_was_replaced_is_open_until_the_child_has_changed_over(void **state)
{
	struct world *world = *state;

	world->config_before = supervision_get(&world->child, HANDLE_CONFIG, 0);
	give(world, HANDLE_CONFIG, 0, "second");
	begin(world);
	os_loop_run(world->loop);
	assert_true(world->config_before_is_open);
	assert_int_equal(lseek(world->config_before, 0, SEEK_CUR), -1);
}

static void changes_again_and_again_leave_no_descriptors(void **state)
{
	struct world *world = *state;
	int first, last;

	for (int round = 0; round < 50; round++) {
		give(world, HANDLE_CONFIG, 0, "again");
		give(world, HANDLE_CERTIFICATE, 0, "again");
		begin(world);
		os_loop_run(world->loop);
		last = page_of("probe");
		os_page_close(last);
		first = round == 0 ? last : first;
	}
	assert_true(last < first + 10);
	assert_int_equal(world->child.count, 4);
}

static void handles_may_be_taken_on_a_walk(void **state)
{
	struct world *world = *state;
	struct handle *handle;
	unsigned position = 0, taken = 0;

	while ((handle = supervision_next(&world->child, HANDLE_CERTIFICATE, &position))) {
		uint32_t number = handle->number;
		int fd = supervision_take(&world->child, HANDLE_CERTIFICATE, number);

		assert_int_equal(number, taken);
		assert_true(fd >= 0);
		os_page_close(fd);
		taken++;
	}
	assert_int_equal(taken, 3);
	assert_int_equal(supervision_take(&world->child, HANDLE_CERTIFICATE, 1), -1);
	has(world, HANDLE_CONFIG, 0, "first");
}

static void any_of_a_kind_are_taken_until_none_is_left(void **state)
{
	struct world *world = *state;
	bool seen[3] = { false };
	uint32_t number;
	int fd;

	while ((fd = supervision_take_any(&world->child, HANDLE_CERTIFICATE, &number)) >= 0) {
		assert_true(number < COUNT_OF(seen) && !seen[number]);
		seen[number] = true;
		os_page_close(fd);
	}
	assert_true(seen[0] && seen[1] && seen[2]);
	has(world, HANDLE_CONFIG, 0, "first");
}

static void only_what_came_with_the_latest_begin_is_fresh(void **state)
{
	struct world *world = *state;

	give(world, HANDLE_CERTIFICATE, 0, "new");
	begin(world);
	os_loop_run(world->loop);
	assert_true(world->certificate_is_fresh);
	assert_false(world->config_is_fresh);
	give(world, HANDLE_CONFIG, 0, "new");
	begin(world);
	os_loop_run(world->loop);
	assert_false(world->certificate_is_fresh);
	assert_true(world->config_is_fresh);
}

static void nonsense_ends_the_child(void **state)
{
	static const uint8_t kinds[] = { 0, HANDLE_KIND_COUNT, 255 };
	struct world *world = *state;

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		give(world, (enum handle_kind)kinds[i], 0, "x");
		os_loop_run(world->loop);
		assert_int_equal(world->closed, i + 1);
	}
	assert_int_equal(
		os_channel_send(world->supervisor, SUPERVISION_HANDLE, 0, VIEW("\1"), NULL, 0), OK);
	os_loop_run(world->loop);
	assert_int_equal(os_channel_send(world->supervisor, 999, 0, VIEW(""), NULL, 0), OK);
	os_loop_run(world->loop);
	assert_int_equal(world->closed, COUNT_OF(kinds) + 2);
}

static void a_change_is_answered_when_it_has_been_taken_up(void **state)
{
	struct world *world = *state;

	begin(world);
	while (!world->settled) {
		os_loop_run(world->loop);
	}
	assert_int_equal(world->changed, 1);
	assert_int_equal(world->settled, 1);
}

static void a_loop_that_turns_answers(void **state)
{
	struct world *world = *state;

	assert_int_equal(os_channel_send(world->supervisor, SUPERVISION_PING, 0, VIEW(""), NULL, 0),
			 OK);
	while (!world->pongs) {
		os_loop_run(world->loop);
	}
	assert_int_equal(world->pings, 1);
	assert_int_equal(world->pongs, 1);
}

static void siblings_are_named(void **state)
{
	struct world *world = *state;

	assert_int_equal(
		os_channel_send(world->supervisor, SUPERVISION_SIBLING, 4711, VIEW("\2"), NULL, 0),
		OK);
	os_loop_run(world->loop);
	assert_int_equal(world->sibling, 2);
	assert_int_equal(world->sibling_pid, 4711);
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_that_nobody_asked_for_are_closed),
		TEST(a_handle_replaces_and_one_without_descriptor_takes_away),
		TEST(what_was_replaced_is_open_until_the_child_has_changed_over),
		TEST(changes_again_and_again_leave_no_descriptors),
		TEST(handles_may_be_taken_on_a_walk),
		TEST(any_of_a_kind_are_taken_until_none_is_left),
		TEST(only_what_came_with_the_latest_begin_is_fresh),
		TEST(a_change_is_answered_when_it_has_been_taken_up),
		TEST(a_loop_that_turns_answers),
		TEST(siblings_are_named),
		TEST(nonsense_ends_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
