#include "os/test_folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "os/file.h"

void test_folder_make(char ret_path[static TEST_FOLDER_PATH_SIZE])
{
	static const char template[] = "/tmp/packetboat-test-XXXXXX";

	memcpy(ret_path, template, sizeof template);
	assert_non_null(mkdtemp(ret_path));
}

static bool remove_name(void *context, const char *name)
{
	int parent = *(const int *)context, dir;

	if (os_dir_open_at(parent, name, &dir) == OK) {
		assert_int_equal(os_dir_list(dir, remove_name, &dir), OK);
		os_dir_close(dir);
		assert_int_equal(os_dir_remove_at(parent, name), OK);
	} else {
		assert_int_equal(os_file_remove_at(parent, name), OK);
	}
	return true;
}

void test_folder_remove(const char *path)
{
	int dir;

	assert_int_equal(os_dir_open(path, &dir), OK);
	assert_int_equal(os_dir_list(dir, remove_name, &dir), OK);
	os_dir_close(dir);
	assert_int_equal(rmdir(path), 0);
}
