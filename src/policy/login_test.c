#include "base/check.h"
#include "policy/login.h"

#include <stdio.h>

struct fixture {
	struct rate_table *table;
	struct login_limits limits;
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.limits = (struct login_limits){
		.per_address = { .burst = 3, .period_ms = 60000 },
		.per_account = { .burst = 5, .period_ms = 60000 },
		.known_ms = 1000000,
		.repeat_ms = 100000,
	};
	assert_int_equal(rate_table_new(1000, &fixture.table), OK);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rate_table_free(f->table);
	return 0;
}

static struct login_facts facts_of(const char *client, const char *account, const char *password,
				   uint64_t now_ms)
{
	struct login_facts facts = { .secret = { 5, 6 },
				     .account = view_from_text(account),
				     .password = view_from_text(password),
				     .now_ms = now_ms };

	if (client) {
		assert_true(ip_address_parse(view_from_text(client), &facts.client));
	}
	return facts;
}

static bool may_try(struct fixture *f, const char *client, const char *account, uint64_t now_ms)
{
	struct login_facts facts = facts_of(client, account, "", now_ms);

	return login_may_try(f->table, &f->limits, &facts);
}

// That many failures, each with another password.
static void fail_times(struct fixture *f, const char *client, const char *account, unsigned times)
{
	char password[64];

	for (unsigned i = 0; i < times; i++) {
		struct login_facts facts;

		snprintf(password, sizeof password, "%s%u", client ? client : "", i);
		facts = facts_of(client, account, password, 0);
		login_failed(f->table, &f->limits, &facts);
	}
}

static void a34_an_address_that_fails_is_stopped_for_every_account(void **state)
{
	struct fixture *f = *state;

	fail_times(f, "192.0.2.1", "alice@example.org", 2);
	assert_true(may_try(f, "192.0.2.1", "alice@example.org", 0));
	fail_times(f, "192.0.2.1", "bob@example.org", 1);
	assert_false(may_try(f, "192.0.2.1", "alice@example.org", 0));
	assert_false(may_try(f, "192.0.2.1", "carol@example.org", 0));
	assert_true(may_try(f, "192.0.2.2", "alice@example.org", 0));
	assert_true(may_try(f, "192.0.2.1", "alice@example.org", 20000));
}

static void a34_one_ipv6_customer_is_one_address(void **state)
{
	struct fixture *f = *state;

	fail_times(f, "2001:db8::1", "alice@example.org", 3);
	assert_false(may_try(f, "2001:db8::beef", "bob@example.org", 0));
}

static void a34_an_account_that_many_addresses_attack_is_stopped(void **state)
{
	struct fixture *f = *state;
	char client[32];

	for (unsigned i = 1; i <= 5; i++) {
		snprintf(client, sizeof client, "192.0.2.%u", i);
		assert_true(may_try(f, client, "alice@example.org", 0));
		fail_times(f, client, "alice@example.org", 1);
	}
	assert_false(may_try(f, "198.51.100.1", "alice@example.org", 0));
	assert_true(may_try(f, "198.51.100.1", "bob@example.org", 0));
}

static void a34_who_logged_in_well_is_not_locked_out_by_others(void **state)
{
	struct fixture *f = *state;
	struct login_facts good = facts_of("203.0.113.7", "alice@example.org", "right", 0);
	char client[32];

	login_succeeded(f->table, &f->limits, &good);
	for (unsigned i = 1; i <= 5; i++) {
		snprintf(client, sizeof client, "192.0.2.%u", i);
		fail_times(f, client, "alice@example.org", 1);
	}
	assert_true(may_try(f, "203.0.113.7", "alice@example.org", 0));
	assert_false(may_try(f, "203.0.113.8", "alice@example.org", 0));
	fail_times(f, "203.0.113.7", "alice@example.org", 3);
	assert_false(may_try(f, "203.0.113.7", "alice@example.org", 0));
}

static void a34_the_same_wrong_password_counts_once(void **state)
{
	struct fixture *f = *state;
	struct login_facts phone = facts_of("192.0.2.1", "alice@example.org", "old", 0);

	for (unsigned i = 0; i < 50; i++) {
		login_failed(f->table, &f->limits, &phone);
	}
	assert_true(may_try(f, "192.0.2.1", "alice@example.org", 0));
	for (unsigned i = 0; i < 10; i++) {
		login_failed(f->table, &f->limits, &phone);
	}
	assert_false(may_try(f, "192.0.2.1", "alice@example.org", 0)); // yet its work is bounded
	assert_true(may_try(f, "192.0.2.1", "bob@example.org", 0));
}

static void a34_unknown_accounts_are_limited_like_known_ones(void **state)
{
	struct fixture *f = *state;
	char client[32];

	for (unsigned i = 1; i <= 5; i++) {
		snprintf(client, sizeof client, "192.0.2.%u", i);
		fail_times(f, client, "nobody@example.org", 1);
	}
	assert_false(may_try(f, "198.51.100.1", "nobody@example.org", 0));
}

static void local_clients_have_no_limit_per_address(void **state)
{
	struct fixture *f = *state;

	fail_times(f, NULL, "alice@example.org", 3);
	assert_true(may_try(f, NULL, "bob@example.org", 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a34_an_address_that_fails_is_stopped_for_every_account),
		TEST(a34_one_ipv6_customer_is_one_address),
		TEST(a34_an_account_that_many_addresses_attack_is_stopped),
		TEST(a34_who_logged_in_well_is_not_locked_out_by_others),
		TEST(a34_the_same_wrong_password_counts_once),
		TEST(a34_unknown_accounts_are_limited_like_known_ones),
		TEST(local_clients_have_no_limit_per_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
