// The body behind DATA, decoded in place: dot-stuffing is taken off and the end found (RFC 5321
// section 4.5.2). Only CR LF . CR LF ends it; a CR without LF or an LF without CR is a fault,
// wherever it stands (attack A1). NUL and every other byte pass. Pure; any thread.
#pragma once

#include "base/view.h"

enum smtp_data_result {
	SMTP_DATA_MORE,    // all was taken, the end is yet to come
	SMTP_DATA_END,     // taken includes the end; what lies behind it are commands
	SMTP_DATA_BARE_CR, // the byte at taken is (or follows, in an earlier chunk) the fault
	SMTP_DATA_BARE_LF,
};

struct smtp_data_decoder {
	uint8_t place; // enum in data.c; 0: at the start of a line
};

struct smtp_data_chunk {
	size_t kept;  // decoded bytes, now at the front of the chunk
	size_t taken; // bytes consumed
};

// Start with a zeroed decoder; feed chunks of any size; after anything but MORE it is used up.
enum smtp_data_result smtp_data_decode(struct smtp_data_decoder *decoder, char *bytes, size_t len,
				       struct smtp_data_chunk *ret_chunk);
