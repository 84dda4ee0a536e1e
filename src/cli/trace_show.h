// The life of a message for people: one step a paragraph, with the time since the first.
#pragma once

#include <jansson.h>

#include "cli/screen.h"

enum { TRACE_SHOW_COLUMNS = 96 };

// steps: an array of objects as spool/trace_steps.h makes them; what is none is passed over. id may
// be empty.
void trace_show(struct buffer *out, bool colour, struct view id, const json_t *steps);
