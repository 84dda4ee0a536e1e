// Command lines in a stream of bytes. Only CR LF ends a line. Pure; any thread.
#pragma once

#include "base/view.h"

enum smtp_line {
	SMTP_LINE_PART,  // its end has not come yet; nothing was taken
	SMTP_LINE_WHOLE, // taken off the input, ret_line is without CR LF
	SMTP_LINE_LONG,  // more than max bytes with CR LF; nothing was taken
	SMTP_LINE_BARE,  // an LF without CR, or a CR without LF (attack A1); nothing was taken
};

// ret_line is set for WHOLE alone.
enum smtp_line smtp_line_take(struct view *input, size_t max, struct view *ret_line);
