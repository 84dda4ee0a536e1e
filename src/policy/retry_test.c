#include "base/check.h"
#include "policy/retry.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
#define DAY ((uint64_t)24 * HOUR)

static struct retry_verdict decide(struct retry_facts facts)
{
	struct retry_settings settings = retry_settings_default();

	return retry_decide(&settings, &facts);
}

static void delays_double_up_to_the_longest(void **state)
{
	static const struct {
		enum retry_class class;
		unsigned attempts;
		uint64_t delay_ms;
	} cases[] = {
		{ RETRY_RECIPIENT, 1, 5 * MINUTE },  { RETRY_RECIPIENT, 2, 10 * MINUTE },
		{ RETRY_RECIPIENT, 3, 20 * MINUTE }, { RETRY_CONNECT, 6, 160 * MINUTE },
		{ RETRY_CONNECT, 7, 4 * HOUR },      { RETRY_DNS, 4000000000U, 4 * HOUR },
		{ RETRY_TLS, 1, 10 * MINUTE },       { RETRY_LOGIN, 1, 20 * MINUTE },
		{ RETRY_LOCAL, 0, 5 * MINUTE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (uint64_t seed = 0; seed < 100; seed++) {
			struct retry_verdict verdict =
				decide((struct retry_facts){ .class = cases[i].class,
							     .attempts = cases[i].attempts,
							     .arrived_ms = 1000,
							     .now_ms = 1000,
							     .seed = seed * 7919 });
			uint64_t delay = verdict.next_ms - 1000;

			assert_false(verdict.expired);
			assert_in_range(delay, cases[i].delay_ms / 10 * 8,
					cases[i].delay_ms / 10 * 12);
		}
	}
}

static void a32_what_failed_together_does_not_come_back_together(void **state)
{
	uint64_t low = UINT64_MAX, high = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		uint64_t next = decide((struct retry_facts){ .class = RETRY_CONNECT,
							     .attempts = 3,
							     .seed = seed * 0x9e3779b97f4a7c15 })
					.next_ms;

		low = next < low ? next : low;
		high = next > high ? next : high;
	}
	assert_true(high - low > 20 * MINUTE / 10 * 3);
}

static void mail_expires_and_the_last_attempt_is_at_that_moment(void **state)
{
	struct retry_facts facts = { .class = RETRY_CONNECT, .attempts = 40, .arrived_ms = 500 };

	(void)state;
	facts.now_ms = 500 + 5 * DAY - HOUR;
	assert_false(decide(facts).expired);
	assert_int_equal(decide(facts).next_ms, 500 + 5 * DAY);
	facts.now_ms = 500 + 5 * DAY;
	assert_true(decide(facts).expired);
	facts.now_ms = UINT64_MAX;
	assert_true(decide(facts).expired);
}

static void a_clock_that_stepped_back_does_not_expire_mail(void **state)
{
	struct retry_verdict verdict =
		decide((struct retry_facts){ .attempts = 1, .arrived_ms = 9 * DAY, .now_ms = DAY });

	(void)state;
	assert_false(verdict.expired);
	assert_in_range(verdict.next_ms, DAY + 4 * MINUTE, DAY + 6 * MINUTE);
}

static void the_sender_is_warned_once_and_never_the_null_one(void **state)
{
	struct retry_facts facts = { .attempts = 5, .now_ms = 4 * HOUR };
	struct retry_settings never = retry_settings_default();

	(void)state;
	assert_true(decide(facts).warn);
	never.warn_ms = 0;
	assert_false(retry_decide(&never, &facts).warn);
	facts.now_ms--;
	assert_false(decide(facts).warn);
	facts.now_ms = 5 * HOUR;
	facts.warned = true;
	assert_false(decide(facts).warn);
	facts.warned = false;
	facts.null_reverse_path = true;
	assert_false(decide(facts).warn);
	facts.null_reverse_path = false;
	facts.now_ms = 6 * DAY;
	assert_false(decide(facts).warn); // it gets the bounce
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_up_to_the_longest),
		cmocka_unit_test(a32_what_failed_together_does_not_come_back_together),
		cmocka_unit_test(mail_expires_and_the_last_attempt_is_at_that_moment),
		cmocka_unit_test(a_clock_that_stepped_back_does_not_expire_mail),
		cmocka_unit_test(the_sender_is_warned_once_and_never_the_null_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
