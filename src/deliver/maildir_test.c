#include "deliver/maildir.h"

#include <string.h>

#include "base/check.h"
#include "os/file.h"
#include "os/test_folder.h"

static void a54_names_of_folders_never_leave_their_place(void **state)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{ "alice", "alice" },
		{ "first.last", "first.last" },
		{ "..", "%2E." },
		{ ".", "%2E" },
		{ ".hidden", "%2Ehidden" },
		{ "../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd" },
		{ "a/b", "a%2Fb" },
		{ "a%2fb", "a%252fb" },
		{ "Alice", "%41lice" }, // canonical ones are in lower case
		{ "a b", "a%20b" },
		{ "a\nb", "a%0Ab" },
		{ "[192.0.2.1]", "%5B192.0.2.1%5D" },
		{ "j\xc3\xbcrgen", "j\xc3\xbcrgen" },
		{ "~root", "%7Eroot" },
		{ "a+b=c_d-e", "a+b=c_d-e" },
	};
	char name[MAILDIR_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(maildir_name(view_from_text(cases[i].text), name), OK);
		assert_string_equal(name, cases[i].name);
	}
	assert_int_equal(maildir_name(VIEW("a\0b"), name), OK);
	assert_string_equal(name, "a%00b");
}

static void a_name_that_is_empty_or_too_long_is_refused(void **state)
{
	char name[MAILDIR_NAME_MAX + 1], text[MAILDIR_NAME_MAX];

	(void)state;
	memset(text, '/', sizeof text);
	assert_int_equal(maildir_name(VIEW(""), name), ERROR_INVALID);
	assert_int_equal(maildir_name(view_of(text, sizeof text), name), ERROR_INVALID);
}

struct world {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir;
	struct arena arena;
	const char *const *chunks;
};

static void world_open(struct world *world)
{
	test_folder_make(world->path);
	assert_int_equal(os_dir_open(world->path, &world->dir), OK);
	world->arena = arena_with_max(65536);
}

static void world_done(struct world *world)
{
	os_dir_close(world->dir);
	test_folder_remove(world->path);
	arena_done(&world->arena);
}

static enum error next_chunk(void *context, struct view *ret_chunk)
{
	struct world *world = context;

	*ret_chunk = view_from_text(*world->chunks);
	world->chunks += *world->chunks != NULL;
	return OK;
}

static enum error file(struct world *world, const char *mailbox, const char *unique,
		       const char *front, const char *const *chunks)
{
	static const struct view removals[] = { VIEW("Return-Path") };
	struct address address;
	struct maildir_message message = {
		.unique = view_from_text(unique),
		.mailbox = &address,
		.edits = { view_from_text(front), removals, 1 },
		.chunk = next_chunk,
		.context = world,
	};

	assert_int_equal(address_parse(&world->arena, view_from_text(mailbox), 0, &address),
			 ADDRESS_OK);
	world->chunks = chunks;
	return maildir_file(world->dir, &message);
}

static void assert_file(const struct world *world, const char *path, const char *content)
{
	struct buffer full = buffer_with_max(512), bytes = buffer_with_max(65536);

	buffer_printf(&full, "%s/%s", world->path, path);
	assert_int_equal(os_file_read_whole(buffer_text(&full), &bytes), OK);
	assert_view(buffer_view(&bytes), content);
	buffer_done(&full);
	buffer_done(&bytes);
}

static void a_message_lies_in_new_with_lf_line_ends(void **state)
{
	static const char *const chunks[] = { "Return-Path: <forged@x.example>\r\nA: b\r",
					      "\n\r\n.dot\r\nlast", NULL };
	struct world world = { 0 };

	(void)state;
	world_open(&world);
	assert_int_equal(
		file(&world, "alice@example.org", "1.a", "Return-Path: <s@x.example>\r\n", chunks),
		OK);
	assert_file(&world, "example.org/alice/Maildir/new/1.a",
		    "Return-Path: <s@x.example>\nA: b\n\n.dot\nlast\n");
	world_done(&world);
}

static void a16_an_address_is_never_a_path(void **state)
{
	static const char *const chunks[] = { "A: b\r\n\r\n", NULL };
	struct world world = { 0 };

	(void)state;
	world_open(&world);
	assert_int_equal(file(&world, "\"../../x\"@example.org", "1.a", "", chunks), OK);
	assert_file(&world, "example.org/%2E.%2F..%2Fx/Maildir/new/1.a", "A: b\n\n");
	assert_int_equal(file(&world, "\";touch x\"@example.org", "1.a", "", chunks), OK);
	assert_file(&world, "example.org/%3Btouch%20x/Maildir/new/1.a", "A: b\n\n");
	world_done(&world);
}

static void a55_a_message_filed_before_a_crash_is_not_filed_twice(void **state)
{
	static const char *const chunks[] = { "A: b\r\n\r\n", NULL };
	static const char *const other[] = { "C: d\r\n\r\n", NULL };
	struct world world = { 0 };

	(void)state;
	world_open(&world);
	assert_int_equal(file(&world, "alice@example.org", "1.a", "", chunks), OK);
	assert_int_equal(file(&world, "alice@example.org", "1.a", "", other), ERROR_EXISTS);
	assert_file(&world, "example.org/alice/Maildir/new/1.a", "A: b\n\n");
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a54_names_of_folders_never_leave_their_place),
		cmocka_unit_test(a_name_that_is_empty_or_too_long_is_refused),
		cmocka_unit_test(a_message_lies_in_new_with_lf_line_ends),
		cmocka_unit_test(a16_an_address_is_never_a_path),
		cmocka_unit_test(a55_a_message_filed_before_a_crash_is_not_filed_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
