// For tests and fuzz targets: files that exist in memory only.
#pragma once

#include <string.h>

#include "config/load.h"

struct test_file {
	const char *path;
	struct view text;
};

struct test_files {
	const struct test_file *items;
	size_t count;
};

static inline enum error test_files_read(void *context, const char *path, struct buffer *out)
{
	const struct test_files *files = context;

	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->items[i].path, path) == 0) {
			buffer_add(out, files->items[i].text);
			return buffer_error(out) ? ERROR_LIMIT : OK;
		}
	}
	return ERROR_NOT_FOUND;
}

static inline enum error test_files_list(void *context, const char *dir,
					 bool (*fn)(void *context, const char *name),
					 void *fn_context)
{
	const struct test_files *files = context;
	size_t len = strlen(dir);

	for (size_t i = 0; i < files->count; i++) {
		const char *path = files->items[i].path;

		if (strncmp(path, dir, len) == 0 && path[len] == '/' &&
		    !strchr(path + len + 1, '/') && !fn(fn_context, path + len + 1)) {
			break;
		}
	}
	return OK;
}

static inline struct config_files test_files_source(struct test_files *files)
{
	return (struct config_files){ files, test_files_read, test_files_list };
}
