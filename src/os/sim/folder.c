// The part of os/file.h that is about folders and names, over a simulated disk.
#include <stdlib.h>
#include <string.h>

#include "os/sim/file.h"

enum { INODES_FREE = 1000000 };

static struct sim_inode *dir_inode(int fd)
{
	return sim_file(fd, SIM_DIR)->inode;
}

static enum error name_begin(const char *name)
{
	enum error error = sim_name_check(name);

	return error ? error : sim_call_begin(SIM_NAME, SIM_FILE_CALL_US_MAX);
}

enum error sim_path_walk(const char *path, struct sim_inode **ret_dir,
			 char ret_name[OS_NAME_MAX + 1])
{
	struct view rest = view_from_text(path), part;
	struct sim_inode *dir = sim_current->process->machine->disk->root;

	ret_name[0] = '\0';
	while (view_next_part(&rest, '/', &part)) {
		if (!part.len || view_equal(part, VIEW("."))) {
			continue;
		}
		if (part.len > OS_NAME_MAX || view_equal(part, VIEW(".."))) {
			return ERROR_INVALID;
		}
		if (ret_name[0]) {
			dir = sim_inode_find(dir, ret_name);
		}
		if (!dir || !dir->is_dir) {
			return ERROR_NOT_FOUND;
		}
		memcpy(ret_name, part.data, part.len);
		ret_name[part.len] = '\0';
	}
	*ret_dir = dir;
	return OK;
}

// ---- folders --------------------------------------------------------------------------------

enum error os_dir_open(const char *path, int *ret_dir)
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
	if (name[0]) {
		dir = sim_inode_find(dir, name);
	}
	return dir && dir->is_dir ? sim_file_new(dir, OS_READ, ret_dir) : ERROR_NOT_FOUND;
}

enum error os_dir_open_at(int dir, const char *name, int *ret_dir)
{
	struct sim_inode *inode, *parent = dir_inode(dir);
	enum error error = sim_name_check(name);

	if (!error) {
		error = sim_call_begin(SIM_OPEN, SIM_FILE_CALL_US_MAX);
	}
	if (error) {
		return error;
	}
	inode = sim_inode_find(parent, name);
	return inode && inode->is_dir ? sim_file_new(inode, OS_READ, ret_dir) : ERROR_NOT_FOUND;
}

enum error os_dir_make_at(int dir, const char *name, uint32_t mode)
{
	struct sim_inode *parent = dir_inode(dir);
	enum error error = name_begin(name);

	if (error) {
		return error;
	}
	if (sim_inode_find(parent, name)) {
		return ERROR_EXISTS;
	}
	sim_trace("makes folder %s", name);
	sim_disk_change(parent->disk, sim_inode_new(parent->disk, true, mode), NULL, NULL, parent,
			name);
	return OK;
}

void sim_machine_make_path(struct sim_machine *machine, const char *path)
{
	struct sim_inode *dir = machine->disk->root, *next;
	struct view rest = view_from_text(path), part;

	while (view_next_part(&rest, '/', &part)) {
		char name[OS_NAME_MAX + 1] = { 0 };

		if (!part.len || part.len > OS_NAME_MAX) {
			continue;
		}
		memcpy(name, part.data, part.len);
		next = sim_inode_find(dir, name);
		if (!next) {
			next = sim_inode_new(machine->disk, true, 0755);
			sim_disk_change(machine->disk, next, NULL, NULL, dir, name);
			sim_dir_sync(dir, UINT64_MAX);
		}
		dir = next;
	}
}

enum error os_dir_remove_at(int dir, const char *name)
{
	struct sim_inode *inode, *parent = dir_inode(dir);
	enum error error = name_begin(name);

	if (error) {
		return error;
	}
	inode = sim_inode_find(parent, name);
	if (!inode || !inode->is_dir) {
		return ERROR_NOT_FOUND;
	}
	if (inode->names.count) {
		return ERROR_IO; // not empty
	}
	sim_trace("removes folder %s", name);
	sim_disk_change(parent->disk, inode, parent, name, NULL, NULL);
	return OK;
}

enum error os_dir_sync(int dir)
{
	struct sim_inode *inode = dir_inode(dir);
	const struct sim_faults *faults = &sim_current->faults;
	uint64_t sequence = inode->disk->sequence;
	enum error error = sim_call_begin(SIM_DIR_SYNC, faults->sync_us_max);

	if (!error && sim_strikes(&faults->sync_io)) {
		error = ERROR_IO;
	}
	sim_trace("syncs folder %llu: %s", (unsigned long long)inode->number, error_text(error));
	if (!error) {
		sim_dir_sync(inode, sequence);
	}
	return error;
}

void os_dir_close(int dir)
{
	sim_fd_close(dir);
}

enum error os_dir_list(int dir, os_dir_name_fn *fn, void *context)
{
	struct sim_inode *inode = dir_inode(dir);
	enum error error = sim_call_begin(SIM_NAME, SIM_FILE_CALL_US_MAX);
	size_t count = inode->names.count, start = sim_below(count);
	bool go_on = true;
	char **names;

	if (error) {
		return error;
	}
	names = sim_alloc(count * sizeof *names); // the callback may change the folder
	for (size_t i = 0; i < count; i++) {
		names[i] = strdup(inode->names.entries[(start + i) % count].name);
	}
	for (size_t i = 0; i < count; i++) {
		go_on = go_on && fn(context, names[i]);
		free(names[i]);
	}
	free(names);
	return OK;
}

enum error os_dir_free_bytes(int dir, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
	const struct sim_disk *disk = dir_inode(dir)->disk;
	enum error error = sim_call_begin(SIM_INFO, 0);

	if (error) {
		return error;
	}
	*ret_bytes = !disk->size_bytes                     ? UINT64_MAX / 2
		     : disk->used_bytes < disk->size_bytes ? disk->size_bytes - disk->used_bytes
							   : 0;
	*ret_inodes = INODES_FREE;
	return OK;
}

// ---- names ----------------------------------------------------------------------------------

enum error os_file_rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
	struct sim_inode *source = dir_inode(from_dir), *target = dir_inode(to_dir), *inode, *old;
	enum error error = sim_name_check(from);

	if (!error) {
		error = name_begin(to);
	}
	if (error) {
		return error;
	}
	inode = sim_inode_find(source, from);
	old = sim_inode_find(target, to);
	if (!inode) {
		return ERROR_NOT_FOUND;
	}
	if (old && (old->is_dir || inode->is_dir)) {
		return ERROR_IO;
	}
	sim_trace("renames %s to %s", from, to);
	if (old != inode) {
		sim_disk_change(source->disk, inode, source, from, target, to);
	}
	return OK;
}

enum error os_file_remove_at(int dir, const char *name)
{
	struct sim_inode *inode, *parent = dir_inode(dir);
	enum error error = name_begin(name);

	if (error) {
		return error;
	}
	inode = sim_inode_find(parent, name);
	if (!inode) {
		return ERROR_NOT_FOUND;
	}
	if (inode->is_dir) {
		return ERROR_IO;
	}
	sim_trace("removes %s", name);
	sim_disk_change(parent->disk, inode, parent, name, NULL, NULL);
	return OK;
}
