#include "base/check.h"
#include "os/file.h"
#include "os/test_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir;
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	test_folder_make(place->path);
	assert_int_equal(os_dir_open(place->path, &place->dir), OK);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	os_dir_close(place->dir);
	test_folder_remove(place->path);
	free(place);
	return 0;
}

static int new_file(const struct place *place, const char *name)
{
	int file;

	assert_int_equal(os_file_open_at(place->dir, name,
					 OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, 0600,
					 &file),
			 OK);
	return file;
}

static void no_name_leaves_its_folder(void **state)
{
	const struct place *place = *state;
	static const char *const bad[] = { "", ".", "..", "/etc/passwd", "../x", "a/b", "a/" };
	char long_name[300] = "";
	struct os_file_info info;
	int fd;

	memset(long_name, 'x', 256);
	assert_int_equal(os_file_open_at(place->dir, long_name, OS_READ, 0, &fd), ERROR_INVALID);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(os_file_open_at(place->dir, bad[i], OS_READ, 0, &fd),
				 ERROR_INVALID);
		assert_int_equal(os_dir_open_at(place->dir, bad[i], &fd), ERROR_INVALID);
		assert_int_equal(os_dir_make_at(place->dir, bad[i], 0700), ERROR_INVALID);
		assert_int_equal(os_dir_remove_at(place->dir, bad[i]), ERROR_INVALID);
		assert_int_equal(os_file_remove_at(place->dir, bad[i]), ERROR_INVALID);
		assert_int_equal(os_file_info_at(place->dir, bad[i], &info), ERROR_INVALID);
		assert_int_equal(os_file_rename_at(place->dir, "x", place->dir, bad[i]),
				 ERROR_INVALID);
		assert_int_equal(os_file_replace_at(place->dir, bad[i], VIEW("x"), 0600),
				 ERROR_INVALID);
	}
}

static void links_are_not_followed(void **state)
{
	const struct place *place = *state;
	struct os_file_info info;
	int fd;

	assert_int_equal(symlinkat("/etc/passwd", place->dir, "file"), 0);
	assert_int_equal(symlinkat("/etc", place->dir, "dir"), 0);
	assert_int_equal(os_file_open_at(place->dir, "file", OS_READ, 0, &fd), ERROR_PERMISSION);
	assert_int_equal(os_file_open_at(place->dir, "file", OS_WRITE | OS_CREATE, 0600, &fd),
			 ERROR_PERMISSION);
	assert_int_not_equal(os_dir_open_at(place->dir, "dir", &fd), OK);
	assert_int_equal(os_file_info_at(place->dir, "file", &info), OK);
	assert_true(info.is_link);
}

static void bytes_are_written_and_read_in_place(void **state)
{
	const struct place *place = *state;
	struct os_file_part parts[200];
	char bytes[200];
	uint64_t size;
	size_t len;
	int file = new_file(place, "f");

	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		parts[i] = (struct os_file_part){ "0123456789" + i % 10, i % 3 != 0 };
	}
	assert_int_equal(os_file_write_parts_at(file, 5, parts, COUNT_OF(parts)), OK);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 5 + 133);
	assert_int_equal(os_file_read_at(file, 5, bytes, 6), OK);
	assert_view(view_of(bytes, 6), "124578");
	assert_int_equal(os_file_write_at(file, 0, VIEW("start")), OK);
	assert_int_equal(os_file_read_some(file, 0, bytes, sizeof bytes, &len), OK);
	assert_int_equal(len, 138);
	assert_view(view_of(bytes, 7), "start12");
	assert_int_equal(os_file_read_at(file, 130, bytes, 20), ERROR_CORRUPT);
	assert_int_equal(os_file_sync_data(file), OK);
	os_file_close(file);
}

static void writing_to_a_full_device_says_so(void **state)
{
	const struct os_file_part part = { "x", 1 };
	int file;

	(void)state;
	assert_int_equal(os_file_open_path("/dev/full", OS_WRITE, 0, &file), OK);
	assert_int_equal(os_file_write_at(file, 0, VIEW("x")), ERROR_NO_SPACE);
	assert_int_equal(os_file_write_parts_at(file, 0, &part, 1), ERROR_NO_SPACE);
	os_file_close(file);
}

