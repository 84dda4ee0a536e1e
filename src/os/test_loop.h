// For unit tests only: a loop that runs until something is so, and fails the test when that takes
// too long. A test that uses it lists os_test_loop (src/os/meson.build) among its sources.
#pragma once

#include "os/loop.h"

struct test_loop {
	struct os_loop *loop;
	struct os_hook hook;
	struct os_timer tick;
	uint64_t late_ms;
	bool is_late;
	bool (*reached)(void *context); // NULL while nothing is waited for
	void *context;
};

void test_loop_init(struct test_loop *test);
void test_loop_done(struct test_loop *test); // the loop too
void test_loop_until(struct test_loop *test, bool (*reached)(void *context), void *context);
void test_loop_turn(struct test_loop *test, uint64_t ms); // lets it run so long
