// What a reload has to do.
#include "base/check.h"
#include "config/reload.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 64 * 1024 * 1024 };

static const struct config *load(struct arena *arena, const char *keys)
{
	struct buffer text = buffer_with_max(10000);
	struct config_loaded loaded;

	buffer_printf(&text, "hostname: m.example\n%s", keys);
	const struct test_file item = { "a.yaml", buffer_view(&text) };
	struct test_files files = { &item, 1 };

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, &loaded), OK);
	assert_non_null(loaded.config);
	buffer_done(&text);
	return loaded.config;
}

static void says_what_changes_for_whom(void **state)
{
	static const struct {
		const char *before, *after;
		const char *removed, *added, *restart;
		unsigned changed;
	} cases[] = {
		{ "", "", "", "", "", 0 },
		{ "", "limits: { errors: 7 }\n", "", "", "", CONFIG_ALL },
		{ "", "dns: { dnssec: off }\n", "", "", "", CONFIG_FACTS },
		{ "", "outbound: { port: 26 }\n", "", "", "", CONFIG_DELIVER },
		{ "", "aliases: { a@m.example: b@m.example }\n", "", "", "", CONFIG_KEEPER },
		{ "", "queue: { hold: true }\n", "", "", "", CONFIG_RECEIVE | CONFIG_DELIVER },
		{ "", "data_dir: /d\n", "", "", "data_dir spool_dir mail_dir ", CONFIG_ALL },
		{ "threads: 2\n", "threads: 4\n", "", "", "threads ", CONFIG_RECEIVE },
		{ "", "queue: { segment_size: 32MiB }\n", "", "", "queue.segment_size ",
		  CONFIG_RECEIVE | CONFIG_DELIVER },
		{ "listeners: [{ port: 25, role: relay }, { port: 26, role: relay }]\n",
		  "listeners: [{ port: 27, role: relay }, { port: 25, role: relay }]\n", "26 ",
		  "27 ", "", CONFIG_RECEIVE | CONFIG_DELIVER },
		{ "listeners: [{ port: 25, role: relay }]\n",
		  "listeners: [{ port: 25, role: relay, address: 127.0.0.1 }]\n", "25 ", "25 ", "",
		  CONFIG_RECEIVE | CONFIG_DELIVER },
		{ "listeners: [{ port: 25, role: relay }]\n",
		  "listeners: [{ port: 25, role: relay, hostname: b.example }]\n", "", "", "",
		  CONFIG_RECEIVE | CONFIG_DELIVER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer removed = buffer_with_max(1000), added = buffer_with_max(1000);
		struct buffer restart = buffer_with_max(1000);
		struct config_difference difference;

		assert_int_equal(config_compare(load(&arena, cases[i].before),
						load(&arena, cases[i].after), &arena, &difference),
				 OK);
		for (size_t j = 0; j < difference.removed.count; j++) {
			buffer_printf(&removed, "%u ", (unsigned)difference.removed.items[j]->port);
		}
		for (size_t j = 0; j < difference.added.count; j++) {
			buffer_printf(&added, "%u ", (unsigned)difference.added.items[j]->port);
		}
		for (size_t j = 0; j < difference.restart.count; j++) {
			buffer_printf(&restart, "%.*s ", VIEW_ARG(difference.restart.items[j]));
		}
		assert_string_equal(buffer_text(&removed), cases[i].removed);
		assert_string_equal(buffer_text(&added), cases[i].added);
		assert_string_equal(buffer_text(&restart), cases[i].restart);
		assert_int_equal(difference.changed, cases[i].changed);
		buffer_done(&removed);
		buffer_done(&added);
		buffer_done(&restart);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_changes_for_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
