#include "spool/trace_format.h"

#include "base/hash.h"
#include "base/wire.h"

#include <string.h>

enum { VERSION = 1, ALIGN = 8 };

static const char magic[8] = { 'P', 'B', 'T', 'R', 'A', 'C', 'E', '1' };

// ---- header

static uint32_t header_crc(const char *bytes)
{
	return hash_crc32c(0, view_of(bytes + 12, TRACE_HEADER_BYTES - 12));
}

void trace_header_encode(char ret_bytes[TRACE_HEADER_BYTES], const struct trace_header *header)
{
	memset(ret_bytes, 0, TRACE_HEADER_BYTES);
	memcpy(ret_bytes, magic, sizeof magic);
	wire_put_u32(ret_bytes + 12, VERSION | (uint32_t)header->family << 16);
	wire_put_u64(ret_bytes + 16, header->sequence);
	wire_put_u64(ret_bytes + 24, header->tag);
	wire_put_u64(ret_bytes + 32, header->start_ms);
	wire_put_u32(ret_bytes + 8, header_crc(ret_bytes));
}

enum error trace_header_decode(const char bytes[TRACE_HEADER_BYTES],
			       struct trace_header *ret_header)
{
	uint32_t version = wire_get_u32(bytes + 12);

	if (memcmp(bytes, magic, sizeof magic) != 0 ||
	    wire_get_u32(bytes + 8) != header_crc(bytes) || (version & 0xffff) != VERSION) {
		return ERROR_CORRUPT;
	}
	*ret_header = (struct trace_header){
		.family = (uint16_t)(version >> 16),
		.sequence = wire_get_u64(bytes + 16),
		.tag = wire_get_u64(bytes + 24),
		.start_ms = wire_get_u64(bytes + 32),
	};
	return OK;
}

// ---- records

size_t trace_record_bytes(size_t steps_len)
{
	return (TRACE_HEAD_BYTES + steps_len + ALIGN - 1) / ALIGN * ALIGN;
}

size_t trace_record_steps_len(const char *bytes)
{
	return wire_get_u32(bytes + 12);
}

void trace_record_encode(char *bytes, const struct trace_record *record)
{
	size_t end = trace_record_bytes(record->steps.len);

	memset(bytes, 0, TRACE_HEAD_BYTES);
	memset(bytes + end - ALIGN, 0, ALIGN);
	wire_put_u32(bytes + 12, (uint32_t)record->steps.len);
	wire_put_u64(bytes + 16, record->id);
	wire_put_u64(bytes + 24, record->time_ms);
	memcpy(bytes + TRACE_HEAD_BYTES, record->steps.data, record->steps.len);
}

static uint32_t record_crc(const char *bytes, size_t steps_len)
{
	return hash_crc32c(0, view_of(bytes + 12, TRACE_HEAD_BYTES - 12 + steps_len));
}

size_t trace_record_seal(char *bytes, uint64_t tag)
{
	size_t steps_len = trace_record_steps_len(bytes);

	wire_put_u64(bytes, tag);
	wire_put_u32(bytes + 8, record_crc(bytes, steps_len));
	return trace_record_bytes(steps_len);
}

// ---- the walk

struct trace_scan trace_scan_of(struct view bytes, const struct trace_header *header, uint64_t id)
{
	return (struct trace_scan){
		.bytes = bytes, .tag = header->tag, .id = id, .offset = TRACE_HEADER_BYTES
	};
}

// A head is there, and what it says ends within the segment.
static bool looks_whole(const struct trace_scan *scan, size_t at)
{
	size_t len;

	if (scan->bytes.len - at < TRACE_HEAD_BYTES ||
	    wire_get_u64(scan->bytes.data + at) != scan->tag) {
		return false;
	}
	len = trace_record_steps_len(scan->bytes.data + at);
	return len <= TRACE_STEPS_BYTES_MAX && TRACE_HEAD_BYTES + len <= scan->bytes.len - at;
}

// What follows a record is another, or nothing: else its length has rotted.
static bool leads_on(const struct trace_scan *scan, size_t next)
{
	return next + TRACE_HEAD_BYTES > scan->bytes.len || looks_whole(scan, next) ||
	       wire_get_u64(scan->bytes.data + next) == 0;
}

// To the next place that looks like a record. What lies before it, and is not zero, is damage; what
// lies behind the last record is a tail that was torn, or is being written.
static void pass_over(struct trace_scan *scan)
{
	bool is_rotten = false;

	while (scan->offset < scan->bytes.len && !looks_whole(scan, scan->offset)) {
		size_t rest = scan->bytes.len - scan->offset;

		is_rotten |= rest >= ALIGN && wire_get_u64(scan->bytes.data + scan->offset) != 0;
		scan->offset += rest < ALIGN ? rest : ALIGN;
	}
	scan->damaged += is_rotten && scan->offset < scan->bytes.len;
}

bool trace_scan_next(struct trace_scan *scan, struct trace_record *ret_record)
{
	while (scan->offset < scan->bytes.len) {
		const char *bytes = scan->bytes.data + scan->offset;
		bool is_wanted, is_right;
		size_t len;

		if (!looks_whole(scan, scan->offset)) {
			pass_over(scan);
			continue;
		}
		len = trace_record_steps_len(bytes);
		is_wanted = wire_get_u64(bytes + 16) == scan->id;
		is_right = is_wanted ? wire_get_u32(bytes + 8) == record_crc(bytes, len)
				     : leads_on(scan, scan->offset + trace_record_bytes(len));
		scan->offset += is_right ? trace_record_bytes(len) : ALIGN;
		if (is_wanted && is_right) {
			*ret_record = (struct trace_record){
				.id = scan->id,
				.time_ms = wire_get_u64(bytes + 24),
				.steps = view_of(bytes + TRACE_HEAD_BYTES, len),
			};
			return true;
		}
	}
	return false;
}
