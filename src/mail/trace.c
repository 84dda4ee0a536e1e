#include "mail/trace.h"

#include <string.h>

#include "base/text.h"
#include "mail/date.h"

enum { TEXT_MAX = 256 };

// Names, numbers and literals of peers: one token, whatever they sent.
static void add_token(struct buffer *out, struct view text)
{
	text = view_first(text, TEXT_MAX);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool fits = c > ' ' && c < 0x7f && !strchr("()<>\\;,\"", c);

		buffer_add_byte(out, fits ? c : '?');
	}
	if (text.len == 0) {
		buffer_add_byte(out, '?');
	}
}

// Addresses in canonical form hold no controls; this holds even for what did not pass the parser.
static void add_address(struct buffer *out, struct view address)
{
	for (size_t i = 0; i < address.len; i++) {
		char c = address.data[i];

		buffer_add_byte(out, (uint8_t)c < ' ' || c == 0x7f ? '?' : c);
	}
}

const char *trace_protocol_name(struct trace_protocol protocol)
{
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};

	if (!protocol.extended) {
		return "SMTP";
	}
	return names[protocol.smtputf8][protocol.tls][protocol.authenticated];
}

static void add_peer(struct buffer *out, const struct trace_received *received)
{
	buffer_add_text(out, " (");
	if (received->peer_name.len) {
		add_token(out, received->peer_name);
		buffer_add_byte(out, ' ');
	}
	buffer_add_text(out,
			view_find(received->peer_ip, ':') < received->peer_ip.len ? "[IPv6:" : "[");
	add_token(out, received->peer_ip);
	buffer_add_text(out, "])");
}

void trace_add_received(struct buffer *out, const struct trace_received *received)
{
	bool name_recipient = received->recipient.len &&
			      (received->protocol.smtputf8 || text_is_ascii(received->recipient));

	buffer_add_text(out, "Received: from ");
	add_token(out, received->helo);
	add_peer(out, received);
	buffer_add_text(out, "\r\n\tby ");
	add_token(out, received->hostname);
	buffer_add_text(out, " with ");
	buffer_add_text(out, trace_protocol_name(received->protocol));
	if (received->protocol.tls) {
		buffer_add_text(out, " (");
		add_token(out, received->tls_version);
		buffer_add_byte(out, ' ');
		add_token(out, received->tls_cipher);
		buffer_add_byte(out, ')');
	}
	buffer_add_text(out, "\r\n\tid ");
	add_token(out, received->queue_id);
	if (name_recipient) {
		buffer_add_text(out, "\r\n\tfor <");
		add_address(out, received->recipient);
		buffer_add_byte(out, '>');
	}
	buffer_add_text(out, "; ");
	date_add(out, received->unix_ms, received->zone_minutes);
	buffer_add_text(out, "\r\n");
}

void trace_add_return_path(struct buffer *out, struct view reverse_path)
{
	buffer_add_text(out, "Return-Path: <");
	add_address(out, reverse_path);
	buffer_add_text(out, ">\r\n");
}

void trace_add_delivered_to(struct buffer *out, struct view recipient)
{
	buffer_add_text(out, "Delivered-To: ");
	add_address(out, recipient);
	buffer_add_text(out, "\r\n");
}

void trace_add_message_id(struct buffer *out, struct view unique, struct view hostname)
{
	buffer_add_text(out, "Message-ID: <");
	add_token(out, unique);
	buffer_add_byte(out, '@');
	add_token(out, hostname);
	buffer_add_text(out, ">\r\n");
}

void trace_add_date(struct buffer *out, int64_t unix_ms, int zone_minutes)
{
	buffer_add_text(out, "Date: ");
	date_add(out, unix_ms, zone_minutes);
	buffer_add_text(out, "\r\n");
}
