// Reads other people's case sets for unit tests: see conformance_read in base/check.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { FILE_MAX = 8 << 20 };

static FILE *open_case(const char *name)
{
	const char *folder = getenv("CONFORMANCE_DIR");
	const char *end = strrchr(__FILE__, '/');
	char path[4096];

	if (folder) {
		snprintf(path, sizeof path, "%s/%s", folder, name);
	} else {
		snprintf(path, sizeof path, "%.*s/../../shared/conformance/%s",
			 end ? (int)(end - __FILE__) : 0, __FILE__, name);
	}
	return fopen(path, "rb");
}

struct view conformance_read(const char *name)
{
	FILE *file = open_case(name);
	char *bytes = file ? malloc(FILE_MAX) : NULL;
	size_t len = 0;

	if (bytes) {
		len = fread(bytes, 1, FILE_MAX - 1, file);
		bytes[len] = '\0';
	}
	if (file) {
		fclose(file);
	}
	return view_of(bytes, len);
}
