#include "base/arena.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/table.h"
#include "base/text.h"
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

static void view_parts_cover_the_text(void **state)
{
	struct view rest = VIEW("a,,b"), part;

	(void)state;
	assert_true(view_next_part(&rest, ',', &part));
	assert_view(part, "a");
	assert_true(view_next_part(&rest, ',', &part));
	assert_int_equal(part.len, 0);
	assert_true(view_next_part(&rest, ',', &part));
	assert_view(part, "b");
	assert_false(view_next_part(&rest, ',', &part));
}

static void view_number_refuses_what_is_not_one(void **state)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"
	};
	uint64_t number = 7;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(view_to_u64(view_from_text(bad[i]), UINT64_MAX, &number));
	}
	assert_int_equal(number, 7);
	assert_true(view_to_u64(VIEW("18446744073709551615"), UINT64_MAX, &number));
	assert_true(number == UINT64_MAX);
	assert_false(view_to_u64(VIEW("101"), 100, &number));
}

static void buffer_failure_is_sticky_and_bounded(void **state)
{
	struct buffer buffer = buffer_with_max(4);

	(void)state;
	buffer_add_text(&buffer, "abc");
	assert_int_equal(buffer_error(&buffer), OK);
	buffer_add_text(&buffer, "de");
	assert_int_equal(buffer_error(&buffer), ERROR_LIMIT);
	buffer_add_text(&buffer, "f");
	assert_view(buffer_view(&buffer), "abc");
	buffer_clear(&buffer);
	buffer_printf(&buffer, "%d", 1234);
	assert_string_equal(buffer_text(&buffer), "1234");
	buffer_consume(&buffer, 3);
	assert_view(buffer_view(&buffer), "4");
	buffer_done(&buffer);
}

static void arena_stops_at_its_maximum(void **state)
{
	struct arena arena = arena_with_max(1024);

	(void)state;
	assert_non_null(arena_alloc(&arena, 1000));
	assert_null(arena_alloc(&arena, 100));
	assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 4));
	arena_done(&arena);
	assert_view(arena_copy(&arena, VIEW("text")), "text");
	assert_non_null(arena_copy(&arena, (struct view){ 0 }).data);
	arena_done(&arena);
}

static void wire_reads_never_pass_the_end(void **state)
{
	struct buffer out = buffer_with_max(64);
	struct wire_reader reader;

	(void)state;
	wire_add_u16(&out, 0x1234);
	wire_add_string(&out, VIEW("hello"));
	reader = wire_reader_of(buffer_view(&out));
	assert_int_equal(wire_u16(&reader), 0x1234);
	assert_view(wire_string(&reader), "hello");
	assert_true(wire_finished(&reader));
	reader = wire_reader_of(view_first(buffer_view(&out), 9));
	wire_u16(&reader);
	assert_int_equal(wire_string(&reader).len, 0);
	assert_false(wire_finished(&reader));
	buffer_done(&out);
}

// The vectors of the SipHash paper's reference implementation and of RFC 3720 B.4.
static void checksums_match_published_vectors(void **state)
{
	struct hash_key key = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
	char bytes[32];

	(void)state;
	for (int i = 0; i < 32; i++) {
		bytes[i] = (char)i;
	}
	assert_true(hash_siphash(key, view_of(bytes, 0)) == 0x726fdb47dd0e0e31u);
	assert_true(hash_siphash(key, view_of(bytes, 15)) == 0xa129ca6149be45e5u);
	assert_int_equal(hash_crc32c(0, view_of(bytes, 32)), 0x46dd794e);
	assert_int_equal(hash_crc32c(0, VIEW("123456789")), 0xe3069283);
	assert_int_equal(hash_crc32c(hash_crc32c(0, VIEW("1234")), VIEW("56789")), 0xe3069283);
}

