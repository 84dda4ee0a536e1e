#include "base/check.h"
#include "policy/rate.h"

#include <stdio.h>

static const struct hash_key secret = { 3, 4 };
static const struct rate_limit ten_a_minute = { 10, 60000 };

static struct rate_key named(const char *text)
{
	return rate_key_of_text(secret, RATE_CONNECTION, view_from_text(text));
}

static struct rate_key of_address(const char *text)
{
	struct ip_address address;

	assert_true(ip_address_parse(view_from_text(text), &address));
	return rate_key_of_address(secret, RATE_CONNECTION, &address);
}

static unsigned take_all(struct rate_table *table, const char *key, uint64_t now_ms)
{
	unsigned taken = 0;

	while (taken < 1000 && rate_take(table, named(key), ten_a_minute, 1, now_ms)) {
		taken++;
	}
	return taken;
}

static struct rate_table *table_of(size_t entries_max)
{
	struct rate_table *table;

	assert_int_equal(rate_table_new(entries_max, &table), OK);
	return table;
}

static void a_bucket_empties_and_fills_again(void **state)
{
	struct rate_table *table = table_of(10);

	(void)state;
	assert_int_equal(take_all(table, "a", 1000), 10);
	assert_false(rate_has(table, named("a"), ten_a_minute, 1000));
	assert_int_equal(rate_wait_ms(table, named("a"), ten_a_minute, 1000), 6000);
	assert_int_equal(take_all(table, "a", 6999), 0);
	assert_int_equal(take_all(table, "a", 7000), 1);
	assert_int_equal(take_all(table, "a", 37000), 5);
	assert_int_equal(take_all(table, "a", 1000 * 1000), 10);
	assert_int_equal(take_all(table, "a", UINT64_MAX), 10);
	rate_table_free(table);
}

static void keys_do_not_share_and_kinds_neither(void **state)
{
	struct rate_table *table = table_of(10);
	struct rate_key other = rate_key_of_text(secret, RATE_RELAY_ATTEMPT, VIEW("a"));

	(void)state;
	take_all(table, "a", 0);
	assert_int_equal(take_all(table, "b", 0), 10);
	assert_true(rate_take(table, other, ten_a_minute, 10, 0));
	rate_forget(table, named("a"));
	assert_int_equal(take_all(table, "a", 0), 10);
	rate_table_free(table);
}

static void more_than_the_burst_is_never_granted(void **state)
{
	struct rate_table *table = table_of(1);

	(void)state;
	assert_false(rate_take(table, named("a"), ten_a_minute, 11, 0));
	assert_true(rate_take(table, named("a"), ten_a_minute, 10, 0));
	rate_table_free(table);
}

static void a_debt_is_paid_back_first_and_is_bounded(void **state)
{
	struct rate_table *table = table_of(1);

	(void)state;
	for (unsigned i = 0; i < 15; i++) {
		rate_charge(table, named("a"), ten_a_minute, 1, 0);
	}
	assert_int_equal(rate_wait_ms(table, named("a"), ten_a_minute, 0), 36000);
	assert_int_equal(take_all(table, "a", 60000), 5);
	for (unsigned i = 0; i < 1000; i++) {
		rate_charge(table, named("a"), ten_a_minute, 1, 60000);
	}
	assert_int_equal(take_all(table, "a", 60000 * 9), 0);
	assert_int_equal(take_all(table, "a", 60000 * 10), 10);
	rate_table_free(table);
}

static void what_is_given_back_fills_the_bucket_and_no_more(void **state)
{
	struct rate_table *table = table_of(1);

	(void)state;
	rate_give(table, named("a"), ten_a_minute, 5, 0);
	assert_int_equal(take_all(table, "a", 0), 10);
	rate_give(table, named("a"), ten_a_minute, 4, 0);
	assert_int_equal(take_all(table, "a", 0), 4);
	rate_charge(table, named("a"), ten_a_minute, 3, 0);
	rate_give(table, named("a"), ten_a_minute, 5, 0);
	assert_int_equal(take_all(table, "a", 0), 2);
	rate_give(table, named("a"), ten_a_minute, 100, 0);
	assert_true(rate_take(table, named("b"), ten_a_minute, 1, 0)); // "a" needs no room now
	assert_int_equal(rate_table_forgotten(table), 0);
	assert_int_equal(take_all(table, "a", 0), 10);
	rate_table_free(table);
}

static void without_a_limit_all_is_granted(void **state)
{
	struct rate_table *table = table_of(1);
	struct rate_limit none = { 0, 0 };

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(rate_take(table, named("a"), none, 1, 0));
	}
	assert_true(rate_has(table, named("a"), none, 0));
	rate_table_free(table);
}

