// RFC 5321 section 4.1.1.1:
//   ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
//   helo = "HELO" SP Domain CRLF
// A refused greeting changes nothing (section 4.1.4); an accepted one is also a RSET.
#include "smtp/server_parts.h"

#include <stdlib.h>
#include <string.h>

struct extension {
	struct view word;
	bool (*offered)(const struct smtp_server *server);                           // NULL: always
	void (*add_arguments)(const struct smtp_server *server, struct buffer *out); // NULL: none
};

static void add_size(const struct smtp_server *server, struct buffer *out)
{
	buffer_add_byte(out, ' ');
	buffer_add_number(out, server->settings->size_bytes_max);
}

static const struct extension extensions[] = {
	{ .word = VIEW("PIPELINING") },
	{ .word = VIEW("SIZE"), .add_arguments = add_size },
	{ .word = VIEW("8BITMIME") },
	{ .word = VIEW("SMTPUTF8") },
	{ .word = VIEW("STARTTLS"), .offered = smtp_starttls_offered },
	{ .word = VIEW("AUTH"),
	  .offered = smtp_auth_offered,
	  .add_arguments = smtp_auth_add_mechanisms },
	{ .word = VIEW("ENHANCEDSTATUSCODES") },
};

enum { EXTENSIONS_COUNT = sizeof extensions / sizeof *extensions };

// What hosts really call themselves: names with underscores, single words, literals. No more, since
// the name goes into trace fields and logs.
static bool is_helo_name(struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!ascii_is_alnum(name.data[i]) && !strchr("-._:[]", name.data[i])) {
			return false;
		}
	}
	return name.len > 0 && name.len <= SMTP_HELO_MAX;
}

static void greet(struct smtp_server *server, struct view name, bool extended,
		  struct smtp_event *event)
{
	if (!is_helo_name(name)) {
		smtp_server_say_id(server, SMTP_REPLY_BAD_HELO);
		return;
	}
	free(server->helo_asked);
	server->helo_asked = strndup(name.data, name.len);
	if (!server->helo_asked) {
		smtp_server_say_id(server, SMTP_REPLY_NO_MEMORY);
		return;
	}
	server->extended_asked = extended;
	event->kind = SMTP_EVENT_HELO;
	event->helo.name = view_from_text(server->helo_asked);
	event->helo.extended = extended;
}

void smtp_cmd_helo(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	greet(server, arguments, false, event);
}

void smtp_cmd_ehlo(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	greet(server, arguments, true, event);
}

// The last word of the table is always on offer: it is the line without a hyphen.
static void say_extensions(struct smtp_server *server)
{
	struct buffer *out = &server->output;

	for (size_t i = 0; i < EXTENSIONS_COUNT; i++) {
		const struct extension *extension = &extensions[i];

		if (extension->offered && !extension->offered(server)) {
			continue;
		}
		buffer_add_text(out, i + 1 < EXTENSIONS_COUNT ? "250-" : "250 ");
		buffer_add(out, extension->word);
		if (extension->add_arguments) {
			extension->add_arguments(server, out);
		}
		buffer_add(out, VIEW("\r\n"));
	}
}

void smtp_helo_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	if (!smtp_reply_positive(reply)) {
		free(server->helo_asked);
		server->helo_asked = NULL;
		smtp_server_say(server, reply);
		return;
	}
	free(server->helo);
	server->helo = server->helo_asked;
	server->helo_asked = NULL;
	server->extended = server->extended_asked;
	smtp_server_end_transaction(server);
	buffer_add_text(&server->output, server->extended ? "250-" : "250 ");
	buffer_add(&server->output, server->settings->hostname);
	buffer_add(&server->output, VIEW("\r\n"));
	if (server->extended) {
		say_extensions(server);
	}
}
