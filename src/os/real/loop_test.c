#include "base/check.h"
#include "os/loop.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"

struct world {
	struct os_loop *loop;
	struct os_timer timer, other;
	struct os_hook hook, other_hook;
	struct os_watch *watch, *other_watch;
	struct os_wake *wake;
	struct os_signal *signal;
	int sockets[2], others[2];
	unsigned calls;
	char order[16];
};

static void setup(struct world *world)
{
	*world = (struct world){ 0 };
	assert_int_equal(os_loop_new(&world->loop), OK);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, world->sockets),
		0);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, world->others),
		0);
}

static void teardown(struct world *world)
{
	os_watch_free(world->watch);
	os_watch_free(world->other_watch);
	os_wake_free(world->wake);
	os_signal_free(world->signal);
	os_loop_free(world->loop);
	for (unsigned i = 0; i < 2; i++) {
		close(world->sockets[i]);
		close(world->others[i]);
	}
}

static void stop(void *context)
{
	struct world *world = context;

	os_loop_stop(world->loop);
}

static void run_for(struct world *world, uint64_t ms)
{
	struct os_timer end;

	os_timer_init(&end, world->loop, stop, world);
	os_timer_set(&end, ms);
	os_loop_run(world->loop);
}

static void note_a(void *context)
{
	struct world *world = context;

	world->order[world->calls++] = 'a';
}

static void note_b(void *context)
{
	struct world *world = context;

	world->order[world->calls++] = 'b';
}

static void timers_run_in_order_and_not_early(void **state)
{
	struct world world;
	uint64_t begin_ms = os_clock_mono_ms();

	(void)state;
	setup(&world);
	os_timer_init(&world.timer, world.loop, note_a, &world);
	os_timer_init(&world.other, world.loop, note_b, &world);
	os_timer_set(&world.timer, 20);
	os_timer_set(&world.other, 10);
	os_timer_set(&world.timer, 5);
	os_timer_set(&world.timer, 15);
	assert_true(os_timer_is_set(&world.timer));
	run_for(&world, 16);
	assert_string_equal(world.order, "ba");
	assert_false(os_timer_is_set(&world.timer));
	assert_true(os_clock_mono_ms() - begin_ms >= 15);
	assert_true(os_clock_mono_ms() - os_loop_now_ms(world.loop) < 1000);
	teardown(&world);
}

static void a_stop_after_the_run_does_no_harm(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	run_for(&world, 1);
	os_loop_stop(world.loop);
	teardown(&world);
}

static void stop_other(void *context)
{
	struct world *world = context;

	note_a(world);
	os_timer_stop(&world->other);
	os_timer_stop(&world->timer);
}

static void a_timer_stopped_in_the_same_turn_is_not_called(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	os_timer_init(&world.timer, world.loop, stop_other, &world);
	os_timer_init(&world.other, world.loop, note_b, &world);
	os_timer_set(&world.timer, 1);
	os_timer_set(&world.other, 1);
	run_for(&world, 5);
	assert_string_equal(world.order, "a");
	teardown(&world);
}

static void set_again(void *context)
{
	struct world *world = context;

	if (++world->calls < 100) {
		os_timer_set(&world->timer, 0);
	}
}

static void delay_zero_runs_in_the_next_turn_without_starving_others(void **state)
{
	struct world world;
	uint64_t begin_ms = os_clock_mono_ms();

	(void)state;
	setup(&world);
	os_timer_init(&world.timer, world.loop, set_again, &world);
	os_timer_set(&world.timer, 0);
	run_for(&world, 50);
	assert_int_equal(world.calls, 100);
	assert_true(os_clock_mono_ms() - begin_ms < 5000);
	teardown(&world);
}

static void free_itself(void *context, int events)
{
	struct world *world = context;

	assert_int_equal(events, OS_READABLE);
	world->calls++;
	os_watch_free(world->watch);
	os_watch_free(world->other_watch);
	world->watch = world->other_watch = NULL;
}

static void a_watch_freed_in_a_callback_is_not_called_any_more(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	assert_int_equal(
		os_watch_new(world.loop, world.sockets[0], free_itself, &world, &world.watch), OK);
	assert_int_equal(
		os_watch_new(world.loop, world.others[0], free_itself, &world, &world.other_watch),
		OK);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	assert_int_equal(os_watch_set(world.other_watch, OS_READABLE), OK);
	assert_int_equal(write(world.sockets[1], "x", 1), 1);
	assert_int_equal(write(world.others[1], "x", 1), 1);
	run_for(&world, 5);
	assert_int_equal(world.calls, 1);
	teardown(&world);
}

static void count_events(void *context, int events)
{
	struct world *world = context;

	(void)events;
	world->calls++;
	assert_int_equal(os_watch_set(world->watch, 0), OK);
}

