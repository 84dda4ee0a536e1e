// The body's decoder beside a slow one that follows the rules byte by byte; the first input byte
// says how the rest is cut into chunks.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "smtp/data.h"

struct outcome {
	enum smtp_data_result result;
	char *kept;
	size_t kept_len;
	size_t taken;
};

static bool has(struct view text, size_t at, char byte)
{
	return at < text.len && text.data[at] == byte;
}

static void slow_decode(struct view text, struct outcome *outcome)
{
	bool line_start = true;
	size_t at = 0;

	for (; at < text.len; at++) {
		if (line_start && has(text, at, '.')) {
			if (has(text, at + 1, '\r') && has(text, at + 2, '\n')) {
				outcome->result = SMTP_DATA_END;
				at += 3;
				break;
			}
			if (has(text, at + 1, '\r')) {
				at += 2;
				outcome->result =
					at < text.len ? SMTP_DATA_BARE_CR : SMTP_DATA_MORE;
				break;
			}
			line_start = false;
			continue;
		}
		if (text.data[at] == '\n' && !(at && text.data[at - 1] == '\r')) {
			outcome->result = SMTP_DATA_BARE_LF;
			break;
		}
		outcome->kept[outcome->kept_len++] = text.data[at];
		line_start = text.data[at] == '\n';
		if (text.data[at] == '\r' && at + 1 < text.len && text.data[at + 1] != '\n') {
			outcome->result = SMTP_DATA_BARE_CR;
			at++;
			break;
		}
	}
	outcome->taken = at;
}

static void fast_decode(struct view text, size_t chunk_size, struct outcome *outcome)
{
	struct smtp_data_decoder decoder = { 0 };

	while (text.len && outcome->result == SMTP_DATA_MORE) {
		struct view part = view_first(text, chunk_size);
		struct smtp_data_chunk chunk;
		char *copy = malloc(part.len);

		if (!copy) {
			abort();
		}
		memcpy(copy, part.data, part.len);
		outcome->result = smtp_data_decode(&decoder, copy, part.len, &chunk);
		memcpy(outcome->kept + outcome->kept_len, copy, chunk.kept);
		outcome->kept_len += chunk.kept;
		outcome->taken += chunk.taken;
		text = view_from(text, part.len);
		free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome slow = { .kept = malloc(size + 1) }, fast = { .kept = malloc(size + 1) };
	struct view text = view_from(view_of(data, size), 1);

	if (!slow.kept || !fast.kept) {
		abort();
	}
	slow_decode(text, &slow);
	fast_decode(text, size ? 1 + data[0] % 64u : 1, &fast);
	if (slow.result != fast.result || slow.taken != fast.taken ||
	    slow.kept_len != fast.kept_len || memcmp(slow.kept, fast.kept, fast.kept_len) != 0) {
		abort();
	}
	free(slow.kept);
	free(fast.kept);
	return 0;
}
