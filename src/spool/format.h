// Segment headers and records, byte by byte as README says, and the scan that tells a torn tail
// and leftovers from corruption. Pure: works on memory.
#pragma once

#include "base/error.h"
#include "base/view.h"

enum {
	SPOOL_BLOCK_BYTES = 4096,
	SPOOL_RECORDS_AT = 2 * SPOOL_BLOCK_BYTES, // behind the header and its copy
	SPOOL_RECORD_HEADER_BYTES = 48,
	SPOOL_ABANDONED_MAX = 128,
};

struct spool_abandoned {
	uint32_t segment, epoch;
	uint32_t from; // offset; it reaches to the segment's end
};

struct spool_segment_header {
	uint16_t family;
	uint32_t segment;
	uint32_t epoch;
	uint64_t tag;
	uint64_t sequence; // of the first record
	uint64_t begun_ms;
	uint64_t last_id;
	uint32_t segment_bytes;
	uint32_t abandoned_count;
	struct spool_abandoned abandoned[SPOOL_ABANDONED_MAX];
};

void spool_segment_header_encode(const struct spool_segment_header *header,
				 char ret_block[SPOOL_BLOCK_BYTES]);
// block holds SPOOL_BLOCK_BYTES. ERROR_CORRUPT: not a header. ERROR_UNSUPPORTED: a later version.
enum error spool_segment_header_decode(const char *block,
				       struct spool_segment_header *ret_header) must_check;
// Where reading of that use ends at the latest: its abandoned range, or limit.
uint32_t spool_segment_limit(const struct spool_segment_header *speaker, uint32_t segment,
			     uint32_t epoch, uint32_t limit);

struct spool_record_lengths {
	uint32_t outcomes, envelope, body;
};

// The header still lacks the CRC of the head, which spool_record_seal puts into it. body_crc:
// hash_crc32c of the body.
void spool_record_header_encode(char ret_header[SPOOL_RECORD_HEADER_BYTES],
				const struct spool_segment_header *segment, uint64_t sequence,
				uint32_t batch_start, struct spool_record_lengths lengths,
				uint32_t body_crc);
// The head: header, outcomes and envelope, head_bytes in all.
void spool_record_seal(char *head, size_t head_bytes);

static inline uint64_t spool_pad(uint64_t bytes, uint32_t to)
{
	return (bytes + to - 1) / to * to;
}

struct spool_record {
	uint64_t sequence;
	uint32_t offset; // in the segment
	uint32_t bytes;  // header and payload, without padding
	uint32_t batch_start;
	struct view outcomes, envelope, body;
};

struct spool_scan {
	struct view window;     // bytes of the segment,
	uint32_t window_offset; // that begin at this offset
	uint32_t limit;         // offset at which the readable part of the segment ends
	uint64_t tag;
	uint32_t epoch;
	uint32_t offset;   // of the next record
	uint64_t sequence; // that it must have
	// The first sequence number of the family's next use where it is known, else 0: every
	// record below it was committed, so that a fault before it is corruption and no torn tail.
	uint64_t sequence_end;
	uint32_t committed_below; // offset; the same for places: known from the commit mark, else 0
	uint64_t searched;        // bytes looked at so far: bounded, whatever the segment holds
	// Bodies of what is known to be committed are passed by: neither checked nor needed in the
	// window. All body views are NULL.
	bool heads_only;
};

enum spool_scan_result {
	SPOOL_SCAN_RECORD, // ret_record is set, its views point into the window
	SPOOL_SCAN_FAULT,  // corruption from ret_record->offset on, ret_record->bytes long; go on
	SPOOL_SCAN_MORE,   // the window ends inside a record: give all up to limit
	SPOOL_SCAN_END,
};

// The record that begins exactly there, if it is valid and lies in the window.
bool spool_record_at(const struct spool_scan *scan, uint32_t offset,
		     struct spool_record *ret_record);
struct spool_scan spool_scan_of(const struct spool_segment_header *header);
enum spool_scan_result spool_scan_next(struct spool_scan *scan, struct spool_record *ret_record);
