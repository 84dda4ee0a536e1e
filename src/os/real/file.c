#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/name.h"
#include "os/random.h"

_Static_assert(sizeof(struct os_file_part) == sizeof(struct iovec), "part is an iovec");
_Static_assert(offsetof(struct os_file_part, data) == offsetof(struct iovec, iov_base), "data");
_Static_assert(offsetof(struct os_file_part, len) == offsetof(struct iovec, iov_len), "len");

enum { PARTS_PER_CALL = 64, READ_CHUNK = 16 * 1024 };

static int system_flags(int flags)
{
	int access = flags & OS_WRITE ? (flags & OS_READ ? O_RDWR : O_WRONLY) : O_RDONLY;

	return access | O_CLOEXEC | O_NOCTTY | (flags & OS_CREATE ? O_CREAT : 0) |
	       (flags & OS_EXCLUSIVE ? O_EXCL : 0) | (flags & OS_TRUNCATE ? O_TRUNC : 0) |
	       (flags & OS_APPEND ? O_APPEND : 0) | (flags & OS_DIRECT ? O_DIRECT : 0);
}

static int open_retrying(int dir, const char *path, int flags, uint32_t mode)
{
	int fd;

	do {
		fd = openat(dir, path, flags, (mode_t)mode);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

static enum error open_with(int dir, const char *path, int flags, uint32_t mode, int *ret_file)
{
	int fd = open_retrying(dir, path, flags, mode);

	// A file system without O_DIRECT, such as tmpfs, says EINVAL.
	if (fd < 0 && errno == EINVAL && flags & O_DIRECT) {
		fd = open_retrying(dir, path, flags & ~(O_DIRECT | O_EXCL), mode);
	}
	if (fd < 0) {
		return errno == ELOOP ? ERROR_PERMISSION : error_from_errno(errno);
	}
	*ret_file = fd;
	return OK;
}

enum error os_file_open_at(int dir, const char *name, int flags, uint32_t mode, int *ret_file)
{
	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	return open_with(dir, name, system_flags(flags) | O_NOFOLLOW, mode, ret_file);
}

enum error os_file_open_path(const char *path, int flags, uint32_t mode, int *ret_file)
{
	return open_with(AT_FDCWD, path, system_flags(flags), mode, ret_file);
}

void os_file_close(int file)
{
	if (file >= 0) {
		close(file);
	}
}

enum error os_file_read_some(int file, uint64_t offset, void *bytes, size_t size, size_t *ret_len)
{
	ssize_t got;

	do {
		got = pread(file, bytes, size, (off_t)offset);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return error_from_errno(errno);
	}
	*ret_len = (size_t)got;
	return OK;
}

enum error os_file_read_at(int file, uint64_t offset, void *bytes, size_t len)
{
	char *place = bytes;

	while (len) {
		size_t got;
		enum error error = os_file_read_some(file, offset, place, len, &got);

		if (error != OK) {
			return error;
		}
		if (got == 0) {
			return ERROR_CORRUPT;
		}
		place += got;
		offset += got;
		len -= got;
	}
	return OK;
}

enum error os_file_set_direct(int file, bool direct)
{
	int flags = fcntl(file, F_GETFL);
	int wanted = direct ? flags | O_DIRECT : flags & ~O_DIRECT;

	// As at the opening, a file system without it says EINVAL.
	if (flags < 0 || (fcntl(file, F_SETFL, wanted) < 0 && errno != EINVAL)) {
		return error_from_errno(errno);
	}
	return OK;
}

// A write that takes nothing would be tried for ever.
static enum error check_written(ssize_t written)
{
	if (written < 0) {
		return error_from_errno(errno);
	}
	return written == 0 ? ERROR_NO_SPACE : OK;
}

enum error os_file_write_at(int file, uint64_t offset, struct view bytes)
{
	while (bytes.len) {
		ssize_t written = pwrite(file, bytes.data, bytes.len, (off_t)offset);
		enum error error;

		if (written < 0 && errno == EINTR) {
			continue;
		}
		error = check_written(written);
		if (error != OK) {
			return error;
		}
		bytes = view_from(bytes, (size_t)written);
		offset += (size_t)written;
	}
	return OK;
}

// What a short write left of its parts, one by one: it happens on a full disk, or never.
static enum error finish_short(int file, uint64_t *offset, const struct os_file_part *parts,
			       unsigned count, size_t written)
{
	for (unsigned i = 0; i < count; i++) {
		struct view rest = view_of(parts[i].data, parts[i].len);
		enum error error;

		if (written >= rest.len) {
			written -= rest.len;
			continue;
		}
		rest = view_from(rest, written);
		written = 0;
		error = os_file_write_at(file, *offset, rest);
		if (error != OK) {
			return error;
		}
		*offset += rest.len;
	}
	return OK;
}

enum error os_file_write_parts_at(int file, uint64_t offset, const struct os_file_part *parts,
				  unsigned count)
{
	while (count) {
		unsigned now = count < PARTS_PER_CALL ? count : PARTS_PER_CALL;
		size_t total = 0;
		ssize_t written;
		enum error error;

		for (unsigned i = 0; i < now; i++) {
			total += parts[i].len;
		}
		written = pwritev(file, (const struct iovec *)parts, (int)now, (off_t)offset);
		if (written < 0 && errno == EINTR) {
			continue;
		}
		error = total ? check_written(written) : OK;
		if (error == OK) {
			offset += (size_t)written;
			error = finish_short(file, &offset, parts, now, (size_t)written);
		}
		if (error != OK) {
			return error;
		}
		parts += now;
		count -= now;
	}
	return OK;
}

static enum error result_of(int status)
{
	return status < 0 ? error_from_errno(errno) : OK;
}

// Not tried again: a second sync may report success for pages that the first one dropped.
enum error os_file_sync_data(int file)
{
	return result_of(fdatasync(file));
}

enum error os_file_sync(int file)
{
	return result_of(fsync(file));
}

enum error os_file_size(int file, uint64_t *ret_size)
{
	struct os_file_info info;
	enum error error = os_file_info(file, &info);

	if (error == OK) {
		*ret_size = info.size;
	}
	return error;
}

static struct os_file_info info_of(const struct stat *status)
{
	return (struct os_file_info){
		.size = (uint64_t)status->st_size,
		.modified_ms = (uint64_t)status->st_mtim.tv_sec * 1000 +
			       (uint64_t)status->st_mtim.tv_nsec / 1000000,
		.inode = status->st_ino,
		.mode = status->st_mode & 07777,
		.uid = status->st_uid,
		.gid = status->st_gid,
		.is_regular = S_ISREG(status->st_mode),
		.is_dir = S_ISDIR(status->st_mode),
		.is_link = S_ISLNK(status->st_mode),
	};
}

enum error os_file_info_at(int dir, const char *name, struct os_file_info *ret_info)
{
	struct stat status;

	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		return error_from_errno(errno);
	}
	*ret_info = info_of(&status);
	return OK;
}

enum error os_file_info(int file, struct os_file_info *ret_info)
{
	struct stat status;

	if (fstat(file, &status) < 0) {
		return error_from_errno(errno);
	}
	*ret_info = info_of(&status);
	return OK;
}

enum error os_file_rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
	if (!os_name_is_single(from) || !os_name_is_single(to)) {
		return ERROR_INVALID;
	}
	return result_of(renameat(from_dir, from, to_dir, to));
}

