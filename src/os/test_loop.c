#include "os/test_loop.h"

#include "base/check.h"

enum { LATE_MS = 30000 };

static void on_late(void *context)
{
	struct test_loop *test = context;

	test->is_late = true;
	os_loop_stop(test->loop);
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
	os_timer_init(&test->late, test->loop, on_late, test);
	os_hook_add_before_sleep(test->loop, &test->hook);
}

void test_loop_done(struct test_loop *test)
{
	os_hook_remove(test->loop, &test->hook);
	os_timer_stop(&test->late);
	os_loop_free(test->loop);
}

void test_loop_until(struct test_loop *test, bool (*reached)(void *context), void *context)
{
	if (reached(context)) {
		return;
	}
	test->reached = reached;
	test->context = context;
	os_timer_set(&test->late, LATE_MS);
	os_loop_run(test->loop);
	os_timer_stop(&test->late);
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
