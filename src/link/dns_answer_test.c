#include "base/check.h"
#include "link/dns_answer.h"

#include <string.h>

// Packets are built here by hand: the header, one question for "a.example", then records.
struct packet {
	char bytes[65536];
	size_t len;
	unsigned answers;
};

static void add(struct packet *packet, const void *bytes, size_t len)
{
	memcpy(packet->bytes + packet->len, bytes, len);
	packet->len += len;
}

static void add_u16(struct packet *packet, unsigned number)
{
	char bytes[2] = { (char)(number >> 8), (char)number };

	add(packet, bytes, 2);
}

static void begin(struct packet *packet, unsigned rcode, unsigned type)
{
	static const char header[] = "\x12\x34\x81\x80\0\1\0\0\0\0\0\0";

	packet->len = packet->answers = 0;
	add(packet, header, 12);
	packet->bytes[3] = (char)(0x80 | rcode);
	add(packet, "\1a\7example", 11);
	add_u16(packet, type);
	add_u16(packet, 1);
}

static void add_record(struct packet *packet, const char *owner, size_t owner_len, unsigned type,
		       unsigned ttl, const char *data, size_t data_len)
{
	add(packet, owner, owner_len);
	add_u16(packet, type);
	add_u16(packet, 1);
	add_u16(packet, ttl >> 16);
	add_u16(packet, ttl);
	add_u16(packet, (unsigned)data_len);
	add(packet, data, data_len);
	packet->answers++;
	packet->bytes[6] = (char)(packet->answers >> 8);
	packet->bytes[7] = (char)packet->answers;
}

#define OWN "\xc0\x0c" // the question's name
#define RECORD(packet_, type_, ttl_, data_) \
	add_record((packet_), OWN, 2, (type_), (ttl_), (data_), sizeof(data_) - 1)

static enum error parse(const struct packet *packet, enum dns_type type, struct arena *arena,
			struct dns_answer *ret_answer)
{
	return dns_answer_parse(view_of(packet->bytes, packet->len), type, arena, ret_answer);
}

static void mx_records_are_read_in_order(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_MX);
	RECORD(&packet, DNS_MX, 300, "\0\x14\2MX\xc0\x0e"); // MX.example: a pointer into the name
	RECORD(&packet, DNS_MX, 200, "\0\x0a\3mx2\3net\0");
	assert_int_equal(parse(&packet, DNS_MX, &arena, &answer), OK);
	assert_int_equal(answer.result, FACTS_FOUND);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.ttl_s, 200);
	assert_view(answer.records[0].name, "mx.example");
	assert_int_equal(answer.records[0].preference, 20);
	assert_view(answer.records[1].name, "mx2.net");
	arena_done(&arena);
}

static void addresses_of_both_families_are_read(void **state)
{
	static const uint8_t six[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_A);
	RECORD(&packet, DNS_A, 60, "\xc0\0\2\1");
	assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
	assert_int_equal(answer.records[0].address.family, 4);
	assert_memory_equal(answer.records[0].address.bytes, "\xc0\0\2\1", 4);
	begin(&packet, 0, DNS_AAAA);
	add_record(&packet, OWN, 2, DNS_AAAA, 60, (const char *)six, 16);
	assert_int_equal(parse(&packet, DNS_AAAA, &arena, &answer), OK);
	assert_int_equal(answer.records[0].address.family, 6);
	assert_memory_equal(answer.records[0].address.bytes, six, 16);
	arena_done(&arena);
}

static void failures_are_told_apart(void **state)
{
	static const struct {
		unsigned rcode;
		enum facts_result result;
	} cases[] = { { 0, FACTS_NO_DATA },
		      { 3, FACTS_NO_DOMAIN },
		      { 2, FACTS_TEMPORARY },
		      { 5, FACTS_TEMPORARY } };
	struct arena arena = arena_with_max(DNS_ARENA_MAX);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct packet packet;
		struct dns_answer answer;

		begin(&packet, cases[i].rcode, DNS_MX);
		assert_int_equal(parse(&packet, DNS_MX, &arena, &answer), OK);
		assert_int_equal(answer.result, cases[i].result);
		assert_int_equal(answer.ttl_s, 0);
	}
	arena_done(&arena);
}

static void null_mx_is_the_root(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_MX);
	RECORD(&packet, DNS_MX, 60, "\0\0\0");
	assert_int_equal(parse(&packet, DNS_MX, &arena, &answer), OK);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.records[0].name.len, 0);
	arena_done(&arena);
}

static void aliases_are_followed_in_any_order(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_A);
	add_record(&packet, "\1c\0", 3, DNS_A, 70, "\x7f\0\0\1", 4);
	add_record(&packet, "\1B\0", 3, DNS_CNAME, 50, "\1c\0", 3);
	RECORD(&packet, DNS_CNAME, 60, "\1b\0");
	RECORD(&packet, DNS_A, 10, "\x7f\0\0\2"); // beside an alias: not the answer
	assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.ttl_s, 50);
	assert_memory_equal(answer.records[0].address.bytes, "\x7f\0\0\1", 4);
	arena_done(&arena);
}

static void a20_alias_loop_ends(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_A);
	RECORD(&packet, DNS_CNAME, 60, "\1b\0");
	add_record(&packet, "\1b\0", 3, DNS_CNAME, 60, OWN, 2);
	assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
	assert_int_equal(answer.result, FACTS_TEMPORARY);
	arena_done(&arena);
}

