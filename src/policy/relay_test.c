#include "policy/check_address.h"
#include "policy/relay.h"

#include <string.h>

static int setup(void **state)
{
	static struct arena arena;

	arena = arena_with_max(1 << 20);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_done(*state);
	return 0;
}

static struct ip_address ip(const char *text)
{
	struct ip_address address;

	assert_true(ip_address_parse(view_from_text(text), &address));
	return address;
}

// 10.0.0.0/8 may send as anybody, 203.0.113.0/24 as *@example.org only; backup MX for two domains.
static struct relay_rules rules_of(struct arena *arena)
{
	static const struct view domains[] = { { "backup.example", 14 }, { "second.example", 14 } };
	struct relay_network *networks = arena_alloc_array(arena, 2, sizeof *networks);

	assert_non_null(networks);
	assert_true(network_parse(VIEW("10.0.0.0/8"), &networks[0].network));
	assert_true(network_parse(VIEW("203.0.113.0/24"), &networks[1].network));
	networks[1].senders = check_patterns(arena, "*@example.org");
	return (struct relay_rules){ networks, 2, domains, COUNT_OF(domains) };
}

struct rcpt {
	enum listener_role role;
	const char *client, *login, *from, *to;
	enum directory_status status;
};

static struct relay_verdict decide(struct arena *arena, const struct rcpt *rcpt)
{
	struct address from = check_address(arena, rcpt->from);
	struct address to = check_address(arena, rcpt->to);
	struct directory_answer answer = { .status = rcpt->status };
	struct relay_rules rules = rules_of(arena);
	struct relay_facts facts = {
		rcpt->role, ip(rcpt->client), view_from_text(rcpt->login), &from, &to, &answer
	};

	return relay_decide(&rules, &facts);
}

#define STRANGER "198.51.100.9"
#define OURS DIRECTORY_FOUND
#define ELSEWHERE DIRECTORY_NOT_OURS

static const struct {
	struct rcpt rcpt;
	unsigned code; // 0: accepted
	const char *enhanced, *reason;
} relay_cases[] = {
	{ { ROLE_RELAY, STRANGER, "", "x@evil.example", "alice@example.org", OURS },
	  0,
	  "",
	  "directory" },
	{ { ROLE_RELAY, STRANGER, "", "", "alice@example.org", OURS }, 0, "", "directory" },
	{ { ROLE_RELAY, STRANGER, "", "x@evil.example", "postmaster", OURS }, 0, "", "directory" },
	{ { ROLE_RELAY, STRANGER, "", "x@evil.example", "carol@example.org", DIRECTORY_UNKNOWN },
	  550,
	  "5.1.1",
	  "unknown_recipient" },
	{ { ROLE_RELAY, STRANGER, "", "x@evil.example", "v@else.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relaying_denied" },
	{ { ROLE_RELAY, STRANGER, "", "alice@example.org", "v@else.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relaying_denied" },
	{ { ROLE_RELAY, STRANGER, "", "", "v@else.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relaying_denied" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "v@Backup.Example", ELSEWHERE },
	  0,
	  "",
	  "relay_domain" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "v@second.example", ELSEWHERE },
	  0,
	  "",
	  "relay_domain" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "v@sub.backup.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relaying_denied" },
	{ { ROLE_RELAY, "10.1.2.3", "", "x@a.example", "v@else.example", ELSEWHERE },
	  0,
	  "",
	  "relay_network" },
	{ { ROLE_RELAY, "::ffff:10.1.2.3", "", "", "v@else.example", ELSEWHERE },
	  0,
	  "",
	  "relay_network" },
	{ { ROLE_RELAY, "203.0.113.5", "", "app@example.org", "v@else.example", ELSEWHERE },
	  0,
	  "",
	  "relay_network" },
	{ { ROLE_RELAY, "203.0.113.5", "", "x@a.example", "v@else.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relay_sender_denied" },
	{ { ROLE_RELAY, "203.0.113.5", "", "", "v@else.example", ELSEWHERE },
	  550,
	  "5.7.1",
	  "relay_sender_denied" },
	{ { ROLE_RELAY, "203.0.113.5", "", "x@a.example", "alice@example.org", OURS },
	  0,
	  "",
	  "directory" },
	{ { ROLE_SUBMISSION, STRANGER, "alice@example.org", "alice@example.org", "v@else.example",
	    ELSEWHERE },
	  0,
	  "",
	  "login" },
	{ { ROLE_SUBMISSION, STRANGER, "", "x@a.example", "alice@example.org", OURS },
	  530,
	  "5.7.0",
	  "login_required" },
	{ { ROLE_SUBMISSION, "10.1.2.3", "", "x@a.example", "v@else.example", ELSEWHERE },
	  530,
	  "5.7.0",
	  "login_required" },
	{ { ROLE_SUBMISSION, STRANGER, "alice@example.org", "alice@example.org",
	    "carol@example.org", DIRECTORY_UNKNOWN },
	  550,
	  "5.1.1",
	  "unknown_recipient" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "loop@example.org", DIRECTORY_LOOP },
	  550,
	  "5.4.6",
	  "alias_loop" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "all@example.org", DIRECTORY_TOO_MANY },
	  550,
	  "5.3.0",
	  "alias_too_many" },
	{ { ROLE_RELAY, STRANGER, "", "x@a.example", "a@example.org", DIRECTORY_BROKEN },
	  451,
	  "4.3.0",
	  "directory_broken" },
};