static void a_paused_watch_is_silent_and_tells_all_later(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	assert_int_equal(
		os_watch_new(world.loop, world.sockets[0], count_events, &world, &world.watch), OK);
	assert_int_equal(os_watch_new(world.loop, world.sockets[0], count_events, &world,
				      &world.other_watch),
			 ERROR_EXISTS);
	assert_int_equal(write(world.sockets[1], "x", 1), 1);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	assert_int_equal(os_watch_set(world.watch, 0), OK);
	run_for(&world, 3);
	assert_int_equal(world.calls, 0);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	run_for(&world, 3);
	assert_int_equal(world.calls, 1);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE | OS_WRITABLE), OK);
	run_for(&world, 3);
	assert_int_equal(world.calls, 2);
	teardown(&world);
}

static void a_descriptor_number_may_be_watched_again(void **state)
{
	struct world world;
	int fd;

	(void)state;
	setup(&world);
	fd = world.sockets[0];
	assert_int_equal(os_watch_new(world.loop, fd, free_itself, &world, &world.watch), OK);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	run_for(&world, 1);
	os_watch_free(world.watch);
	close(fd);
	assert_int_equal(dup(world.others[0]), fd);
	assert_int_equal(os_watch_new(world.loop, fd, count_events, &world, &world.watch), OK);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	assert_int_equal(write(world.others[1], "x", 1), 1);
	run_for(&world, 3);
	assert_int_equal(world.calls, 1);
	teardown(&world);
}

static void read_end(void *context, int events)
{
	struct world *world = context;
	char byte;

	assert_true(events & OS_READABLE);
	world->calls++;
	assert_true(read(world->sockets[0], &byte, 1) <= 0);
	if (world->calls == 3) {
		os_loop_stop(world->loop);
	}
}

static void a_broken_connection_stays_readable(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	assert_int_equal(write(world.sockets[0], "unread", 6), 6);
	close(world.sockets[1]); // with unread bytes: a reset
	world.sockets[1] = -1;
	assert_int_equal(os_watch_new(world.loop, world.sockets[0], read_end, &world, &world.watch),
			 OK);
	assert_int_equal(os_watch_set(world.watch, OS_READABLE), OK);
	os_loop_run(world.loop);
	assert_int_equal(world.calls, 3);
	teardown(&world);
}

static void remove_both(void *context)
{
	struct world *world = context;

	note_b(world);
	os_hook_remove(world->loop, &world->hook);
	os_hook_remove(world->loop, &world->other_hook);
}

static void hooks_run_before_sleep_until_removed(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	world.hook = (struct os_hook){ .fn = note_a, .context = &world };
	world.other_hook = (struct os_hook){ .fn = remove_both, .context = &world };
	os_hook_add_before_sleep(world.loop, &world.hook);
	os_hook_add_before_sleep(world.loop, &world.other_hook);
	run_for(&world, 3);
	assert_string_equal(world.order, "b"); // the last added runs first, and removed the other
	teardown(&world);
}

static void woken(void *context)
{
	struct world *world = context;

	world->calls++;
	os_wake_free(world->wake);
	world->wake = NULL;
	os_loop_stop(world->loop);
}

static void *send_twice(void *context)
{
	struct world *world = context;

	os_wake_send(world->wake);
	os_wake_send(world->wake);
	return NULL;
}

static void wakes_from_a_thread_merge(void **state)
{
	struct world world;
	pthread_t thread;

	(void)state;
	setup(&world);
	assert_int_equal(os_wake_new(world.loop, woken, &world, &world.wake), OK);
	assert_int_equal(pthread_create(&thread, NULL, send_twice, &world), 0);
	pthread_join(thread, NULL);
	os_loop_run(world.loop);
	run_for(&world, 3);
	assert_int_equal(world.calls, 1);
	teardown(&world);
}

static void signalled(void *context, int number)
{
	struct world *world = context;

	assert_int_equal(number, SIGUSR1);
	world->calls++;
	os_loop_stop(world->loop);
}

static void signals_come_through_the_loop(void **state)
{
	struct world world;

	(void)state;
	setup(&world);
	assert_int_equal(os_signal_new(world.loop, SIGUSR1, signalled, &world, &world.signal), OK);
	kill(getpid(), SIGUSR1);
	os_loop_run(world.loop);
	assert_int_equal(world.calls, 1);
	teardown(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_in_order_and_not_early),
		cmocka_unit_test(a_stop_after_the_run_does_no_harm),
		cmocka_unit_test(a_timer_stopped_in_the_same_turn_is_not_called),
		cmocka_unit_test(delay_zero_runs_in_the_next_turn_without_starving_others),
		cmocka_unit_test(a_watch_freed_in_a_callback_is_not_called_any_more),
		cmocka_unit_test(a_paused_watch_is_silent_and_tells_all_later),
		cmocka_unit_test(a_descriptor_number_may_be_watched_again),
		cmocka_unit_test(a_broken_connection_stays_readable),
		cmocka_unit_test(hooks_run_before_sleep_until_removed),
		cmocka_unit_test(wakes_from_a_thread_merge),
		cmocka_unit_test(signals_come_through_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
