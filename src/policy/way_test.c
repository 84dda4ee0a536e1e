#include "policy/way.h"

#include "base/check.h"

// One letter a way: "." to be tried, "t" tried, "p" paused, "n" nameless; "T" and "P": a nameless
// one that is tried or paused.
static int choose(const char *letters)
{
	struct way_facts ways[8];
	unsigned count = 0;

	for (; letters[count]; count++) {
		char c = letters[count];

		ways[count] = (struct way_facts){ .tried = c == 't' || c == 'T',
						  .paused = c == 'p' || c == 'P',
						  .nameless = c == 'n' || c == 'T' || c == 'P' };
	}
	return way_choose(ways, count);
}

static void ways_are_tried_in_order_and_failed_ones_last(void **state)
{
	static const struct {
		const char *ways;
		int chosen;
	} cases[] = {
		{ "", WAY_NONE }, { ".", 0 },  { "..", 0 }, { "t.", 1 }, { "tt", WAY_NONE },
		{ "p.", 1 },      { "pp", 0 }, { "tp", 1 }, { "pt", 0 }, { "tpp.", 3 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(choose(cases[i].ways), cases[i].chosen);
	}
}

static void ipv6_without_a_name_is_for_sites_that_have_nothing_else(void **state)
{
	static const struct {
		const char *ways;
		int chosen;
	} cases[] = {
		{ "n.", 1 },        // an IPv4 address, or a named one
		{ "nt", WAY_NONE }, // which failed: the mail waits
		{ "np", 1 },        // or may do now
		{ "n", 0 },         // nothing else
		{ "nn", 0 },        { "Tn", 1 }, { "TT", WAY_NONE }, { "Pn", 1 }, { "P", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(choose(cases[i].ways), cases[i].chosen);
	}
}

static void a_port_that_stays_shut_costs_less_and_less(void **state)
{
	enum { MINUTE_MS = 60 * 1000 };

	(void)state;
	assert_int_equal(way_pause_ms(1), MINUTE_MS);
	assert_int_equal(way_pause_ms(2), 2 * MINUTE_MS);
	assert_int_equal(way_pause_ms(5), 16 * MINUTE_MS);
	assert_int_equal(way_pause_ms(6), 30 * MINUTE_MS);
	assert_int_equal(way_pause_ms(UINT32_MAX), 30 * MINUTE_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_are_tried_in_order_and_failed_ones_last),
		cmocka_unit_test(ipv6_without_a_name_is_for_sites_that_have_nothing_else),
		cmocka_unit_test(a_port_that_stays_shut_costs_less_and_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
