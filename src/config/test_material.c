#include "config/test_material.h"

#include "base/check.h"
#include "config/test_files.h"

void test_config_encode(const char *text, enum config_reader reader, struct buffer *out)
{
	struct test_file items[] = {
		{ "test.yaml", view_from_text(text) },
		{ "/password", VIEW("secret\n") },
	};
	struct test_files files = { items, COUNT_OF(items) };
	struct arena arena = arena_with_max(1 << 24);
	struct config_loaded loaded;

	assert_int_equal(config_load(test_files_source(&files), items[0].path, &arena, &loaded),
			 OK);
	for (size_t i = 0; !loaded.config && i < loaded.problems.count; i++) {
		print_error("%.*s\n", VIEW_ARG(loaded.problems.items[i].text));
	}
	assert_non_null(loaded.config);
	config_encode(loaded.config, reader, out);
	arena_done(&arena);
}

void test_directory_build(struct buffer *out, struct directory *ret_directory)
{
	struct directory_settings settings = directory_settings_default();
	struct view team[] = { VIEW("alice@example.org"), VIEW("bob@example.org"),
			       VIEW("carl@elsewhere.example") };
	struct directory_builder *builder;

	*out = buffer_with_max(1 << 20);
	assert_int_equal(directory_builder_new((struct hash_key){ 1, 2 }, &settings, &builder), OK);
	assert_int_equal(directory_add_domain(builder, VIEW("example.org")), OK);
	assert_int_equal(directory_add_account(builder, VIEW("alice@example.org")), OK);
	assert_int_equal(directory_add_account(builder, VIEW("bob@example.org")), OK);
	assert_int_equal(directory_add_alias(builder, VIEW("team@example.org"), team, 3), OK);
	assert_int_equal(directory_set_postmaster(builder, VIEW("alice@example.org")), OK);
	assert_int_equal(directory_build(builder, out), OK);
	directory_builder_free(builder);
	assert_int_equal(directory_open(buffer_view(out), ret_directory), OK);
}
