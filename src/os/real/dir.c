#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "os/file.h"
#include "os/name.h"

enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static enum error open_dir(int dir, const char *path, int flags, int *ret_dir)
{
	int fd = openat(dir, path, flags);

	if (fd < 0) {
		return errno == ELOOP ? ERROR_PERMISSION : error_from_errno(errno);
	}
	*ret_dir = fd;
	return OK;
}

enum error os_dir_open(const char *path, int *ret_dir)
{
	return open_dir(AT_FDCWD, path, DIR_FLAGS, ret_dir);
}

enum error os_dir_open_at(int dir, const char *name, int *ret_dir)
{
	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	return open_dir(dir, name, DIR_FLAGS | O_NOFOLLOW, ret_dir);
}

enum error os_dir_make_at(int dir, const char *name, uint32_t mode)
{
	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	return mkdirat(dir, name, (mode_t)mode) < 0 ? error_from_errno(errno) : OK;
}

enum error os_dir_remove_at(int dir, const char *name)
{
	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? error_from_errno(errno) : OK;
}

enum error os_dir_sync(int dir)
{
	return fsync(dir) < 0 ? error_from_errno(errno) : OK;
}

void os_dir_close(int dir)
{
	if (dir >= 0) {
		close(dir);
	}
}

// The walk has a descriptor of its own, so that its position is its own too.
enum error os_dir_list(int dir, os_dir_name_fn *fn, void *context)
{
	int own = openat(dir, ".", DIR_FLAGS);
	DIR *walk = own < 0 ? NULL : fdopendir(own);
	enum error error = OK;

	if (!walk) {
		error = error_from_errno(errno);
		os_dir_close(own);
		return error;
	}
	for (;;) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(walk);
		if (!entry) {
			error = error_from_errno(errno);
			break;
		}
		if (!is_dots(entry->d_name) && !fn(context, entry->d_name)) {
			break;
		}
	}
	closedir(walk);
	return error;
}

enum error os_dir_free_bytes(int dir, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
	struct statvfs status;

	if (fstatvfs(dir, &status) < 0) {
		return error_from_errno(errno);
	}
	*ret_bytes = (uint64_t)status.f_bavail * status.f_frsize;
	*ret_inodes = status.f_files > 0 ? status.f_favail : UINT64_MAX;
	return OK;
}
