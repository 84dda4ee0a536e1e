#include "config/load.h"
#include "os/file.h"

static enum error read_file(void *context, const char *path, struct buffer *out)
{
	(void)context;
	return os_file_read_whole(path, out);
}

static enum error list_folder(void *context, const char *dir,
			      bool (*fn)(void *context, const char *name), void *fn_context)
{
	int folder;
	enum error error = os_dir_open(dir, &folder);

	(void)context;
	if (error) {
		return error;
	}
	error = os_dir_list(folder, fn, fn_context);
	os_dir_close(folder);
	return error;
}

struct config_files config_files_of_disk(void)
{
	return (struct config_files){ .read = read_file, .list = list_folder };
}
