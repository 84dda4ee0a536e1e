// A block of any bytes, asked for a few addresses: whatever it says, look-up stays inside it and
// ends.
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "policy/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const texts[] = { "postmaster", "info@example.org",
					     "alice+x@example.org", "a@elsewhere.example" };
	struct arena arena = arena_with_max(4 << 20);
	struct directory directory;

	if (directory_open(view_of(data, size), &directory) == OK) {
		for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
			struct directory_answer answer;
			struct address address;

			if (address_parse(&arena, view_from_text(texts[i]), ADDRESS_POSTMASTER,
					  &address) != ADDRESS_OK ||
			    directory_resolve(&directory, &arena, &address, &answer) != OK) {
				continue;
			}
			if (answer.status == DIRECTORY_FOUND && answer.recipient_count == 0) {
				abort();
			}
		}
	}
	arena_done(&arena);
	return 0;
}
