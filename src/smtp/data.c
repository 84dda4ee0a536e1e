#include "smtp/data.h"

#include <string.h>

enum place { AT_LINE_START, IN_LINE, AFTER_CR, AFTER_DOT, AFTER_DOT_CR };

// Where decoding reads and where it puts what it keeps: never ahead of what is read.
struct cursor {
	const char *in;
	const char *end;
	char *out;
};

static void keep(struct cursor *at, size_t len)
{
	if (at->out != at->in) {
		memmove(at->out, at->in, len);
	}
	at->out += len;
	at->in += len;
}

// The text of a line up to and with its CR LF, or as far as this chunk goes. Two library scans a
// line are several times faster than one loop over bytes.
static enum smtp_data_result take_text(struct smtp_data_decoder *decoder, struct cursor *at)
{
	size_t left = (size_t)(at->end - at->in);
	const char *lf = memchr(at->in, '\n', left);
	const char *cr = memchr(at->in, '\r', lf ? (size_t)(lf - at->in) : left);

	if (!cr && !lf) {
		keep(at, left);
		return SMTP_DATA_MORE;
	}
	if (!cr) {
		keep(at, (size_t)(lf - at->in));
		return SMTP_DATA_BARE_LF;
	}
	if (cr + 1 == lf) {
		keep(at, (size_t)(lf + 1 - at->in));
		decoder->place = AT_LINE_START;
		return SMTP_DATA_MORE;
	}
	keep(at, (size_t)(cr + 1 - at->in));
	decoder->place = AFTER_CR;
	return SMTP_DATA_MORE;
}

static enum smtp_data_result take(struct smtp_data_decoder *decoder, struct cursor *at)
{
	switch ((enum place)decoder->place) {
	case AT_LINE_START:
		decoder->place = *at->in == '.' ? AFTER_DOT : IN_LINE;
		at->in += *at->in == '.';
		return SMTP_DATA_MORE;
	case IN_LINE: return take_text(decoder, at);
	case AFTER_CR:
		if (*at->in != '\n') {
			return SMTP_DATA_BARE_CR;
		}
		keep(at, 1);
		decoder->place = AT_LINE_START;
		return SMTP_DATA_MORE;
	case AFTER_DOT:
		decoder->place = *at->in == '\r' ? AFTER_DOT_CR : IN_LINE;
		at->in += *at->in == '\r';
		return SMTP_DATA_MORE;
	case AFTER_DOT_CR:
		if (*at->in != '\n') {
			return SMTP_DATA_BARE_CR;
		}
		at->in++;
		return SMTP_DATA_END;
	}
	return SMTP_DATA_BARE_CR;
}

enum smtp_data_result smtp_data_decode(struct smtp_data_decoder *decoder, char *bytes, size_t len,
				       struct smtp_data_chunk *ret_chunk)
{
	struct cursor at = { .in = bytes, .end = bytes + len, .out = bytes };
	enum smtp_data_result result = SMTP_DATA_MORE;

	while (result == SMTP_DATA_MORE && at.in < at.end) {
		result = take(decoder, &at);
	}
	ret_chunk->kept = (size_t)(at.out - bytes);
	ret_chunk->taken = (size_t)(at.in - bytes);
	return result;
}
