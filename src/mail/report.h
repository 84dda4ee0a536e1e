// Delivery reports (RFC 3464, RFC 3462, RFC 6533): the whole message that tells a sender what
// became of recipients, in CRLF lines: a text for people, the machine-readable status, the header
// of the original. All remote text is escaped and cut (attacks A11, A24). The caller sends it from
// the null reverse-path and never reports on a message that has one. Pure; any thread.
#pragma once

#include "base/buffer.h"

enum {
	REPORT_DIAGNOSTIC_MAX = 600,  // bytes of a remote text that are quoted, after escaping
	REPORT_HEADER_MAX = 64 << 10, // bytes of the original's header; whole fields
};

enum report_action {
	REPORT_FAILED,
	REPORT_DELAYED, // a warning: attempts go on
};

struct report_recipient {
	struct view address;    // canonical
	struct view original;   // as the sender gave it, where an alias changed it; else empty
	struct view status;     // enhanced status code: "5.1.1"
	struct view remote_mta; // name of the host that answered; empty when none did
	struct view diagnostic; // its reply, or our own reason; any bytes
	int64_t last_attempt_unix_ms; // 0: none
};

struct report {
	enum report_action action; // one for all recipients
	struct view hostname;      // ours
	struct view from;          // address of the report's author, such as postmaster@...
	struct view to;            // the reverse-path of the original
	struct view unique;        // queue id of the report: names its Message-ID and its boundary
	struct view queue_id;      // of the original
	struct view original;      // its bytes from the start; the header is all that is read
	int64_t unix_ms;           // now
	int64_t arrival_unix_ms;
	int64_t retry_until_unix_ms; // for REPORT_DELAYED
	int zone_minutes;
	const struct report_recipient *recipients;
	size_t recipient_count;
};

// Appends the message; buffer_error tells whether it fitted.
void report_add(struct buffer *out, const struct report *report);
