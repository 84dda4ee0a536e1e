// A queued message as `packetboat queue` shows and chooses it: the same in deliver, which answers
// while it runs, and in the command itself, which reads the spool while it does not. Pure; any
// thread.
#pragma once

#include "link/control.h"
#include "policy/pattern.h"
#include "spool/store.h"

struct listing {
	const struct spool_message *message;
	uint64_t arrival_ms; // Unix time
	uint64_t size_bytes;
	struct view reverse_path;                                    // empty: the null sender
	struct view login;                                           // empty: none
	struct view (*address)(const void *context, uint32_t index); // of a recipient
	const void *context;
};

// One JSON object: id, arrival_ms, size_bytes, from, login, held, crashes, reason and recipients
// with to, status (pending, delivered, failed, expired, removed), trying, attempts and
// next_attempt_s.
void listing_add_json(struct buffer *out, const struct listing *listing);

// What a queue command is about: ids (plain arguments) or, without any, all messages; of them those
// that pass each of from, to, site, older and reason. to and site look at recipients that are still
// pending; a site's name is, or ends the, domain of such a recipient.
struct listing_filter {
	const struct control_request *request;
	struct pattern from, to;
	struct view site, reason;
	uint64_t older_ms;
	bool has_from, has_to, has_ids;
	bool narrows; // by at least one id or filter
};

// ERROR_INVALID: an argument breaks its form. Views stay the request's and the arena's.
enum error listing_filter_init(struct listing_filter *filter, struct arena *arena,
			       const struct control_request *request) must_check;
bool listing_matches(const struct listing_filter *filter, const struct listing *listing,
		     uint64_t now_ms);
