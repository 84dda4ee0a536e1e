#include "mail/report.h"

#include "base/text.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/outgoing.h"
#include "mail/trace.h"

// Remote text for people: UTF-8 that a terminal can show, on one line.
static void add_quoted(struct buffer *out, struct view text)
{
	text_add_escaped(out, text, REPORT_DIAGNOSTIC_MAX);
}

// The same for fields that are ASCII by definition.
static void add_ascii(struct buffer *out, struct view text)
{
	size_t start = out->len;

	text_add_escaped(out, text, REPORT_DIAGNOSTIC_MAX);
	for (size_t i = start; i < out->len; i++) {
		if ((uint8_t)out->data[i] >= 0x80) {
			out->data[i] = '?';
		}
	}
}

static uint32_t decode_utf8(struct view text, size_t *ret_len)
{
	uint8_t first = (uint8_t)text.data[0];
	size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t code = first & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		code = code << 6 | ((uint8_t)text.data[i] & 0x3f);
	}
	*ret_len = len;
	return code;
}

// utf-8-addr-xtext of RFC 6533 section 3: an address that is not ASCII, in ASCII.
static void add_typed_address(struct buffer *out, struct view address)
{
	size_t len, start = out->len;

	if (text_is_ascii(address) || !text_is_utf8(address)) {
		buffer_add_text(out, "rfc822; ");
		add_ascii(out, address);
		return;
	}
	buffer_add_text(out, "utf-8; ");
	while (address.len && out->len - start <= REPORT_DIAGNOSTIC_MAX) {
		if ((uint8_t)address.data[0] >= 0x80) {
			buffer_printf(out, "\\x{%X}", decode_utf8(address, &len));
		} else {
			add_ascii(out, view_first(address, 1));
			len = 1;
		}
		address = view_from(address, len);
	}
}

static void add_boundary(struct buffer *out, const struct report *report)
{
	buffer_add_text(out, "=_report_");
	buffer_add(out, report->unique);
}

static void add_part(struct buffer *out, const struct report *report, const char *type)
{
	buffer_add_text(out, "--");
	add_boundary(out, report);
	buffer_add_text(out, "\r\nContent-Type: ");
	buffer_add_text(out, type);
	buffer_add_text(out, "\r\n");
}

static void add_header(struct buffer *out, const struct report *report)
{
	buffer_add_text(out, "From: Mail Delivery System <");
	buffer_add(out, report->from);
	buffer_add_text(out, ">\r\nTo: <");
	buffer_add(out, report->to);
	buffer_add_text(out, report->action == REPORT_FAILED
				     ? ">\r\nSubject: Your message could not be delivered\r\n"
				     : ">\r\nSubject: Your message is delayed\r\n");
	trace_add_date(out, report->unix_ms, report->zone_minutes);
	trace_add_message_id(out, report->unique, report->hostname);
	buffer_add_text(out, "Auto-Submitted: auto-replied\r\n"
			     "MIME-Version: 1.0\r\n"
			     "Content-Type: multipart/report; report-type=delivery-status;\r\n"
			     "\tboundary=\"");
	add_boundary(out, report);
	buffer_add_text(out, "\"\r\n\r\n");
}

static void add_recipient_text(struct buffer *out, const struct report_recipient *recipient)
{
	buffer_add_text(out, "\r\n<");
	add_quoted(out, recipient->address);
	buffer_add_text(out, ">");
	if (recipient->original.len) {
		buffer_add_text(out, ",\r\nwhich you wrote to as <");
		add_quoted(out, recipient->original);
		buffer_add_text(out, ">");
	}
	buffer_add_text(out, ":\r\n    ");
	if (recipient->remote_mta.len) {
		add_quoted(out, recipient->remote_mta);
		buffer_add_text(out, " said:\r\n    ");
	}
	add_quoted(out, recipient->diagnostic);
	buffer_add_text(out, "\r\n");
}

