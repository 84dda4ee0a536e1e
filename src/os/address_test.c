#include "base/check.h"
#include "os/socket.h"

static void assert_text(const struct os_address *address, const char *expected)
{
	struct buffer text = buffer_with_max(200);

	os_address_add_text(&text, address);
	assert_view(buffer_view(&text), expected);
	buffer_done(&text);
}

static void an_address_is_written_in_one_way(void **state)
{
	static const struct {
		const char *text;
		uint8_t family;
		const char *canonical;
	} cases[] = {
		{ "192.0.2.1", 4, "192.0.2.1" },
		{ "2001:DB8:0:0::1", 6, "2001:db8::1" },
		{ "::", 6, "::" },
		{ "::ffff:192.0.2.1", 4, "192.0.2.1" },
		{ "unix:/run/lmtp", 1, "unix:/run/lmtp" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct os_address address;

		assert_int_equal(os_address_parse(view_from_text(cases[i].text), 25, &address), OK);
		assert_int_equal(address.family, cases[i].family);
		assert_text(&address, cases[i].canonical);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = {
		"",           "192.0.2",       "192.0.2.256", "192.0.2.01", "192.0.2.1 ",
		"0x7f.0.0.1", "[::1]",         "fe80::1%lo",  "2001:db8",   "1:2:3:4:5:6:7:8:9",
		"unix:",      "unix:relative", "localhost",
	};
	struct os_address address = { .family = 99 };
	char long_path[200] = "unix:/";

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(os_address_parse(view_from_text(bad[i]), 25, &address),
				 ERROR_INVALID);
	}
	assert_int_equal(os_address_parse(view_of("192.0.2.1\0", 10), 25, &address), ERROR_INVALID);
	for (size_t i = 6; i < 150; i++) {
		long_path[i] = 'x';
	}
	assert_int_equal(os_address_parse(view_from_text(long_path), 0, &address), ERROR_INVALID);
	assert_int_equal(address.family, 99);
}

static void addresses_are_equal_with_their_port(void **state)
{
	struct os_address a, b;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("192.0.2.1"), 25, &a), OK);
	assert_int_equal(os_address_parse(VIEW("::ffff:192.0.2.1"), 25, &b), OK);
	assert_true(os_address_equal(&a, &b));
	b.port = 26;
	assert_false(os_address_equal(&a, &b));
	assert_int_equal(os_address_parse(VIEW("192.0.2.2"), 25, &b), OK);
	assert_false(os_address_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_written_in_one_way),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(addresses_are_equal_with_their_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
