#include "policy/check_address.h"
#include "policy/sender.h"

#include <string.h>

static void a35_a_login_sends_only_as_what_is_its_own(void **state)
{
	struct view alice = VIEW("alice@example.org");
	struct view both[] = { alice, VIEW("bob@example.org") };
	const struct directory_answer unknown = { .status = DIRECTORY_UNKNOWN };
	const struct directory_answer elsewhere = { .status = DIRECTORY_NOT_OURS };
	const struct directory_answer detail = { DIRECTORY_FOUND, DIRECTORY_VIA_ADDRESS, alice,
						 both, 2 };
	const struct directory_answer alias = { DIRECTORY_FOUND, DIRECTORY_VIA_ADDRESS,
						VIEW("info@example.org"), &alice, 1 };
	const struct directory_answer shared = { DIRECTORY_FOUND, DIRECTORY_VIA_ADDRESS,
						 VIEW("team@example.org"), both, 2 };
	const struct directory_answer other = { DIRECTORY_FOUND, DIRECTORY_VIA_ADDRESS, both[1],
						&both[1], 1 };
	const struct directory_answer catch_all = { DIRECTORY_FOUND, DIRECTORY_VIA_CATCH_ALL,
						    VIEW("@example.net"), &alice, 1 };
	const struct directory_answer postmaster = { DIRECTORY_FOUND, DIRECTORY_VIA_POSTMASTER,
						     VIEW("@"), &alice, 1 };
	const struct {
		const char *address;
		const struct directory_answer *answer;
		const char *reason;
	} cases[] = {
		{ "alice@example.org", NULL, "own_address" },
		{ "ALICE@Example.Org", NULL, "own_address" },
		{ "alice+x@example.org", &detail, "own_detail" },
		{ "info@example.org", &alias, "own_alias" },
		{ "postmaster@example.org", &postmaster, "own_alias" },
		{ "team@example.org", &shared, "denied" },
		{ "bob@example.org", &other, "denied" },
		{ "whoever@example.net", &catch_all, "denied" },
		{ "carol@example.org", &unknown, "denied" },
		{ "ceo@else.example", &elsewhere, "denied" },
		{ "x@lists.example", NULL, "sender_pattern" },
		{ "\"x@y\"@lists.example", NULL, "denied" },
		{ "x%y@lists.example", NULL, "denied" },
		{ "alice@[192.0.2.1]", NULL, "denied" },
		{ "bob@example.org", NULL, "facts_missing" },
	};
	struct arena arena = arena_with_max(1 << 20);
	struct address login = check_address(&arena, "alice@example.org");
	struct patterns patterns = check_patterns(&arena, "*@lists.example");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
		enum sender_place place = i % 2 ? SENDER_FROM : SENDER_REVERSE_PATH;
		struct address address = check_address(&arena, cases[i / 2].address);
		struct sender_facts facts = { place, &login, patterns, &address,
					      cases[i / 2].answer };
		struct verdict verdict = sender_decide(&facts);
		const char *reason = cases[i / 2].reason;

		if (strcmp(reason, "denied") == 0) {
			reason = place == SENDER_FROM ? "from_denied" : "sender_denied";
			assert_int_equal(verdict.code, 550);
			assert_string_equal(verdict.enhanced, "5.7.1");
		}
		if (strcmp(verdict.reason, reason) != 0) {
			fail_msg("%s: %s, expected %s", cases[i / 2].address, verdict.reason,
				 reason);
		}
	}
	arena_done(&arena);
}

static void the_null_path_is_for_the_envelope_only(void **state)
{
	struct arena arena = arena_with_max(1 << 16);
	struct address login = check_address(&arena, "alice@example.org");
	struct address null = check_address(&arena, "");
	struct sender_facts facts = { .login = &login, .address = &null };

	(void)state;
	facts.place = SENDER_REVERSE_PATH;
	assert_int_equal(sender_decide(&facts).kind, VERDICT_ACCEPT);
	facts.place = SENDER_FROM;
	assert_int_equal(sender_decide(&facts).kind, VERDICT_REFUSE);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a35_a_login_sends_only_as_what_is_its_own),
		cmocka_unit_test(the_null_path_is_for_the_envelope_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
