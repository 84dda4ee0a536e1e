#include "mail/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

enum { ANY = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER };

static int new_arena(void **state)
{
	static struct arena arena;

	arena = arena_with_max(1 << 20);
	*state = &arena;
	return 0;
}

static int free_arena(void **state)
{
	arena_done(*state);
	return 0;
}

static void assert_parses(struct arena *arena, const char *sent, const char *text)
{
	struct view rest = view_from_text(sent);
	struct address address;
	enum address_fault fault = address_take_path(arena, &rest, ANY, &address);

	if (fault != ADDRESS_OK) {
		fail_msg("%s: %s", sent, address_fault_text(fault));
	}
	assert_view(address.text, text);
	assert_int_equal(rest.len, 0);
}

static void assert_faults(struct arena *arena, const char *sent, unsigned allow,
			  enum address_fault expected)
{
	struct view rest = view_from_text(sent);
	struct address address = { .routing = true };
	enum address_fault fault = address_take_path(arena, &rest, allow, &address);

	if (fault != expected) {
		fail_msg("%s: %s, expected %s", sent, address_fault_text(fault),
			 address_fault_text(expected));
	}
	assert_true(address.routing);
	assert_view(rest, sent);
}

static void path_has_one_canonical_form(void **state)
{
	static const struct {
		const char *sent, *text;
	} cases[] = {
		{ "<>", "" },
		{ "<a@example.org>", "a@example.org" },
		{ "<Ann.Lee@EXAMPLE.Org>", "Ann.Lee@example.org" },
		{ "<\"ann\"@example.org>", "ann@example.org" },
		{ "<\"a\\nn\"@example.org>", "ann@example.org" },
		{ "<\"ann lee\"@example.org>", "\"ann lee\"@example.org" },
		{ "<\"a..b\"@example.org>", "\"a..b\"@example.org" },
		{ "<\"a\\\"b\\\\\"@example.org>", "\"a\\\"b\\\\\"@example.org" },
		{ "<\"a>b\"@example.org>", "\"a>b\"@example.org" },
		{ "<postmaster>", "postmaster" },
		{ "<PostMaster>", "postmaster" },
		{ "<@one.example,@two.example:a@example.org>", "a@example.org" },
		{ "<a@[192.0.2.1]>", "a@[192.0.2.1]" },
		{ "<a@[IPV6:2001:DB8:0::1]>", "a@[IPv6:2001:db8::1]" },
		{ "<a@[x400:Thing]>", "a@[x400:thing]" },
		{ "<a@b\xc3\xbc"
		  "cher.example>",
		  "a@xn--bcher-kva.example" },
		{ "<a@XN--BCHER-KVA.example>", "a@xn--bcher-kva.example" },
		{ "<\xc3\xa9@example.org>", "\xc3\xa9@example.org" },
		{ "<a@\xef\xbc\xa5xample.org>", "a@example.org" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_parses(*state, cases[i].sent, cases[i].text);
	}
}

static void malformed_path_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"<",
		">",
		"a@b",
		"<a>",
		"<a@>",
		"<@a>",
		"<@a:>",
		"<@a,b:c@d>",
		"<@a c@d>",
		"<a@b",
		"<a@b c>",
		"<a b@c>",
		"<.a@b>",
		"<a.@b>",
		"<a..b@c>",
		"<\"\"@b>",
		"<\"a@b>",
		"<\"a\\\"@b>",
		"<\"a\"b@c>",
		"<a@b@c>",
		"< a@b>",
		"<a@b >",
		"<a@[1.2.3]>",
		"<a@[1.2.3.04]>",
		"<a@[IPv6:1:2]>",
		"<a@[IPv6::1]>",
		"<a@[IPv6:]>",
		"<a@[x]>",
		"<a@[1.2.3.4]b>",
		"<a@[]>",
		"<a\x01@b>",
		"<a\r\n@b>",
		"<\"a\nb\"@c>",
		"<a@b\n>",
		"<(x)a@b>",
		"<@a:postmaster>",
		"<postmaster@>",
		"<a,b@c>",
		"<a:b@c>",
		"<a@b:c>",
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct view rest = view_from_text(cases[i]);
		struct address address;

		if (address_take_path(*state, &rest, ANY, &address) == ADDRESS_OK) {
			fail_msg("accepted %s", cases[i]);
		}
	}
	assert_faults(*state, "<a@-b.example>", ANY, ADDRESS_BAD_DOMAIN);
	assert_faults(*state, "<a@b_c.example>", ANY, ADDRESS_BAD_DOMAIN);
	assert_faults(*state, "<a@b..example>", ANY, ADDRESS_BAD_DOMAIN);
	assert_faults(*state, "<a@xn--a.example>", ANY, ADDRESS_BAD_DOMAIN);
	assert_faults(*state, "<\xff@example.org>", ANY, ADDRESS_BAD_UTF8);
	assert_faults(*state, "<a\xe2\x80\xae@example.org>", ANY, ADDRESS_BAD_UTF8);
}

