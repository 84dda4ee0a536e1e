#include "spool/format.h"

#include "base/hash.h"
#include "base/wire.h"

#include <string.h>

enum { VERSION = 2, ABANDONED_BYTES = 12, HEADER_ABANDONED_AT = 64, RECORD_CHECKED_FROM = 12 };

enum { SEARCHES_MAX = 16 }; // times the segment's size: only made to cost time does one reach it

static const char magic[8] = "PBSPOOL1";

void spool_segment_header_encode(const struct spool_segment_header *header,
				 char ret_block[SPOOL_BLOCK_BYTES])
{
	memset(ret_block, 0, SPOOL_BLOCK_BYTES);
	memcpy(ret_block, magic, sizeof magic);
	wire_put_u32(ret_block + 12, VERSION | (uint32_t)header->family << 16);
	wire_put_u32(ret_block + 16, header->segment);
	wire_put_u32(ret_block + 20, header->epoch);
	wire_put_u64(ret_block + 24, header->tag);
	wire_put_u64(ret_block + 32, header->sequence);
	wire_put_u64(ret_block + 40, header->begun_ms);
	wire_put_u64(ret_block + 48, header->last_id);
	wire_put_u32(ret_block + 56, header->segment_bytes);
	wire_put_u32(ret_block + 60, header->abandoned_count);
	for (uint32_t i = 0; i < header->abandoned_count; i++) {
		char *entry = ret_block + HEADER_ABANDONED_AT + (size_t)i * ABANDONED_BYTES;

		wire_put_u32(entry, header->abandoned[i].segment);
		wire_put_u32(entry + 4, header->abandoned[i].epoch);
		wire_put_u32(entry + 8, header->abandoned[i].from);
	}
	wire_put_u32(ret_block + 8,
		     hash_crc32c(0, view_of(ret_block + 12, SPOOL_BLOCK_BYTES - 12)));
}

enum error spool_segment_header_decode(const char *block, struct spool_segment_header *ret_header)
{
	uint32_t version_family = wire_get_u32(block + 12), count = wire_get_u32(block + 60);
	uint32_t segment_bytes = wire_get_u32(block + 56);

	if (memcmp(block, magic, sizeof magic) != 0 ||
	    wire_get_u32(block + 8) !=
		    hash_crc32c(0, view_of(block + 12, SPOOL_BLOCK_BYTES - 12))) {
		return ERROR_CORRUPT;
	}
	if ((version_family & 0xffff) != VERSION) {
		return ERROR_UNSUPPORTED;
	}
	if (count > SPOOL_ABANDONED_MAX || segment_bytes % SPOOL_BLOCK_BYTES != 0 ||
	    segment_bytes <= SPOOL_RECORDS_AT || wire_get_u32(block + 20) == 0) {
		return ERROR_CORRUPT;
	}
	*ret_header = (struct spool_segment_header){
		.family = (uint16_t)(version_family >> 16),
		.segment = wire_get_u32(block + 16),
		.epoch = wire_get_u32(block + 20),
		.tag = wire_get_u64(block + 24),
		.sequence = wire_get_u64(block + 32),
		.begun_ms = wire_get_u64(block + 40),
		.last_id = wire_get_u64(block + 48),
		.segment_bytes = segment_bytes,
		.abandoned_count = count,
	};
	for (uint32_t i = 0; i < count; i++) {
		const char *entry = block + HEADER_ABANDONED_AT + (size_t)i * ABANDONED_BYTES;

		ret_header->abandoned[i] =
			(struct spool_abandoned){ wire_get_u32(entry), wire_get_u32(entry + 4),
						  wire_get_u32(entry + 8) };
	}
	return OK;
}

uint32_t spool_segment_limit(const struct spool_segment_header *speaker, uint32_t segment,
			     uint32_t epoch, uint32_t limit)
{
	for (uint32_t i = 0; i < speaker->abandoned_count; i++) {
		const struct spool_abandoned *range = &speaker->abandoned[i];

		if (range->segment == segment && range->epoch == epoch && range->from < limit) {
			limit = range->from;
		}
	}
	return limit;
}

void spool_record_header_encode(char ret_header[SPOOL_RECORD_HEADER_BYTES],
				const struct spool_segment_header *segment, uint64_t sequence,
				uint32_t batch_start, struct spool_record_lengths lengths,
				uint32_t body_crc)
{
	memset(ret_header, 0, SPOOL_RECORD_HEADER_BYTES);
	wire_put_u64(ret_header, segment->tag);
	wire_put_u32(ret_header + 12, segment->epoch);
	wire_put_u64(ret_header + 16, sequence);
	wire_put_u32(ret_header + 24, batch_start);
	wire_put_u32(ret_header + 28, lengths.outcomes);
	wire_put_u32(ret_header + 32, lengths.envelope);
	wire_put_u32(ret_header + 36, lengths.body);
	wire_put_u32(ret_header + 40, VERSION);
	wire_put_u32(ret_header + 44, body_crc);
}