static void who_may_send_to_whom(void **state)
{
	for (size_t i = 0; i < COUNT_OF(relay_cases); i++) {
		struct relay_verdict verdict = decide(*state, &relay_cases[i].rcpt);

		if (strcmp(verdict.verdict.reason, relay_cases[i].reason) != 0 ||
		    verdict.verdict.code != relay_cases[i].code ||
		    strcmp(verdict.verdict.enhanced, relay_cases[i].enhanced) != 0) {
			fail_msg("case %zu: %u %s %s", i, verdict.verdict.code,
				 verdict.verdict.enhanced, verdict.verdict.reason);
		}
		assert_int_equal(verdict.verdict.kind,
				 relay_cases[i].code ? VERDICT_REFUSE : VERDICT_ACCEPT);
	}
}

static void the_destination_is_named(void **state)
{
	struct rcpt local = { ROLE_RELAY, STRANGER, "", "x@a.example", "alice@example.org", OURS };
	struct rcpt onward = { ROLE_RELAY,    "10.1.2.3",       "",
			       "x@a.example", "v@else.example", ELSEWHERE };

	assert_int_equal(decide(*state, &local).destination, RELAY_TO_DIRECTORY);
	assert_int_equal(decide(*state, &onward).destination, RELAY_ONWARD);
}

// Whoever the client is: a stranger, a trusted network, a login.
static void a37_routes_hidden_in_an_address_never_cross_the_line(void **state)
{
	static const char *const recipients[] = {
		"victim%else.example@example.org",
		"victim%else.example@backup.example",
		"else.example!victim@example.org",
		"else.example!victim@backup.example",
		"\"victim@else.example\"@example.org",
		"\"victim@else.example\"@backup.example",
		"\"victim%else.example\"@else.example",
		"@example.org,@backup.example:victim%x@example.org",
		"=?utf-8?q?victim=40else.example=3e?=@example.org",
		"victim@[127.0.0.1]",
		"victim@[IPv6:::1]",
		"postmaster@[192.0.2.1]",
	};
	static const struct rcpt clients[] = {
		{ ROLE_RELAY, STRANGER, "", "x@a.example", "", OURS },
		{ ROLE_RELAY, "10.1.2.3", "", "x@a.example", "", ELSEWHERE },
		{ ROLE_SUBMISSION, STRANGER, "alice@example.org", "alice@example.org", "", OURS },
	};

	for (size_t i = 0; i < COUNT_OF(recipients); i++) {
		for (size_t j = 0; j < COUNT_OF(clients); j++) {
			struct rcpt rcpt = clients[j];
			struct relay_verdict verdict;
			struct address address;

			rcpt.to = recipients[i];
			if (address_parse(*state, view_from_text(rcpt.to), 0, &address) !=
			    ADDRESS_OK) {
				continue; // refused before any decision: that is as good
			}
			verdict = decide(*state, &rcpt);
			if (verdict.verdict.kind != VERDICT_REFUSE || verdict.verdict.code != 550) {
				fail_msg("%s from client %zu", recipients[i], j);
			}
			assert_int_equal(verdict.verdict.effects, EFFECT_CHARGE_RELAY_ATTEMPT);
		}
	}
}

