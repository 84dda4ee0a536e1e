// Any message, cut anywhere: the output is the same, framed by CRLF alone, and its "." line is the
// last.
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "mail/outgoing.h"

static const struct view removals[] = { { "Return-Path", 11 }, { "B", 1 } };

static struct buffer transform(enum outgoing_form form, struct view message, size_t first)
{
	const struct outgoing_edits edits = { .front = VIEW("X: y\r\n"),
					      .removals = removals,
					      .removal_count = 2 };
	struct buffer out = buffer_with_max(1 << 24);
	struct outgoing outgoing;

	outgoing_start(&outgoing, form, &edits, &out);
	outgoing_feed(&outgoing, view_first(message, first), &out);
	outgoing_feed(&outgoing, view_from(message, first), &out);
	outgoing_finish(&outgoing, &out);
	return out;
}

static void check_framing(struct view sent)
{
	struct view line;
	bool ended = false;

	while (view_next_part(&sent, '\n', &line)) {
		if (ended || line.len == 0 || line.data[line.len - 1] != '\r' ||
		    view_find(line, '\r') != line.len - 1) {
			abort();
		}
		ended = view_equal(line, VIEW(".\r"));
	}
	if (!ended) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view message = view_from(view_of(data, size), 1);
	size_t cut = size ? data[0] : 0;

	for (int form = OUTGOING_SMTP; form <= OUTGOING_MAILDIR; form++) {
		struct buffer whole = transform((enum outgoing_form)form, message, message.len);
		struct buffer parts = transform((enum outgoing_form)form, message, cut);

		if (!view_equal(buffer_view(&whole), buffer_view(&parts))) {
			abort();
		}
		if (form == OUTGOING_SMTP) {
			check_framing(buffer_view(&whole));
		}
		buffer_done(&whole);
		buffer_done(&parts);
	}
	return 0;
}
