// The part of os/file.h that is about files and their bytes, over a simulated disk.
#include "os/sim/file.h"

#include <stdlib.h>
#include <string.h>

enum { DIRECT_ALIGNMENT = 4096 };

static int file_events(struct sim_object *object)
{
	(void)object;
	return 0;
}

static void file_free(struct sim_object *object)
{
	struct sim_file *file = CONTAINER_OF(object, struct sim_file, object);

	if (file->inode->locked_by == file) {
		file->inode->locked_by = NULL;
	}
	sim_inode_closed(file->inode);
	free(file);
}

enum error sim_file_new(struct sim_inode *inode, int flags, int *ret_fd)
{
	struct sim_file *file = SIM_NEW(struct sim_file);

	sim_object_init(&file->object, inode->is_dir ? SIM_DIR : SIM_FILE);
	file->object.events = file_events;
	file->object.free = file_free;
	file->inode = inode;
	file->flags = flags;
	sim_inode_opened(inode);
	return sim_fd_new(&file->object, ret_fd);
}

struct sim_file *sim_file(int fd, enum sim_object_kind kind)
{
	return CONTAINER_OF(sim_fd_object(fd, kind), struct sim_file, object);
}

enum error sim_name_check(const char *name)
{
	return os_name_is_single(name) ? OK : ERROR_INVALID;
}

// ---- opening --------------------------------------------------------------------------------

static enum error open_in(struct sim_inode *dir, const char *name, int flags, uint32_t mode,
			  int *ret_file)
{
	struct sim_inode *inode = sim_inode_find(dir, name);
	enum error error;

	if (!inode && !(flags & OS_CREATE)) {
		return ERROR_NOT_FOUND;
	}
	if (inode && (flags & OS_CREATE) && (flags & OS_EXCLUSIVE)) {
		return ERROR_EXISTS;
	}
	if (inode && inode->is_dir) {
		return ERROR_IO;
	}
	if (!inode) {
		sim_trace("creates %s", name);
		inode = sim_inode_new(dir->disk, false, mode);
		sim_disk_change(dir->disk, inode, NULL, NULL, dir, name);
	} else if ((flags & OS_TRUNCATE) && inode->now.len) {
		error = sim_inode_resize(inode, 0);
		if (error) {
			return error;
		}
	}
	return sim_file_new(inode, flags, ret_file);
}

enum error os_file_open_at(int dir, const char *name, int flags, uint32_t mode, int *ret_file)
{
	struct sim_inode *parent = sim_file(dir, SIM_DIR)->inode;
	enum error error = sim_name_check(name);

	if (!error) {
		error = sim_call_begin(SIM_OPEN, SIM_FILE_CALL_US_MAX);
	}
	return error ? error : open_in(parent, name, flags, mode, ret_file);
}

enum error os_file_open_path(const char *path, int flags, uint32_t mode, int *ret_file)
{
	enum error error = sim_call_begin(SIM_OPEN, SIM_FILE_CALL_US_MAX);
	char name[OS_NAME_MAX + 1];
	struct sim_inode *dir = NULL;

	if (!error) {
		error = sim_path_walk(path, &dir, name);
	}
	if (error) {
		return error;
	}
	return name[0] ? open_in(dir, name, flags, mode, ret_file) : ERROR_IO;
}

void os_file_close(int file)
{
	sim_fd_close(file);
}

// ---- bytes ----------------------------------------------------------------------------------

static bool is_aligned(const struct sim_file *file, uint64_t offset, const void *memory, size_t len)
{
	return !(file->flags & OS_DIRECT) ||
	       (offset | (uintptr_t)memory | len) % DIRECT_ALIGNMENT == 0;
}

enum error os_file_set_direct(int fd, bool direct)
{
	struct sim_file *file = sim_file(fd, SIM_FILE);

	file->flags = direct ? file->flags | OS_DIRECT : file->flags & ~OS_DIRECT;
	return OK;
}

