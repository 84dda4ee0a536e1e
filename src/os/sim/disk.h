// A simulated disk: what programs see now, what would survive a loss of power, and between the two
// the writes and the changes of names that nobody has synced. Part of the simulation only.
//
// The rules. A sync of a file makes its bytes and size durable, of what was written before the sync
// began; not its name. A sync of a folder makes durable the changes of names in it, and earlier
// changes of the same names elsewhere. A rename happens whole or not at all. On loss of power each
// sector (512 bytes) of what is pending holds one of the versions that it went through, each size
// one of those it had, and of the names a seeded part is as it was.
#pragma once

#include "os/sim/private.h"

enum { SIM_SECTOR_SIZE = 512 };

struct sim_bytes {
	char *data;
	size_t len, capacity;
};

struct sim_entry {
	char *name;
	struct sim_inode *inode;
};

struct sim_names {
	struct sim_entry *entries;
	size_t count, capacity;
};

struct sim_inode {
	struct list link; // of the disk
	struct sim_disk *disk;
	uint64_t number;
	bool is_dir;
	uint32_t mode, uid, gid;
	uint64_t modified_ms;
	unsigned name_count, open_count;
	const void *locked_by;
	struct sim_bytes now, durable;         // of a file
	struct list writes;                    // not yet durable, oldest first
	struct sim_names names, names_durable; // of a folder
};

// Not yet durable.
struct sim_write {
	struct list link;
	uint64_t sequence;
	bool is_resize; // to offset
	uint64_t offset;
	size_t len;
	char bytes[];
};

struct sim_record;

struct sim_disk {
	struct sim_record *record; // of all that it is asked to do; NULL: none
	struct list inodes;
	struct list changes; // of names, not yet durable, oldest first
	struct sim_inode *root;
	uint64_t inode_next, sequence;
	uint64_t used_bytes, size_bytes;
};

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_dir, uint32_t mode);
struct sim_inode *sim_inode_find(const struct sim_inode *dir, const char *name); // or NULL
void sim_inode_opened(struct sim_inode *inode);
void sim_inode_closed(struct sim_inode *inode);

// As much as the disk holds; ERROR_NO_SPACE when that is less.
enum error sim_inode_write(struct sim_inode *inode, uint64_t offset, struct view bytes) must_check;
enum error sim_inode_resize(struct sim_inode *inode, uint64_t size) must_check;
// What was written up to this point of the disk's sequence becomes durable; or, when the sync
// fails, a seeded part of it, and the rest never will.
void sim_inode_sync(struct sim_inode *inode, uint64_t sequence);
void sim_inode_sync_failed(struct sim_inode *inode, uint64_t sequence);

// A new name (from_dir NULL), a name less (to_dir NULL), or a rename.
struct sim_change {
	struct list link;
	uint64_t sequence;
	struct sim_inode *inode;
	struct sim_inode *from_dir, *to_dir;
	char *from, *to;
	bool is_marked;
};

void sim_disk_change(struct sim_disk *disk, struct sim_inode *inode, struct sim_inode *from_dir,
		     const char *from, struct sim_inode *to_dir, const char *to);
void sim_dir_sync(struct sim_inode *dir, uint64_t sequence);

unsigned sim_write_sectors(const struct sim_write *write);

// What the disk tells its record, if it has one.
void sim_record_make(struct sim_disk *disk, bool is_dir, uint32_t mode);
void sim_record_write(const struct sim_inode *inode, uint64_t offset, struct view bytes);
void sim_record_resize(const struct sim_inode *inode, uint64_t size);
void sim_record_change(struct sim_disk *disk, const struct sim_change *change);
void sim_record_sync(const struct sim_inode *inode, uint64_t sequence, bool has_failed);
