#include "base/check.h"
#include "spool/id.h"

#include <string.h>

static void ids_sort_by_time_as_numbers_and_as_text(void **state)
{
	struct spool_id_source source;
	char before[SPOOL_ID_TEXT_LEN + 1] = "", text[SPOOL_ID_TEXT_LEN + 1];
	uint64_t last = 0;

	(void)state;
	spool_id_source_init(&source, 3, 0);
	for (uint64_t ms = 1795291234567; ms < 1795291234567 + 40000; ms += 7) {
		uint64_t id = spool_id_next(&source, ms);

		spool_id_format(id, text);
		assert_true(id > last);
		assert_true(strcmp(text, before) > 0);
		assert_int_equal(spool_id_ms(id), ms);
		last = id;
		memcpy(before, text, sizeof text);
	}
}

static void a_clock_that_steps_back_repeats_no_id(void **state)
{
	struct spool_id_source source;
	uint64_t last = 0;

	(void)state;
	spool_id_source_init(&source, 0, 0);
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t id = spool_id_next(&source, 1000000 - i);

		assert_true(id > last);
		last = id;
	}
}

static void a_restart_with_a_clock_set_back_goes_on_above_the_last_id(void **state)
{
	struct spool_id_source source;
	uint64_t last;

	(void)state;
	spool_id_source_init(&source, 9, 0);
	last = spool_id_next(&source, 5000);
	spool_id_source_init(&source, 1, last);
	assert_true(spool_id_next(&source, 17) > last);
}

static void nodes_differ_in_the_same_millisecond(void **state)
{
	struct spool_id_source a, b;

	(void)state;
	spool_id_source_init(&a, 16, 0);
	spool_id_source_init(&b, 17, 0);
	assert_int_not_equal(spool_id_next(&a, 77), spool_id_next(&b, 77));
}

static void text_and_number_are_one(void **state)
{
	static const uint64_t ids[] = { 1, 31, 32, UINT64_MAX, 0x0123456789abcdef };
	char text[SPOOL_ID_TEXT_LEN + 1];
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		spool_id_format(ids[i], text);
		assert_int_equal(spool_id_parse(view_from_text(text), &id), OK);
		assert_true(id == ids[i]);
	}
	assert_int_equal(spool_id_parse(VIEW("000000000000A"), &id), OK);
	assert_int_equal(id, 10);
}

static void what_is_no_id_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"000000000000",
		"00000000000001",
		"0000000000000",
		"g000000000000",
		"000000000000u",
		"00000000000o0",
		"000000000000-",
		"../../../../x",
		"000000000000l",
	};
	uint64_t id = 5;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(spool_id_parse(view_from_text(bad[i]), &id), ERROR_INVALID);
	}
	assert_int_equal(id, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_sort_by_time_as_numbers_and_as_text),
		cmocka_unit_test(a_clock_that_steps_back_repeats_no_id),
		cmocka_unit_test(a_restart_with_a_clock_set_back_goes_on_above_the_last_id),
		cmocka_unit_test(nodes_differ_in_the_same_millisecond),
		cmocka_unit_test(text_and_number_are_one),
		cmocka_unit_test(what_is_no_id_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
