// What a server says, read as hostile input (attack A11): replies of one or more lines, and the
// extensions of an EHLO reply. Linear, bounded, without allocation; text is optional. Pure.
#pragma once

#include "smtp/reply.h"

enum {
	SMTP_CLIENT_REPLY_LINE_MAX = 2048, // bytes of a line, its end included
	SMTP_CLIENT_REPLY_LINES_MAX = 100,
	SMTP_CLIENT_REPLY_MAX = 16 << 10, // bytes of a reply
	SMTP_CLIENT_REPLY_TEXT_MAX = 512, // bytes kept of its text
};

enum smtp_mechanism { SMTP_MECHANISM_NONE = 0, SMTP_MECHANISM_PLAIN = 1, SMTP_MECHANISM_LOGIN = 2 };

struct smtp_extensions {
	bool pipelining, eight_bit_mime, smtputf8, starttls, enhanced_status_codes, size;
	uint64_t size_bytes_max; // 0: not said
	unsigned mechanisms;     // enum smtp_mechanism, as bits
};

enum smtp_reply_result {
	SMTP_REPLY_MORE, // no complete reply yet
	SMTP_REPLY_DONE,
	SMTP_REPLY_BAD,   // not a reply, or codes that differ
	SMTP_REPLY_LIMIT, // longer than one may be
};

// A reply as far as it has come. Zeroed: at the begin of one.
struct smtp_reply_reader {
	uint16_t code;
	uint16_t line_count;
	uint32_t byte_count;
	uint16_t text_len;
	bool complete;
	struct smtp_status status;             // of the first line; class 0: none
	struct smtp_extensions extensions;     // what the lines say if it is an EHLO reply
	char text[SMTP_CLIENT_REPLY_TEXT_MAX]; // any bytes; without codes, lines joined by blanks
};

// Takes complete lines off *input until a reply is complete. A new one begins at the call after
// DONE.
enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *reader, struct view *input);