static uint32_t head_crc(const char *head, size_t len)
{
	return hash_crc32c(0, view_of(head + RECORD_CHECKED_FROM, len - RECORD_CHECKED_FROM));
}

void spool_record_seal(char *head, size_t head_bytes)
{
	wire_put_u32(head + 8, head_crc(head, head_bytes));
}

struct spool_scan spool_scan_of(const struct spool_segment_header *header)
{
	return (struct spool_scan){
		.limit = header->segment_bytes,
		.tag = header->tag,
		.epoch = header->epoch,
		.offset = SPOOL_RECORDS_AT,
		.sequence = header->sequence,
	};
}

static const char *bytes_at(const struct spool_scan *scan, uint32_t offset)
{
	return scan->window.data + (offset - scan->window_offset);
}

static uint64_t window_end(const struct spool_scan *scan)
{
	uint64_t end = (uint64_t)scan->window_offset + scan->window.len;

	return end < scan->limit ? end : scan->limit;
}

// What the header says of the record's parts; false: no record of this use begins there.
static bool read_lengths(const struct spool_scan *scan, uint64_t offset,
			 struct spool_record_lengths *ret_lengths)
{
	const char *header = bytes_at(scan, (uint32_t)offset);

	if (wire_get_u64(header) != scan->tag || wire_get_u32(header + 12) != scan->epoch ||
	    wire_get_u32(header + 40) != VERSION || wire_get_u32(header + 24) > offset) {
		return false;
	}
	*ret_lengths =
		(struct spool_record_lengths){ wire_get_u32(header + 28), wire_get_u32(header + 32),
					       wire_get_u32(header + 36) };
	return true;
}

static struct spool_record read_record(const struct spool_scan *scan, uint32_t offset,
				       struct spool_record_lengths lengths)
{
	const char *header = bytes_at(scan, offset), *rest = header + SPOOL_RECORD_HEADER_BYTES;
	const char *body = rest + lengths.outcomes + lengths.envelope;

	return (struct spool_record){
		.sequence = wire_get_u64(header + 16),
		.offset = offset,
		.bytes = (uint32_t)(body - header) + lengths.body,
		.batch_start = wire_get_u32(header + 24),
		.outcomes = view_of(rest, lengths.outcomes),
		.envelope = view_of(rest + lengths.outcomes, lengths.envelope),
		.body = view_of(scan->heads_only ? NULL : body, lengths.body),
	};
}

// Every record there was synced once: a head that fits proves its body.
static bool is_committed(const struct spool_scan *scan, uint64_t offset, const char *header)
{
	return offset < scan->committed_below || wire_get_u64(header + 16) < scan->sequence_end;
}

// RECORD: valid. MORE: may be, but the window ends inside it. END: not a record.
static enum spool_scan_result record_at(struct spool_scan *scan, uint64_t offset,
					struct spool_record *ret_record)
{
	struct spool_record_lengths lengths;
	const char *header;
	uint64_t head, end, needed;
	bool passes_body;

	if (offset + SPOOL_RECORD_HEADER_BYTES > window_end(scan)) {
		return offset + SPOOL_RECORD_HEADER_BYTES <= scan->limit ? SPOOL_SCAN_MORE
									 : SPOOL_SCAN_END;
	}
	if (!read_lengths(scan, offset, &lengths)) {
		return SPOOL_SCAN_END;
	}
	header = bytes_at(scan, (uint32_t)offset);
	passes_body = scan->heads_only && is_committed(scan, offset, header);
	head = (uint64_t)SPOOL_RECORD_HEADER_BYTES + lengths.outcomes + lengths.envelope;
	end = offset + head + lengths.body;
	needed = passes_body ? offset + head : end;
	if (end > scan->limit || needed > window_end(scan)) {
		return end > scan->limit ? SPOOL_SCAN_END : SPOOL_SCAN_MORE;
	}
	scan->searched += needed - offset;
	if (head_crc(header, head) != wire_get_u32(header + 8) ||
	    (!passes_body &&
	     hash_crc32c(0, view_of(header + head, lengths.body)) != wire_get_u32(header + 44))) {
		return SPOOL_SCAN_END;
	}
	*ret_record = read_record(scan, (uint32_t)offset, lengths);
	return SPOOL_SCAN_RECORD;
}

