// Any command line, its words divided by NUL: it fits the table of commands, or words say why not,
// which are safe to print. What fits goes through a control request unharmed.
#include <string.h>
#include <sysexits.h>

#include "base/fuzz.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/screen.h"

enum { WORDS_MAX = 40 };

static void check_fits(const struct invocation *invocation)
{
	struct control_request request = { .command = invocation->command->request,
					   .arguments = invocation->arguments,
					   .argument_count = invocation->argument_count };
	struct buffer bytes = buffer_with_max(1 << 20);
	struct arena arena = arena_with_max(1 << 20);
	struct control_request again;

	if (request.command) {
		control_request_encode(&bytes, &request);
		if (control_request_decode(buffer_view(&bytes), &arena, &again) == OK) {
			MUST(again.argument_count == request.argument_count);
		}
	}
	buffer_done(&bytes);
	arena_done(&arena);
}

static void check_words(struct view words)
{
	struct view line;

	while (view_next_part(&words, '\n', &line)) {
		MUST(text_is_printable(line));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(view_of(data, size)), name[] = "packetboat";
	char *argv[WORDS_MAX + 2] = { name };
	struct arena arena = arena_with_max(1 << 20);
	struct buffer words = buffer_with_max(1 << 20), shown = buffer_with_max(1 << 20);
	struct invocation invocation;
	struct view rest = view_of(text, size), word;
	int argc = 1;

	screen_add_safe(&shown, rest);
	MUST(text_is_printable(buffer_view(&shown)));
	if (size && text[size - 1] == '\0') {
		while (argc <= WORDS_MAX && view_next_part(&rest, '\0', &word)) {
			argv[argc++] = text + (word.data - text);
		}
		if (invocation_parse(&arena, argc, argv, &invocation, &words) == EX_OK) {
			check_fits(&invocation);
		} else {
			MUST(words.len > 0);
			check_words(buffer_view(&words));
		}
	}
	arena_done(&arena);
	buffer_done(&words);
	buffer_done(&shown);
	free(text);
	return 0;
}