static void a37_the_decision_is_made_on_the_normalised_mailbox(void **state)
{
	struct rcpt rcpt = {
		ROLE_RELAY, STRANGER, "", "x@a.example", "v@BACKUP.example", ELSEWHERE
	};

	assert_int_equal(decide(*state, &rcpt).verdict.kind, VERDICT_ACCEPT);
	rcpt.to = "v@b\xd0\xb0"
		  "ckup.example"; // a Cyrillic letter
	assert_string_equal(decide(*state, &rcpt).verdict.reason, "relaying_denied");
}

static void the_directory_is_asked_for_before_anything_is_granted(void **state)
{
	struct address from = check_address(*state, "x@a.example");
	struct address to = check_address(*state, "v@else.example");
	struct relay_rules rules = rules_of(*state);
	struct relay_facts facts = { .role = ROLE_RELAY,
				     .client = ip("10.1.2.3"),
				     .reverse_path = &from,
				     .recipient = &to };
	struct relay_verdict verdict = relay_decide(&rules, &facts);

	assert_int_equal(verdict.verdict.kind, VERDICT_NEED);
	assert_int_equal(verdict.verdict.need, NEED_DIRECTORY);
}

static void guesses_are_charged_to_the_client(void **state)
{
	struct rcpt unknown = { ROLE_RELAY,          STRANGER,         "", "x@a.example",
				"carol@example.org", DIRECTORY_UNKNOWN };
	struct rcpt relay = {
		ROLE_RELAY, STRANGER, "", "x@a.example", "v@else.example", ELSEWHERE
	};

	assert_int_equal(decide(*state, &unknown).verdict.effects, EFFECT_CHARGE_UNKNOWN_RECIPIENT);
	assert_int_equal(decide(*state, &relay).verdict.effects, EFFECT_CHARGE_RELAY_ATTEMPT);
}

static void the_first_network_that_holds_the_client_counts(void **state)
{
	struct relay_network networks[2] = { 0 };
	struct relay_rules rules = { networks, 2, NULL, 0 };
	struct address from = check_address(*state, "x@a.example");
	struct address to = check_address(*state, "v@else.example");
	struct directory_answer answer = { .status = DIRECTORY_NOT_OURS };
	struct relay_facts facts = { ROLE_RELAY, ip("10.1.2.3"), { 0 }, &from, &to, &answer };

	assert_true(network_parse(VIEW("10.1.0.0/16"), &networks[0].network));
	networks[0].senders = check_patterns(*state, "*@example.org");
	assert_true(network_parse(VIEW("10.0.0.0/8"), &networks[1].network));
	assert_string_equal(relay_decide(&rules, &facts).verdict.reason, "relay_sender_denied");
}

static void careless_networks_are_faults(void **state)
{
	static const struct {
		const char *network, *senders;
		bool fault;
	} cases[] = {
		{ "10.0.0.0/8", "", false },
		{ "10.0.0.0/7", "", true },
		{ "0.0.0.0/0", "a@example.org", true },
		{ "203.0.113.0/24", "", true },
		{ "203.0.113.0/24", "*", false },
		{ "2a00::/31", "*", true },
		{ "2a00:1::/32", "*", false },
		{ "2a00:1::/32", "", true },
		{ "fd00:1::/32", "", false },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct relay_network network = { 0 };

		assert_true(network_parse(view_from_text(cases[i].network), &network.network));
		network.senders = check_patterns(*state, cases[i].senders);
		if ((relay_network_fault(&network) != NULL) != cases[i].fault) {
			fail_msg("%s %s", cases[i].network, cases[i].senders);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_may_send_to_whom),
		TEST(the_destination_is_named),
		TEST(a37_routes_hidden_in_an_address_never_cross_the_line),
		TEST(a37_the_decision_is_made_on_the_normalised_mailbox),
		TEST(the_directory_is_asked_for_before_anything_is_granted),
		TEST(guesses_are_charged_to_the_client),
		TEST(the_first_network_that_holds_the_client_counts),
		TEST(careless_networks_are_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
