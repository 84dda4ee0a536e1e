#include "policy/check_address.h"

static int setup(void **state)
{
	static struct arena arena;

	arena = arena_with_max(1 << 20);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_done(*state);
	return 0;
}

static void patterns_match_normalised_addresses(void **state)
{
	static const struct {
		const char *pattern, *address;
		bool matches;
	} cases[] = {
		{ "*", "a@example.org", true },
		{ "*", "", true },
		{ "<>", "", true },
		{ "<>", "a@example.org", false },
		{ "a@example.org", "a@example.org", true },
		{ "A@Example.ORG", "a@eXample.org", true },
		{ "a@example.org", "b@example.org", false },
		{ "a@example.org", "a+x@example.org", false },
		{ "a@example.org", "", false },
		{ "*@example.org", "b@example.org", true },
		{ "*@example.org", "b@sub.example.org", false },
		{ "*@example.org", "b@badexample.org", false },
		{ "*@example.org", "\"x@example.org\"@evil.example", false },
		{ "*@example.org", "", false },
		{ "example.org", "b@example.org", true },
		{ "*.example.org", "b@sub.example.org", true },
		{ "*.example.org", "b@a.b.example.org", true },
		{ "*.example.org", "b@example.org", false },
		{ "*.example.org", "b@badexample.org", false },
		{ "*@*.example.org", "b@sub.example.org", true },
		{ "*@b\xc3\xbc"
		  "cher.example",
		  "x@xn--bcher-kva.example", true },
		{ "*@postmaster", "postmaster", false },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address address = check_address(*state, cases[i].address);
		struct pattern pattern;

		assert_int_equal(pattern_parse(*state, view_from_text(cases[i].pattern), &pattern),
				 OK);
		if (pattern_matches(&pattern, &address) != cases[i].matches) {
			fail_msg("%s and %s", cases[i].pattern, cases[i].address);
		}
	}
}

static void what_is_no_pattern_is_refused(void **state)
{
	static const char *const wrong[] = { "",
					     "@",
					     "a@",
					     "*@",
					     "*.",
					     "a*@b.example",
					     "a@*.example",
					     "**",
					     "a b@example.org",
					     "*@*",
					     "a@b@c" };

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct pattern pattern;

		if (pattern_parse(*state, view_from_text(wrong[i]), &pattern) != ERROR_INVALID) {
			fail_msg("%s", wrong[i]);
		}
	}
}

static void patterns_are_written_as_they_could_be_read(void **state)
{
	static const struct {
		const char *text, *written;
	} cases[] = {
		{ "*", "*" },
		{ "<>", "<>" },
		{ "a@Example.org", "a@example.org" },
		{ "Example.org", "*@example.org" },
		{ "*.example.org", "*@*.example.org" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer out = buffer_with_max(100);
		struct pattern pattern;

		assert_int_equal(pattern_parse(*state, view_from_text(cases[i].text), &pattern),
				 OK);
		pattern_add_text(&out, &pattern);
		assert_view(buffer_view(&out), cases[i].written);
		buffer_done(&out);
	}
}

static void a_list_matches_when_one_of_it_does(void **state)
{
	struct patterns patterns = check_patterns(*state, "a@example.org *@example.net");
	struct address one = check_address(*state, "x@example.net");
	struct address other = check_address(*state, "x@example.org");

	assert_true(patterns_match(patterns, &one));
	assert_false(patterns_match(patterns, &other));
	assert_false(patterns_match((struct patterns){ 0 }, &one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(patterns_match_normalised_addresses, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_no_pattern_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(patterns_are_written_as_they_could_be_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_list_matches_when_one_of_it_does, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
