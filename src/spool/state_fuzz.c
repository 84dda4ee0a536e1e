// Any bytes as a journal record.
#include "base/fuzz.h"
#include "spool/state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader reader = wire_reader_of(view_of(data, size));
	struct spool_state state;

	while (spool_state_next(&reader, &state)) {
		struct spool_message *message = calloc(
			1, sizeof *message + state.recipient_count * sizeof *message->recipients);

		if (!message) {
			return 0;
		}
		message->recipient_count = state.recipient_count;
		spool_state_apply(message, &state);
		if (message->pending > message->recipient_count) {
			abort();
		}
		free(message);
	}
	return 0;
}
