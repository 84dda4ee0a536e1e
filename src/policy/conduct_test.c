#include "base/check.h"
#include "policy/conduct.h"

enum { PERIOD_MS = 3600 * 1000, KIB = 1024 };

static const struct conduct_limits limits = { 5, 3, 100 * KIB, PERIOD_MS };

static int setup(void **state)
{
	struct rate_table *table;

	assert_int_equal(rate_table_new(100, &table), OK);
	*state = table;
	return 0;
}

static int teardown(void **state)
{
	rate_table_free(*state);
	return 0;
}

static struct conduct_client client(const char *address, const char *login, uint64_t now_ms)
{
	struct conduct_client client = { .secret = { 1, 2 },
					 .login = view_from_text(login),
					 .now_ms = now_ms };

	assert_true(ip_address_parse(view_from_text(address), &client.address));
	return client;
}

static unsigned used_up(struct rate_table *table, const char *address, const char *login,
			uint64_t now_ms)
{
	struct conduct_client who = client(address, login, now_ms);

	return conduct_used_up(table, &limits, &who);
}

static void charge(struct rate_table *table, const char *address, const char *login,
		   unsigned effects, uint64_t bytes)
{
	struct conduct_client who = client(address, login, 0);

	conduct_charge(table, &limits, &who, effects, bytes);
}

static void each_budget_is_used_up_by_its_own_effect(void **state)
{
	static const unsigned effects[] = { EFFECT_CHARGE_UNKNOWN_RECIPIENT,
					    EFFECT_CHARGE_RELAY_ATTEMPT,
					    EFFECT_CHARGE_DISCARDED_BYTES };
	static const unsigned last[] = { 5, 3, 10 };
	unsigned expected = 0;

	for (size_t i = 0; i < COUNT_OF(effects); i++) {
		for (unsigned time = 0; time < last[i]; time++) {
			assert_int_equal(used_up(*state, "192.0.2.1", "", 0), expected);
			charge(*state, "192.0.2.1", "", effects[i], 10 * KIB);
		}
		expected |= effects[i];
		assert_int_equal(used_up(*state, "192.0.2.1", "", 0), expected);
	}
	assert_int_equal(used_up(*state, "192.0.2.1", "", PERIOD_MS), 0);
}

static void a26_a_64_of_ipv6_is_one_client(void **state)
{
	charge(*state, "2001:db8:0:1::1", "", EFFECT_CHARGE_DISCARDED_BYTES, 200 * KIB);
	assert_int_equal(used_up(*state, "2001:db8:0:1:ffff::2", "", 0),
			 EFFECT_CHARGE_DISCARDED_BYTES);
	assert_int_equal(used_up(*state, "2001:db8:0:2::1", "", 0), 0);
}

static void a34_a_login_and_strangers_at_its_address_do_not_answer_for_each_other(void **state)
{
	charge(*state, "192.0.2.1", "", EFFECT_CHARGE_DISCARDED_BYTES, 200 * KIB);
	assert_int_equal(used_up(*state, "192.0.2.1", "alice@example.org", 0), 0);
	charge(*state, "192.0.2.2", "alice@example.org", EFFECT_CHARGE_DISCARDED_BYTES, 200 * KIB);
	assert_int_equal(used_up(*state, "192.0.2.2", "", 0), 0);
	assert_int_equal(used_up(*state, "192.0.2.3", "alice@example.org", 0),
			 EFFECT_CHARGE_DISCARDED_BYTES);
}

// The outbound host of a big provider: one recipient in three does not exist.
static void it_is_the_share_of_unknown_recipients_that_counts(void **state)
{
	struct conduct_client who = client("192.0.2.1", "", 0);

	for (int i = 0; i < 3000; i++) {
		if (i % 3 == 0) {
			charge(*state, "192.0.2.1", "", EFFECT_CHARGE_UNKNOWN_RECIPIENT, 0);
			charge(*state, "192.0.2.1", "", EFFECT_CHARGE_DISCARDED_BYTES, 20 * KIB);
		} else {
			conduct_credit(*state, &limits, &who, 20 * KIB);
		}
		assert_int_equal(used_up(*state, "192.0.2.1", "", 0), 0);
	}
}

// Credit is no store for later.
static void a34_good_mail_buys_no_more_than_a_full_budget(void **state)
{
	struct conduct_client who = client("192.0.2.1", "", 0);

	charge(*state, "192.0.2.1", "", EFFECT_CHARGE_UNKNOWN_RECIPIENT, 0);
	for (int i = 0; i < 100; i++) {
		conduct_credit(*state, &limits, &who, 0);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(used_up(*state, "192.0.2.1", "", 0), 0);
		charge(*state, "192.0.2.1", "", EFFECT_CHARGE_UNKNOWN_RECIPIENT, 0);
	}
	assert_int_equal(used_up(*state, "192.0.2.1", "", 0), EFFECT_CHARGE_UNKNOWN_RECIPIENT);
}