bool spool_record_at(const struct spool_scan *scan, uint32_t offset,
		     struct spool_record *ret_record)
{
	struct spool_scan once = *scan;

	return record_at(&once, offset, ret_record) == SPOOL_SCAN_RECORD;
}

static bool is_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

// The next record where one is due: here, or behind the padding that ends a batch.
static enum spool_scan_result due_record(struct spool_scan *scan, struct spool_record *ret_record)
{
	enum spool_scan_result result = record_at(scan, scan->offset, ret_record);
	uint64_t block = spool_pad(scan->offset, SPOOL_BLOCK_BYTES);

	if (result != SPOOL_SCAN_END || block == scan->offset) {
		return result;
	}
	if (block > window_end(scan)) {
		return block <= scan->limit ? SPOOL_SCAN_MORE : SPOOL_SCAN_END;
	}
	if (!is_zero(bytes_at(scan, scan->offset), block - scan->offset)) {
		return SPOOL_SCAN_END;
	}
	return record_at(scan, block, ret_record);
}

// Where the next batch begins if the one before ended at the scan's offset.
static uint32_t due_offset(const struct spool_scan *scan)
{
	uint64_t block = spool_pad(scan->offset, SPOOL_BLOCK_BYTES);

	return block <= window_end(scan) &&
			       is_zero(bytes_at(scan, scan->offset), block - scan->offset)
		       ? (uint32_t)block
		       : scan->offset;
}

// Whether this record, found behind the place where another was due, shows that the place was
// synced before: its batch begins behind it, or it is the first of a batch and numbers are missing
// before.
static bool was_committed_behind(const struct spool_scan *scan, const struct spool_record *record,
				 uint32_t due)
{
	return record->batch_start > due ||
	       (record->offset == record->batch_start && record->offset > scan->offset) ||
	       record->sequence < scan->sequence_end || record->offset < scan->committed_below;
}

// All that is left is corrupt.
static enum spool_scan_result fault_to_the_end(struct spool_scan *scan,
					       struct spool_record *ret_record)
{
	*ret_record = (struct spool_record){ .offset = scan->offset,
					     .bytes = scan->limit - scan->offset };
	if (scan->sequence < scan->sequence_end) {
		scan->sequence = scan->sequence_end;
	}
	scan->limit = scan->offset;
	return SPOOL_SCAN_FAULT;
}

// Something other than the next record is here. It is corruption if a later record shows that this
// place was synced once; otherwise it is where the segment ends.
static enum spool_scan_result find_end_or_fault(struct spool_scan *scan,
						struct spool_record *ret_record)
{
	struct spool_record record, first = { 0 };
	uint32_t from = scan->offset, due = from < scan->limit ? due_offset(scan) : from;

	for (uint64_t offset = spool_pad(from, 8); offset < scan->limit; offset += 8) {
		enum spool_scan_result result = record_at(scan, offset, &record);

		scan->searched += 8;
		if (scan->searched / SEARCHES_MAX > scan->limit) {
			return fault_to_the_end(scan, ret_record);
		}
		if (result == SPOOL_SCAN_MORE) {
			return SPOOL_SCAN_MORE;
		}
		if (result != SPOOL_SCAN_RECORD || record.sequence < scan->sequence) {
			continue;
		}
		if (first.bytes == 0) {
			first = record;
		}
		if (was_committed_behind(scan, &record, due)) {
			*ret_record = (struct spool_record){ .offset = from,
							     .bytes = first.offset - from };
			scan->offset = first.offset;
			scan->sequence = first.sequence;
			return SPOOL_SCAN_FAULT;
		}
		offset = spool_pad(record.offset + record.bytes, 8) - 8;
	}
	if (scan->sequence < scan->sequence_end) {
		return fault_to_the_end(scan, ret_record);
	}
	return SPOOL_SCAN_END;
}

enum spool_scan_result spool_scan_next(struct spool_scan *scan, struct spool_record *ret_record)
{
	struct spool_record record;
	enum spool_scan_result result;

	if (scan->offset >= scan->limit) {
		return find_end_or_fault(scan, ret_record);
	}
	result = due_record(scan, &record);
	if (result == SPOOL_SCAN_MORE) {
		return result;
	}
	if (result == SPOOL_SCAN_END || record.sequence != scan->sequence) {
		return find_end_or_fault(scan, ret_record);
	}
	scan->offset = (uint32_t)spool_pad(record.offset + record.bytes, 8);
	scan->sequence++;
	*ret_record = record;
	return SPOOL_SCAN_RECORD;
}
