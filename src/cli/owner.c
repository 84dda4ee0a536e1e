#include "cli/owner.h"

#include "os/file.h"
#include "os/process.h"
#include "spool/layout.h"

enum error owner_become(int dir)
{
	struct os_file_info info;
	enum error error = os_file_info(dir, &info);

	if (error != OK || !os_process_is_root() || info.uid == 0) {
		return error;
	}
	return os_process_become((struct os_user){ .uid = info.uid, .gid = info.gid });
}

static enum error become_deliver(int spool_dir)
{
	int parts[SPOOL_PARTS];
	enum error error = spool_layout_open(spool_dir, parts);

	if (error != OK) {
		return error;
	}
	error = owner_become(parts[SPOOL_DELIVER]);
	spool_layout_close(parts);
	return error;
}

enum error owner_open_spool(const char *path, int *ret_spool_dir)
{
	int dir;
	enum error error = os_dir_open(path, &dir);

	if (error != OK) {
		return error;
	}
	error = become_deliver(dir);
	if (error != OK) {
		os_dir_close(dir);
		return error;
	}
	*ret_spool_dir = dir;
	return OK;
}
