// Dates of header fields (RFC 5322 section 3.3). Times are milliseconds since 1970-01-01 UTC, zones
// minutes east of UTC; both are handed in. Pure; any thread.
#pragma once

#include "base/buffer.h"

// "Tue, 1 Jul 2003 10:52:37 +0200". Years outside 1900 to 9999 are written as the nearest of them.
void date_add(struct buffer *out, int64_t unix_ms, int zone_minutes);

// Reads a date, obsolete forms included (comments, no day name, no seconds, two-digit years, named
// zones; an unknown zone is UTC). False, with the outputs untouched, where it is none.
bool date_parse(struct view value, int64_t *ret_unix_ms, int *ret_zone_minutes);
