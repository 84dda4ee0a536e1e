#include "base/check.h"
#include "policy/site.h"

struct fixture {
	struct site_settings settings;
	struct site site;
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.settings = site_settings_default();
	site_init(&fixture.site, &fixture.settings);
	*state = &fixture;
	return 0;
}

static void learn(struct fixture *f, enum site_event event, uint64_t now_ms)
{
	site_learn(&f->site, &f->settings, event, now_ms, 0);
}

static void it_begins_with_a_few_connections(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(site_room(&f->site, 0), 5);
	for (unsigned i = 0; i < 5; i++) {
		site_opened(&f->site);
	}
	assert_int_equal(site_room(&f->site, 0), 0);
	site_closed(&f->site);
	assert_int_equal(site_room(&f->site, 0), 1);
}

static void success_grows_it_to_its_maximum(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 5; i++) {
		learn(f, SITE_DELIVERED, 0);
	}
	assert_int_equal(f->site.concurrency, 6);
	for (unsigned i = 0; i < 1000; i++) {
		learn(f, SITE_DELIVERED, 0);
	}
	assert_int_equal(f->site.concurrency, f->settings.concurrency_max);
}

static void too_many_connections_only_shrink_it(void **state)
{
	struct fixture *f = *state;

	f->site.open = 4;
	learn(f, SITE_TOO_MANY, 0);
	assert_int_equal(f->site.concurrency, 3);
	assert_int_equal(site_next_ms(&f->site, 0), 0);
	f->site.open = 0;
	learn(f, SITE_TOO_MANY, 0);
	assert_int_equal(f->site.concurrency, 1);
}

static void a32_a_refusal_halves_it_and_makes_it_wait(void **state)
{
	struct fixture *f = *state;
	uint64_t first = f->settings.backoff_first_ms;
	uint64_t again;

	learn(f, SITE_REFUSED, 1000);
	assert_int_equal(f->site.concurrency, 2);
	assert_int_equal(site_room(&f->site, 1000), 0);
	again = site_next_ms(&f->site, 1000);
	assert_in_range(again, 1000 + first * 3 / 4, 1000 + first * 5 / 4);
	assert_int_equal(site_room(&f->site, again), 1);
}

static void a32_after_a_back_off_one_probe_goes_first(void **state)
{
	struct fixture *f = *state;
	uint64_t again;

	learn(f, SITE_REFUSED, 0);
	again = site_next_ms(&f->site, 0);
	site_opened(&f->site);
	assert_int_equal(site_room(&f->site, again), 0);
	learn(f, SITE_DELIVERED, again);
	assert_int_equal(site_room(&f->site, again), 1);
}

static void a32_each_failed_probe_doubles_the_wait_up_to_its_maximum(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 0, waited = 0, longest = f->settings.backoff_max_ms * 5 / 4;

	learn(f, SITE_REFUSED, now);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t wait = site_next_ms(&f->site, now) - now;

		assert_true(wait >= waited || wait >= f->settings.backoff_max_ms * 3 / 4);
		assert_true(wait <= longest);
		waited = wait;
		now += wait;
		learn(f, SITE_UNREACHABLE, now);
	}
	assert_true(waited >= f->settings.backoff_max_ms * 3 / 4);
}

static void a32_the_wait_is_jittered(void **state)
{
	struct fixture *f = *state;
	struct site other = f->site;

	site_learn(&f->site, &f->settings, SITE_REFUSED, 0, 0);
	site_learn(&other, &f->settings, SITE_REFUSED, 0, 12345);
	assert_int_not_equal(site_next_ms(&f->site, 0), site_next_ms(&other, 0));
}

static void a_few_broken_connections_open_the_breaker(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < f->settings.failures_max - 1; i++) {
		learn(f, SITE_UNREACHABLE, 0);
		assert_int_equal(site_next_ms(&f->site, 0), 0);
	}
	learn(f, SITE_UNREACHABLE, 0);
	assert_int_not_equal(site_next_ms(&f->site, 0), 0);
}

