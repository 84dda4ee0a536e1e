// Any bytes as an encoded configuration. What is accepted encodes again to something accepted.
#include <stdlib.h>

#include "base/fuzz.h"
#include "config/encode.h"

enum { MEMORY_MAX = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);
	const struct config *config;

	for (unsigned reader = 1; reader <= CONFIG_ALL; reader++) {
		if (config_decode(view_of(data, size), reader, &arena, &config) == OK) {
			config_encode(config, reader, &bytes);
			if (bytes.error || config_decode(buffer_view(&bytes), reader, &arena,
							 &config) == ERROR_INVALID) {
				abort();
			}
			buffer_clear(&bytes);
		}
	}
	buffer_done(&bytes);
	arena_done(&arena);
	return 0;
}
