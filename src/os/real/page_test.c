#include "base/check.h"
#include "os/page.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_page_is_shared_and_keeps_its_size(void **state)
{
	void *writer, *reader, *refused;
	int fd, reader_fd;

	(void)state;
	assert_int_equal(os_page_new("mark", 4096, &fd, &writer), OK);
	assert_int_equal(os_page_reader(fd, &reader_fd), OK);
	assert_int_equal(os_page_map(reader_fd, 4096, true, &refused), ERROR_PERMISSION);
	assert_int_equal(os_page_map(reader_fd, 8192, false, &refused), ERROR_INVALID);
	assert_int_equal(os_page_map(reader_fd, 4096, false, &reader), OK);
	memcpy(writer, "250", 3);
	assert_memory_equal(reader, "250", 3);
	assert_int_not_equal(ftruncate(fd, 0), 0);
	assert_int_not_equal(ftruncate(fd, 8192), 0);
	os_page_close(fd);
	os_page_close(reader_fd);
	os_page_unmap(writer, 4096);
	os_page_unmap(reader, 4096);
}

static void a_page_that_may_shrink_is_refused(void **state)
{
	int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct view bytes;
	void *memory;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(os_page_map(fd, 4096, false, &memory), ERROR_INVALID);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(os_page_map_sealed(fd, &bytes), ERROR_INVALID); // may still be written
	os_page_close(fd);
	assert_int_equal(os_page_map_sealed(0, &bytes), ERROR_INVALID);
}

static void a_sealed_page_cannot_change(void **state)
{
	struct view bytes;
	int fd;

	(void)state;
	assert_int_equal(os_page_sealed("table", VIEW("alice@example.org"), &fd), OK);
	assert_int_equal(os_page_map_sealed(fd, &bytes), OK);
	assert_view(bytes, "alice@example.org");
	assert_true(pwrite(fd, "x", 1, 0) < 0);
	assert_int_not_equal(ftruncate(fd, 0), 0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	os_page_unmap((void *)bytes.data, bytes.len);
	os_page_close(fd);
	assert_int_equal(os_page_sealed("empty", (struct view){ 0 }, &fd), OK);
	assert_int_equal(os_page_map_sealed(fd, &bytes), OK);
	assert_int_equal(bytes.len, 0);
	os_page_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_shared_and_keeps_its_size),
		cmocka_unit_test(a_page_that_may_shrink_is_refused),
		cmocka_unit_test(a_sealed_page_cannot_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
