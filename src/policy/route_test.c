#include "policy/check_address.h"
#include "policy/route.h"

static void the_first_route_that_matches_wins(void **state)
{
	static const struct {
		const char *to, *from, *login;
		bool ours;
		enum route_kind kind;
		int index; // -1: no route
	} cases[] = {
		{ "v@special.example", "alice@example.org", "alice@example.org", false,
		  ROUTE_SMARTHOST, 0 },
		{ "v@else.example", "bulk@news.example.org", "alice@example.org", false,
		  ROUTE_SMARTHOST, 1 },
		{ "v@else.example", "x@else.example", "app@example.org", false, ROUTE_MX, 2 },
		{ "v@else.example", "x@else.example", NULL, false, ROUTE_SMARTHOST, 3 },
		{ "v@else.example", "", NULL, false, ROUTE_SMARTHOST, 3 },
		{ "v@special.example", "x@else.example", NULL, true, ROUTE_LOCAL, -1 },
	};
	struct arena arena = arena_with_max(1 << 20);
	const struct route routes[] = {
		{ .to = check_patterns(&arena, "special.example *.special.example"),
		  .kind = ROUTE_SMARTHOST },
		{ .from = check_patterns(&arena, "*@news.example.org"), .kind = ROUTE_SMARTHOST },
		{ .login = check_patterns(&arena, "app@example.org"), .kind = ROUTE_MX },
		{ .to = check_patterns(&arena, "*"), .kind = ROUTE_SMARTHOST },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address to = check_address(&arena, cases[i].to);
		struct address from = check_address(&arena, cases[i].from);
		struct address login = check_address(&arena, cases[i].login ? cases[i].login : "");
		struct route_facts facts = { cases[i].ours, &to, &from,
					     cases[i].login ? &login : NULL };
		struct route_choice choice = route_decide(routes, COUNT_OF(routes), &facts);

		assert_int_equal(choice.kind, cases[i].kind);
		assert_ptr_equal(choice.route, cases[i].index < 0 ? NULL : &routes[cases[i].index]);
	}
	arena_done(&arena);
}

static void without_a_match_mail_goes_by_mx(void **state)
{
	struct arena arena = arena_with_max(1 << 16);
	struct address to = check_address(&arena, "v@else.example");
	struct route_facts facts = { .recipient = &to, .reverse_path = &to };
	struct route_choice choice = route_decide(NULL, 0, &facts);

	(void)state;
	assert_int_equal(choice.kind, ROUTE_MX);
	assert_null(choice.route);
	arena_done(&arena);
}

static void ports_are_tried_587_first_and_465_begins_with_tls(void **state)
{
	static const uint16_t expected[] = { 587, 465, 2525, 25 };
	struct port_list ports = port_list_default();

	(void)state;
	assert_int_equal(ports.count, COUNT_OF(expected));
	assert_memory_equal(ports.ports, expected, sizeof expected);
	assert_true(port_is_implicit_tls(465));
	assert_false(port_is_implicit_tls(587));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_route_that_matches_wins),
		cmocka_unit_test(without_a_match_mail_goes_by_mx),
		cmocka_unit_test(ports_are_tried_587_first_and_465_begins_with_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
