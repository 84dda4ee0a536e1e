#include "smtp/line.h"

#include <string.h>

enum smtp_line smtp_line_take(struct view *input, size_t max, struct view *ret_line)
{
	struct view head = view_first(*input, max);
	size_t lf = view_find(head, '\n');
	size_t cr = view_find(view_first(head, lf), '\r');

	if (cr + 1 < lf) {
		return SMTP_LINE_BARE;
	}
	if (lf == head.len) {
		return head.len < max ? SMTP_LINE_PART : SMTP_LINE_LONG;
	}
	if (cr == lf) {
		return SMTP_LINE_BARE;
	}
	*ret_line = view_first(head, cr);
	*input = view_from(*input, lf + 1);
	return SMTP_LINE_WHOLE;
}
