// Files and folders, blocking: for start-up, workers and pools, never for a loop that serves the
// network. Everything is relative to a folder handle, so that a process whose door is shut can
// still reach what it was given, and nothing else. Names given here hold no "/" unless the call
// says path; "." and ".." are refused.
//
// In the simulation these act on a simulated disk that can lose, tear, refuse and delay.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

// A folder handle. path may be absolute, or relative to the process's own folder.
enum error os_dir_open(const char *path, int *ret_dir) must_check;
enum error os_dir_open_at(int dir, const char *name,
			  int *ret_dir) must_check; // does not follow links
enum error os_dir_make_at(int dir, const char *name, uint32_t mode) must_check; // ERROR_EXISTS
enum error os_dir_remove_at(int dir, const char *name) must_check;
enum error os_dir_sync(int dir) must_check; // makes created, renamed and removed names durable
void os_dir_close(int dir);                 // -1 is accepted

// The names in it but "." and "..", in no order. The callback returns false to end the walk.
typedef bool os_dir_name_fn(void *context, const char *name);
enum error os_dir_list(int dir, os_dir_name_fn *fn, void *context) must_check;
// *ret_inodes is UINT64_MAX where the file system does not count them (btrfs).
enum error os_dir_free_bytes(int dir, uint64_t *ret_bytes, uint64_t *ret_inodes) must_check;

enum {
	OS_READ = 1,
	OS_WRITE = 2,
	OS_CREATE = 4,    // where absent
	OS_EXCLUSIVE = 8, // with OS_CREATE: must be absent
	OS_TRUNCATE = 16,
	OS_DIRECT = 32, // O_DIRECT where the file system has it: offsets, lengths and memory
			// aligned to 4096
	OS_APPEND = 64,
};

// Does not follow a link at the end. mode counts when it is created.
enum error os_file_open_at(int dir, const char *name, int flags, uint32_t mode,
			   int *ret_file) must_check;
enum error os_file_open_path(const char *path, int flags, uint32_t mode, int *ret_file) must_check;
void os_file_close(int file); // -1 is accepted

// All bytes or an error; a read that meets the end early is ERROR_CORRUPT.
enum error os_file_read_at(int file, uint64_t offset, void *bytes, size_t len) must_check;
enum error os_file_read_some(int file, uint64_t offset, void *bytes, size_t size,
			     size_t *ret_len) must_check;
enum error os_file_write_at(int file, uint64_t offset, struct view bytes) must_check;
// As if it were opened with OS_DIRECT, or without, from now on.
enum error os_file_set_direct(int file, bool direct) must_check;
struct os_file_part {
	const void *data;
	size_t len;
};
enum error os_file_write_parts_at(int file, uint64_t offset, const struct os_file_part *parts,
				  unsigned count) must_check; // any count; one system call per 64
enum error
os_file_sync_data(int file) must_check; // fdatasync; after ERROR_IO the file is not to be trusted
enum error os_file_sync(int file) must_check;
enum error os_file_size(int file, uint64_t *ret_size) must_check;

struct os_file_info {
	uint64_t size;
	uint64_t modified_ms; // wall clock
	uint64_t inode;
	uint32_t mode; // permission bits
	uint32_t uid, gid;
	bool is_regular, is_dir, is_link;
};

enum error os_file_info_at(int dir, const char *name,
			   struct os_file_info *ret_info) must_check; // of a link itself
enum error os_file_info(int file, struct os_file_info *ret_info) must_check;
enum error os_file_rename_at(int from_dir, const char *from, int to_dir,
			     const char *to) must_check; // replaces
enum error os_file_remove_at(int dir, const char *name) must_check;
enum error os_file_owner(int file, uint32_t uid, uint32_t gid) must_check;
enum error os_file_mode(int file, uint32_t mode) must_check;

// An exclusive advisory lock for as long as the descriptor is open. ERROR_BUSY: held by another.
enum error os_file_lock(int file) must_check;

// The whole file appended to out (ERROR_LIMIT above out->max). For configuration, keys and the
// like.
enum error os_file_read_whole(const char *path, struct buffer *out) must_check;
// Replaces it durably: a temporary name, sync, rename, sync of the folder.
enum error os_file_replace_at(int dir, const char *name, struct view bytes,
			      uint32_t mode) must_check;
