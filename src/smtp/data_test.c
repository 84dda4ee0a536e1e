// The body's decoder: dots, the one true end, bare CR and LF, and that chunks do not matter.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "smtp/data.h"

struct outcome {
	enum smtp_data_result result;
	size_t taken; // in all
	size_t kept;
	char bytes[128];
};

static struct outcome decode(struct view text, size_t chunk_size)
{
	struct smtp_data_decoder decoder = { 0 };
	struct outcome outcome = { .result = SMTP_DATA_MORE };

	while (text.len && outcome.result == SMTP_DATA_MORE) {
		struct view part = view_first(text, chunk_size);
		struct smtp_data_chunk chunk;
		char *copy = malloc(part.len); // exact, so that ASan sees a step too far

		assert_non_null(copy);
		memcpy(copy, part.data, part.len);
		outcome.result = smtp_data_decode(&decoder, copy, part.len, &chunk);
		assert_true(outcome.kept + chunk.kept <= sizeof outcome.bytes);
		memcpy(outcome.bytes + outcome.kept, copy, chunk.kept);
		outcome.kept += chunk.kept;
		outcome.taken += chunk.taken;
		text = view_from(text, part.len);
		free(copy);
	}
	return outcome;
}

static void expect(struct view text, enum smtp_data_result result, const char *kept, size_t taken)
{
	for (size_t chunk_size = 1; chunk_size <= text.len; chunk_size++) {
		struct outcome outcome = decode(text, chunk_size);

		assert_int_equal(outcome.result, result);
		assert_view(view_of(outcome.bytes, outcome.kept), kept);
		assert_int_equal(outcome.taken, taken);
	}
}

static void the_end_is_found_and_what_follows_left(void **state)
{
	(void)state;
	expect(VIEW(".\r\n"), SMTP_DATA_END, "", 3);
	expect(VIEW("a\r\n.\r\n"), SMTP_DATA_END, "a\r\n", 6);
	expect(VIEW("a\r\n.\r\nMAIL\r\n.\r\n"), SMTP_DATA_END, "a\r\n", 6);
	expect(VIEW("\r\n\r\n.\r\n"), SMTP_DATA_END, "\r\n\r\n", 7);
	expect(VIEW("a\r\n"), SMTP_DATA_MORE, "a\r\n", 3);
	expect(VIEW("a.\r\n"), SMTP_DATA_MORE, "a.\r\n", 4);
}

static void stuffed_dots_are_taken_off(void **state)
{
	(void)state;
	expect(VIEW("..\r\n.\r\n"), SMTP_DATA_END, ".\r\n", 7);
	expect(VIEW("...a\r\nb\r\n.\r\n"), SMTP_DATA_END, "..a\r\nb\r\n", 12);
	expect(VIEW(".a\r\n.b\r\nc..d\r\n.\r\n"), SMTP_DATA_END, "a\r\nb\r\nc..d\r\n", 17);
}

static void a1_nothing_else_ends_the_data(void **state)
{
	(void)state;
	expect(VIEW("a\n.\nM"), SMTP_DATA_BARE_LF, "a", 1);          // LF . LF
	expect(VIEW("a\n.\r\nM"), SMTP_DATA_BARE_LF, "a", 1);        // LF . CR LF
	expect(VIEW("a\r\n.\nM"), SMTP_DATA_BARE_LF, "a\r\n", 4);    // CR LF . LF
	expect(VIEW("a\r.\rM"), SMTP_DATA_BARE_CR, "a\r", 2);        // CR . CR
	expect(VIEW("a\r\n.\rM"), SMTP_DATA_BARE_CR, "a\r\n", 5);    // CR LF . CR
	expect(VIEW("a\n.\r\r\nM"), SMTP_DATA_BARE_LF, "a", 1);      // LF . CR CR LF
	expect(VIEW("a\r.\r\nM"), SMTP_DATA_BARE_CR, "a\r", 2);      // CR . CR LF
	expect(VIEW("a\r\r\n.\r\n"), SMTP_DATA_BARE_CR, "a\r", 2);   // CR CR LF . CR LF
	expect(VIEW("a\r\n.\r\r\n"), SMTP_DATA_BARE_CR, "a\r\n", 5); // CR LF . CR CR LF
	expect(VIEW("\n"), SMTP_DATA_BARE_LF, "", 0);
	expect(VIEW("\rx"), SMTP_DATA_BARE_CR, "\r", 1);
}

static void a1_nul_is_a_byte_like_any_other(void **state)
{
	struct view text = VIEW("a\r\n\0.\r\nb\r\n.\0\r\n.\r\n");

	(void)state;
	for (size_t chunk_size = 1; chunk_size <= text.len; chunk_size++) {
		struct outcome outcome = decode(text, chunk_size);
		struct view kept = VIEW("a\r\n\0.\r\nb\r\n\0\r\n");

		assert_int_equal(outcome.result, SMTP_DATA_END);
		assert_true(view_equal(view_of(outcome.bytes, outcome.kept), kept));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_is_found_and_what_follows_left),
		cmocka_unit_test(stuffed_dots_are_taken_off),
		cmocka_unit_test(a1_nothing_else_ends_the_data),
		cmocka_unit_test(a1_nul_is_a_byte_like_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