static void nul_never_passes(void **state)
{
	static const struct view cases[] = {
		{ "<a\0@b>", 6 },       { "<\"a\0\"@b>", 8 },      { "<a@b\0>", 6 },
		{ "<a@[x:y\0z]>", 11 }, { "<a@[1.2.3.4\0]>", 14 }, { "<a@\xc3\xbc\0.de>", 10 },
		{ "<@a\0:b@c>", 9 },
	};
	struct view domain;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct view rest = cases[i];
		struct address address;

		assert_int_not_equal(address_take_path(*state, &rest, ANY, &address), ADDRESS_OK);
	}
	struct address mailbox;
	struct view nul = view_of("a@b\0", 4);

	assert_int_equal(address_take_mailbox(*state, &nul, ANY, &mailbox), ADDRESS_BAD_DOMAIN);
	assert_int_not_equal(address_domain_normalise(*state, view_of("a\0b", 3), &domain),
			     ADDRESS_OK);
}

static void permissions_are_needed(void **state)
{
	assert_faults(*state, "<>", ADDRESS_UTF8, ADDRESS_SYNTAX);
	assert_faults(*state, "<postmaster>", ADDRESS_UTF8, ADDRESS_SYNTAX);
	assert_faults(*state, "<\xc3\xa9@example.org>", 0, ADDRESS_NEEDS_UTF8);
	assert_faults(*state, "<a@\xc3\xa9.example>", 0, ADDRESS_NEEDS_UTF8);
}

static struct view repeated(struct arena *arena, const char *before, size_t count,
			    const char *after)
{
	char *run = arena_alloc(arena, count + 1);

	memset(run, 'x', count);
	return arena_printf(arena, "%s%s%s", before, run, after);
}

static void limits_are_octets(void **state)
{
	struct address address;
	struct view rest = repeated(*state, "<", 64, "@example.org>");
	char label[64] = { 0 };
	struct view long_path;

	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_OK);
	rest = repeated(*state, "<", 65, "@example.org>");
	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_TOO_LONG);
	rest = repeated(*state, "<\"", 63, "\"@example.org>");
	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_TOO_LONG);
	rest = repeated(*state, "<a@", 63, ".example>");
	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_OK);
	rest = repeated(*state, "<a@", 64, ".example>");
	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_BAD_DOMAIN);
	rest = repeated(*state, "<a@", 100000, ".example>");
	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_TOO_LONG);
	rest = repeated(*state, "<", 62, "\u0344@example.org>"); // two characters when folded
	assert_int_equal(address_take_path(*state, &rest, ADDRESS_UTF8, &address),
			 ADDRESS_TOO_LONG);
	rest = repeated(*state, "<", 60, "\u0344@example.org>");
	assert_int_equal(address_take_path(*state, &rest, ADDRESS_UTF8, &address), ADDRESS_OK);

	memset(label, 'd', 63);
	long_path = arena_printf(*state, "<ab@%s.%s.%s.%.59s>", label, label, label, label);
	assert_int_equal(long_path.len, 256);
	assert_int_equal(address_take_path(*state, &long_path, 0, &address), ADDRESS_OK);
	long_path = arena_printf(*state, "<abc@%s.%s.%s.%.59s>", label, label, label, label);
	assert_int_equal(address_take_path(*state, &long_path, 0, &address), ADDRESS_TOO_LONG);
	long_path = arena_printf(*state, "<@%s.%s.%s:a@%s.example>", label, label, label, label);
	assert_int_equal(address_take_path(*state, &long_path, 0, &address), ADDRESS_TOO_LONG);
}

