#include "os/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SEALS_OF_SIZE = F_SEAL_SHRINK | F_SEAL_GROW,
	SEALS_OF_ALL = SEALS_OF_SIZE | F_SEAL_WRITE,
};

static enum error new_memfd(const char *name, size_t size, int *ret_fd)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	enum error error = OK;

	if (fd < 0) {
		return error_from_errno(errno);
	}
	if (ftruncate(fd, (off_t)size) < 0) {
		error = error_from_errno(errno);
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return OK;
}

static enum error map(int fd, size_t size, int protection, void **ret_memory)
{
	void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED) {
		return error_from_errno(errno);
	}
	*ret_memory = memory;
	return OK;
}

enum error os_page_new(const char *name, size_t size, int *ret_fd, void **ret_memory)
{
	void *memory = NULL;
	enum error error;
	int fd = -1;

	error = new_memfd(name, size, &fd);
	if (error != OK) {
		return error;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS_OF_SIZE | F_SEAL_SEAL) < 0) {
		error = error_from_errno(errno);
	} else {
		error = map(fd, size, PROT_READ | PROT_WRITE, &memory);
	}
	if (error != OK) {
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_memory = memory;
	return OK;
}

enum error os_page_reader(int fd, int *ret_fd)
{
	char path[64];
	int reader;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	if (reader < 0) {
		return error_from_errno(errno);
	}
	*ret_fd = reader;
	return OK;
}

// The size of a page that carries these seals.
static enum error check_sealed(int fd, int wanted, size_t *ret_size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (seals < 0 || (seals & wanted) != wanted) {
		return ERROR_INVALID;
	}
	if (fstat(fd, &status) < 0) {
		return error_from_errno(errno);
	}
	*ret_size = (size_t)status.st_size;
	return OK;
}

enum error os_page_map(int fd, size_t size, bool writable, void **ret_memory)
{
	size_t available = 0;
	enum error error = check_sealed(fd, F_SEAL_SHRINK, &available);

	if (error != OK) {
		return error;
	}
	if (available < size) {
		return ERROR_INVALID;
	}
	return map(fd, size, PROT_READ | (writable ? PROT_WRITE : 0), ret_memory);
}

void os_page_unmap(void *memory, size_t size)
{
	if (memory) {
		munmap(memory, size);
	}
}

static enum error write_all(int fd, struct view bytes)
{
	while (bytes.len) {
		ssize_t written = write(fd, bytes.data, bytes.len);

		if (written < 0 && errno != EINTR) {
			return error_from_errno(errno);
		}
		if (written > 0) {
			bytes = view_from(bytes, (size_t)written);
		}
	}
	return OK;
}

enum error os_page_sealed(const char *name, struct view bytes, int *ret_fd)
{
	enum error error;
	int fd = -1;

	error = new_memfd(name, 0, &fd);
	if (error != OK) {
		return error;
	}
	error = write_all(fd, bytes);
	if (error == OK && fcntl(fd, F_ADD_SEALS, SEALS_OF_ALL | F_SEAL_SEAL) < 0) {
		error = error_from_errno(errno);
	}
	if (error != OK) {
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return OK;
}

enum error os_page_map_sealed(int fd, struct view *ret_bytes)
{
	void *memory = NULL;
	size_t size = 0;
	enum error error = check_sealed(fd, SEALS_OF_ALL, &size);

	if (error == OK && size > 0) {
		error = map(fd, size, PROT_READ, &memory);
	}
	if (error == OK) {
		*ret_bytes = view_of(memory, size);
	}
	return error;
}

void os_page_close(int fd)
{
	if (fd >= 0) {
		close(fd);
	}
}
