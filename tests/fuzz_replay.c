// Runs a fuzz target over its stored corpus as an ordinary test: one TAP line per input file.
// A missing or empty folder is a failure, so that a corpus cannot silently vanish.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder, const char *name)
{
	char path[4096];
	long size;
	uint8_t *bytes;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file) {
		return -1;
	}
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	bytes = malloc(size > 0 ? (size_t)size : 1);
	if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
		abort();
	}
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, (size_t)size);
	free(bytes);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = 0, failed = 0;
	struct dirent *entry;
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;

	if (!folder) {
		printf("1..1\nnot ok 1 - corpus folder missing\n");
		return 1;
	}
	while ((entry = readdir(folder))) {
		int result;

		if (entry->d_name[0] == '.') {
			continue;
		}
		result = replay(argv[1], entry->d_name);
		failed += result != 0;
		printf("%s %u - %s\n", result ? "not ok" : "ok", ++count, entry->d_name);
	}
	closedir(folder);
	if (count == 0) {
		printf("not ok 1 - corpus is empty\n");
		count = failed = 1;
	}
	printf("1..%u\n", count);
	return failed != 0;
}
