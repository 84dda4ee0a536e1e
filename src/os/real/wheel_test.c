#include "base/check.h"
#include "os/real/wheel.h"

#include <stdlib.h>

struct fixture {
	struct wheel wheel;
	uint64_t last_due_ms;
	unsigned calls;
};

struct entry {
	struct os_timer timer;
	struct fixture *fixture;
	uint64_t called_ms;
};

static void called(void *context)
{
	struct entry *entry = context;
	struct fixture *fixture = entry->fixture;

	assert_true(entry->timer.due_ms >= fixture->last_due_ms);
	fixture->last_due_ms = entry->timer.due_ms;
	fixture->calls++;
	entry->called_ms = fixture->wheel.now_ms;
}

static void add(struct fixture *fixture, struct entry *entry, uint64_t due_ms)
{
	*entry = (struct entry){ .fixture = fixture };
	os_timer_init(&entry->timer, NULL, called, entry);
	entry->timer.due_ms = due_ms;
	wheel_add(&fixture->wheel, &entry->timer);
}

// Runs as the loop does: at each time that the wheel asks for, up to until_ms.
static unsigned run_until(struct fixture *fixture, uint64_t until_ms)
{
	unsigned turns = 0;

	while (wheel_next_ms(&fixture->wheel) <= until_ms) {
		wheel_run(&fixture->wheel, wheel_next_ms(&fixture->wheel));
		turns++;
	}
	return turns;
}

static void timers_run_at_their_time_in_their_order(void **state)
{
	enum { COUNT = 2000 };
	struct entry *entries = calloc(COUNT, sizeof *entries);
	struct fixture fixture = { 0 };
	uint64_t begin_ms = 0x123456789;
	uint32_t seed = 1;

	(void)state;
	wheel_init(&fixture.wheel, begin_ms);
	for (unsigned i = 0; i < COUNT; i++) {
		seed = seed * 1664525 + 1013904223;
		add(&fixture, &entries[i], begin_ms + (seed >> (i % 31)));
	}
	run_until(&fixture, begin_ms + (1ull << 33));
	assert_int_equal(fixture.calls, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_true(entries[i].called_ms == entries[i].timer.due_ms);
	}
	assert_true(wheel_next_ms(&fixture.wheel) == WHEEL_NEVER);
	free(entries);
}

static void a_late_run_calls_all_that_are_due_in_order(void **state)
{
	struct fixture fixture = { 0 };
	struct entry entries[5];
	static const uint64_t due_ms[] = { 70, 63, 5000, 64, 0 };

	(void)state;
	wheel_init(&fixture.wheel, 10);
	for (unsigned i = 0; i < COUNT_OF(due_ms); i++) {
		add(&fixture, &entries[i], due_ms[i]);
	}
	wheel_run(&fixture.wheel, 4999);
	assert_int_equal(fixture.calls, 4);
	wheel_run(&fixture.wheel, 5000);
	assert_int_equal(fixture.calls, 5);
}

static void every_digit_may_carry_over(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits < 42; bits++) {
		struct fixture fixture = { 0 };
		struct entry before, at, after;
		uint64_t carry_ms = 1ull << bits;

		wheel_init(&fixture.wheel, carry_ms - 2);
		add(&fixture, &after, carry_ms + 1);
		add(&fixture, &at, carry_ms);
		add(&fixture, &before, carry_ms - 1);
		run_until(&fixture, carry_ms - 1);
		assert_int_equal(fixture.calls, 1);
		run_until(&fixture, carry_ms);
		assert_int_equal(fixture.calls, 2);
		run_until(&fixture, carry_ms + 1);
		assert_int_equal(fixture.calls, 3);
	}
}

static void a_removed_timer_costs_no_wake(void **state)
{
	struct fixture fixture = { 0 };
	struct entry gone, stays;

	(void)state;
	wheel_init(&fixture.wheel, 0);
	add(&fixture, &gone, 300000);
	wheel_remove(&fixture.wheel, &gone.timer);
	assert_true(wheel_next_ms(&fixture.wheel) == WHEEL_NEVER);
	add(&fixture, &gone, 300000);
	add(&fixture, &stays, 300001);
	wheel_remove(&fixture.wheel, &gone.timer);
	wheel_remove(&fixture.wheel, &gone.timer);
	assert_in_range(run_until(&fixture, 400000), 1, 4);
	assert_int_equal(fixture.calls, 1);
	assert_true(stays.called_ms == 300001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_at_their_time_in_their_order),
		cmocka_unit_test(a_late_run_calls_all_that_are_due_in_order),
		cmocka_unit_test(every_digit_may_carry_over),
		cmocka_unit_test(a_removed_timer_costs_no_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
