// Base 64 (RFC 4648 section 4), strict: padding where it is due, no blanks, no unused bits set.
#pragma once

#include "base/buffer.h"

void base64_encode(struct buffer *out, struct view bytes);
// ERROR_INVALID leaves what was appended before the fault undone.
enum error base64_decode(struct buffer *out, struct view text) must_check;
