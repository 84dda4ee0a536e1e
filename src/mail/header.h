// Header fields of a message given as a view (RFC 5322 section 2.2, with the UTF-8 of RFC 6532): a
// walk without allocation, in time linear in the header, and the mailboxes of From. Everything that
// looks at a header uses this walk, so that all agree where the header ends (attacks A38, A39).
//
// The one rule: lines end with LF (a CR before it belongs to the end of the line). The header ends
// at the first empty line, which is part of neither, or before the first line that is neither a
// field (name, blanks, colon) nor, after a field, a continuation (it begins with a blank). In that
// last case, and where a field's name or value holds what no field may, the header is malformed; so
// is one past a limit.
//
// Limits: 1 MiB of header, 1000 fields, names of 200 bytes with the blanks before their colon.
// Results view the message. Pure; any thread.
#pragma once

#include "base/buffer.h"

enum {
	HEADER_MAX = 1 << 20, // bytes
	HEADER_FIELDS_MAX = 1000,
	HEADER_NAME_MAX = 200,     // a longer one is no field
	HEADER_RECEIVED_MAX = 100, // hops (RFC 5321 section 6.3)
	HEADER_MAILBOXES_MAX = 100,
};

enum header_fault {
	HEADER_OK = 0,
	HEADER_NOT_A_FIELD,   // a line without colon, with an empty name, or with odd bytes in it
	HEADER_BLANK_IN_NAME, // "From :" (RFC 5322 section 4.5, obsolete; read, but said)
	HEADER_NUL,           // a NUL in a field
	HEADER_BARE_CR,       // a CR that no LF follows
	HEADER_TOO_LONG,      // HEADER_MAX passed
	HEADER_TOO_MANY,      // HEADER_FIELDS_MAX passed
};

const char *header_fault_text(enum header_fault fault); // one lower-case phrase; never NULL

struct header_field {
	struct view name;  // without blanks around it
	struct view value; // after the colon, with folding, without the last line end
	struct view whole; // all of its bytes, with the last line end
};

struct header_walk {
	struct view message;
	size_t offset; // of what comes next: a field, or the body once the walk is over
	size_t field_count;
	enum header_fault fault; // the first one met
	bool over;
};

static inline struct header_walk header_walk_of(struct view message)
{
	return (struct header_walk){ .message = message };
}

// The next field; false at the end of the header, with the fault and with offset at the body.
// Faults other than HEADER_BLANK_IN_NAME, HEADER_NUL and HEADER_BARE_CR end the walk.
bool header_next(struct header_walk *walk, struct header_field *ret_field);

// What a message's header is as a whole, from one walk.
struct header_facts {
	enum header_fault fault;
	size_t body_offset; // the message's length where it has no body
	size_t field_count;
	size_t received_count;
	size_t from_count;
	bool has_date;
	bool has_message_id;
	bool has_utf8; // some field holds bytes above 127
};

struct header_facts header_facts_of(struct view message);

// A Delivered-To field names this mailbox (its struct address key): it has been here before.
bool header_was_delivered_to(struct view message, struct view address_key);

// Appends the value on one line: folds gone, blanks at the ends gone.
void header_add_unfolded(struct buffer *out, struct view value);
