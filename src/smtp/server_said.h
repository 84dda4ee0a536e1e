// For fuzz targets only: what a client says to the server, out of an action (base/fuzz.h): lines
// as they should be, commands with any arguments, bodies, and bytes that are nothing of it. Pure.
#pragma once

#include "base/fuzz.h"

enum server_said {
	SERVER_SAID_LINE, // one of those that are well-formed, by the first byte
	SERVER_SAID_HEAD, // a command's beginning by the first byte, the other bytes, CR LF
	SERVER_SAID_RAW,  // these bytes
	SERVER_SAID_BODY, // text as a client sends it behind DATA, its end too
	SERVER_SAID_LONG, // as many bytes without an end as the first two say, then the others
	SERVER_SAID_COUNT,
};

void server_said_add(struct buffer *out, enum server_said kind, const struct fuzz_action *action);
