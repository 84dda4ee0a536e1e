// Addresses of sockets as text, there and back; and a log line with any text in it: one line that
// is printable, whose fields can be told apart again, as text and as JSON.
#include <string.h>

#include "base/fuzz.h"
#include "base/text.h"
#include "os/log.h"
#include "os/socket.h"

static void check_address(struct view text)
{
	struct os_address address, again;
	struct buffer out = buffer_with_max(1024);

	if (os_address_parse(text, 25, &address) == OK) {
		os_address_add_text(&out, &address);
		MUST(os_address_parse(buffer_view(&out), 25, &again) == OK);
		MUST(os_address_equal(&address, &again));
	}
	buffer_done(&out);
}

// The value behind the name, to its end. Quoted: up to the quote that is not escaped.
static struct view value_behind(struct view line, const char *name)
{
	size_t at = view_find_text(line, view_from_text(name));
	size_t len = 0;
	bool quoted;

	MUST(at < line.len);
	line = view_from(line, at + strlen(name));
	quoted = line.data[0] == '"';
	line = view_from(line, quoted);
	while (len < line.len && line.data[len] != (quoted ? '"' : ' ') && line.data[len] != '\n') {
		len += line.data[len] == '\\' ? 2 : 1;
	}
	MUST(len < line.len);
	MUST(!quoted || line.data[len] == '"');
	return view_from(line, len + quoted);
}

static void check_line(struct view text, bool json)
{
	const struct log_field fields[] = { LOG_TEXT("from", text), LOG_NUMBER("delay", 7),
					    LOG_TEXT("reason", VIEW("end")) };
	struct buffer out = buffer_with_max(16384);
	struct view line, rest;

	log_format(&out, json, 1700000000000, "receive", LOG_INFO, "connect", fields, 3);
	MUST(buffer_error(&out) == OK && out.len < 2200);
	line = buffer_view(&out);
	MUST(view_find(line, '\n') == line.len - 1);
	MUST(text_is_printable(view_first(line, line.len - 1)));
	// Behind the hostile value comes our own next field and no other.
	rest = value_behind(line, json ? "\"from\":" : " from=");
	MUST(view_equal(rest, json ? VIEW(",\"delay\":7,\"reason\":\"end\"}\n")
				   : VIEW(" delay=7 reason=end\n")));
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = view_of(data, size);

	check_address(text);
	check_line(text, false);
	check_line(text, true);
	return 0;
}
