#include "base/check.h"
#include "facts/way.h"

static const char RESOLV_CONF[] = "# local\nsearch example.org\nnameserver 192.0.2.53\n"
				  "nameserver\nnameserver 2001:db8::53 # second\noptions rotate\n";

// Each way as "r" or "f" for recursion and forwarding, with "v" where it validates.
static void ways_follow_the_configuration(void **state)
{
	static const struct {
		enum config_dns_mode mode;
		enum config_switch dnssec;
		const char *system, *expected;
	} cases[] = {
		{ CONFIG_DNS_AUTO, CONFIG_AUTO, RESOLV_CONF, "rv fv r f " },
		{ CONFIG_DNS_AUTO, CONFIG_AUTO, "", "rv r " },
		{ CONFIG_DNS_AUTO, CONFIG_ON, RESOLV_CONF, "rv fv " },
		{ CONFIG_DNS_AUTO, CONFIG_OFF, RESOLV_CONF, "r f " },
		{ CONFIG_DNS_RECURSIVE, CONFIG_AUTO, RESOLV_CONF, "rv r " },
		{ CONFIG_DNS_FORWARD, CONFIG_AUTO, RESOLV_CONF, "fv f " },
		{ CONFIG_DNS_FORWARD, CONFIG_OFF, RESOLV_CONF, "f " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct config_dns dns = { .mode = cases[i].mode, .dnssec = cases[i].dnssec };
		struct buffer text = buffer_with_max(64);
		struct arena arena = arena_with_max(65536);
		struct ways ways;

		assert_int_equal(
			ways_make(&dns, view_from_text(cases[i].system), VIEW(""), &arena, &ways),
			OK);
		for (unsigned w = 0; w < ways.count; w++) {
			buffer_add_text(&text, ways.options[w].forward ? "f" : "r");
			buffer_add_text(&text, ways.options[w].validate ? "v " : " ");
		}
		assert_string_equal(buffer_text(&text), cases[i].expected);
		buffer_done(&text);
		arena_done(&arena);
	}
}

static void forwarding_without_a_server_is_no_way(void **state)
{
	struct config_dns dns = { .mode = CONFIG_DNS_FORWARD };
	struct arena arena = arena_with_max(65536);
	struct ways ways;

	(void)state;
	assert_int_equal(ways_make(&dns, VIEW("search example.org\n"), VIEW(""), &arena, &ways),
			 ERROR_INVALID);
	arena_done(&arena);
}

static void configured_servers_come_before_the_systems(void **state)
{
	struct view own = VIEW("127.0.0.1@5353");
	struct config_dns dns = { .mode = CONFIG_DNS_FORWARD, .dnssec = CONFIG_OFF };
	struct arena arena = arena_with_max(65536);
	struct ways ways;

	(void)state;
	assert_int_equal(ways_make(&dns, view_from_text(RESOLV_CONF), VIEW(""), &arena, &ways), OK);
	assert_int_equal(ways.options[0].server_count, 2);
	assert_view(ways.options[0].servers[1], "2001:db8::53");
	dns.servers.items = &own;
	dns.servers.count = 1;
	assert_int_equal(ways_make(&dns, view_from_text(RESOLV_CONF), VIEW(""), &arena, &ways), OK);
	assert_int_equal(ways.options[0].server_count, 1);
	assert_view(ways.options[0].servers[0], "127.0.0.1@5353");
	arena_done(&arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_follow_the_configuration),
		cmocka_unit_test(forwarding_without_a_server_is_no_way),
		cmocka_unit_test(configured_servers_come_before_the_systems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
