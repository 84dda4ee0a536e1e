#include "base/check.h"
#include "base/hash.h"
#include "base/wire.h"
#include "spool/format.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEGMENT_BYTES = 64 * 1024 };

struct segment {
	struct spool_segment_header header;
	struct spool_scan scan;
	char *bytes;
	uint32_t end;
};

static void segment_open(struct segment *segment, uint32_t bytes)
{
	*segment = (struct segment){ .end = SPOOL_RECORDS_AT };
	segment->header = (struct spool_segment_header){
		.family = 1, .epoch = 3, .tag = 0xfeed, .sequence = 10, .segment_bytes = bytes
	};
	segment->bytes = calloc(1, bytes);
	assert_non_null(segment->bytes);
	segment->scan = spool_scan_of(&segment->header);
	segment->scan.window = view_of(segment->bytes, bytes);
}

// One record where the segment ends, or at the next block where it begins a batch.
static uint32_t add(struct segment *segment, uint64_t sequence, uint32_t batch_start)
{
	static const struct view body = VIEW("a body of a few bytes");
	struct spool_record_lengths lengths = { .body = (uint32_t)body.len };
	uint32_t at = segment->end;
	char *record = segment->bytes + at;

	spool_record_header_encode(record, &segment->header, sequence, batch_start, lengths,
				   hash_crc32c(0, body));
	memcpy(record + SPOOL_RECORD_HEADER_BYTES, body.data, body.len);
	spool_record_seal(record, SPOOL_RECORD_HEADER_BYTES);
	segment->end = (uint32_t)spool_pad(at + SPOOL_RECORD_HEADER_BYTES + body.len, 8);
	return at;
}

static uint32_t add_batch(struct segment *segment, uint64_t sequence)
{
	segment->end = (uint32_t)spool_pad(segment->end, SPOOL_BLOCK_BYTES);
	return add(segment, sequence, segment->end);
}

static void expect(struct segment *segment, const char *results)
{
	for (const char *letter = results; *letter; letter++) {
		struct spool_record record;
		enum spool_scan_result result = spool_scan_next(&segment->scan, &record);

		assert_int_equal(result, *letter == 'r'   ? SPOOL_SCAN_RECORD
					 : *letter == 'f' ? SPOOL_SCAN_FAULT
							  : SPOOL_SCAN_END);
	}
	free(segment->bytes);
}

static void a_header_is_read_as_it_was_written_and_no_bit_may_differ(void **state)
{
	struct spool_segment_header header = { .family = 3,
					       .segment = 17,
					       .epoch = 5,
					       .tag = 6,
					       .sequence = 7,
					       .begun_ms = 8,
					       .last_id = 9,
					       .segment_bytes = SEGMENT_BYTES,
					       .abandoned_count = SPOOL_ABANDONED_MAX };
	struct spool_segment_header again;
	char block[SPOOL_BLOCK_BYTES];

	(void)state;
	for (uint32_t i = 0; i < SPOOL_ABANDONED_MAX; i++) {
		header.abandoned[i] = (struct spool_abandoned){ i, i + 1, i * 4096 };
	}
	spool_segment_header_encode(&header, block);
	assert_int_equal(spool_segment_header_decode(block, &again), OK);
	assert_memory_equal(&again, &header, sizeof header);
	assert_int_equal(spool_segment_limit(&again, 4, 5, SEGMENT_BYTES), 4 * 4096);
	assert_int_equal(spool_segment_limit(&again, 4, 6, SEGMENT_BYTES), SEGMENT_BYTES);
	for (size_t i = 0; i < sizeof block; i += 7) {
		block[i] ^= 0x10;
		assert_int_equal(spool_segment_header_decode(block, &again), ERROR_CORRUPT);
		block[i] ^= 0x10;
	}
}

static void batches_are_read_in_order(void **state)
{
	struct segment segment;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	add_batch(&segment, 10);
	add(&segment, 11, SPOOL_RECORDS_AT);
	add_batch(&segment, 12);
	expect(&segment, "rrr.");
}

static void a_torn_batch_at_the_end_is_no_fault(void **state)
{
	struct segment segment;
	uint32_t at;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	add_batch(&segment, 10);
	at = add_batch(&segment, 11);
	add(&segment, 12, at); // whole, but of the same batch: it proves nothing
	segment.bytes[at + 50] ^= 1;
	expect(&segment, "r.");
}

static void what_a_later_batch_proves_is_a_fault(void **state)
{
	struct segment segment;
	uint32_t at;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	add_batch(&segment, 10);
	at = add_batch(&segment, 11);
	add_batch(&segment, 12);
	segment.bytes[at + 50] ^= 1;
	expect(&segment, "rfr.");
}

static void what_the_next_use_or_the_mark_proves_is_a_fault(void **state)
{
	for (int by_mark = 0; by_mark < 2; by_mark++) {
		struct segment segment;
		uint32_t at;

		(void)state;
		segment_open(&segment, SEGMENT_BYTES);
		add_batch(&segment, 10);
		at = add_batch(&segment, 11);
		add(&segment, 12, at);
		segment.bytes[at + 50] ^= 1;
		if (by_mark) {
			segment.scan.committed_below = segment.end;
		} else {
			segment.scan.sequence_end = 13;
		}
		expect(&segment, "rfr.");
	}
}

