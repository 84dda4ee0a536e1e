#include "smtp/reply.h"

#include <string.h>

struct reply_row {
	uint16_t code;
	uint16_t subject;
	uint16_t detail;
	const char *text;
};

static const struct reply_row reply_rows[SMTP_REPLY_COUNT] = {
#define X(id, code, subject, detail, text) { code, subject, detail, text },
	SMTP_REPLIES(X)
#undef X
};

static void append_text(struct smtp_reply *reply, struct view text)
{
	size_t used = strlen(reply->text);

	for (size_t i = 0; i < text.len && used < SMTP_REPLY_TEXT_MAX; i++, used++) {
		bool printable = text.data[i] >= ' ' && text.data[i] <= '~';

		reply->text[used] = printable ? text.data[i] : '?';
	}
	reply->text[used] = '\0';
}

struct smtp_reply smtp_reply_of(unsigned code, struct smtp_status status, struct view text)
{
	struct smtp_reply reply = { .code = (uint16_t)code, .status = status };

	append_text(&reply, text);
	return reply;
}

struct smtp_reply smtp_reply(enum smtp_reply_id id)
{
	const struct reply_row *row = &reply_rows[id];
	struct smtp_status status = { 0 };

	if (row->subject != SMTP_STATUS_NONE) {
		status = (struct smtp_status){ (uint8_t)(row->code / 100), row->subject,
					       row->detail };
	}
	return smtp_reply_of(row->code, status, view_from_text(row->text));
}

struct smtp_reply smtp_reply_with(enum smtp_reply_id id, struct view detail)
{
	struct smtp_reply reply = smtp_reply(id);

	if (detail.len && reply.text[0]) {
		append_text(&reply, VIEW(" "));
	}
	append_text(&reply, detail);
	return reply;
}

void smtp_reply_write(struct buffer *out, const struct smtp_reply *reply)
{
	buffer_add_number(out, reply->code);
	buffer_add_byte(out, ' ');
	if (reply->status.class) {
		buffer_add_number(out, reply->status.class);
		buffer_add_byte(out, '.');
		buffer_add_number(out, reply->status.subject);
		buffer_add_byte(out, '.');
		buffer_add_number(out, reply->status.detail);
		buffer_add_byte(out, ' ');
	}
	buffer_add_text(out, reply->text);
	buffer_add(out, VIEW("\r\n"));
}
