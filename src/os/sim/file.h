// Open files and folders of the simulation: what os/file.h gives out descriptors of.
#pragma once

#include "os/file.h"
#include "os/name.h"
#include "os/sim/disk.h"

enum { SIM_FILE_CALL_US_MAX = 30 };

struct sim_file {
	struct sim_object object;
	struct sim_inode *inode;
	int flags;
};

enum error sim_file_new(struct sim_inode *inode, int flags, int *ret_fd) must_check;
struct sim_file *sim_file(int fd, enum sim_object_kind kind);
enum error sim_name_check(const char *name) must_check;
// The folder that holds the last name of the path, and that name ("" for the root).
enum error sim_path_walk(const char *path, struct sim_inode **ret_dir,
			 char ret_name[OS_NAME_MAX + 1]) must_check;
