// Any date: what is read is written and read back as the same second.
#include <stdlib.h>

#include "base/fuzz.h"
#include "mail/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer text = buffer_with_max(100);
	int64_t unix_ms, again_ms;
	int zone, again_zone;

	if (date_parse(view_of(data, size), &unix_ms, &zone) && unix_ms > -2000000000000) {
		date_add(&text, unix_ms, zone);
		if (unix_ms < 253000000000000 &&
		    (!date_parse(buffer_view(&text), &again_ms, &again_zone) ||
		     again_ms != unix_ms || again_zone != zone)) {
			abort();
		}
	}
	buffer_done(&text);
	return 0;
}
