// Outgoing form: what is sent or filed of a stored message. Fields in front, fields taken out, then
// the line ends and the framing of the destination. Streaming: chunks of the stored bytes in, bytes
// out; where the chunks are cut makes no difference. A bare CR or LF, which the server never
// stores, becomes a blank, so that nothing leaves that another server could take for a line end
// (attack A2).
//
// The header that fields are taken out of ends by the rule of header.h. A message that has no field
// to stand between ours and its body gets an empty line there, where it does not begin with one:
// else its first line would be read as a field, or as the fold of our last. There is no signature
// that this could touch, for that would be a field. Pure; one owner, one
// thread.
#pragma once

#include "base/buffer.h"
#include "mail/header.h"

enum {
	// What a feed can add over 2 bytes a byte: the name of a field, held back until its colon.
	OUTGOING_SLACK = 2 * HEADER_NAME_MAX + 8,
};

enum outgoing_form {
	OUTGOING_SMTP,    // CRLF line ends, dots stuffed, and the final "." line
	OUTGOING_STORED,  // CRLF line ends and nothing else: what the spool holds
	OUTGOING_MAILDIR, // LF line ends
};

struct outgoing_edits {
	struct view front;           // whole fields with CRLF, put before the first
	const struct view *removals; // names of fields to leave out, in any case
	size_t removal_count;
};

struct outgoing {
	enum outgoing_form form;
	struct outgoing_edits edits; // views of the caller's, alive as long as this
	int place;                   // in the header, by the rule of header.h
	char name[HEADER_NAME_MAX];
	size_t name_len;
	bool after_cr;   // a CR is held back until its LF is seen
	bool line_start; // of the output
	bool field_kept; // one of the message's own is in the output
};

// Begins a message and appends its front fields to out.
void outgoing_start(struct outgoing *outgoing, enum outgoing_form form,
		    const struct outgoing_edits *edits, struct buffer *out);
// Appends at most 2 * chunk.len + OUTGOING_SLACK bytes.
void outgoing_feed(struct outgoing *outgoing, struct view chunk, struct buffer *out);
// Ends the last line where it has no end, and for SMTP the message. At most OUTGOING_SLACK bytes.
void outgoing_finish(struct outgoing *outgoing, struct buffer *out);
