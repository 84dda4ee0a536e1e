// For unit tests only: a fresh folder on the real disk. A test that uses it lists os_test_folder
// (src/os/meson.build) among its sources.
#pragma once

enum { TEST_FOLDER_PATH_SIZE = 64 };

void test_folder_make(char ret_path[static TEST_FOLDER_PATH_SIZE]);
void test_folder_remove(const char *path); // with all that is in it
