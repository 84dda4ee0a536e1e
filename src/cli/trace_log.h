// The steps of a message out of the log, for one that has left the queue, or while the server is
// down. Blocking; one thread.
#pragma once

#include "base/buffer.h"

enum { TRACE_LOG_STEPS_MAX = 10000 };

// Appends a JSON array with an object for each line about this id. json: the log's format.
// ERROR_NOT_FOUND: no such line, or no such file; ERROR_PERMISSION, ERROR_IO.
enum error trace_log_read(const char *path, bool json, struct view id,
			  struct buffer *out) must_check;
