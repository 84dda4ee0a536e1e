// Replies: what a server says, read whole and byte by byte, gives the same; and what we say is one
// line whatever is in it, which the reader takes back.
#include <string.h>

#include "base/fuzz.h"
#include "base/text.h"
#include "smtp/client_reply.h"
#include "smtp/line.h"

enum { REPLIES_MAX = 100000 };

static void check_reader(const struct smtp_reply_reader *reader)
{
	MUST(reader->code >= 200 && reader->code <= 599);
	MUST(reader->line_count >= 1 && reader->line_count <= SMTP_CLIENT_REPLY_LINES_MAX);
	MUST(reader->byte_count <= SMTP_CLIENT_REPLY_MAX);
	MUST(reader->text_len <= SMTP_CLIENT_REPLY_TEXT_MAX);
	MUST(reader->status.class == 0 || reader->status.class == reader->code / 100);
	MUST(view_find(view_of(reader->text, reader->text_len), '\n') == reader->text_len);
}

// All replies in it, pieces at a time; what they were goes to out.
static void read_all(struct view input, size_t piece, struct buffer *out)
{
	struct smtp_reply_reader reader = { 0 };
	struct buffer waiting = buffer_with_max(1 << 20);
	enum smtp_reply_result result = SMTP_REPLY_MORE;

	while (input.len && result != SMTP_REPLY_BAD) {
		buffer_add(&waiting, view_first(input, piece));
		input = view_from(input, piece);
		do {
			char *bytes = fuzz_copy(buffer_view(&waiting));
			struct view rest = view_of(bytes, waiting.len);

			result = smtp_reply_read(&reader, &rest);
			buffer_consume(&waiting, waiting.len - rest.len);
			free(bytes);
			if (result == SMTP_REPLY_DONE) {
				check_reader(&reader);
				buffer_printf(out, "%u.%u ", reader.code, reader.line_count);
				buffer_add(out, view_of(reader.text, reader.text_len));
				buffer_add(out,
					   view_of(&reader.extensions, sizeof reader.extensions));
			}
		} while (result == SMTP_REPLY_DONE);
		MUST(waiting.len < SMTP_CLIENT_REPLY_LINE_MAX || result == SMTP_REPLY_BAD);
	}
	buffer_printf(out, "<%d>", result);
	buffer_done(&waiting);
}

static void check_ours(struct view text, unsigned code)
{
	struct smtp_reply replies[] = {
		smtp_reply_of(code, (struct smtp_status){ (uint8_t)(code / 100), 7, 1 }, text),
		smtp_reply_with(SMTP_REPLY_POLICY, text),
		smtp_reply_of(code, (struct smtp_status){ 0 }, text),
	};
	struct smtp_reply_reader reader = { 0 };

	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		struct buffer out = buffer_with_max(4096);
		struct view line, rest;

		smtp_reply_write(&out, &replies[i]);
		MUST(buffer_error(&out) == OK && out.len <= 512);
		rest = buffer_view(&out);
		MUST(smtp_line_take(&rest, 512, &line) == SMTP_LINE_WHOLE && rest.len == 0);
		MUST(text_is_ascii(line) && text_is_printable(line));
		rest = buffer_view(&out);
		MUST(smtp_reply_read(&reader, &rest) == SMTP_REPLY_DONE);
		MUST(reader.code == replies[i].code);
		buffer_done(&out);
	}
}

// The line reader, whole and piece by piece.
static void check_line(struct view input)
{
	struct view whole = input, line, part_line;
	enum smtp_line result = smtp_line_take(&whole, 100, &line), parted = SMTP_LINE_PART;

	for (size_t len = 0; len <= input.len && parted == SMTP_LINE_PART; len++) {
		struct view part = view_first(input, len);

		parted = smtp_line_take(&part, 100, &part_line);
		MUST(parted != SMTP_LINE_WHOLE || part.len == 0);
	}
	MUST(parted == result);
	if (result == SMTP_LINE_WHOLE) {
		MUST(view_equal(line, part_line) && line.len + 2 + whole.len == input.len);
		MUST(view_find(line, '\r') == line.len && view_find(line, '\n') == line.len);
	} else {
		MUST(whole.len == input.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole = buffer_with_max(1 << 24), pieces = buffer_with_max(1 << 24);
	struct view text = view_from(view_of(data, size), 1);

	if (size == 0 || size > 32 * 1024) {
		return 0;
	}
	read_all(text, text.len, &whole);
	read_all(text, 1 + data[0] % 64u, &pieces);
	MUST(view_equal(buffer_view(&whole), buffer_view(&pieces)));
	check_ours(text, 200 + data[0] % 4u * 100);
	check_line(view_first(text, 300));
	buffer_done(&whole);
	buffer_done(&pieces);
	return 0;
}
