// The classic aliases file: what it means, and what is refused with its place.
#include "base/check.h"
#include "config/directory.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 64 * 1024 * 1024 };

static void load(struct arena *arena, const char *keys, const char *aliases,
		 struct config_loaded *ret_loaded)
{
	struct buffer text = buffer_with_max(10000);

	buffer_printf(&text, "hostname: m.example\naliases_file: /aliases\n%s", keys);
	const struct test_file items[] = { { "a.yaml", buffer_view(&text) },
					   { "/aliases", view_from_text(aliases) } };
	struct test_files files = { items, COUNT_OF(items) };

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, ret_loaded), OK);
	buffer_done(&text);
}

static void add_aliases(struct buffer *out, const struct config *config)
{
	for (size_t i = 0; config && i < config->aliases.count; i++) {
		const struct config_alias *alias = &config->aliases.items[i];

		buffer_printf(out, "%.*s:", VIEW_ARG(alias->address));
		for (size_t j = 0; j < alias->targets.count; j++) {
			buffer_printf(out, " %.*s", VIEW_ARG(alias->targets.items[j]));
		}
		buffer_add_text(out, "\n");
	}
}

static void reads_what_people_write(void **state)
{
	static const struct {
		const char *keys, *aliases, *result;
	} cases[] = {
		{ "", "", "" },
		{ "", "# nothing\n\n   \n", "" },
		{ "", "Root: Alice@b.example\n", "root@m.example: Alice@b.example\n" },
		{ "", "a: b, c@c.example,\n", "a@m.example: b@m.example c@c.example\n" },
		{ "", "a:\n\tb,\n# between\n  c\nd: e",
		  "a@m.example: b@m.example c@m.example\n"
		  "d@m.example: e@m.example\n" },
		{ "", "a: b # of course\r\nc: d\r\n",
		  "a@m.example: b@m.example\nc@m.example: d@m.example\n" },
		{ "", "\"quoted\": b\n", "quoted@m.example: b@m.example\n" },
		{ "", "a: \\a, b\n", "a@m.example: a@m.example b@m.example\n" },
		{ "domains: { x.example: {}, y.example: {} }\n", "a: b\nc@y.example: d\n",
		  "a@m.example: b@m.example\na@x.example: b@x.example\na@y.example: "
		  "b@y.example\nc@y.example: "
		  "d@y.example\n" },
		{ "aliases: { a@m.example: z@c.example }\n", "a: b\n",
		  "a@m.example: z@c.example\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer result = buffer_with_max(10000);
		struct config_loaded loaded;

		load(&arena, cases[i].keys, cases[i].aliases, &loaded);
		for (size_t j = 0; j < loaded.problems.count; j++) {
			config_problem_add_text(&result, &loaded.problems.items[j]);
		}
		add_aliases(&result, loaded.config);
		assert_string_equal(buffer_text(&result), cases[i].result);
		buffer_done(&result);
		arena_done(&arena);
	}
}

static void refuses_what_is_not_an_address_with_its_place(void **state)
{
	static const struct {
		const char *keys, *aliases, *problems;
	} cases[] = {
		{ "", "a: b\nc: \"|/bin/sh -c x\"\n",
		  "/aliases:2:1: '\"|/bin/sh -c x\"': programs are not run from aliases\n" },
		{ "", "c: |x\n", "/aliases:1:1: '|x': programs are not run from aliases\n" },
		{ "", "c: /dev/null\n",
		  "/aliases:1:1: '/dev/null': mail is not written to files from aliases\n" },
		{ "", "c: :include:/etc/list\n",
		  "/aliases:1:1: ':include:/etc/list': includes are not supported: write the "
		  "addresses here\n" },
		{ "", "what is this\n", "/aliases:1:1: expected 'name: target, target'\n" },
		{ "", "  lost: x@\n", "/aliases:1:1: 'x@': malformed address\n" },
		{ "", "a:\n", "/aliases:1:1: no target\n" },
		{ "", "a: b\nA: c\n",
		  "/aliases:2:1: 'a@m.example' is there already, in /aliases:1\n" },
		{ "aliases: { a@m.example: z@c.example }\n", "b: c\na@m.example: b\n",
		  "/aliases:2:1: 'a@m.example' is there already, in a.yaml:3\n" },
		{ "", "a@c.example: b\n",
		  "/aliases:1:1: 'a@c.example' is in none of our domains\n" },
		{ "", "a: b\nb: a\n",
		  "/aliases:1:1: 'a@m.example' leads back to itself, or through too many aliases\n"
		  "/aliases:2:1: 'b@m.example' leads back to itself, or through too many "
		  "aliases\n" },
		{ "", "a: \xff\n", "/aliases: not UTF-8 text\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer said = buffer_with_max(10000);
		struct config_loaded loaded;

		load(&arena, cases[i].keys, cases[i].aliases, &loaded);
		assert_null(loaded.config);
		for (size_t j = 0; j < loaded.problems.count; j++) {
			config_problem_add_text(&said, &loaded.problems.items[j]);
			buffer_add_text(&said, "\n");
		}
		assert_string_equal(buffer_text(&said), cases[i].problems);
		buffer_done(&said);
		arena_done(&arena);
	}
}

static void the_directory_holds_domains_accounts_aliases_and_postmaster(void **state)
{
	static const struct {
		const char *address;
		enum directory_status status;
		const char *first;
	} cases[] = {
		{ "alice@m.example", DIRECTORY_FOUND, "alice@m.example" },
		{ "Alice-lists@m.example", DIRECTORY_FOUND, "alice@m.example" },
		{ "alice+lists@m.example", DIRECTORY_UNKNOWN, NULL },
		{ "info@m.example", DIRECTORY_FOUND, "alice@m.example" },
		{ "postmaster@m.example", DIRECTORY_FOUND, "postmaster@m.example" },
		{ "bob@m.example", DIRECTORY_UNKNOWN, NULL },
		{ "anyone@c.example", DIRECTORY_FOUND, "x@d.example" },
		{ "x@gone.example", DIRECTORY_NOT_OURS, NULL },
	};
	const struct view accounts[] = { VIEW("alice@m.example"), VIEW("x@gone.example") };
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer table = buffer_with_max(1 << 20);
	struct config_directory_counts counts;
	struct config_loaded loaded;
	struct directory directory;

	(void)state;
	load(&arena,
	     "plus_separator: \"-\"\n"
	     "domains: { m.example: {}, c.example: { catch_all: x@d.example } }\n",
	     "info@m.example: alice\n", &loaded);
	assert_non_null(loaded.config);
	assert_int_equal(config_directory_build(loaded.config, accounts, COUNT_OF(accounts),
						(struct hash_key){ 3, 4 }, &table, &counts),
			 OK);
	assert_int_equal(counts.accounts, 1);
	assert_int_equal(counts.accounts_skipped, 1);
	assert_int_equal(directory_open(buffer_view(&table), &directory), OK);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct directory_answer answer;
		struct address address;

		assert_int_equal(
			address_parse(&arena, view_from_text(cases[i].address), 0, &address),
			ADDRESS_OK);
		assert_int_equal(directory_resolve(&directory, &arena, &address, &answer), OK);
		assert_int_equal(answer.status, cases[i].status);
		if (cases[i].first) {
			assert_view(answer.recipients[0], cases[i].first);
		}
	}
	buffer_done(&table);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_people_write),
		cmocka_unit_test(refuses_what_is_not_an_address_with_its_place),
		cmocka_unit_test(the_directory_holds_domains_accounts_aliases_and_postmaster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
