// A trace segment of any bytes: the header, and the walk through its records.
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "spool/trace_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 7 };

// The fuzzer cannot guess checksums and tags: heads that begin with "#TRACE##" are sealed for it.
static void seal(char *bytes, size_t len, uint64_t tag)
{
	for (size_t at = TRACE_HEADER_BYTES; at + TRACE_HEAD_BYTES <= len; at += 8) {
		if (memcmp(bytes + at, "#TRACE##", 8) == 0) {
			if (trace_record_steps_len(bytes + at) <= len - at - TRACE_HEAD_BYTES) {
				(void)trace_record_seal(bytes + at, tag);
			} else {
				wire_put_u64(bytes + at, tag);
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_header header = { .tag = 0x1122334455667788 };
	struct trace_record record;
	struct trace_scan scan;
	char *bytes = malloc(size ? size : 1);
	size_t last = 0;

	if (!bytes) {
		return 0;
	}
	if (size) {
		memcpy(bytes, data, size);
	}
	if (size >= TRACE_HEADER_BYTES) {
		(void)!trace_header_decode(bytes, &header);
	}
	seal(bytes, size, header.tag);
	scan = trace_scan_of(view_of(bytes, size), &header, ID);
	while (trace_scan_next(&scan, &record)) {
		if (scan.offset <= last || record.id != ID || record.steps.data < bytes ||
		    record.steps.data + record.steps.len > bytes + size) {
			abort(); // it must advance, within the bytes
		}
		last = scan.offset;
	}
	free(bytes);
	return 0;
}
