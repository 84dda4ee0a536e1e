#include "cli/owner.h"

#include "os/file.h"
#include "os/process.h"

enum error owner_become(int dir)
{
	struct os_file_info info;
	enum error error = os_file_info(dir, &info);

	if (error != OK || !os_process_is_root() || info.uid == 0) {
		return error;
	}
	return os_process_become((struct os_user){ .uid = info.uid, .gid = info.gid });
}