enum error os_file_read_some(int fd, uint64_t offset, void *bytes, size_t size, size_t *ret_len)
{
	const struct sim_file *file = sim_file(fd, SIM_FILE);
	enum error error = sim_call_begin(SIM_READ, SIM_FILE_CALL_US_MAX);
	struct view all = view_of(file->inode->now.data, file->inode->now.len);

	if (error) {
		return error;
	}
	if (!(file->flags & OS_READ) || !is_aligned(file, offset, bytes, size)) {
		return ERROR_INVALID;
	}
	if (sim_strikes(&sim_current->faults.read_io)) {
		sim_trace("a read fails");
		return ERROR_IO;
	}
	all = view_first(view_from(all, offset), size);
	if (all.len) {
		memcpy(bytes, all.data, all.len);
	}
	*ret_len = all.len;
	return OK;
}

enum error os_file_read_at(int file, uint64_t offset, void *bytes, size_t len)
{
	size_t done = 0;
	enum error error = os_file_read_some(file, offset, bytes, len, &done);

	return error ? error : done < len ? ERROR_CORRUPT : OK;
}

// A write that fails half-way has written a part.
static enum error write_fault(struct view *bytes)
{
	const struct sim_faults *faults = &sim_current->faults;
	enum error error = sim_strikes(&faults->write_no_space) ? ERROR_NO_SPACE
			   : sim_strikes(&faults->write_io)     ? ERROR_IO
								: OK;

	if (error) {
		*bytes = view_first(*bytes, sim_below(bytes->len));
	}
	return error;
}

static enum error file_write(struct sim_file *file, uint64_t offset, struct view bytes)
{
	bool is_last;
	enum error error = sim_call_begin_half(SIM_WRITE, SIM_FILE_CALL_US_MAX, &is_last), full;

	if (error && !is_last) {
		return error;
	}
	if (!(file->flags & OS_WRITE) || !is_aligned(file, offset, bytes.data, bytes.len)) {
		return ERROR_INVALID;
	}
	error = write_fault(&bytes);
	if (is_last) {
		bytes = view_first(bytes, sim_below(bytes.len + 1));
	}
	full = sim_inode_write(file->inode, offset, bytes);
	error = error ? error : full;
	if (error) {
		sim_tell("%s: a write of file %llu at %llu ends after %zu bytes: %s",
			 sim_current->process->name, (unsigned long long)file->inode->number,
			 (unsigned long long)offset, bytes.len, error_text(error));
	} else {
		sim_trace("writes file %llu at %llu, %zu bytes",
			  (unsigned long long)file->inode->number, (unsigned long long)offset,
			  bytes.len);
	}
	if (is_last) {
		sim_crash_now();
	}
	return error;
}

enum error os_file_write_at(int file, uint64_t offset, struct view bytes)
{
	return file_write(sim_file(file, SIM_FILE), offset, bytes);
}

enum error os_file_write_parts_at(int file, uint64_t offset, const struct os_file_part *parts,
				  unsigned count)
{
	enum error error = OK;

	for (unsigned i = 0; i < count && !error; i++) {
		error = os_file_write_at(file, offset, view_of(parts[i].data, parts[i].len));
		offset += parts[i].len;
	}
	return error;
}

enum error os_file_sync_data(int fd)
{
	const struct sim_file *file = sim_file(fd, SIM_FILE);
	const struct sim_faults *faults = &sim_current->faults;
	struct sim_inode *inode = file->inode;
	uint64_t sequence = inode->disk->sequence; // what comes while it lasts is not covered
	bool is_slow = sim_strikes(&faults->sync_slow);
	enum error error =
		sim_call_begin(SIM_SYNC, is_slow ? faults->sync_slow_us_max : faults->sync_us_max);

	if (!error && sim_strikes(&faults->sync_io)) {
		error = ERROR_IO;
	}
	if (error) {
		sim_tell("%s: a sync of file %llu fails: %s", sim_current->process->name,
			 (unsigned long long)inode->number, error_text(error));
	} else {
		sim_trace("syncs file %llu", (unsigned long long)inode->number);
	}
	if (!error) {
		sim_inode_sync(inode, sequence);
	} else if (error == ERROR_IO) {
		sim_inode_sync_failed(inode, sequence);
	}
	return error;
}