// A domain whose MX records cannot be read must not look like one without any.
static void a20_unusable_records_are_dropped_and_never_taken_for_none(void **state)
{
#define DATA(text_) \
	{ \
		text_, sizeof(text_) - 1 \
	}
	static const struct {
		enum dns_type type;
		struct view data;
	} cases[] = {
		{ DNS_MX, DATA("") },
		{ DNS_MX, DATA("\0") },
		{ DNS_MX, DATA("\0\1") },
		{ DNS_MX, DATA("\0\1\5ab\0") },         // label past the end
		{ DNS_MX, DATA("\0\1\1a\0x") },         // more than the name
		{ DNS_MX, DATA("\0\1\3a b\0") },        // blank
		{ DNS_MX, DATA("\0\1\3a\n\x01\0") },    // controls
		{ DNS_MX, DATA("\0\1\3a.b\0") },        // a dot inside a label
		{ DNS_MX, DATA("\0\1\4\xc3\xa4xx\0") }, // not ASCII
		{ DNS_MX, DATA("\0\1\xc0\xff") },       // pointer forward
		{ DNS_MX, DATA("\0\1\x40xx\0") },       // reserved label type
		{ DNS_PTR, DATA("\0") },                // the root names nothing
		{ DNS_PTR, DATA("\6a\"; rm\0") },       // CVE-2026-40684
		{ DNS_A, DATA("\1\2\3") },              // short
		{ DNS_A, DATA("\1\2\3\4\5") },          // long
		{ DNS_AAAA, DATA("\1\2\3\4") },
	};
	struct arena arena = arena_with_max(DNS_ARENA_MAX);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct packet packet;
		struct dns_answer answer;

		begin(&packet, 0, cases[i].type);
		add_record(&packet, OWN, 2, cases[i].type, 60, cases[i].data.data,
			   cases[i].data.len);
		assert_int_equal(parse(&packet, cases[i].type, &arena, &answer), OK);
		assert_int_equal(answer.count, 0);
		assert_int_equal(answer.result, FACTS_TEMPORARY);
	}
	arena_done(&arena);
}

static void a20_compression_loops_end(void **state)
{
	static const struct view owners[] = { { "\xc0\x1b", 2 },    // itself
					      { "\1a\xc0\x1b", 4 }, // its own start
					      { "\xc0\x1d", 2 },    // forward
					      { "\xff\xff", 2 } };
	struct arena arena = arena_with_max(DNS_ARENA_MAX);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(owners); i++) {
		struct packet packet;
		struct dns_answer answer;

		begin(&packet, 0, DNS_A);
		assert_int_equal(packet.len, 0x1b);
		add_record(&packet, owners[i].data, owners[i].len, DNS_A, 60, "\1\2\3\4", 4);
		assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
		assert_int_equal(answer.count, 0);
	}
	arena_done(&arena);
}

static void a20_large_sets_are_cut(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_A);
	for (unsigned i = 0; i < 4000; i++) {
		RECORD(&packet, DNS_A, 60, "\1\2\3\4");
	}
	assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
	assert_int_equal(answer.count, DNS_RECORDS_MAX);
	arena_done(&arena);
}

static void a20_ttl_is_clamped(void **state)
{
	static const struct {
		unsigned given, kept;
	} cases[] = { { 0, 0 },
		      { 60, 60 },
		      { 0x7fffffff, DNS_TTL_MAX_S },
		      { 0x80000000, 0 },
		      { 0xffffffff, 0 } };
	struct arena arena = arena_with_max(DNS_ARENA_MAX);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct packet packet;
		struct dns_answer answer;

		begin(&packet, 0, DNS_A);
		RECORD(&packet, DNS_A, cases[i].given, "\1\2\3\4");
		assert_int_equal(parse(&packet, DNS_A, &arena, &answer), OK);
		assert_int_equal(answer.ttl_s, cases[i].kept);
	}
	arena_done(&arena);
}

static void every_cut_of_a_packet_is_survived(void **state)
{
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct packet packet;
	struct dns_answer answer;

	(void)state;
	begin(&packet, 0, DNS_MX);
	RECORD(&packet, DNS_MX, 60, "\0\x0a\3mx2\xc0\x0e");
	for (size_t len = 0; len < packet.len; len++) {
		enum error error =
			dns_answer_parse(view_of(packet.bytes, len), DNS_MX, &arena, &answer);

		assert_int_equal(error, len < 27 ? ERROR_INVALID : OK);
		assert_true(error != OK || answer.result != FACTS_FOUND);
	}
	assert_int_equal(parse(&packet, DNS_A, &arena, &answer), ERROR_INVALID); // another question
	arena_done(&arena);
}

static void reverse_names_are_spelt_by_nibble_and_octet(void **state)
{
	struct facts_address four = { 4, { 192, 0, 2, 1 } };
	struct facts_address six = { 6, { 0x20, 1, 0xd, 0xb8, [15] = 0x1f } };
	struct buffer name = buffer_with_max(256);

	(void)state;
	dns_reverse_name(&name, &four);
	assert_view(buffer_view(&name), "1.2.0.192.in-addr.arpa");
	buffer_clear(&name);
	dns_reverse_name(&name, &six);
	assert_view(buffer_view(&name),
		    "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	buffer_done(&name);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx_records_are_read_in_order),
		cmocka_unit_test(addresses_of_both_families_are_read),
		cmocka_unit_test(failures_are_told_apart),
		cmocka_unit_test(null_mx_is_the_root),
		cmocka_unit_test(aliases_are_followed_in_any_order),
		cmocka_unit_test(a20_alias_loop_ends),
		cmocka_unit_test(a20_unusable_records_are_dropped_and_never_taken_for_none),
		cmocka_unit_test(a20_compression_loops_end),
		cmocka_unit_test(a20_large_sets_are_cut),
		cmocka_unit_test(a20_ttl_is_clamped),
		cmocka_unit_test(every_cut_of_a_packet_is_survived),
		cmocka_unit_test(reverse_names_are_spelt_by_nibble_and_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
