// Where a record is: plain values, 16 bytes. An epoch is one use of a segment, so a reference to an
// earlier use cannot be mistaken for a later one.
#pragma once

#include <stdint.h>

struct spool_ref {
	uint16_t family;
	uint16_t segment;
	uint32_t epoch;
	uint32_t offset;
	uint32_t bytes; // of the whole record, without padding
};
