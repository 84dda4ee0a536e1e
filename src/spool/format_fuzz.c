// A segment of any bytes: the header and the scan of its records, in a whole window and in a part.
#include "spool/format.h"

#include "base/fuzz.h"
#include "base/hash.h"
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

// The fuzzer cannot guess checksums: where the input asks for it (its first byte), records are
// sealed before they are read.
static void seal(char *bytes, size_t len, uint64_t tag)
{
	for (size_t at = SPOOL_RECORDS_AT; at + SPOOL_RECORD_HEADER_BYTES <= len; at += 8) {
		if (wire_get_u64(bytes + at) == tag) {
			uint64_t head = (uint64_t)SPOOL_RECORD_HEADER_BYTES +
					wire_get_u32(bytes + at + 28) +
					wire_get_u32(bytes + at + 32);
			uint64_t body = wire_get_u32(bytes + at + 36);

			if (head + body <= len - at) {
				struct view view = view_of(bytes + at + head, body);

				wire_put_u32(bytes + at + 44, hash_crc32c(0, view));
				spool_record_seal(bytes + at, head);
			}
		}
	}
}

static void scan_all(const struct spool_segment_header *header, struct view window, bool heads_only)
{
	struct spool_scan scan = spool_scan_of(header);
	struct spool_record record;
	enum spool_scan_result result;
	uint32_t last = 0;
	unsigned turns = 0;

	scan.window = window;
	scan.heads_only = heads_only;
	while ((result = spool_scan_next(&scan, &record)) != SPOOL_SCAN_END &&
	       result != SPOOL_SCAN_MORE) {
		if (scan.offset < last || ++turns > window.len / 4) {
			abort(); // it must advance
		}
		if (result == SPOOL_SCAN_RECORD &&
		    (record.offset + (uint64_t)record.bytes > scan.limit ||
		     record.envelope.data + record.envelope.len > window.data + window.len ||
		     (!heads_only &&
		      record.body.data + record.body.len > window.data + window.len))) {
			abort();
		}
		last = scan.offset;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_segment_header header = { .epoch = 1,
					       .tag = 0x1122334455667788,
					       .sequence = 1 };
	size_t len = SPOOL_RECORDS_AT + 2 * SPOOL_BLOCK_BYTES;
	char *bytes;

	if (size >= SPOOL_BLOCK_BYTES && spool_segment_header_decode((const char *)data, &header)) {
		header.tag = 0x1122334455667788;
	}
	header.epoch = 1;
	header.sequence = 1;
	header.segment_bytes = (uint32_t)len;
	bytes = calloc(1, len);
	if (!bytes || size == 0) {
		free(bytes);
		return 0;
	}
	memcpy(bytes + SPOOL_RECORDS_AT, data + 1,
	       size - 1 < 2 * SPOOL_BLOCK_BYTES ? size - 1 : 2 * SPOOL_BLOCK_BYTES);
	if (data[0] & 1) {
		seal(bytes, len, header.tag);
	}
	for (int heads_only = 0; heads_only < 2; heads_only++) {
		scan_all(&header, view_of(bytes, len), heads_only);
		scan_all(&header, view_of(bytes, len - SPOOL_BLOCK_BYTES - data[0]), heads_only);
	}
	free(bytes);
	return 0;
}
