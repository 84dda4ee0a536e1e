// Text: UTF-8, escaping for logs and terminals, durations and sizes as people write them.
#pragma once

#include "base/buffer.h"

// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool text_is_utf8(struct view text);
bool text_is_ascii(struct view text);
// No control character: no C0, no DEL, and in UTF-8 text no C1.
bool text_is_printable(struct view text);

// Remote text made safe for a log line, a terminal or a report (attack A24): well-formed printable
// UTF-8 stays, a backslash is doubled, every other byte becomes \xNN. At most max bytes (or 3):
// "..." ends what would come too near to them.
void text_add_escaped(struct buffer *out, struct view remote, size_t max);
// The same as a JSON string, with its quotes. Plain ASCII is copied as it is, in one go.
void text_add_json(struct buffer *out, struct view remote, size_t max);

// "90s" "5m" "36h" "5d" "2w" "100ms", a bare number is seconds. ERROR_INVALID, ERROR_LIMIT on
// overflow.
enum error text_to_duration_ms(struct view text, uint64_t *ret_ms) must_check;
// "512", "64KiB", "50MiB", "1GiB", "10kB", "25MB"; bytes.
enum error text_to_size_bytes(struct view text, uint64_t *ret_bytes) must_check;
// The word that somebody may have meant: zero-initialised, then told each known word; nearest stays
// NULL where none is near enough.
struct text_guess {
	const char *nearest;
	unsigned away; // letters added, dropped, changed or swapped with their neighbour
};
void text_guess_consider(struct text_guess *guess, struct view typed, const char *known);

void text_add_duration(struct buffer *out, uint64_t ms); // the largest unit that is exact: "36h"
void text_add_size(struct buffer *out, uint64_t bytes);  // the largest unit that is exact: "50MiB"
