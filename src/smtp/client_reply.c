#include "smtp/client_reply.h"

#include <string.h>

static uint16_t code_of(struct view line)
{
	if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' ||
	    !ascii_is_digit(line.data[1]) || !ascii_is_digit(line.data[2])) {
		return 0;
	}
	return (uint16_t)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
			  (line.data[2] - '0'));
}

// class "." subject "." detail, at most three digits each (RFC 3463 section 2), then a blank or the
// end; taken off *text when its class is that of the code.
static bool take_status(struct view *text, uint16_t code, struct smtp_status *ret_status)
{
	struct view word = view_first(*text, view_find(*text, ' ')), rest = word, parts[3];
	uint64_t numbers[3];

	for (size_t i = 0; i < 3; i++) {
		if (!view_next_part(&rest, '.', &parts[i]) || parts[i].len > 3 ||
		    !view_to_u64(parts[i], 999, &numbers[i])) {
			return false;
		}
	}
	if (rest.len || word.data[word.len - 1] == '.' || numbers[0] != code / 100u) {
		return false;
	}
	*ret_status = (struct smtp_status){ (uint8_t)numbers[0], (uint16_t)numbers[1],
					    (uint16_t)numbers[2] };
	*text = view_from(*text, word.len + 1);
	return true;
}

static void keep_text(struct smtp_reply_reader *reader, struct view text)
{
	text = view_trim(text);
	if (text.len && reader->text_len && reader->text_len < sizeof reader->text) {
		reader->text[reader->text_len++] = ' ';
	}
	text = view_first(text, sizeof reader->text - reader->text_len);
	if (text.len) {
		memcpy(reader->text + reader->text_len, text.data, text.len);
		reader->text_len = (uint16_t)(reader->text_len + text.len);
	}
}

static void note_mechanisms(struct smtp_extensions *extensions, struct view names)
{
	struct view name;

	while (view_next_word(&names, &name)) {
		if (view_equal_nocase(name, VIEW("PLAIN"))) {
			extensions->mechanisms |= SMTP_MECHANISM_PLAIN;
		} else if (view_equal_nocase(name, VIEW("LOGIN"))) {
			extensions->mechanisms |= SMTP_MECHANISM_LOGIN;
		}
	}
}

static void note_extension(struct smtp_extensions *extensions, struct view line)
{
	const struct {
		struct view keyword;
		bool *offered;
	} flags[] = {
		{ VIEW("PIPELINING"), &extensions->pipelining },
		{ VIEW("8BITMIME"), &extensions->eight_bit_mime },
		{ VIEW("SMTPUTF8"), &extensions->smtputf8 },
		{ VIEW("STARTTLS"), &extensions->starttls },
		{ VIEW("ENHANCEDSTATUSCODES"), &extensions->enhanced_status_codes },
		{ VIEW("SIZE"), &extensions->size },
	};
	struct view keyword;

	if (view_starts_nocase(line, VIEW("AUTH="))) { // a spelling from before RFC 2554
		note_mechanisms(extensions, view_from(line, 5));
		return;
	}
	if (!view_next_word(&line, &keyword)) {
		return;
	}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		*flags[i].offered |= view_equal_nocase(keyword, flags[i].keyword);
	}
	if (view_equal_nocase(keyword, VIEW("AUTH"))) {
		note_mechanisms(extensions, line);
	} else if (view_equal_nocase(keyword, VIEW("SIZE"))) {
		view_to_u64(view_trim(line), UINT64_MAX, &extensions->size_bytes_max);
	}
}

static enum smtp_reply_result read_line(struct smtp_reply_reader *reader, struct view line)
{
	uint16_t code = code_of(line);
	struct smtp_status status;
	struct view text;

	reader->byte_count += (uint32_t)line.len;
	if (reader->line_count == SMTP_CLIENT_REPLY_LINES_MAX ||
	    reader->byte_count > SMTP_CLIENT_REPLY_MAX) {
		return SMTP_REPLY_LIMIT;
	}
	if (code == 0 || (reader->line_count && code != reader->code) ||
	    (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')) {
		return SMTP_REPLY_BAD;
	}
	text = view_from(line, 4);
	if (reader->line_count) {
		note_extension(&reader->extensions, text);
	}
	if (take_status(&text, code, &status) && reader->line_count == 0) {
		reader->status = status;
	}
	keep_text(reader, text);
	reader->code = code;
	reader->line_count++;
	reader->complete = line.len == 3 || line.data[3] == ' ';
	return reader->complete ? SMTP_REPLY_DONE : SMTP_REPLY_MORE;
}

enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *reader, struct view *input)
{
	enum smtp_reply_result result = SMTP_REPLY_MORE;

	if (reader->complete) {
		*reader = (struct smtp_reply_reader){ 0 };
	}
	while (result == SMTP_REPLY_MORE) {
		struct view line = view_first(
			*input, view_find(view_first(*input, SMTP_CLIENT_REPLY_LINE_MAX), '\n'));

		if (line.len == input->len && line.len < SMTP_CLIENT_REPLY_LINE_MAX) {
			return SMTP_REPLY_MORE;
		}
		if (line.len == SMTP_CLIENT_REPLY_LINE_MAX) {
			return SMTP_REPLY_LIMIT;
		}
		*input = view_from(*input, line.len + 1);
		if (line.len && line.data[line.len - 1] == '\r') {
			line.len--;
		}
		result = read_line(reader, line);
	}
	return result;
}