static void add_text(struct buffer *out, const struct report *report)
{
	add_part(out, report, "text/plain; charset=utf-8");
	buffer_add_text(out, "Content-Transfer-Encoding: 8bit\r\n\r\n"
			     "This is the mail server ");
	add_quoted(out, report->hostname);
	if (report->action == REPORT_FAILED) {
		buffer_add_text(out,
				".\r\n\r\nYour message could not be delivered to the addresses\r\n"
				"below, and no further attempt will be made. The reason is\r\n"
				"given after each.\r\n");
	} else {
		buffer_add_text(out,
				".\r\n\r\nYour message has not yet reached the addresses below.\r\n"
				"You need not send it again: attempts go on until\r\n");
		date_add(out, report->retry_until_unix_ms, report->zone_minutes);
		buffer_add_text(out, ". What hinders it now is given after each.\r\n");
	}
	for (size_t i = 0; i < report->recipient_count; i++) {
		add_recipient_text(out, &report->recipients[i]);
	}
	buffer_add_text(out, "\r\nIf you ask the postmaster about it, name this queue id: ");
	add_quoted(out, report->queue_id);
	buffer_add_text(out, "\r\n\r\n");
}

static void add_date_field(struct buffer *out, const char *name, int64_t unix_ms, int zone_minutes)
{
	buffer_add_text(out, name);
	date_add(out, unix_ms, zone_minutes);
	buffer_add_text(out, "\r\n");
}

static void add_recipient_status(struct buffer *out, const struct report *report,
				 const struct report_recipient *recipient)
{
	if (recipient->original.len) {
		buffer_add_text(out, "Original-Recipient: ");
		add_typed_address(out, recipient->original);
		buffer_add_text(out, "\r\n");
	}
	buffer_add_text(out, "Final-Recipient: ");
	add_typed_address(out, recipient->address);
	buffer_add_text(out, report->action == REPORT_FAILED ? "\r\nAction: failed\r\nStatus: "
							     : "\r\nAction: delayed\r\nStatus: ");
	add_ascii(out, recipient->status);
	if (recipient->remote_mta.len) {
		buffer_add_text(out, "\r\nRemote-MTA: dns; ");
		add_ascii(out, recipient->remote_mta);
	}
	buffer_add_text(out, recipient->remote_mta.len ? "\r\nDiagnostic-Code: smtp; "
						       : "\r\nDiagnostic-Code: x-packetboat; ");
	add_ascii(out, recipient->diagnostic);
	buffer_add_text(out, "\r\n");
	if (recipient->last_attempt_unix_ms) {
		add_date_field(out, "Last-Attempt-Date: ", recipient->last_attempt_unix_ms,
			       report->zone_minutes);
	}
	if (report->action == REPORT_DELAYED) {
		add_date_field(out, "Will-Retry-Until: ", report->retry_until_unix_ms,
			       report->zone_minutes);
	}
}

static void add_status(struct buffer *out, const struct report *report)
{
	add_part(out, report, "message/delivery-status");
	buffer_add_text(out, "\r\nReporting-MTA: dns; ");
	add_ascii(out, report->hostname);
	buffer_add_text(out, "\r\nX-Queue-ID: ");
	add_ascii(out, report->queue_id);
	add_date_field(out, "\r\nArrival-Date: ", report->arrival_unix_ms, report->zone_minutes);
	for (size_t i = 0; i < report->recipient_count; i++) {
		buffer_add_text(out, "\r\n");
		add_recipient_status(out, report, &report->recipients[i]);
	}
	buffer_add_text(out, "\r\n");
}

// Whole fields of the original's header, up to the cap or to one with a NUL, which no mail may
// hold.
static struct view header_to_quote(struct view original)
{
	struct header_walk walk = header_walk_of(original);
	struct header_field field;
	size_t end = 0;

	while (header_next(&walk, &field) && walk.offset <= REPORT_HEADER_MAX &&
	       view_find(field.whole, '\0') == field.whole.len) {
		end = walk.offset;
	}
	return view_first(original, end);
}

static void add_original(struct buffer *out, const struct report *report)
{
	struct view header = header_to_quote(report->original);
	struct outgoing_edits edits = { 0 };
	struct outgoing outgoing;

	add_part(out, report,
		 text_is_ascii(header) ? "text/rfc822-headers" : "message/global-headers");
	buffer_add_text(out,
			text_is_ascii(header) ? "\r\n" : "Content-Transfer-Encoding: 8bit\r\n\r\n");
	outgoing_start(&outgoing, OUTGOING_STORED, &edits, out);
	outgoing_feed(&outgoing, header, out);
	outgoing_finish(&outgoing, out);
	buffer_add_text(out, "\r\n--");
	add_boundary(out, report);
	buffer_add_text(out, "--\r\n");
}

void report_add(struct buffer *out, const struct report *report)
{
	add_header(out, report);
	add_text(out, report);
	add_status(out, report);
	add_original(out, report);
}
