#include "os/contract.h"

#include <stdlib.h>
#include <string.h>

#include "os/file.h"

static char path[64];

void contract_world_begin(struct contract *contract)
{
	static const char pattern[] = "/tmp/packetboat-contract-XXXXXX";

	memcpy(path, pattern, sizeof pattern);
	if (!mkdtemp(path) || os_dir_open(path, &contract->dir)) {
		abort();
	}
	contract->path = path;
}

static bool remove_name(void *context, const char *name)
{
	const int *dir = context;

	return !os_file_remove_at(*dir, name) || !os_dir_remove_at(*dir, name);
}

void contract_world_end(struct contract *contract)
{
	int parent;

	if (os_dir_list(contract->dir, remove_name, &contract->dir) ||
	    os_dir_open("/tmp", &parent) || os_dir_remove_at(parent, strrchr(path, '/') + 1)) {
		abort();
	}
	os_dir_close(parent);
	os_dir_close(contract->dir);
}