static void creation_can_be_exclusive(void **state)
{
	const struct place *place = *state;
	int file = new_file(place, "f");

	os_file_close(file);
	assert_int_equal(
		os_file_open_at(place->dir, "f", OS_WRITE | OS_CREATE | OS_EXCLUSIVE, 0600, &file),
		ERROR_EXISTS);
	assert_int_equal(os_file_open_at(place->dir, "g", OS_READ, 0, &file), ERROR_NOT_FOUND);
	assert_int_equal(os_dir_make_at(place->dir, "d", 0700), OK);
	assert_int_equal(os_dir_make_at(place->dir, "d", 0700), ERROR_EXISTS);
}

static void direct_writes_work_or_fall_back(void **state)
{
	const struct place *place = *state;
	void *block = NULL;
	int file;

	assert_int_equal(posix_memalign(&block, 4096, 4096), 0);
	memset(block, 'x', 4096);
	assert_int_equal(os_file_open_at(place->dir, "f",
					 OS_WRITE | OS_CREATE | OS_EXCLUSIVE | OS_DIRECT, 0600,
					 &file),
			 OK);
	assert_int_equal(os_file_write_at(file, 0, view_of(block, 4096)), OK);
	os_file_close(file);
	assert_int_equal(os_file_open_path("/dev/shm/os-file-test",
					   OS_WRITE | OS_CREATE | OS_DIRECT, 0600, &file),
			 OK);
	unlink("/dev/shm/os-file-test");
	assert_int_equal(os_file_write_at(file, 0, view_of(block, 4096)), OK);
	os_file_close(file);
	free(block);
}

static void a_lock_excludes_others_until_closed(void **state)
{
	const struct place *place = *state;
	int first = new_file(place, "lock"), second;

	assert_int_equal(os_file_open_at(place->dir, "lock", OS_READ, 0, &second), OK);
	assert_int_equal(os_file_lock(first), OK);
	assert_int_equal(os_file_lock(second), ERROR_BUSY);
	os_file_close(first);
	assert_int_equal(os_file_lock(second), OK);
	os_file_close(second);
}

static bool count_name(void *context, const char *name)
{
	unsigned *count = context;

	assert_string_equal(name, "secret");
	return ++*count < 100;
}

static void a_file_is_replaced_whole_with_its_mode(void **state)
{
	const struct place *place = *state;
	struct buffer bytes = buffer_with_max(16), small = buffer_with_max(4);
	struct os_file_info info;
	unsigned count = 0;
	char path[100];
	mode_t before = umask(0777);

	assert_int_equal(os_file_replace_at(place->dir, "secret", VIEW("first"), 0640), OK);
	assert_int_equal(os_file_replace_at(place->dir, "secret", VIEW("second"), 0600), OK);
	umask(before);
	assert_int_equal(os_file_info_at(place->dir, "secret", &info), OK);
	assert_int_equal(info.mode, 0600);
	assert_true(info.is_regular);
	snprintf(path, sizeof path, "%s/secret", place->path);
	assert_int_equal(os_file_read_whole(path, &bytes), OK);
	assert_view(buffer_view(&bytes), "second");
	assert_int_equal(os_file_read_whole(path, &small), ERROR_LIMIT);
	assert_int_equal(os_dir_list(place->dir, count_name, &count), OK);
	assert_int_equal(count, 1);
	buffer_done(&bytes);
	buffer_done(&small);
}

static void appended_bytes_go_to_the_end(void **state)
{
	const struct place *place = *state;
	uint64_t size, bytes_free, inodes_free;
	int file;

	assert_int_equal(
		os_file_open_at(place->dir, "log", OS_WRITE | OS_CREATE | OS_APPEND, 0600, &file),
		OK);
	assert_int_equal(write(file, "one", 3), 3);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_int_equal(write(file, "two", 3), 3);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 6);
	assert_int_equal(os_dir_free_bytes(place->dir, &bytes_free, &inodes_free), OK);
	assert_true(bytes_free > 0);
	os_file_close(file);
}

#define FILE_TEST(test_) cmocka_unit_test_setup_teardown(test_, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(no_name_leaves_its_folder),
		FILE_TEST(links_are_not_followed),
		FILE_TEST(bytes_are_written_and_read_in_place),
		FILE_TEST(writing_to_a_full_device_says_so),
		FILE_TEST(creation_can_be_exclusive),
		FILE_TEST(direct_writes_work_or_fall_back),
		FILE_TEST(a_lock_excludes_others_until_closed),
		FILE_TEST(a_file_is_replaced_whole_with_its_mode),
		FILE_TEST(appended_bytes_go_to_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