enum error os_file_sync(int file)
{
	return os_file_sync_data(file);
}

// ---- what is known of it --------------------------------------------------------------------

static struct os_file_info inode_info(const struct sim_inode *inode)
{
	return (struct os_file_info){
		.size = inode->now.len,
		.modified_ms = inode->modified_ms,
		.inode = inode->number,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.is_regular = !inode->is_dir,
		.is_dir = inode->is_dir,
	};
}

// Of a file or a folder.
static struct sim_inode *any_inode(int fd)
{
	enum sim_object_kind kind = sim_fd_any(fd)->kind;

	return sim_file(fd, kind == SIM_DIR ? SIM_DIR : SIM_FILE)->inode;
}

enum error os_file_info(int fd, struct os_file_info *ret_info)
{
	const struct sim_inode *inode = any_inode(fd);
	enum error error = sim_call_begin(SIM_INFO, 0);

	if (!error) {
		*ret_info = inode_info(inode);
	}
	return error;
}

enum error os_file_info_at(int dir, const char *name, struct os_file_info *ret_info)
{
	const struct sim_inode *inode, *parent = sim_file(dir, SIM_DIR)->inode;
	enum error error = sim_name_check(name);

	if (!error) {
		error = sim_call_begin(SIM_INFO, SIM_FILE_CALL_US_MAX);
	}
	if (error) {
		return error;
	}
	inode = sim_inode_find(parent, name);
	if (!inode) {
		return ERROR_NOT_FOUND;
	}
	*ret_info = inode_info(inode);
	return OK;
}

enum error os_file_size(int file, uint64_t *ret_size)
{
	struct os_file_info info;
	enum error error = os_file_info(file, &info);

	if (!error) {
		*ret_size = info.size;
	}
	return error;
}

enum error os_file_owner(int file, uint32_t uid, uint32_t gid)
{
	struct sim_inode *inode = any_inode(file);

	inode->uid = uid;
	inode->gid = gid;
	return OK;
}

enum error os_file_mode(int file, uint32_t mode)
{
	struct sim_inode *inode = any_inode(file);

	inode->mode = mode & 07777;
	return OK;
}

enum error os_file_lock(int fd)
{
	struct sim_file *file = sim_file(fd, SIM_FILE);

	if (file->inode->locked_by && file->inode->locked_by != file) {
		return ERROR_BUSY;
	}
	file->inode->locked_by = file;
	return OK;
}

// ---- whole files ----------------------------------------------------------------------------

enum error os_file_read_whole(const char *path, struct buffer *out)
{
	int file;
	uint64_t size = 0;
	enum error error = os_file_open_path(path, OS_READ, 0, &file);
	char *room;

	if (error) {
		return error;
	}
	error = os_file_size(file, &size);
	if (!error && size > out->max - out->len) {
		error = ERROR_LIMIT;
	}
	room = error || !size ? NULL : buffer_reserve(out, size);
	if (room) {
		error = os_file_read_at(file, 0, room, size);
		out->len += error ? 0 : size;
	} else if (!error && size) {
		error = ERROR_NO_MEMORY;
	}
	os_file_close(file);
	return error;
}

enum error os_file_replace_at(int dir, const char *name, struct view bytes, uint32_t mode)
{
	char temporary[OS_NAME_MAX + 1];
	enum error error;
	int file;

	if (snprintf(temporary, sizeof temporary, "%.200s.new", name) < 0) {
		return ERROR_INVALID;
	}
	error = os_file_open_at(dir, temporary, OS_WRITE | OS_CREATE | OS_TRUNCATE, mode, &file);
	if (error) {
		return error;
	}
	error = os_file_write_at(file, 0, bytes);
	if (!error) {
		error = os_file_sync(file);
	}
	os_file_close(file);
	if (!error) {
		error = os_file_rename_at(dir, temporary, dir, name);
	}
	return error ? error : os_dir_sync(dir);
}
