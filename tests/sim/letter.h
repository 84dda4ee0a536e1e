// The messages of the simulation. A letter is made from its seed, number and size alone, so the
// bytes that were sent can be made again wherever a copy arrives. Lines end in CR LF; some begin
// with a dot, some have 8-bit text, some are as long as SMTP allows.
#pragma once

#include "base/buffer.h"

enum { LETTER_BYTES_MAX = 2 * 1024 * 1024 };

struct letter {
	uint64_t seed;
	unsigned number;
	size_t size;       // about; at least the header
	bool is_submitted; // after a login, as the box of that number
	unsigned box;
};

// Chances that follow from a number alone, apart from those of the simulation.
struct dice {
	uint64_t state;
};
uint64_t dice_below(struct dice *dice, uint64_t bound);

// out: of LETTER_BYTES_MAX.
void letter_write(const struct letter *letter, struct buffer *out);
// The bytes as the client's DATA sends them: dots doubled, and the final dot.
void letter_add_stuffed(struct buffer *out, struct view letter);
// The number that a copy's header names; false where there is none.
bool letter_find_number(struct view copy, unsigned *ret_number);
// The fields that a server put in front of the letter, when the copy ends with its bytes; false
// when it does not. line_feeds: the copy has LF line ends, as in a Maildir.
bool letter_match(struct view letter, struct view copy, bool line_feeds, struct view *ret_front);
