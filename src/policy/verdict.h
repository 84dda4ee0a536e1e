// What a decision says: accept, refuse with this reply, or that facts are missing. A verdict names
// its reason for the log and for `trace`, and the effects that it wants; the caller applies them.
// All text is literal and lives for ever. Pure values.
#pragma once

#include <stdbool.h>

enum verdict_kind {
	VERDICT_ACCEPT,
	VERDICT_REFUSE,
	VERDICT_NEED, // fetch the facts named in need, side by side, and decide again
};

// Facts that may be missing (bits).
enum {
	NEED_DIRECTORY = 1, // directory_resolve of the address that is decided on
};

// What the shell should do besides (bits).
enum {
	EFFECT_CHARGE_UNKNOWN_RECIPIENT =
		1,                         // against the client (conduct.h): guessing of addresses
	EFFECT_CHARGE_RELAY_ATTEMPT = 2,   // against the client
	EFFECT_CHARGE_DISCARDED_BYTES = 4, // against the client: of a body that came to nothing
};

struct verdict {
	enum verdict_kind kind;
	unsigned code;        // of the reply; 0 unless refused
	const char *enhanced; // "5.7.1" (RFC 3463); "" unless refused
	const char *text;     // of the reply; "" unless refused
	const char *reason;   // a stable phrase such as "relay_domain"; never NULL
	unsigned need;        // NEED_ bits
	unsigned effects;     // EFFECT_ bits
};

static inline struct verdict verdict_accept(const char *reason)
{
	return (struct verdict){ VERDICT_ACCEPT, 0, "", "", reason, 0, 0 };
}

static inline struct verdict verdict_refuse(unsigned code, const char *enhanced, const char *text,
					    const char *reason)
{
	return (struct verdict){ VERDICT_REFUSE, code, enhanced, text, reason, 0, 0 };
}

static inline struct verdict verdict_need(unsigned need)
{
	return (struct verdict){ VERDICT_NEED, 0, "", "", "facts_missing", need, 0 };
}
