// Any bytes as the configuration file, as a file that it includes, and as an aliases file.
#include "base/fuzz.h"
#include "config/explain.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 16 * 1024 * 1024, TEXT_MAX = 1 << 22 };

// libfyaml 0.7 loses a small block for a scalar of very many pieces: known, and bounded by the
// file, which is the administrator's. Leaks of our own still count.
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view input = view_of(data, size);
	// A line of three "-" divides the input into the two files.
	size_t end = view_find_text(input, VIEW("\n---\n"));
	const struct test_file items[] = {
		{ "a.yaml", view_first(input, end) },
		{ "b.yaml",
		  VIEW("hostname: m.example\naliases_file: /aliases\ninclude: a.yaml\n") },
		{ "./a.yaml", view_from(input, end + 5) },
		{ "/aliases", view_from(input, end + 5) },
	};
	struct test_files files = { items, sizeof items / sizeof *items };

	for (unsigned i = 0; i < 2; i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer text = buffer_with_max(TEXT_MAX);
		struct config_loaded loaded;

		if (config_load(test_files_source(&files), items[i].path, &arena, &loaded) == OK) {
			for (size_t j = 0; j < loaded.problems.count; j++) {
				config_problem_add_text(&text, &loaded.problems.items[j]);
			}
			config_explain(&text, &loaded);
		}
		buffer_done(&text);
		arena_done(&arena);
	}
	return 0;
}
