// What a message's own header means for taking it: loops, the From of a login, and the fields that
// we add in front. Facts in, verdict out; pure but for the arena.
#pragma once

#include "mail/address.h"
#include "mail/trace.h"
#include "policy/directory.h"
#include "policy/pattern.h"
#include "smtp/reply.h"

struct examine_facts {
	struct view header;          // the message, at least up to the end of its header
	bool is_submission;          // Date and Message-ID are added, From must belong to the login
	uint64_t hops_max;           // Received fields
	const struct address *login; // NULL: none
	struct patterns login_senders;
	const struct directory *directory;
};

struct examine_verdict {
	bool accepted;
	struct smtp_reply reply; // unless accepted
	bool add_date, add_message_id;
};

// ERROR_NO_MEMORY.
enum error examine_header(const struct examine_facts *facts, struct arena *arena,
			  struct examine_verdict *ret_verdict) must_check;

// Received, and what the verdict adds.
void examine_add_fields(struct buffer *out, const struct examine_verdict *verdict,
			const struct trace_received *received);

// How far the header of a message goes that is not complete yet: true once its end is there.
bool examine_header_complete(struct view message);