#define ALL_USED_UP \
	(EFFECT_CHARGE_UNKNOWN_RECIPIENT | EFFECT_CHARGE_RELAY_ATTEMPT | \
	 EFFECT_CHARGE_DISCARDED_BYTES)

static struct verdict known(void)
{
	return verdict_accept("directory");
}

static struct verdict unknown(void)
{
	struct verdict verdict = verdict_refuse(550, "5.1.1", "No such", "unknown_recipient");

	verdict.effects = EFFECT_CHARGE_UNKNOWN_RECIPIENT;
	return verdict;
}

static struct verdict relaying(void)
{
	struct verdict verdict = verdict_refuse(550, "5.7.1", "No", "relaying_denied");

	verdict.effects = EFFECT_CHARGE_RELAY_ATTEMPT;
	return verdict;
}

static void what_is_not_used_up_changes_nothing(void **state)
{
	struct conduct_facts facts = { .verdict = unknown(), .is_ours = true };
	struct verdict verdict = conduct_decide(&facts);

	(void)state;
	assert_string_equal(verdict.reason, "unknown_recipient");
	assert_int_equal(verdict.effects, EFFECT_CHARGE_UNKNOWN_RECIPIENT);
	facts.verdict = relaying();
	facts.is_ours = false;
	facts.used_up = EFFECT_CHARGE_UNKNOWN_RECIPIENT | EFFECT_CHARGE_DISCARDED_BYTES;
	assert_string_equal(conduct_decide(&facts).reason, "relaying_denied");
}

static void a34_after_too_many_guesses_known_and_unknown_sound_alike(void **state)
{
	struct conduct_facts facts = { .verdict = known(),
				       .is_ours = true,
				       .used_up = EFFECT_CHARGE_UNKNOWN_RECIPIENT };
	struct verdict good = conduct_decide(&facts), bad;

	(void)state;
	facts.verdict = unknown();
	bad = conduct_decide(&facts);
	assert_int_equal(good.code, 450);
	assert_string_equal(good.enhanced, "4.7.1");
	assert_int_equal(bad.code, good.code);
	assert_string_equal(bad.text, good.text);
	assert_int_equal(bad.effects, 0);
}

static void a37_an_attempt_too_many_closes_the_connection(void **state)
{
	struct conduct_facts facts = { .verdict = relaying(),
				       .used_up = EFFECT_CHARGE_RELAY_ATTEMPT };

	(void)state;
	assert_int_equal(conduct_decide(&facts).code, 421);
	facts.verdict = known();
	facts.is_ours = true;
	assert_int_equal(conduct_decide(&facts).kind, VERDICT_ACCEPT);
}

static void a27_who_breaks_off_too_much_is_put_off(void **state)
{
	struct conduct_facts facts = { .verdict = known(),
				       .is_ours = true,
				       .used_up = EFFECT_CHARGE_DISCARDED_BYTES };

	(void)state;
	assert_int_equal(conduct_decide(&facts).code, 450);
	facts.is_ours = false; // a backup MX's domain, or a login's mail onward
	assert_int_equal(conduct_decide(&facts).code, 450);
}

static void the_postmaster_is_always_reached(void **state)
{
	struct conduct_facts facts = {
		.verdict = known(), .is_ours = true, .is_postmaster = true, .used_up = ALL_USED_UP
	};

	(void)state;
	assert_int_equal(conduct_decide(&facts).kind, VERDICT_ACCEPT);
}

static void trusted_networks_are_neither_charged_nor_held_up(void **state)
{
	struct conduct_facts facts = {
		.verdict = unknown(), .is_ours = true, .is_trusted = true, .used_up = ALL_USED_UP
	};
	struct verdict verdict = conduct_decide(&facts);

	(void)state;
	assert_int_equal(verdict.code, 550);
	assert_int_equal(verdict.effects, 0);
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_budget_is_used_up_by_its_own_effect),
		TEST(a26_a_64_of_ipv6_is_one_client),
		TEST(a34_a_login_and_strangers_at_its_address_do_not_answer_for_each_other),
		TEST(it_is_the_share_of_unknown_recipients_that_counts),
		TEST(a34_good_mail_buys_no_more_than_a_full_budget),
		cmocka_unit_test(what_is_not_used_up_changes_nothing),
		cmocka_unit_test(a34_after_too_many_guesses_known_and_unknown_sound_alike),
		cmocka_unit_test(a37_an_attempt_too_many_closes_the_connection),
		cmocka_unit_test(a27_who_breaks_off_too_much_is_put_off),
		cmocka_unit_test(the_postmaster_is_always_reached),
		cmocka_unit_test(trusted_networks_are_neither_charged_nor_held_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