static void path_leaves_what_follows(void **state)
{
	struct view rest = VIEW("<\"a> b\"@c.example> SIZE=1");
	struct address address;

	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_OK);
	assert_view(rest, " SIZE=1");
	rest = VIEW("a@b.example SIZE=1");
	assert_int_equal(address_take_mailbox(*state, &rest, 0, &address), ADDRESS_OK);
	assert_view(rest, " SIZE=1");
	assert_view(address.domain, "b.example");
}

static void parts_are_normalised(void **state)
{
	struct address address;
	struct view text = VIEW("\"A@\xc3\x89\"@B\xc3\xbc"
				"CHER.example");

	assert_int_equal(address_parse(*state, text, ADDRESS_UTF8, &address), ADDRESS_OK);
	assert_view(address.local, "A@\xc3\x89");
	assert_view(address.domain, "xn--bcher-kva.example");
	assert_view(address.display, "b\xc3\xbc"
				     "cher.example");
	assert_view(address.key, "\"a@\xc3\xa9\"@xn--bcher-kva.example");
	assert_true(address.needs_smtputf8);
	assert_true(address.routing);

	assert_int_equal(address_parse(*state, VIEW("a@[IPv6:::1]"), 0, &address), ADDRESS_OK);
	assert_int_equal(address.literal, ADDRESS_LITERAL_IPV6);
	assert_int_equal(address.ip[15], 1);
	assert_false(address.needs_smtputf8);
	assert_int_equal(address_parse(*state, (struct view){ 0 }, ANY, &address), ADDRESS_OK);
	assert_true(address_is_null(&address));
}

static void text_read_back_is_the_same_address(void **state)
{
	static const char *const cases[] = {
		"",
		"postmaster",
		"a@b.example",
		"\"a b\"@[IPv6:::1]",
		"\xc3\xa9@xn--bcher-kva.example",
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct address address;

		assert_int_equal(address_parse(*state, view_from_text(cases[i]), ANY, &address),
				 ADDRESS_OK);
		assert_view(address.text, cases[i]);
	}
}

// A validator that says yes to what it could not parse hands it on, in the end to a shell.
static void a16_what_a_shell_would_run_is_no_address(void **state)
{
	static const char *const commands[] = {
		";reboot;",
		";reboot;@example.org",
		"$(reboot)@example.org",
		"a;b@example.org",
		"`reboot`;@example",
		"<a@example.org>",
		"a\nb@example.org",
		"a b@example.org",
		"a@example.org;b",
		"a@$(reboot).example",
		"a@example.org|b",
		"root",
	};
	struct address address = { .text = VIEW("untouched") };

	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		assert_int_not_equal(
			address_parse(*state, view_from_text(commands[i]), ANY, &address),
			ADDRESS_OK);
		assert_view(address.text, "untouched");
	}
}

static void a37_spellings_of_a_route_are_seen(void **state)
{
	static const char *const routed[] = {
		"victim%other.example@local.example",
		"other.example!victim@local.example",
		"\"victim@other.example\"@local.example",
		"=?utf-8?q?victim=40other?=@local.example",
		"\"=?x?=\"@local.example",
	};
	struct address address;

	for (size_t i = 0; i < COUNT_OF(routed); i++) {
		assert_int_equal(address_parse(*state, view_from_text(routed[i]), 0, &address),
				 ADDRESS_OK);
		assert_true(address.routing);
		assert_view(address.domain, "local.example");
	}
	assert_int_equal(address_parse(*state, VIEW("a+b-c@local.example"), 0, &address),
			 ADDRESS_OK);
	assert_false(address.routing);
}

