// packetboat(1): a command, or, started by the supervisor, one of its processes.
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/command.h"
#include "deliver/main.h"
#include "facts/main.h"
#include "keeper/main.h"
#include "receive/main.h"

static const struct {
	const char *name;
	int (*main)(void);
} processes[] = {
	{ "receive", receive_main },
	{ "deliver", deliver_main },
	{ "facts", facts_main },
	{ "keeper", keeper_main },
};

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--process") != 0) {
		return command_run(argc, argv);
	}
	for (size_t i = 0; i < sizeof processes / sizeof *processes; i++) {
		if (strcmp(argv[2], processes[i].name) == 0) {
			return processes[i].main();
		}
	}
	fprintf(stderr, "packetboat: no such process\n");
	return EX_USAGE;
}