static void a_clock_that_stands_or_steps_back_gives_nothing(void **state)
{
	struct rate_table *table = table_of(1);

	(void)state;
	take_all(table, "a", 100000);
	assert_int_equal(take_all(table, "a", 100000), 0);
	assert_int_equal(take_all(table, "a", 0), 0);
	rate_table_free(table);
}

static void numbers_at_their_limits_do_not_overflow(void **state)
{
	struct rate_table *table = table_of(1);
	struct rate_limit huge = { UINT32_MAX, UINT64_MAX };

	(void)state;
	assert_true(rate_take(table, named("a"), huge, UINT32_MAX, 0));
	assert_false(rate_take(table, named("a"), huge, 2, UINT64_MAX / UINT32_MAX));
	assert_true(rate_take(table, named("a"), huge, UINT32_MAX, UINT64_MAX));
	rate_table_free(table);
}

static void the_one_used_longest_ago_is_forgotten_first(void **state)
{
	struct rate_table *table = table_of(2);

	(void)state;
	take_all(table, "a", 0);
	take_all(table, "b", 0);
	take_all(table, "a", 6000); // used again
	take_all(table, "c", 6000); // takes the place of b
	assert_int_equal(rate_table_forgotten(table), 1);
	assert_int_equal(take_all(table, "a", 6000), 0);
	assert_int_equal(take_all(table, "b", 6000), 10);
	rate_table_free(table);
}

static void a_flood_of_keys_stays_in_its_memory(void **state)
{
	struct rate_table *table = table_of(100);
	char text[16];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof text, "%u", i);
		assert_true(rate_take(table, named(text), ten_a_minute, 1, i));
	}
	assert_int_equal(rate_table_forgotten(table), 9900);
	rate_table_free(table);
}

static void a_peer_is_an_ipv4_address_or_an_ipv6_64(void **state)
{
	(void)state;
	assert_int_equal(of_address("192.0.2.1").hash, of_address("::ffff:192.0.2.1").hash);
	assert_int_not_equal(of_address("192.0.2.1").hash, of_address("192.0.2.2").hash);
	assert_int_equal(of_address("2001:db8::1").hash, of_address("2001:db8::ffff:2").hash);
	assert_int_not_equal(of_address("2001:db8::1").hash, of_address("2001:db8:0:1::1").hash);
}

static void counts_rise_to_their_maximum_and_fall(void **state)
{
	struct count_table *table;

	(void)state;
	assert_int_equal(count_table_new(2, &table), OK);
	assert_true(count_enter(table, named("a"), 2));
	assert_true(count_enter(table, named("a"), 2));
	assert_false(count_enter(table, named("a"), 2));
	assert_int_equal(count_open(table, named("a")), 2);
	count_leave(table, named("a"));
	assert_true(count_enter(table, named("a"), 2));
	assert_false(count_enter(table, named("z"), 0));
	count_table_free(table);
}

static void what_is_counted_is_not_forgotten(void **state)
{
	struct count_table *table;

	(void)state;
	assert_int_equal(count_table_new(2, &table), OK);
	assert_true(count_enter(table, named("a"), 9));
	assert_true(count_enter(table, named("b"), 9));
	assert_false(count_enter(table, named("c"), 9));
	count_leave(table, named("a"));
	assert_int_equal(count_open(table, named("a")), 0);
	assert_true(count_enter(table, named("c"), 9));
	count_leave(table, named("nobody"));
	count_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_empties_and_fills_again),
		cmocka_unit_test(keys_do_not_share_and_kinds_neither),
		cmocka_unit_test(more_than_the_burst_is_never_granted),
		cmocka_unit_test(a_debt_is_paid_back_first_and_is_bounded),
		cmocka_unit_test(what_is_given_back_fills_the_bucket_and_no_more),
		cmocka_unit_test(without_a_limit_all_is_granted),
		cmocka_unit_test(a_clock_that_stands_or_steps_back_gives_nothing),
		cmocka_unit_test(numbers_at_their_limits_do_not_overflow),
		cmocka_unit_test(the_one_used_longest_ago_is_forgotten_first),
		cmocka_unit_test(a_flood_of_keys_stays_in_its_memory),
		cmocka_unit_test(a_peer_is_an_ipv4_address_or_an_ipv6_64),
		cmocka_unit_test(counts_rise_to_their_maximum_and_fall),
		cmocka_unit_test(what_is_counted_is_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
