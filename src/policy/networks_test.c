#include "base/check.h"
#include "policy/networks.h"

static void assert_network_text(const struct network *network, const char *expected)
{
	struct buffer text = buffer_with_max(100);

	network_add_text(&text, network);
	assert_view(buffer_view(&text), expected);
	buffer_done(&text);
}

static void networks_are_read_and_written(void **state)
{
	static const struct {
		const char *text, *written; // NULL: refused
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "2001:db8::/32", "2001:db8::/32" },
		{ "2001:0DB8:0:0::1", "2001:db8::1" },
		{ "::/0", "::/0" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "192.0.2.128/25", "192.0.2.128/25" },
		{ "10.0.0.1/8", NULL },
		{ "192.0.2.129/25", NULL },
		{ "2001:db8::1/64", NULL },
		{ "10.0.0.0/33", NULL },
		{ "10.0.0.0/", NULL },
		{ "10.0.0.0/-1", NULL },
		{ "10.0.0.0/8x", NULL },
		{ "10.0.0.0/255.0.0.0", NULL },
		{ "10.0.0/8", NULL },
		{ "010.0.0.0/8", NULL },
		{ "10.0.0.256", NULL },
		{ "2001:db8::/129", NULL },
		{ "::ffff:10.0.0.0/104", NULL },
		{ "[::1]", NULL },
		{ "fe80::1%eth0", NULL },
		{ "", NULL },
		{ "/8", NULL },
		{ "example.org", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct network network;
		bool read = network_parse(view_from_text(cases[i].text), &network);

		if (read != (cases[i].written != NULL)) {
			fail_msg("%s", cases[i].text);
		}
		if (read) {
			assert_network_text(&network, cases[i].written);
		}
	}
	assert_false(network_parse(VIEW("10.0.0.1\0.2"), &(struct network){ 0 }));
}

static void a_network_holds_its_addresses_and_no_others(void **state)
{
	static const struct {
		const char *network, *address;
		bool holds;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.200", true },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "203.0.113.9", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct network network;
		struct ip_address address;

		assert_true(network_parse(view_from_text(cases[i].network), &network));
		assert_true(ip_address_parse(view_from_text(cases[i].address), &address));
		if (network_contains(&network, &address) != cases[i].holds) {
			fail_msg("%s and %s", cases[i].network, cases[i].address);
		}
	}
	assert_false(network_contains(&(struct network){ 0 }, &(struct ip_address){ 0 }));
}

static void only_addresses_of_the_internet_are_public(void **state)
{
	static const struct {
		const char *address;
		bool public;
	} cases[] = {
		{ "8.8.8.8", true },
		{ "2a00:1450::1", true },
		{ "2001:470::1", true },
		{ "10.1.2.3", false },
		{ "172.16.0.1", false },
		{ "172.32.0.1", true },
		{ "192.168.1.1", false },
		{ "127.0.0.1", false },
		{ "127.255.0.1", false },
		{ "169.254.169.254", false },
		{ "100.64.0.1", false },
		{ "0.0.0.0", false },
		{ "0.1.2.3", false },
		{ "192.0.2.1", false },
		{ "198.18.0.1", false },
		{ "224.0.0.1", false },
		{ "255.255.255.255", false },
		{ "::", false },
		{ "::1", false },
		{ "::127.0.0.1", false },
		{ "::ffff:127.0.0.1", false },
		{ "64:ff9b::7f00:1", false },
		{ "2002:7f00:1::", false },
		{ "fd00::1", false },
		{ "fe80::1", false },
		{ "ff02::1", false },
		{ "2001:db8::1", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct ip_address address;

		assert_true(ip_address_parse(view_from_text(cases[i].address), &address));
		if (ip_address_is_public(&address) != cases[i].public) {
			fail_msg("%s", cases[i].address);
		}
	}
	assert_false(ip_address_is_public(&(struct ip_address){ 0 }));
}

static void private_and_too_wide_networks_are_known(void **state)
{
	static const struct {
		const char *network;
		bool private, too_wide;
	} cases[] = {
		{ "10.0.0.0/8", true, false },     { "10.0.0.0/7", false, true },
		{ "192.168.0.0/16", true, false }, { "192.168.0.0/15", false, false },
		{ "127.0.0.1", true, false },      { "203.0.113.0/24", false, false },
		{ "0.0.0.0/0", false, true },      { "fd00::/8", true, true },
		{ "fd00:1:2::/48", true, false },  { "2a00::/32", false, false },
		{ "2a00::/31", false, true },      { "::1", true, false },
		{ "::/0", false, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct network network;

		assert_true(network_parse(view_from_text(cases[i].network), &network));
		if (network_is_private(&network) != cases[i].private ||
		    network_is_too_wide(&network) != cases[i].too_wide) {
			fail_msg("%s", cases[i].network);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_are_read_and_written),
		cmocka_unit_test(a_network_holds_its_addresses_and_no_others),
		cmocka_unit_test(only_addresses_of_the_internet_are_public),
		cmocka_unit_test(private_and_too_wide_networks_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
