#include "cli/run.h"

#include <sysexits.h>

#include "cli/screen.h"

enum { PARSE_MEMORY_MAX = 1024 * 1024, WORDS_BYTES_MAX = 64 * 1024 };

int command_run(int argc, char **argv)
{
	struct arena arena = arena_with_max(PARSE_MEMORY_MAX);
	struct buffer words = buffer_with_max(WORDS_BYTES_MAX);
	struct invocation invocation;
	int status = invocation_parse(&arena, argc, argv, &invocation, &words);

	if (status == EX_OK) {
		status = invocation.command->run(&invocation);
	} else {
		screen_say("%s", buffer_text(&words));
	}
	buffer_done(&words);
	arena_done(&arena);
	return status;
}