static void a37_trailing_dots_blanks_and_odd_dots_are_refused(void **state)
{
	static const char *const cases[] = {
		"a@local.example.",
		"a@local.example ",
		"a@local.example\xe3\x80\x82",
		"a@.",
		"a@\xe3\x80\x82local.example",
		"a@local.example..",
	};
	struct address address;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_not_equal(address_parse(*state, view_from_text(cases[i]), ANY, &address),
				     ADDRESS_OK);
	}
	// An ideographic dot between labels is a dot: the domain is what DNS would be asked for.
	assert_int_equal(address_parse(*state,
				       VIEW("a@local\xe3\x80\x82"
					    "example"),
				       ANY, &address),
			 ADDRESS_OK);
	assert_view(address.domain, "local.example");
}

static void a37_source_route_is_stripped(void **state)
{
	struct view rest = VIEW("<@local.example:victim@other.example>");
	struct address address;

	assert_int_equal(address_take_path(*state, &rest, 0, &address), ADDRESS_OK);
	assert_view(address.text, "victim@other.example");
}

static void domain_names_of_dns_are_normalised(void **state)
{
	struct view domain;

	assert_int_equal(address_domain_normalise(*state, VIEW("MX_1.Example.ORG."), &domain),
			 ADDRESS_OK);
	assert_view(domain, "mx_1.example.org");
	assert_int_equal(address_domain_normalise(*state, VIEW("."), &domain), ADDRESS_BAD_DOMAIN);
	assert_int_equal(address_domain_normalise(*state, VIEW("a.."), &domain),
			 ADDRESS_BAD_DOMAIN);
	assert_int_equal(address_domain_normalise(*state, VIEW("a b"), &domain),
			 ADDRESS_BAD_DOMAIN);
}

static void detail_is_split_off(void **state)
{
	struct view user, detail;

	(void)state;
	assert_true(address_split(VIEW("ann+lists+x"), VIEW("+-"), &user, &detail));
	assert_view(user, "ann");
	assert_view(detail, "lists+x");
	assert_false(address_split(VIEW("+ann"), VIEW("+"), &user, &detail));
	assert_view(user, "+ann");
	assert_false(address_split(VIEW("ann+x"), VIEW(""), &user, &detail));
}

static void short_arena_is_a_fault_not_a_crash(void **state)
{
	(void)state;
	for (size_t max = 0; max < 400; max += 8) {
		struct arena arena = arena_with_max(max);
		struct view rest = VIEW("<\"A b\"@B\xc3\xbc"
					"CHER.example>");
		struct address address;
		enum address_fault fault = address_take_path(&arena, &rest, ANY, &address);

		assert_true(fault == ADDRESS_NO_MEMORY || (max > 50 && fault == ADDRESS_OK));
		arena_done(&arena);
	}
}

int main(void)
{
#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, new_arena, free_arena)
	const struct CMUnitTest tests[] = {
		WITH_ARENA(path_has_one_canonical_form),
		WITH_ARENA(malformed_path_is_refused),
		WITH_ARENA(nul_never_passes),
		WITH_ARENA(permissions_are_needed),
		WITH_ARENA(limits_are_octets),
		WITH_ARENA(path_leaves_what_follows),
		WITH_ARENA(parts_are_normalised),
		WITH_ARENA(text_read_back_is_the_same_address),
		WITH_ARENA(a16_what_a_shell_would_run_is_no_address),
		WITH_ARENA(a37_spellings_of_a_route_are_seen),
		WITH_ARENA(a37_trailing_dots_blanks_and_odd_dots_are_refused),
		WITH_ARENA(a37_source_route_is_stripped),
		WITH_ARENA(domain_names_of_dns_are_normalised),
		WITH_ARENA(detail_is_split_off),
		cmocka_unit_test(short_arena_is_a_fault_not_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
