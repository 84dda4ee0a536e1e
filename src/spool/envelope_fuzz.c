// Any bytes as an envelope: what decodes must encode again to an envelope that decodes the same.
#include "base/fuzz.h"
#include "spool/envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct buffer bytes = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct spool_envelope envelope, again;

	if (spool_envelope_decode(view_of(data, size), &arena, &envelope) == OK) {
		if (spool_envelope_encode(&bytes, &envelope) ||
		    spool_envelope_decode(buffer_view(&bytes), &arena, &again) ||
		    again.recipient_count != envelope.recipient_count ||
		    !view_equal(again.reverse_path, envelope.reverse_path)) {
			abort();
		}
	}
	buffer_done(&bytes);
	arena_done(&arena);
	return 0;
}
