#include "base/check.h"
#include "os/random.h"

#include "os/clock.h"

static void numbers_stay_below_their_bound_and_reach_all_below_it(void **state)
{
	unsigned counts[10] = { 0 };

	(void)state;
	assert_int_equal(os_random_below(1), 0);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t number = os_random_below(COUNT_OF(counts));

		assert_in_range(number, 0, COUNT_OF(counts) - 1);
		counts[number]++;
	}
	for (unsigned i = 0; i < COUNT_OF(counts); i++) {
		assert_in_range(counts[i], 800, 1200); // 1000 and more than six deviations
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_true(os_random_below((1ull << 63) + 1) <= 1ull << 63);
	}
}

static void bytes_are_filled_whole_and_differ(void **state)
{
	char first[1000] = { 0 }, second[1000] = { 0 };
	struct hash_key key = os_random_hash_key();

	(void)state;
	os_random_bytes(first, sizeof first);
	os_random_bytes(second, sizeof second - 1);
	assert_memory_not_equal(first, second, sizeof first);
	assert_memory_not_equal(first + 900, second + 900, 90);
	assert_int_equal(second[999], 0);
	assert_true(key.k0 != key.k1);
}

static void the_clocks_agree_in_their_units(void **state)
{
	uint64_t begin_ms = os_clock_mono_ms(), us = os_clock_mono_us(),
		 end_ms = os_clock_mono_ms();

	(void)state;
	assert_in_range(us / 1000, begin_ms, end_ms);
	assert_true(os_clock_wall_ms() > 1700000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stay_below_their_bound_and_reach_all_below_it),
		cmocka_unit_test(bytes_are_filled_whole_and_differ),
		cmocka_unit_test(the_clocks_agree_in_their_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
