// Writes the fields that a server adds: trace fields (RFC 5321 section 4.4), Date and Message-ID.
// Each call appends one field with CRLF at the end, folded so that no line passes 998 octets. Text
// from peers cannot add a line, a comment or a field: what does not belong is written as '?' (A13).
// Pure; any thread.
#pragma once

#include "base/buffer.h"

// How the message came in; the keyword after "with" (RFC 3848, RFC 6531) follows from it.
struct trace_protocol {
	bool extended; // EHLO
	bool tls;
	bool authenticated;
	bool smtputf8;
};

struct trace_received {
	struct view helo;      // as the peer said it
	struct view peer_name; // checked host name; may be empty
	struct view peer_ip;   // in text form: 192.0.2.1 or 2001:db8::1
	struct view hostname;  // ours
	struct trace_protocol protocol;
	struct view tls_version, tls_cipher; // such as TLSv1.3; empty without TLS
	struct view queue_id;
	struct view recipient; // canonical; empty unless there is exactly one (else others would
			       // see it)
	int64_t unix_ms;
	int zone_minutes;
};

void trace_add_received(struct buffer *out, const struct trace_received *received);

const char *trace_protocol_name(struct trace_protocol protocol); // "ESMTPSA"

void trace_add_return_path(struct buffer *out, struct view reverse_path); // canonical; empty for <>
void trace_add_delivered_to(struct buffer *out, struct view recipient);   // canonical
void trace_add_message_id(struct buffer *out, struct view unique, struct view hostname);
void trace_add_date(struct buffer *out, int64_t unix_ms, int zone_minutes);
