#include "base/check.h"
#include "policy/mx.h"

#include <stdio.h>

static struct mx_hosts decide(const struct mx_record *records, size_t count, uint64_t seed)
{
	static const struct view own[] = { { "mail.example.org", 16 }, { "mx2.example.org", 15 } };
	struct mx_facts facts = { VIEW("dest.example"), records, count, own, COUNT_OF(own), seed };

	return mx_decide(&facts);
}

static void hosts_are_tried_by_preference(void **state)
{
	const struct mx_record records[] = { { 20, VIEW("b.example") },
					     { 10, VIEW("a.example") },
					     { 65535, VIEW("c.example") },
					     { 20, VIEW("b.example") } };
	struct mx_hosts hosts = decide(records, COUNT_OF(records), 1);

	(void)state;
	assert_int_equal(hosts.outcome, MX_HOSTS);
	assert_int_equal(hosts.count, 3);
	assert_view(hosts.hosts[0], "a.example");
	assert_view(hosts.hosts[1], "b.example");
	assert_view(hosts.hosts[2], "c.example");
	assert_false(hosts.implicit);
}

static void equals_are_shuffled_by_the_seed(void **state)
{
	const struct mx_record records[] = { { 10, VIEW("a.example") }, { 10, VIEW("b.example") } };
	unsigned a_first = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		struct mx_hosts hosts = decide(records, 2, seed);

		assert_int_equal(hosts.count, 2);
		a_first += view_equal(hosts.hosts[0], VIEW("a.example"));
	}
	assert_in_range(a_first, 400, 600);
}

static void without_mx_the_domain_itself_is_the_host(void **state)
{
	struct mx_hosts hosts = decide(NULL, 0, 1);

	(void)state;
	assert_int_equal(hosts.outcome, MX_HOSTS);
	assert_int_equal(hosts.count, 1);
	assert_view(hosts.hosts[0], "dest.example");
	assert_true(hosts.implicit);
}

static void a_null_mx_takes_no_mail(void **state)
{
	const struct mx_record null[] = { { 0, VIEW("") } };
	const struct mx_record mixed[] = { { 0, VIEW("") }, { 10, VIEW("a.example") } };

	(void)state;
	assert_int_equal(decide(null, 1, 1).outcome, MX_NULL);
	assert_int_equal(decide(mixed, 2, 1).outcome, MX_HOSTS);
	assert_view(decide(mixed, 2, 1).hosts[0], "a.example");
}

static void a28_we_never_deliver_to_ourselves_or_behind_us(void **state)
{
	const struct mx_record first[] = { { 10, VIEW("mail.example.org") },
					   { 20, VIEW("a.example") } };
	const struct mx_record second[] = { { 10, VIEW("a.example") },
					    { 20, VIEW("b.example") },
					    { 20, VIEW("mx2.example.org") },
					    { 30, VIEW("c.example") } };

	(void)state;
	assert_int_equal(decide(first, 2, 1).outcome, MX_LOOP);
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct mx_hosts hosts = decide(second, 4, seed);

		assert_int_equal(hosts.outcome, MX_HOSTS);
		assert_int_equal(hosts.count, 1);
		assert_view(hosts.hosts[0], "a.example");
	}
}

static void a20_a_flood_of_records_is_capped(void **state)
{
	static struct mx_record records[500];
	static char names[500][24];

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		snprintf(names[i], sizeof names[i], "mx%u.example", i);
		records[i] = (struct mx_record){ (uint16_t)(500 - i), view_from_text(names[i]) };
	}
	assert_int_equal(decide(records, 500, 1).count, MX_HOSTS_MAX);
	assert_view(decide(records, 500, 1).hosts[0], "mx99.example");
}

static void a28_a_host_with_our_address_goes_with_all_behind_it(void **state)
{
	const struct mx_record records[] = { { 10, VIEW("a.example") },
					     { 20, VIEW("b.example") },
					     { 20, VIEW("c.example") },
					     { 20, VIEW("d.example") },
					     { 30, VIEW("e.example") } };
	static const size_t left[] = { 0, 1, 1, 1, 4 }; // by whose address it is

	(void)state;
	for (size_t ours = 0; ours < COUNT_OF(left); ours++) {
		struct mx_hosts hosts = decide(records, COUNT_OF(records), 1);

		mx_hosts_drop_ours(&hosts, ours);
		assert_int_equal(hosts.count, left[ours]);
		assert_int_equal(hosts.outcome, left[ours] ? MX_HOSTS : MX_LOOP);
	}
}

static void a28_addresses_that_nobody_has_or_private_are_refused(void **state)
{
	static const struct {
		const char *address;
		enum mx_address_verdict strict, private_allowed;
	} cases[] = {
		{ "8.8.8.8", MX_ADDRESS_USABLE, MX_ADDRESS_USABLE },
		{ "10.0.0.1", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "127.0.0.1", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "169.254.169.254", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "fe80::1", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "::1", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "::ffff:127.0.0.1", MX_ADDRESS_PRIVATE, MX_ADDRESS_USABLE },
		{ "0.0.0.0", MX_ADDRESS_NONSENSE, MX_ADDRESS_NONSENSE },
		{ "::", MX_ADDRESS_NONSENSE, MX_ADDRESS_NONSENSE },
		{ "224.0.0.1", MX_ADDRESS_NONSENSE, MX_ADDRESS_NONSENSE },
		{ "255.255.255.255", MX_ADDRESS_NONSENSE, MX_ADDRESS_NONSENSE },
		{ "ff02::1", MX_ADDRESS_NONSENSE, MX_ADDRESS_NONSENSE },
	};
	struct ip_address address;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_true(ip_address_parse(view_from_text(cases[i].address), &address));
		if (mx_address_decide(&address, false) != cases[i].strict ||
		    mx_address_decide(&address, true) != cases[i].private_allowed) {
			fail_msg("%s", cases[i].address);
		}
	}
	assert_int_equal(mx_address_decide(&(struct ip_address){ 0 }, true), MX_ADDRESS_NONSENSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_tried_by_preference),
		cmocka_unit_test(equals_are_shuffled_by_the_seed),
		cmocka_unit_test(without_mx_the_domain_itself_is_the_host),
		cmocka_unit_test(a_null_mx_takes_no_mail),
		cmocka_unit_test(a28_we_never_deliver_to_ourselves_or_behind_us),
		cmocka_unit_test(a20_a_flood_of_records_is_capped),
		cmocka_unit_test(a28_a_host_with_our_address_goes_with_all_behind_it),
		cmocka_unit_test(a28_addresses_that_nobody_has_or_private_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
