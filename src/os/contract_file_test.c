// What both builds of os promise: files and folders.
#include "os/contract.h"

#include <string.h>

#include "base/check.h"
#include "os/file.h"

static void file_holds_what_was_written(void **state)
{
	struct contract *contract = *state;
	struct os_file_part parts[] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };
	char bytes[8] = { 0 };
	uint64_t size;
	size_t len;
	int file;

	assert_int_equal(os_file_open_at(contract->dir, "f",
					 OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, 0600,
					 &file),
			 OK);
	assert_int_equal(os_file_write_parts_at(file, 3, parts, COUNT_OF(parts)), OK);
	assert_int_equal(os_file_write_at(file, 4, VIEW("B")), OK);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 8);
	assert_int_equal(os_file_read_at(file, 0, bytes, 8), OK);
	assert_memory_equal(bytes, "\0\0\0aBcde", 8);
	assert_int_equal(os_file_read_at(file, 4, bytes, 5), ERROR_CORRUPT);
	assert_int_equal(os_file_read_some(file, 4, bytes, 8, &len), OK);
	assert_int_equal(len, 4);
	assert_int_equal(os_file_read_some(file, 100, bytes, 8, &len), OK);
	assert_int_equal(len, 0);
	assert_int_equal(os_file_sync_data(file), OK);
	os_file_close(file);
}

static void direct_writes_begin_and_end_when_asked(void **state)
{
	static char blocks[2 * 4096] __attribute__((aligned(4096))) = "direct";
	struct contract *contract = *state;
	char bytes[8];
	int file;

	assert_int_equal(os_file_open_at(contract->dir, "direct",
					 OS_READ | OS_WRITE | OS_CREATE | OS_DIRECT, 0600, &file),
			 OK);
	assert_int_equal(os_file_write_at(file, 0, view_of(blocks, sizeof blocks)), OK);
	assert_int_equal(os_file_set_direct(file, false), OK);
	assert_int_equal(os_file_write_at(file, 1, VIEW("IR")), OK);
	assert_int_equal(os_file_read_at(file, 0, bytes, sizeof bytes), OK);
	assert_memory_equal(bytes, "dIRect\0\0", 8);
	assert_int_equal(os_file_set_direct(file, true), OK);
	assert_int_equal(os_file_write_at(file, 4096, view_of(blocks, 4096)), OK);
	os_file_close(file);
}

static void names_follow_the_rules(void **state)
{
	struct contract *contract = *state;
	int dir = contract->dir, flags = OS_WRITE | OS_CREATE, file, sub;
	struct os_file_info info;

	assert_int_equal(os_file_open_at(dir, "none", OS_READ, 0, &file), ERROR_NOT_FOUND);
	assert_int_equal(os_file_open_at(dir, "../x", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "..", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "a", flags, 0640, &file), OK);
	os_file_close(file);
	assert_int_equal(os_file_open_at(dir, "a", flags | OS_EXCLUSIVE, 0600, &file),
			 ERROR_EXISTS);
	assert_int_equal(os_dir_make_at(dir, "sub", 0700), OK);
	assert_int_equal(os_dir_make_at(dir, "sub", 0700), ERROR_EXISTS);
	assert_int_equal(os_dir_open_at(dir, "sub", &sub), OK);
	assert_int_equal(os_file_rename_at(dir, "a", sub, "b"), OK);
	assert_int_equal(os_file_info_at(dir, "a", &info), ERROR_NOT_FOUND);
	assert_int_equal(os_file_info_at(sub, "b", &info), OK);
	assert_true(info.is_regular && !info.is_dir && !info.is_link);
	assert_int_equal(info.mode, 0640);
	assert_int_equal(os_file_remove_at(sub, "b"), OK);
	assert_int_equal(os_file_remove_at(sub, "b"), ERROR_NOT_FOUND);
	assert_int_equal(os_dir_sync(sub), OK);
	assert_int_equal(os_file_mode(sub, 0750), OK);
	os_dir_close(sub);
	assert_int_equal(os_file_info_at(dir, "sub", &info), OK);
	assert_int_equal(info.mode, 0750);
	assert_int_equal(os_dir_remove_at(dir, "sub"), OK);
	assert_int_equal(os_dir_open_at(dir, "sub", &sub), ERROR_NOT_FOUND);
}

static bool count_names(void *context, const char *name)
{
	assert_true(name[0] != '.');
	return ++*(int *)context < 3;
}

static void walk_of_a_folder_shows_each_name_until_told_to_end(void **state)
{
	struct contract *contract = *state;
	int count = 0, file;

	for (const char *name = "abcde"; *name; name++) {
		assert_int_equal(os_file_open_at(contract->dir, (char[]){ *name, 0 },
						 OS_WRITE | OS_CREATE, 0600, &file),
				 OK);
		os_file_close(file);
	}
	assert_int_equal(os_dir_list(contract->dir, count_names, &count), OK);
	assert_int_equal(count, 3);
	count = -10;
	assert_int_equal(os_dir_list(contract->dir, count_names, &count), OK);
	assert_int_equal(count, -5);
}

static void lock_is_held_by_one_descriptor(void **state)
{
	struct contract *contract = *state;
	int a, b, dir = contract->dir;

	assert_int_equal(os_file_open_at(dir, "lock", OS_WRITE | OS_CREATE, 0600, &a), OK);
	assert_int_equal(os_file_open_at(dir, "lock", OS_WRITE, 0600, &b), OK);
	assert_int_equal(os_file_lock(a), OK);
	assert_int_equal(os_file_lock(b), ERROR_BUSY);
	os_file_close(a);
	assert_int_equal(os_file_lock(b), OK);
	os_file_close(b);
}

static void whole_file_is_replaced_and_read(void **state)
{
	struct contract *contract = *state;
	struct buffer path = buffer_with_max(200), out = buffer_with_max(5);

	buffer_printf(&path, "%s/whole", contract->path);
	for (const char *text = "12345"; *text; text++) {
		assert_int_equal(
			os_file_replace_at(contract->dir, "whole", view_from_text(text), 0600), OK);
		buffer_clear(&out);
		assert_int_equal(os_file_read_whole(buffer_text(&path), &out), OK);
		assert_view(buffer_view(&out), text);
	}
	assert_int_equal(os_file_read_whole(buffer_text(&path), &out), OK);
	buffer_done(&out);
	out.max = 0;
	assert_int_equal(os_file_read_whole(buffer_text(&path), &out), ERROR_LIMIT);
	buffer_done(&path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(file_holds_what_was_written),
		CONTRACT_TEST(direct_writes_begin_and_end_when_asked),
		CONTRACT_TEST(names_follow_the_rules),
		CONTRACT_TEST(walk_of_a_folder_shows_each_name_until_told_to_end),
		CONTRACT_TEST(lock_is_held_by_one_descriptor),
		CONTRACT_TEST(whole_file_is_replaced_and_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
