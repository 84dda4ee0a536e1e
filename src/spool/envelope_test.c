#include "base/check.h"
#include "base/wire.h"
#include "spool/envelope.h"

#include <string.h>

struct fixture {
	struct spool_recipient recipients[2];
	struct spool_envelope envelope;
	struct buffer bytes;
	struct arena arena;
};

static struct fixture fixture(void)
{
	struct fixture fixture = {
		.recipients = {
			{
				VIEW("bob@example.org"),
				VIEW("info@example.org"),
				VIEW("rfc822;info@example.org"),
				SPOOL_LOCAL,
			},
			{
				VIEW("eve@else.example"),
				VIEW("eve@else.example"),
				VIEW(""),
				SPOOL_REMOTE,
			},
		},
		.envelope = {
			.id = 77,
			.arrival_ms = 1795291234567,
			.reverse_path = VIEW("alice@example.com"),
			.recipient_count = 2,
			.flags = SPOOL_BODY_8BIT | SPOOL_SMTPUTF8,
			.body_bytes = 1234567890123,
			.helo = VIEW("mx.example.com"),
			.client = VIEW("2001:db8::1"),
			.listener = VIEW("mx"),
			.role = 1,
			.login = VIEW("alice"),
			.tls = VIEW("TLSv1.3"),
			.authentication = VIEW("\0\1"),
			.body_crc = 0x89abcdef,
			.has_body_crc = true,
			.added_fields = VIEW("Received: x\r\n"),
		},
		.bytes = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX),
		.arena = arena_with_max(1 << 20),
	};
	return fixture;
}

static void fixture_done(struct fixture *fixture)
{
	buffer_done(&fixture->bytes);
	arena_done(&fixture->arena);
}

static void every_field_survives(void **state)
{
	struct fixture f = fixture();
	struct spool_envelope back;

	(void)state;
	f.envelope.recipients = f.recipients;
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), OK);
	assert_int_equal(spool_envelope_decode(buffer_view(&f.bytes), &f.arena, &back), OK);
	assert_int_equal(back.id, 77);
	assert_true(back.arrival_ms == 1795291234567 && back.body_bytes == 1234567890123);
	assert_view(back.reverse_path, "alice@example.com");
	assert_true(back.has_body_crc && back.body_crc == 0x89abcdef);
	assert_int_equal(back.recipient_count, 2);
	assert_view(back.recipients[0].address, "bob@example.org");
	assert_view(back.recipients[0].original, "info@example.org");
	assert_view(back.recipients[0].orcpt, "rfc822;info@example.org");
	assert_int_equal(back.recipients[0].kind, SPOOL_LOCAL);
	assert_view(back.recipients[1].original, "eve@else.example");
	assert_int_equal(back.flags, SPOOL_BODY_8BIT | SPOOL_SMTPUTF8);
	assert_view(back.helo, "mx.example.com");
	assert_view(back.client, "2001:db8::1");
	assert_view(back.listener, "mx");
	assert_int_equal(back.role, 1);
	assert_view(back.login, "alice");
	assert_view(back.tls, "TLSv1.3");
	assert_true(view_equal(back.authentication, VIEW("\0\1")));
	assert_view(back.added_fields, "Received: x\r\n");
	fixture_done(&f);
}

static void every_cut_is_refused(void **state)
{
	struct fixture f = fixture();
	struct spool_envelope back;
	size_t whole = 0;

	(void)state;
	f.envelope.recipients = f.recipients;
	f.envelope.added_fields = (struct view){ 0 };
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), OK);
	for (size_t len = 0; len < f.bytes.len; len++) {
		whole += spool_envelope_decode(view_first(buffer_view(&f.bytes), len), &f.arena,
					       &back) == OK;
	}
	assert_int_equal(whole, 9); // cuts between the optional items at the end
	fixture_done(&f);
}

static void an_item_that_must_be_understood_and_is_not_is_refused(void **state)
{
	struct fixture f = fixture();
	struct spool_envelope back;
	size_t len;

	(void)state;
	f.envelope.recipients = f.recipients;
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), OK);
	len = f.bytes.len;
	wire_add_u16(&f.bytes, 0x7001);
	wire_add_string(&f.bytes, VIEW("later"));
	assert_int_equal(spool_envelope_decode(buffer_view(&f.bytes), &f.arena, &back), OK);
	f.bytes.len = len;
	wire_add_u16(&f.bytes, 0xf001);
	wire_add_string(&f.bytes, VIEW("later"));
	assert_int_equal(spool_envelope_decode(buffer_view(&f.bytes), &f.arena, &back),
			 ERROR_UNSUPPORTED);
	fixture_done(&f);
}

static void bounds_hold_when_written(void **state)
{
	static char long_name[SPOOL_ADDRESS_BYTES_MAX + 1];
	struct fixture f = fixture();

	(void)state;
	memset(long_name, 'a', sizeof long_name);
	f.envelope.recipients = f.recipients;
	f.envelope.recipient_count = 0;
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), ERROR_INVALID);
	f.envelope.recipient_count = 2;
	f.recipients[1].address = view_of(long_name, sizeof long_name);
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), ERROR_INVALID);
	f.recipients[1].address = VIEW("ok@x");
	f.envelope.id = 0;
	assert_int_equal(spool_envelope_encode(&f.bytes, &f.envelope), ERROR_INVALID);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_survives),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(an_item_that_must_be_understood_and_is_not_is_refused),
		cmocka_unit_test(bounds_hold_when_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