enum error os_file_remove_at(int dir, const char *name)
{
	return os_name_is_single(name) ? result_of(unlinkat(dir, name, 0)) : ERROR_INVALID;
}

enum error os_file_owner(int file, uint32_t uid, uint32_t gid)
{
	return result_of(fchown(file, uid, gid));
}

enum error os_file_mode(int file, uint32_t mode)
{
	return result_of(fchmod(file, (mode_t)mode));
}

enum error os_file_lock(int file)
{
	int status;

	do {
		status = flock(file, LOCK_EX | LOCK_NB);
	} while (status < 0 && errno == EINTR);
	return status < 0 && errno == EWOULDBLOCK ? ERROR_BUSY : result_of(status);
}

static enum error read_to_end(int file, struct buffer *out)
{
	for (;;) {
		char chunk[READ_CHUNK];
		ssize_t got = read(file, chunk, sizeof chunk);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return error_from_errno(errno);
		}
		if (got == 0) {
			return OK;
		}
		buffer_add(out, view_of(chunk, (size_t)got));
		if (buffer_error(out) != OK) {
			return buffer_error(out);
		}
	}
}

enum error os_file_read_whole(const char *path, struct buffer *out)
{
	int file = -1;
	enum error error = os_file_open_path(path, OS_READ, 0, &file);

	if (error == OK) {
		error = read_to_end(file, out);
	}
	os_file_close(file);
	return error;
}

static enum error write_new(int dir, const char *name, struct view bytes, uint32_t mode)
{
	int file = -1;
	enum error error =
		os_file_open_at(dir, name, OS_WRITE | OS_CREATE | OS_EXCLUSIVE, mode, &file);

	if (error != OK) {
		return error;
	}
	error = os_file_mode(file, mode); // whatever the umask
	if (error == OK) {
		error = os_file_write_at(file, 0, bytes);
	}
	if (error == OK) {
		error = os_file_sync(file);
	}
	os_file_close(file);
	return error;
}

enum error os_file_replace_at(int dir, const char *name, struct view bytes, uint32_t mode)
{
	char temporary[OS_NAME_MAX + 1];
	enum error error;
	int len;

	if (!os_name_is_single(name)) {
		return ERROR_INVALID;
	}
	len = snprintf(temporary, sizeof temporary, ".%s.%016llx", name,
		       (unsigned long long)os_random_u64());
	if (len < 0 || (size_t)len >= sizeof temporary) {
		return ERROR_INVALID;
	}
	error = write_new(dir, temporary, bytes, mode);
	if (error == OK) {
		error = os_file_rename_at(dir, temporary, dir, name);
	}
	if (error != OK) {
		unlinkat(dir, temporary, 0);
		return error;
	}
	return os_dir_sync(dir);
}
