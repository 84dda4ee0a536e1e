// What people read is what the program runs. RENEW=1 writes docs/configuration.md anew.
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/explain.h"
#include "config/schema.h"
#include "config/test_files.h"
#include "os/file.h"

enum { MEMORY_MAX = 64 * 1024 * 1024, TEXT_MAX = 1 << 20 };

// docs/configuration.md, found from this file, as the build names it.
static void find_document(struct buffer *path)
{
	struct view file = view_from_text(__FILE__);

	buffer_add(path, view_first(file, view_find_text(file, VIEW("src/config/"))));
	buffer_add_text(path, "docs/configuration.md");
}

static void write_file(const char *path, struct view text)
{
	int file;

	assert_int_equal(os_file_open_path(path, OS_WRITE | OS_CREATE | OS_TRUNCATE, 0644, &file),
			 OK);
	assert_int_equal(os_file_write_at(file, 0, text), OK);
	os_file_close(file);
}

static void the_reference_is_what_the_schema_says(void **state)
{
	struct buffer path = buffer_with_max(4096), wanted = buffer_with_max(TEXT_MAX);
	struct buffer there = buffer_with_max(TEXT_MAX);

	(void)state;
	find_document(&path);
	config_reference(&wanted);
	if (getenv("RENEW")) {
		write_file(buffer_text(&path), buffer_view(&wanted));
	}
	assert_int_equal(os_file_read_whole(buffer_text(&path), &there), OK);
	assert_true(view_equal(buffer_view(&there), buffer_view(&wanted)));
	buffer_done(&path);
	buffer_done(&wanted);
	buffer_done(&there);
}

static void explain(struct arena *arena, struct view text, struct buffer *out)
{
	const struct test_file item = { "a.yaml", text };
	struct test_files files = { &item, 1 };
	struct config_loaded loaded;

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, &loaded), OK);
	for (size_t i = 0; i < loaded.problems.count; i++) {
		config_problem_add_text(out, &loaded.problems.items[i]);
		fail_msg("%s", buffer_text(out));
	}
	loaded.origins.count = 0;
	config_explain(out, &loaded);
}

static void the_example_is_the_default_configuration(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer example = buffer_with_max(TEXT_MAX);
	struct buffer one = buffer_with_max(TEXT_MAX), two = buffer_with_max(TEXT_MAX);

	(void)state;
	config_example(&example);
	explain(&arena, buffer_view(&example), &one);
	explain(&arena, VIEW("hostname: mail.example.org\n"), &two);
	assert_string_equal(buffer_text(&one), buffer_text(&two));
	buffer_done(&example);
	buffer_done(&one);
	buffer_done(&two);
	arena_done(&arena);
}

// Key lines begin with "#" and the key or its indentation; sentences with "# ". A key whose default
// depends on others shows an example instead, which stays out here.
static void its_defaults_may_be_uncommented(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer example = buffer_with_max(TEXT_MAX), active = buffer_with_max(TEXT_MAX);
	struct buffer one = buffer_with_max(TEXT_MAX), two = buffer_with_max(TEXT_MAX);
	struct view rest, line;
	bool derived = false;

	(void)state;
	config_example(&example);
	rest = buffer_view(&example);
	while (view_next_part(&rest, '\n', &line)) {
		bool sentence = view_starts(line, VIEW("# ")) && !view_starts(line, VIEW("#  "));

		if (!sentence && !derived) {
			buffer_add(&active, view_from(line, view_starts(line, VIEW("#"))));
			buffer_add_text(&active, "\n");
		}
		derived = view_find_text(line, VIEW(" Default: ")) < line.len;
	}
	explain(&arena, buffer_view(&active), &one);
	explain(&arena, VIEW("hostname: mail.example.org\n"), &two);
	assert_string_equal(buffer_text(&one), buffer_text(&two));
	buffer_done(&example);
	buffer_done(&active);
	buffer_done(&one);
	buffer_done(&two);
	arena_done(&arena);
}

static void check_examples(const struct schema_object *object, const char *before,
			   const char *after)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer text = buffer_with_max(TEXT_MAX);
		struct config_loaded loaded;

		if (field->example && strcmp(field->name, "hostname") != 0) {
			buffer_printf(&text,
				      "hostname: mail.example.org\ndomains: { example.org: {} }\n"
				      "%s%s: %s%s\n",
				      before, field->name, field->example, after);
			const struct test_file items[] = {
				{ "a.yaml", buffer_view(&text) },
				{ "/etc/aliases", VIEW("root: admin@example.org\n") },
				{ "/etc/packetboat/smarthost", VIEW("secret\n") },
			};
			struct test_files files = { items, COUNT_OF(items) };

			assert_int_equal(
				config_load(test_files_source(&files), "a.yaml", &arena, &loaded),
				OK);
			for (size_t j = 0; j < loaded.problems.count; j++) {
				struct view said = loaded.problems.items[j].text;

				// "domains" is there for the other examples, and so is its source.
				if (view_find_text(said, VIEW("is set already")) == said.len &&
				    view_find_text(said, VIEW("among outbound.sources")) ==
					    said.len) {
					fail_msg("%s: %.*s", field->name, VIEW_ARG(said));
				}
			}
		}
		buffer_done(&text);
		arena_done(&arena);
	}
}

static void every_example_is_good(void **state)
{
	(void)state;
	check_examples(&schema_config, "", "");
	for (size_t i = 0; i < schema_config.count; i++) {
		const struct schema_field *field = &schema_config.fields[i];
		struct buffer before = buffer_with_max(100);

		if (field->kind == SCHEMA_OBJECT && field->shape == SCHEMA_ONE) {
			buffer_printf(&before, "%s: { ", field->name);
			check_examples(field->object, buffer_text(&before), " }");
		}
		buffer_done(&before);
	}
}

static void the_disk_serves_files_and_folders(void **state)
{
	struct config_files files = config_files_of_disk();
	struct arena arena = arena_with_max(MEMORY_MAX);
	char folder[] = "/tmp/packetboat-config-XXXXXX";
	struct config_loaded loaded;
	struct view path, part;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = arena_printf(&arena, "%s/a.yaml", folder);
	part = arena_printf(&arena, "%s/b.part", folder);
	write_file(path.data, VIEW("hostname: m.example\ninclude: '*.part'\n"));
	write_file(part.data, VIEW("limits: { errors: 3 }\n"));
	assert_int_equal(config_load(files, path.data, &arena, &loaded), OK);
	assert_non_null(loaded.config);
	assert_int_equal(loaded.config->limits.errors, 3);
	assert_int_equal(remove(part.data), 0);
	assert_int_equal(remove(path.data), 0);
	assert_int_equal(remove(folder), 0);
	assert_int_equal(config_load(files, path.data, &arena, &loaded), OK);
	assert_null(loaded.config);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_is_what_the_schema_says),
		cmocka_unit_test(the_example_is_the_default_configuration),
		cmocka_unit_test(its_defaults_may_be_uncommented),
		cmocka_unit_test(every_example_is_good),
		cmocka_unit_test(the_disk_serves_files_and_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
