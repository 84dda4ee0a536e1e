// Any text for every form that the configuration knows: its normal spelling is bounded, printable
// and its own normal spelling.
#include "base/fuzz.h"
#include "base/text.h"
#include "config/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = view_of(data, size), normal, again;
	struct arena arena = arena_with_max(1 << 20);

	for (int form = FORM_TEXT; form <= FORM_SECRET; form++) {
		const char *fault = form_check((enum form)form, &arena, text, &normal);

		if (fault) {
			MUST(*fault);
			continue;
		}
		MUST(text.len > 0 && normal.len <= FORM_TEXT_MAX);
		MUST(view_find(normal, '\0') == normal.len);
		MUST(text_is_printable(normal));
		if (normal.len > 0) {
			MUST(!form_check((enum form)form, &arena, normal, &again));
			MUST(view_equal(normal, again));
		}
	}
	arena_done(&arena);
	return 0;
}