static void one_success_between_failures_keeps_it_closed(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 100; i++) {
		learn(f, SITE_UNREACHABLE, 0);
		learn(f, SITE_DELIVERED, 0);
	}
	assert_int_equal(site_next_ms(&f->site, 0), 0);
	assert_true(f->site.concurrency >= 1);
}

static void late_failures_of_one_trouble_do_not_add_up(void **state)
{
	struct fixture *f = *state;
	uint64_t again;

	learn(f, SITE_REFUSED, 0);
	again = site_next_ms(&f->site, 0);
	for (unsigned i = 0; i < 10; i++) {
		learn(f, SITE_REFUSED, 1);
	}
	assert_int_equal(site_next_ms(&f->site, 1), again);
}

static void a50_connections_are_shared_only_when_all_is_equal(void **state)
{
	struct site_connection_key keys[] = {
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx2.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  26,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  25,
		  2,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 2 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("b.example"),
		  VIEW("u"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("v"),
		  .tenant = VIEW("t") },
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("ut"),
		  .tenant = VIEW("") },
		{ VIEW("mx.example"),
		  25,
		  1,
		  { 4, { 192, 0, 2, 1 } },
		  VIEW("a.example"),
		  VIEW("u"),
		  VIEW("/p"),
		  VIEW("t") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		for (size_t j = 0; j < COUNT_OF(keys); j++) {
			struct buffer a = buffer_with_max(1000), b = buffer_with_max(1000);

			site_connection_key_add(&a, &keys[i]);
			site_connection_key_add(&b, &keys[j]);
			assert_int_equal(view_equal(buffer_view(&a), buffer_view(&b)), i == j);
			buffer_done(&a);
			buffer_done(&b);
		}
	}
}

static void a_connection_is_not_used_for_ever(void **state)
{
	struct fixture *f = *state;

	assert_true(site_may_reuse(&f->settings, 99, 0));
	assert_false(site_may_reuse(&f->settings, 100, 0));
	assert_false(site_may_reuse(&f->settings, 1, f->settings.connection_ms));
}

static void a25_a_site_is_proven_by_mail_that_it_takes(void **state)
{
	enum { HOUR_MS = 3600 * 1000 };
	struct fixture *f = *state;

	assert_false(site_is_proven(&f->site, 0));
	learn(f, SITE_DELIVERED, 1000);
	assert_true(site_is_proven(&f->site, 1000));
	assert_true(site_is_proven(&f->site, 999 + HOUR_MS));
	assert_false(site_is_proven(&f->site, 1000 + HOUR_MS));
	learn(f, SITE_TOO_MANY, 2000); // it answers
	assert_true(site_is_proven(&f->site, 2000));
	learn(f, SITE_UNREACHABLE, 3000);
	assert_false(site_is_proven(&f->site, 3000));
	learn(f, SITE_DELIVERED, 4000);
	learn(f, SITE_REFUSED, 5000);
	assert_false(site_is_proven(&f->site, 5000));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_with_a_few_connections),
		TEST(success_grows_it_to_its_maximum),
		TEST(too_many_connections_only_shrink_it),
		TEST(a32_a_refusal_halves_it_and_makes_it_wait),
		TEST(a32_after_a_back_off_one_probe_goes_first),
		TEST(a32_each_failed_probe_doubles_the_wait_up_to_its_maximum),
		TEST(a32_the_wait_is_jittered),
		TEST(a_few_broken_connections_open_the_breaker),
		TEST(one_success_between_failures_keeps_it_closed),
		TEST(late_failures_of_one_trouble_do_not_add_up),
		TEST(a50_connections_are_shared_only_when_all_is_equal),
		TEST(a_connection_is_not_used_for_ever),
		TEST(a25_a_site_is_proven_by_mail_that_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
