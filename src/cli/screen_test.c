// Tables, ages and sizes as people read them; nothing from elsewhere reaches a terminal raw.
#include "cli/screen.h"

#include "base/check.h"

enum { MEMORY_MAX = 64 * 1024 };

static void ages_are_said_in_the_two_largest_units(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "now" },
		{ 999, "now" },
		{ 1000, "1s" },
		{ 59 * 1000, "59s" },
		{ 60 * 1000, "1m" },
		{ 119 * 1000, "1m" },
		{ 3600 * 1000, "1h" },
		{ 3600 * 1000 + 20 * 60 * 1000, "1h 20m" },
		{ 25 * 3600 * 1000ull, "1d 1h" },
		{ 400 * 24 * 3600 * 1000ull, "400d" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer out = buffer_with_max(MEMORY_MAX);

		screen_add_age(&out, cases[i].ms);
		assert_view(buffer_view(&out), cases[i].text);
		buffer_done(&out);
	}
}

static void sizes_have_two_digits_or_more(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1234, "1.2 KiB" },
		{ 10 * 1024 + 512, "10 KiB" },
		{ 50 << 20, "50 MiB" },
		{ 3ull << 40, "3 TiB" },
		{ UINT64_MAX, "16777215 TiB" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer out = buffer_with_max(MEMORY_MAX);

		screen_add_size(&out, cases[i].bytes);
		assert_view(buffer_view(&out), cases[i].text);
		buffer_done(&out);
	}
}

static const struct sheet_column columns[] = { { "NAME" }, { "SIZE", true }, { "NOTE" } };

static void columns_are_aligned(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer out = buffer_with_max(MEMORY_MAX);
	struct sheet sheet = sheet_of(&arena, columns, 3);

	(void)state;
	sheet_add(&sheet, TONE_PLAIN, VIEW("a"));
	sheet_printf(&sheet, TONE_PLAIN, "%d", 12345);
	sheet_add(&sheet, TONE_PLAIN, VIEW("first"));
	sheet_note(&sheet, TONE_PLAIN, VIEW("a line of its own, as long as it likes to be"));
	sheet_add(&sheet, TONE_PLAIN, VIEW("m\xc3\xbcnchen"));
	sheet_add(&sheet, TONE_PLAIN, VIEW("7"));
	sheet_add(&sheet, TONE_PLAIN, VIEW(""));
	sheet_add_text(&sheet, false, &out);
	assert_view(buffer_view(&out), "NAME      SIZE  NOTE\n"
				       "a        12345  first\n"
				       "    a line of its own, as long as it likes to be\n"
				       "m\xc3\xbcnchen      7\n");
	buffer_done(&out);
	arena_done(&arena);
}

static void colours_stand_around_the_text_alone(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer out = buffer_with_max(MEMORY_MAX);
	struct sheet sheet = sheet_of(&arena, columns, 1);

	(void)state;
	sheet_add(&sheet, TONE_GOOD, VIEW("ready"));
	sheet_add_text(&sheet, true, &out);
	assert_view(buffer_view(&out), "\x1b[1mNAME\x1b[0m\n\x1b[32mready\x1b[0m\n");
	buffer_done(&out);
	arena_done(&arena);
}

static void a24_remote_text_cannot_steer_the_terminal(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer out = buffer_with_max(MEMORY_MAX);
	struct sheet sheet = sheet_of(&arena, columns, 1);

	(void)state;
	sheet_add(&sheet, TONE_PLAIN, VIEW("\x1b]0;owned\x07\r\n\xff"));
	sheet_note(&sheet, TONE_PLAIN,
		   VIEW("\xc2\x9b"
			"31m"));
	sheet_add_text(&sheet, false, &out);
	assert_view(buffer_view(&out), "NAME\n\\x1b]0;owned\\x07\\x0d\\x0a\\xff\n"
				       "    \\xc2\\x9b31m\n");
	buffer_done(&out);
	arena_done(&arena);
}

static void a_long_cell_is_cut_at_a_character(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer out = buffer_with_max(MEMORY_MAX), text = buffer_with_max(MEMORY_MAX);
	struct sheet sheet = sheet_of(&arena, columns, 1);

	(void)state;
	for (int i = 0; i < SHEET_CELL_MAX * 2; i++) {
		buffer_add_text(&text, "\xc3\xa4");
	}
	sheet_add(&sheet, TONE_PLAIN, buffer_view(&text));
	assert_int_equal(sheet.cells[0].width, SHEET_CELL_MAX);
	assert_int_equal(sheet.cells[0].text.len, (SHEET_CELL_MAX - 3) * 2 + 3);
	buffer_done(&text);
	buffer_done(&out);
	arena_done(&arena);
}

static void a_table_without_memory_says_so(void **state)
{
	struct arena arena = arena_with_max(16);
	struct sheet sheet = sheet_of(&arena, columns, 1);

	(void)state;
	sheet_add(&sheet, TONE_PLAIN, VIEW("text"));
	assert_true(sheet.failed);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ages_are_said_in_the_two_largest_units),
		cmocka_unit_test(sizes_have_two_digits_or_more),
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(colours_stand_around_the_text_alone),
		cmocka_unit_test(a24_remote_text_cannot_steer_the_terminal),
		cmocka_unit_test(a_long_cell_is_cut_at_a_character),
		cmocka_unit_test(a_table_without_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
