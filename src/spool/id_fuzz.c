// Queue ids: what is read is written back as the same letters; a source's next one is always
// larger.
#include "base/fuzz.h"
#include "spool/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = view_of(data, size);
	struct buffer out = buffer_with_max(100);
	struct spool_id_source source;
	uint64_t id, last = 0;

	if (spool_id_parse(text, &id) == OK) {
		MUST(id != 0);
		spool_id_add_text(&out, id);
		MUST(view_equal_nocase(buffer_view(&out), text));
		last = id;
	}
	// No source is begun behind the last millisecond that there is.
	if (spool_id_ms(last) < (1ull << 42) - 1000) {
		spool_id_source_init(&source, 17, last);
		for (size_t i = 0; i + 8 <= size && i < 800; i += 8) {
			id = spool_id_next(&source, wire_get_u64(data + i) >> 23);
			MUST(id > last);
			last = id;
		}
	}
	buffer_done(&out);
	return 0;
}
