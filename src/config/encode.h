// The typed configuration as bytes, for handing it from the supervisor to a process. A process gets
// only the keys that the schema says are its own (smarthost passwords: deliver alone); the rest is
// zero in what it decodes. Pure.
#pragma once

#include "config/config.h"

enum { CONFIG_ENCODED_MAX = 64 * 1024 * 1024 }; // bytes

// Appends to out; failure is out's.
void config_encode(const struct config *config, enum config_reader reader, struct buffer *out);
// The bytes are untrusted: checked against the schema like a file. Views are copied.
// ERROR_INVALID: they don't fit. ERROR_NO_MEMORY: the arena is full.
enum error config_decode(struct view bytes, enum config_reader reader, struct arena *arena,
			 const struct config **ret_config) must_check;