static void leftovers_of_another_use_are_passed_over(void **state)
{
	struct segment segment;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	add_batch(&segment, 10);
	segment.header.tag++;
	add_batch(&segment, 11);
	add_batch(&segment, 12);
	expect(&segment, "r.");
}

static void a_damaged_body_is_seen_where_bodies_are_read(void **state)
{
	struct segment segment;
	uint32_t at;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	at = add_batch(&segment, 10);
	add_batch(&segment, 11);
	segment.bytes[at + SPOOL_RECORD_HEADER_BYTES] ^= 1;
	expect(&segment, "fr.");
}

static void heads_are_read_without_their_bodies(void **state)
{
	struct segment segment;
	struct spool_record record;
	uint32_t at, next;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	at = add_batch(&segment, 10);
	next = add_batch(&segment, 11);
	segment.scan.heads_only = true;
	segment.scan.committed_below = next + SPOOL_BLOCK_BYTES;
	segment.scan.window_offset = at;
	segment.scan.window = view_of(segment.bytes + at, SPOOL_RECORD_HEADER_BYTES);
	assert_int_equal(spool_scan_next(&segment.scan, &record), SPOOL_SCAN_RECORD);
	assert_int_equal(record.sequence, 10);
	assert_null(record.body.data);
	assert_true(segment.scan.offset > at + SPOOL_RECORD_HEADER_BYTES);
	assert_int_equal(spool_scan_next(&segment.scan, &record), SPOOL_SCAN_MORE);
	segment.scan.window_offset = segment.scan.offset;
	segment.scan.window = view_of(segment.bytes + segment.scan.offset,
				      next + SPOOL_RECORD_HEADER_BYTES - segment.scan.offset);
	assert_int_equal(spool_scan_next(&segment.scan, &record), SPOOL_SCAN_RECORD);
	assert_int_equal(record.offset, next);
	segment.bytes[next + 30] ^= 1; // of the head
	segment.scan.offset = next;
	segment.scan.sequence = 11;
	segment.scan.limit = next + 4096;
	segment.scan.window = view_of(segment.bytes + segment.scan.window_offset,
				      segment.scan.limit - segment.scan.window_offset);
	expect(&segment, ".");
}

static void a55_a_head_proves_no_body_that_was_not_synced(void **state)
{
	struct segment segment;
	uint32_t at;

	(void)state;
	segment_open(&segment, SEGMENT_BYTES);
	add_batch(&segment, 10);
	at = add_batch(&segment, 11);
	segment.bytes[at + SPOOL_RECORD_HEADER_BYTES] ^= 1; // torn behind its head
	segment.scan.heads_only = true;
	segment.scan.committed_below = at;
	expect(&segment, "r.");
}

// Each jump of the sequence would have the whole rest searched for proof, each header its length
// checked.
static void a55_a_segment_made_to_cost_time_costs_little(void **state)
{
	enum { LARGE_BYTES = 16 * 1024 * 1024 };
	struct timespec begin, end;
	struct spool_record record;
	struct segment segment;
	unsigned turns = 0;

	(void)state;
	segment_open(&segment, LARGE_BYTES);
	for (uint64_t sequence = 10; segment.end + 8192 < LARGE_BYTES / 2; sequence += 2) {
		add(&segment, sequence, SPOOL_RECORDS_AT);
	}
	while (segment.end + 8192 < LARGE_BYTES) {
		struct spool_record_lengths lengths = { .body = LARGE_BYTES - segment.end - 48 };

		spool_record_header_encode(segment.bytes + segment.end, &segment.header, 1u << 30,
					   segment.end, lengths, 0);
		spool_record_seal(segment.bytes + segment.end, SPOOL_RECORD_HEADER_BYTES);
		segment.end += 48;
	}
	add_batch(&segment, 1u << 31);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	while (spool_scan_next(&segment.scan, &record) != SPOOL_SCAN_END) {
		turns++;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_true(turns < LARGE_BYTES / 48);
	assert_true(end.tv_sec - begin.tv_sec < 5);
	free(segment.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_read_as_it_was_written_and_no_bit_may_differ),
		cmocka_unit_test(batches_are_read_in_order),
		cmocka_unit_test(a_torn_batch_at_the_end_is_no_fault),
		cmocka_unit_test(what_a_later_batch_proves_is_a_fault),
		cmocka_unit_test(what_the_next_use_or_the_mark_proves_is_a_fault),
		cmocka_unit_test(leftovers_of_another_use_are_passed_over),
		cmocka_unit_test(a_damaged_body_is_seen_where_bodies_are_read),
		cmocka_unit_test(heads_are_read_without_their_bodies),
		cmocka_unit_test(a55_a_head_proves_no_body_that_was_not_synced),
		cmocka_unit_test(a55_a_segment_made_to_cost_time_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
