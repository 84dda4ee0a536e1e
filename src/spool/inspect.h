// Looks at a spool without touching it, whether deliver runs or not: for `packetboat queue list`
// and `queue show`. Blocking; any thread; takes no lock, so what changes meanwhile may be missed.
#pragma once

#include "spool/store.h"

// calls.on_message for each live message in the order of families and places; message is valid
// during the call only. id 0: all. ERROR_NOT_FOUND: no spool there, or no such id.
enum error spool_inspect(int spool_dir, uint64_t id, struct spool_store_calls calls) must_check;
// The body of one message, appended to out (ERROR_LIMIT above its max).
enum error spool_inspect_body(int spool_dir, uint64_t id, struct buffer *out) must_check;
