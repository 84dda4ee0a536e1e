// The envelope of a message as the spool keeps it: type-length-value items with a must-understand
// bit (README, "Envelope"). Pure. Views point into what they were decoded from; the recipients'
// array comes from the arena.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

enum {
	SPOOL_RECIPIENTS_MAX = 10000,
	SPOOL_ENVELOPE_BYTES_MAX = 4 * 1024 * 1024,
	SPOOL_ADDRESS_BYTES_MAX = 1024, // reverse-path, recipient, ORCPT, login, each
};

enum spool_kind {
	SPOOL_REMOTE = 0, // goes out by a route
	SPOOL_LOCAL = 1,  // a mailbox here (Maildir, LMTP)
	SPOOL_KIND_COUNT,
};

struct spool_recipient {
	struct view address;  // final, after aliases: local-part@domain, without <>
	struct view original; // as given at RCPT; empty in encode means the same as address
	struct view orcpt;    // the ORCPT parameter, or empty
	enum spool_kind kind; // a hint: deliver decides again by its own configuration
};

enum {
	SPOOL_BODY_8BIT = 1, // BODY=8BITMIME
	SPOOL_SMTPUTF8 = 2,
	SPOOL_BODY_FILE = 4, // the body is the file body/ID, not in the record
	SPOOL_ENVELOPE_FLAGS = 7,
};

struct spool_envelope {
	uint64_t id;
	uint64_t arrival_ms;      // wall clock
	struct view reverse_path; // without <>; empty: the null sender
	struct spool_recipient *recipients;
	uint32_t recipient_count; // 1 .. SPOOL_RECIPIENTS_MAX
	uint32_t flags;
	uint64_t body_bytes; // of the body as received, without added_fields
	struct view helo;
	struct view client; // address as text
	struct view listener;
	uint8_t role;
	struct view login;
	struct view tls;            // version and cipher, or empty
	struct view authentication; // the verdict, opaque here
	uint32_t body_crc;          // CRC32C of the file body/ID
	bool has_body_crc;          // false: an earlier program wrote it
	struct view added_fields;   // whole header lines with CR LF, to put in front of the body
};

// ERROR_INVALID when it breaks a bound above (also in out->max); ERROR_NO_MEMORY. Whatever was in
// out before stays in front.
enum error spool_envelope_encode(struct buffer *out,
				 const struct spool_envelope *envelope) must_check;
// ERROR_CORRUPT: not an envelope, or breaks a bound. ERROR_UNSUPPORTED: an item that must be
// understood and is not. ERROR_NO_MEMORY: the arena.
enum error spool_envelope_decode(struct view bytes, struct arena *arena,
				 struct spool_envelope *ret_envelope) must_check;