static void table_keeps_every_key_through_growth_and_removal(void **state)
{
	static char keys[1000][4];
	struct table table = table_with_max((struct hash_key){ 1, 2 }, 1000);
	size_t position = 0, seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		wire_put_u32(keys[i], (uint32_t)i);
		assert_int_equal(table_add(&table, view_of(keys[i], 4), keys[i]), OK);
	}
	assert_int_equal(table_add(&table, view_of(keys[5], 4), keys[5]), ERROR_EXISTS);
	assert_int_equal(table_add(&table, VIEW("another"), keys), ERROR_LIMIT);
	for (int i = 0; i < 1000; i += 2) {
		assert_ptr_equal(table_remove(&table, view_of(keys[i], 4)), keys[i]);
	}
	for (int i = 0; i < 1000; i++) {
		assert_ptr_equal(table_get(&table, view_of(keys[i], 4)), i % 2 ? keys[i] : NULL);
	}
	while (table_next(&table, &position)) {
		seen++;
	}
	assert_int_equal(seen, 500);
	table_done(&table);
}

static void heap_gives_the_smallest_key_first(void **state)
{
	struct heap_entry entries[100] = { 0 };
	struct heap heap = { 0 };
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(heap_add(&heap, &entries[i], i * 7919 % 101), OK);
	}
	heap_move(&heap, &entries[50], 0);
	heap_move(&heap, &entries[51], 1000);
	heap_remove(&heap, &entries[3]);
	for (unsigned i = 0; i < 99; i++) {
		struct heap_entry *first = heap_first(&heap);

		assert_true(first->key >= last);
		last = first->key;
		heap_remove(&heap, first);
	}
	assert_null(heap_first(&heap));
	assert_int_equal(last, 1000);
	heap_done(&heap);
}

static void base64_round_trips_and_refuses_garbage(void **state)
{
	static const char *const bad[] = { "A",    "AB",   "ABC",  "AB=C", "A===",  "AB==CDEF",
					   "AB C", "QR==", "QUJ=", "====", "QQ==\n" };
	struct buffer out = buffer_with_max(64), back = buffer_with_max(64);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(base64_decode(&out, view_from_text(bad[i])), ERROR_INVALID);
		assert_int_equal(out.len, 0);
	}
	for (size_t len = 0; len <= 6; len++) {
		buffer_clear(&out);
		buffer_clear(&back);
		base64_encode(&out, view_first(VIEW("foobar"), len));
		assert_int_equal(base64_decode(&back, buffer_view(&out)), OK);
		assert_true(view_equal(buffer_view(&back), view_first(VIEW("foobar"), len)));
	}
	assert_view(buffer_view(&out), "Zm9vYmFy");
	buffer_done(&out);
	buffer_done(&back);
}

// Exact copies, so that ASan sees a step too far on either side.
static void a15_base64_stays_inside_its_bytes(void **state)
{
	static const char *const texts[] = { "",     "Q",     "QQ",       "QQ=",      "QQ==",
					     "QUJD", "QUJDR", "QUJDRA==", "QUJDREU=", "QUJDREVG" };
	static const size_t decoded_len[] = { 0, 0, 0, 0, 1, 3, 0, 4, 5, 6 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		size_t len = strlen(texts[i]);
		char *text = malloc(len ? len : 1);
		struct buffer out = buffer_with_max(decoded_len[i]);
		bool fits = len % 4 == 0;

		assert_non_null(text);
		memcpy(text, texts[i], len);
		assert_int_equal(base64_decode(&out, view_of(text, len)),
				 fits ? OK : ERROR_INVALID);
		assert_int_equal(out.len, decoded_len[i]);
		buffer_done(&out);
		free(text);
	}
}

