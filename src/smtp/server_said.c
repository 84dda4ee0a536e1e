#include "smtp/server_said.h"

#define COUNT_OF(array_) (sizeof(array_) / sizeof *(array_))

static const char *const lines[] = {
	"EHLO client.example",
	"MAIL FROM:<a@x.example>",
	"RCPT TO:<b@y.example>",
	"DATA",
	"STARTTLS",
	"AUTH PLAIN AHVzZXIAcGFzcw==",
	"AUTH PLAIN",
	"AUTH LOGIN",
	"dXNlcg==",
	"*",
	"AHVzZXIAcGFzcw==",
	"helo [192.0.2.1]",
	"MAIL FROM:<>",
	"MAIL FROM:<a@x.example> SIZE=9",
	"MAIL FROM:<a@x.example> BODY=8BITMIME SMTPUTF8",
	"RCPT TO:<Postmaster>",
	"RSET",
	"NOOP",
	"VRFY a",
	"EXPN a",
	"HELP",
	"QUIT",
	"BDAT 4 LAST",
	"GET / HTTP/1.1",
};

static const char *const heads[] = {
	"EHLO ",
	"HELO ",
	"AUTH ",
	"AUTH PLAIN ",
	"AUTH LOGIN ",
	"MAIL ",
	"MAIL FROM:",
	"MAIL FROM:<",
	"MAIL FROM:<a@x.example> ",
	"RCPT ",
	"RCPT TO:",
	"RCPT TO:<",
	"RCPT TO:<b@y.example> ",
	"VRFY ",
	"BDAT ",
	"STARTTLS ",
	"DATA ",
	"RSET ",
	"QUIT ",
	"NOOP ",
	"",
};

// Dots are doubled; a CR in the text stays, so that it may come bare.
static void add_body(struct buffer *out, struct view text)
{
	struct view line;

	while (view_next_part(&text, '\n', &line)) {
		if (line.len && line.data[0] == '.') {
			buffer_add_byte(out, '.');
		}
		buffer_add(out, line);
		buffer_add(out, VIEW("\r\n"));
	}
	buffer_add(out, VIEW(".\r\n"));
}

void server_said_add(struct buffer *out, enum server_said kind, const struct fuzz_action *action)
{
	uint8_t first = fuzz_action_byte(action, 0);

	switch (kind) {
	case SERVER_SAID_LINE:
		buffer_add_text(out, lines[first % COUNT_OF(lines)]);
		buffer_add(out, VIEW("\r\n"));
		break;
	case SERVER_SAID_HEAD:
		buffer_add_text(out, heads[first % COUNT_OF(heads)]);
		buffer_add(out, view_from(action->bytes, 1));
		buffer_add(out, VIEW("\r\n"));
		break;
	case SERVER_SAID_BODY: add_body(out, action->bytes); break;
	case SERVER_SAID_LONG:
		for (unsigned i = first * 256u + fuzz_action_byte(action, 1); i; i--) {
			buffer_add_byte(out, 'x');
		}
		buffer_add(out, view_from(action->bytes, 2));
		break;
	case SERVER_SAID_RAW:
	case SERVER_SAID_COUNT: buffer_add(out, action->bytes); break;
	}
}
