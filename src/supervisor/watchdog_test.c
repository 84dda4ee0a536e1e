// Who is taken for one that hangs. The children are real processes, which compute or wait.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "os/socket.h"
#include "supervisor/crew_private.h"

enum {
	SILENCE_MS = 1200,
	LONG_ENOUGH_MS = 3 * SILENCE_MS,
};

struct world {
	struct crew crew;
	struct material material;
	struct config config;
	struct os_timer end;
	struct os_channel *other; // the child's end of the channel of the one that serves
	bool answers;
};

static void on_end(void *context)
{
	struct world *world = context;

	os_loop_stop(world->crew.loop);
}

static void on_killer(void *context)
{
	(void)context;
}

static void on_closed(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static void on_pong(void *context, struct os_message *message)
{
	if (message->type == SUPERVISION_PONG) {
		watchdog_heard(context);
	}
}

static void on_ping(void *context, struct os_message *message)
{
	struct world *world = context;

	if (world->answers && message->type == SUPERVISION_PING) {
		assert_int_equal(os_channel_send(world->other, SUPERVISION_PONG, 0,
						 (struct view){ 0 }, NULL, 0),
				 OK);
	}
}

// This program starts itself; with an argument it is the child.
static pid_t start(const char *part)
{
	const char *arguments[] = { "child", part, NULL };
	pid_t pid = 0;

	assert_int_equal(os_process_start_self(arguments, NULL, 0, &pid), OK);
	return pid;
}

static _Noreturn void play(const char *part)
{
	volatile unsigned sum = 0;

	for (;;) {
		if (strcmp(part, "computes") == 0) {
			sum++;
		} else {
			pause();
		}
	}
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	struct crew *crew = &world->crew;
	int ends[2];

	world->config.limits.process_silence_ms = SILENCE_MS;
	world->material.config = &world->config;
	crew->material = &world->material;
	assert_int_equal(os_loop_new(&crew->loop), OK);
	assert_int_equal(os_channel_pair(ends), OK);
	for (int i = 0; i < CHILD_COUNT; i++) {
		crew->children[i].crew = crew;
		crew->children[i].name = (enum child_name)i;
		os_timer_init(&crew->children[i].killer, crew->loop, on_killer, NULL);
	}
	assert_int_equal(os_channel_new(crew->loop, ends[0], 100, on_pong, on_closed,
					&crew->children[0], &crew->children[0].channel),
			 OK);
	assert_int_equal(
		os_channel_new(crew->loop, ends[1], 100, on_ping, on_closed, world, &world->other),
		OK);
	os_timer_init(&world->end, crew->loop, on_end, world);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	watchdog_stop(&world->crew);
	os_channel_free(world->crew.children[0].channel);
	os_channel_free(world->other);
	os_loop_free(world->crew.loop);
	free(world);
	return 0;
}

// Returns the signal that ended it within three times the silence; 0: it lived.
static int watch(struct world *world, enum child_state child_state, const char *part)
{
	struct child *child = &world->crew.children[0];
	struct os_exit end = { 0 };
	enum error error;

	child->state = child_state;
	child->pid = start(part);
	watchdog_start(&world->crew);
	os_timer_set(&world->end, LONG_ENOUGH_MS);
	os_loop_run(world->crew.loop);
	error = os_process_reap(&end);
	assert_int_equal(child->hangs, error == OK);
	if (error == ERROR_AGAIN) {
		assert_int_equal(os_process_signal(child->pid, SIGKILL), OK);
		while (os_process_reap(&end) == ERROR_AGAIN) {
			usleep(2000);
		}
		return 0;
	}
	return end.signal;
}

static void one_that_serves_and_does_not_answer_hangs(void **state)
{
	assert_int_equal(watch(*state, CHILD_READY, "computes"), SIGABRT);
}

static void one_that_answers_does_not(void **state)
{
	struct world *world = *state;

	world->answers = true;
	assert_int_equal(watch(world, CHILD_READY, "waits"), 0);
}

static void one_that_computes_while_it_starts_is_busy(void **state)
{
	assert_int_equal(watch(*state, CHILD_STARTING, "computes"), 0);
}

static void one_that_waits_while_it_starts_hangs(void **state)
{
	assert_int_equal(watch(*state, CHILD_STARTING, "waits"), SIGABRT);
}

static void one_that_was_told_to_stop_is_not_watched(void **state)
{
	assert_int_equal(watch(*state, CHILD_STOPPING, "waits"), 0);
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_serves_and_does_not_answer_hangs),
		TEST(one_that_answers_does_not),
		TEST(one_that_computes_while_it_starts_is_busy),
		TEST(one_that_waits_while_it_starts_hangs),
		TEST(one_that_was_told_to_stop_is_not_watched),
	};

	if (argc > 1) {
		play(argv[1]);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