// Sums and products of sizes that wrap around would give less memory than is then written.
static void a17_sizes_that_overflow_are_refused(void **state)
{
	struct arena arena = arena_with_max(SIZE_MAX);
	struct buffer buffer = buffer_with_max(SIZE_MAX);
	uint64_t number = 7;

	(void)state;
	assert_null(arena_alloc_array(&arena, SIZE_MAX / 2 + 2, 2));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, SIZE_MAX - 31));
	assert_int_equal(arena.used, 0);
	buffer_add_text(&buffer, "abc");
	assert_null(buffer_reserve(&buffer, SIZE_MAX - 1));
	assert_int_equal(buffer_error(&buffer), ERROR_LIMIT);
	assert_int_equal(text_to_size_bytes(VIEW("18014398509481985KiB"), &number), ERROR_LIMIT);
	assert_int_equal(number, 7);
	arena_done(&arena);
	buffer_done(&buffer);
}

static void a24_remote_text_cannot_break_a_log_line(void **state)
{
	struct buffer out = buffer_with_max(256);

	(void)state;
	text_add_escaped(&out, VIEW("a\r\nb\x1b[2J\\\xff\xc2\x85 \xc3\xa9"), 200);
	assert_view(buffer_view(&out), "a\\x0d\\x0ab\\x1b[2J\\\\\\xff\\xc2\\x85 \xc3\xa9");
	buffer_clear(&out);
	text_add_escaped(&out, VIEW("0123456789"), 8);
	assert_view(buffer_view(&out), "01234...");
	buffer_clear(&out);
	text_add_escaped(&out, VIEW("\xe2\x80\x8b\xe2\x80\x8b"), 20);
	assert_view(buffer_view(&out), "\\xe2\\x80\\x8b...");
	buffer_clear(&out);
	text_add_escaped(&out, VIEW("abcd\xf0\x9f\x9a\xa2"), 8);
	assert_view(buffer_view(&out), "abcd...");
	buffer_done(&out);
}

static void utf8_is_checked_to_the_letter(void **state)
{
	static const char *const bad[] = { "\x80",         "\xc0\xaf",         "\xe0\x80\xaf",
					   "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
					   "\xc3" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(text_is_utf8(view_from_text(bad[i])));
	}
	assert_true(text_is_utf8(VIEW("gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\xa2")));
}

static void durations_and_sizes_read_as_people_write_them(void **state)
{
	struct buffer out = buffer_with_max(64);
	uint64_t value = 0;

	(void)state;
	assert_int_equal(text_to_duration_ms(VIEW("5d"), &value), OK);
	assert_true(value == 432000000);
	text_add_duration(&out, value);
	assert_view(buffer_view(&out), "5d");
	assert_int_equal(text_to_size_bytes(VIEW("50MiB"), &value), OK);
	assert_true(value == 52428800);
	buffer_clear(&out);
	text_add_size(&out, value);
	assert_view(buffer_view(&out), "50MiB");
	assert_int_equal(text_to_size_bytes(VIEW("50 parsecs"), &value), ERROR_INVALID);
	assert_int_equal(text_to_duration_ms(VIEW("99999999999999999d"), &value), ERROR_LIMIT);
	assert_true(value == 52428800);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_parts_cover_the_text),
		cmocka_unit_test(view_number_refuses_what_is_not_one),
		cmocka_unit_test(buffer_failure_is_sticky_and_bounded),
		cmocka_unit_test(arena_stops_at_its_maximum),
		cmocka_unit_test(wire_reads_never_pass_the_end),
		cmocka_unit_test(checksums_match_published_vectors),
		cmocka_unit_test(table_keeps_every_key_through_growth_and_removal),
		cmocka_unit_test(heap_gives_the_smallest_key_first),
		cmocka_unit_test(base64_round_trips_and_refuses_garbage),
		cmocka_unit_test(a15_base64_stays_inside_its_bytes),
		cmocka_unit_test(a17_sizes_that_overflow_are_refused),
		cmocka_unit_test(a24_remote_text_cannot_break_a_log_line),
		cmocka_unit_test(utf8_is_checked_to_the_letter),
		cmocka_unit_test(durations_and_sizes_read_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
