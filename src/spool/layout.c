#include "spool/layout.h"

#include "os/file.h"

enum { FOLDERS_MAX = 2 };

static const struct {
	const char *name;
	const char *folders[FOLDERS_MAX]; // traces make their own
} parts_of[SPOOL_PARTS] = {
	[SPOOL_RECEIVE] = { SPOOL_RECEIVE_PATH, { "log", "body" } },
	[SPOOL_DELIVER] = { SPOOL_DELIVER_PATH, { "log" } },
};

uint32_t spool_part_folder_mode(enum spool_part part, bool shared_group)
{
	return part == SPOOL_RECEIVE && shared_group ? 02770 : 0700;
}

uint32_t spool_part_file_mode(enum spool_part part, bool shared_group)
{
	return part == SPOOL_RECEIVE && shared_group ? 0660 : 0600;
}

static enum error begin(int spool_dir, int ret_parts[SPOOL_PARTS])
{
	struct os_file_info info;
	enum error error = os_file_info_at(spool_dir, "log", &info); // of before there were parts

	for (enum spool_part part = 0; part < SPOOL_PARTS; part++) {
		ret_parts[part] = -1;
	}
	return error == OK ? ERROR_UNSUPPORTED : error == ERROR_NOT_FOUND ? OK : error;
}

// No link is followed: inside of its part receive could have made one.
static enum error open_or_make(int parent, const char *name, int *ret_dir)
{
	enum error error = os_dir_open_at(parent, name, ret_dir);

	if (error != ERROR_NOT_FOUND) {
		return error;
	}
	error = os_dir_make_at(parent, name, 0700);
	return error ? error : os_dir_open_at(parent, name, ret_dir);
}

static enum error give(int dir, enum spool_part part, const struct os_user *owners)
{
	enum error error = owners ? os_file_owner(dir, owners[part].uid, owners[part].gid) : OK;

	return error ? error : os_file_mode(dir, spool_part_folder_mode(part, owners != NULL));
}

static enum error make_inner(int part_dir, const char *name, enum spool_part part,
			     const struct os_user *owners)
{
	int dir;
	enum error error = open_or_make(part_dir, name, &dir);

	if (error) {
		return error;
	}
	error = give(dir, part, owners);
	os_dir_close(dir);
	return error;
}

// It is given away last: root may lack the right to make anything in what is not its own.
static enum error make_part(int spool_dir, enum spool_part part, const struct os_user *owners,
			    int *ret_dir)
{
	enum error error = open_or_make(spool_dir, parts_of[part].name, ret_dir);

	for (unsigned i = 0; !error && i < FOLDERS_MAX && parts_of[part].folders[i]; i++) {
		error = make_inner(*ret_dir, parts_of[part].folders[i], part, owners);
	}
	if (!error) {
		error = os_dir_sync(*ret_dir); // also of what an earlier start made and did not
	}
	return error ? error : give(*ret_dir, part, owners);
}

enum error spool_layout_make(int spool_dir, const struct os_user owners[SPOOL_PARTS],
			     int ret_parts[SPOOL_PARTS])
{
	enum error error = begin(spool_dir, ret_parts);

	for (enum spool_part part = 0; !error && part < SPOOL_PARTS; part++) {
		error = make_part(spool_dir, part, owners, &ret_parts[part]);
	}
	if (!error) {
		error = os_dir_sync(spool_dir);
	}
	if (error) {
		spool_layout_close(ret_parts);
	}
	return error;
}

enum error spool_layout_open(int spool_dir, int ret_parts[SPOOL_PARTS])
{
	enum error error = begin(spool_dir, ret_parts);

	for (enum spool_part part = 0; !error && part < SPOOL_PARTS; part++) {
		error = os_dir_open_at(spool_dir, parts_of[part].name, &ret_parts[part]);
	}
	if (error) {
		spool_layout_close(ret_parts);
	}
	return error;
}

void spool_layout_close(int parts[SPOOL_PARTS])
{
	for (enum spool_part part = 0; part < SPOOL_PARTS; part++) {
		os_dir_close(parts[part]);
		parts[part] = -1;
	}
}

const char *spool_layout_path(struct arena *arena, struct view spool_dir, const char *below)
{
	return arena_printf(arena, "%.*s/%s", VIEW_ARG(spool_dir), below).data;
}
