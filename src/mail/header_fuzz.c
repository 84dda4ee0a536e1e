// Any message: its fields and the rest are the whole of it, and From gives valid mailboxes or none.
#include <stdlib.h>

#include "base/fuzz.h"
#include "mail/from.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view message = view_of(data, size);
	struct header_walk walk = header_walk_of(message);
	struct arena arena = arena_with_max(1 << 20);
	struct mailbox_list list;
	struct header_field field;
	size_t end = 0;

	while (header_next(&walk, &field)) {
		if (field.whole.data != message.data + end) {
			abort();
		}
		end += field.whole.len;
	}
	if (walk.offset < end || walk.offset > end + 2 || walk.offset > size) {
		abort();
	}
	if (from_parse(&arena, message, &list) == FROM_OK && !list.first->address.domain.len) {
		abort();
	}
	if (mailbox_list_parse(&arena, message, &list) == FROM_OK && list.count == 0) {
		abort();
	}
	arena_done(&arena);
	return 0;
}
