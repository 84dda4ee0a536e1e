// How slow a body may come.
#include "base/check.h"
#include "smtp/pace.h"

static const struct smtp_pace_limits limits = {
	.grace_ms = 10 * 1000,
	.rate_bytes_per_second_min = 100,
	.stall_ms = 30 * 1000,
	.total_ms = 600 * 1000,
};

static void a25_slow_bodies_have_a_deadline(void **state)
{
	static const struct {
		const char *what;
		struct smtp_pace_facts facts;
		uint64_t deadline_ms;
	} cases[] = {
		{ "nothing yet: the grace", { 1000, 1000, 0 }, 11000 },
		{ "a byte a second wins a hundredth of it", { 1000, 9000, 8 }, 11080 },
		{ "the asked rate buys its time", { 1000, 21000, 2000 }, 31000 },
		{ "a fast start does not pay for a stall", { 1000, 2000, 1000000 }, 32000 },
		{ "nor for more than the whole time", { 1000, 599000, 1000000 }, 601000 },
		{ "no overflow", { 1000, 599000, UINT64_MAX }, 601000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t deadline_ms = smtp_pace_deadline_ms(limits, cases[i].facts);

		if (deadline_ms != cases[i].deadline_ms) {
			print_error("%s\n", cases[i].what);
		}
		assert_int_equal(deadline_ms, cases[i].deadline_ms);
	}
}

static void without_a_rate_stall_and_total_remain(void **state)
{
	struct smtp_pace_limits no_rate = limits;
	struct smtp_pace_facts facts = { 1000, 5000, 0 };

	(void)state;
	no_rate.rate_bytes_per_second_min = 0;
	assert_int_equal(smtp_pace_deadline_ms(no_rate, facts), 35000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a25_slow_bodies_have_a_deadline),
		cmocka_unit_test(without_a_rate_stall_and_total_remain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
