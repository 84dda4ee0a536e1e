#include "os/test_loop.h"

#include "base/check.h"
#include "os/clock.h"

enum { LATE_MS = 30000, TICK_MS = 5 };

// The loop would sleep through what another thread has brought about.
static void on_tick(void *context)
{
	struct test_loop *test = context;

	if (os_loop_now_ms(test->loop) < test->late_ms) {
		os_timer_set(&test->tick, TICK_MS);
	} else {
		test->is_late = true;
		os_loop_stop(test->loop);
	}
}

static void look(void *context)
{
	struct test_loop *test = context;

	if (test->reached && test->reached(test->context)) {
		os_loop_stop(test->loop);
	}
}

void test_loop_init(struct test_loop *test)
{
	*test = (struct test_loop){ .hook = { .fn = look, .context = test } };
	assert_int_equal(os_loop_new(&test->loop), OK);
	os_timer_init(&test->tick, test->loop, on_tick, test);
	os_hook_add_before_sleep(test->loop, &test->hook);
}

void test_loop_done(struct test_loop *test)
{
	os_hook_remove(test->loop, &test->hook);
	os_timer_stop(&test->tick);
	os_loop_free(test->loop);
}

void test_loop_until(struct test_loop *test, bool (*reached)(void *context), void *context)
{
	if (reached(context)) {
		return;
	}
	test->reached = reached;
	test->context = context;
	test->late_ms = os_clock_mono_ms() + LATE_MS;
	os_timer_set(&test->tick, TICK_MS);
	os_loop_run(test->loop);
	os_timer_stop(&test->tick);
	test->reached = NULL;
	assert_false(test->is_late);
}

static void stop(void *context)
{
	os_loop_stop(context);
}

void test_loop_turn(struct test_loop *test, uint64_t ms)
{
	struct os_timer timer;

	os_timer_init(&timer, test->loop, stop, test->loop);
	os_timer_set(&timer, ms);
	os_loop_run(test->loop);
	os_timer_stop(&timer);
}
