#include "policy/check_address.h"
#include "policy/directory.h"

#include <stdio.h>
#include <string.h>

struct fixture {
	struct arena arena;
	struct directory_builder *builder;
	struct buffer block;
	struct directory directory;
};

static void add_domain(struct fixture *f, const char *domain)
{
	assert_int_equal(directory_add_domain(f->builder, view_from_text(domain)), OK);
}

static void add_account(struct fixture *f, const char *address)
{
	assert_int_equal(directory_add_account(f->builder, view_from_text(address)), OK);
}

// Targets separated by blanks.
static size_t split_targets(const char *text, struct view *targets, size_t max)
{
	struct view rest = view_from_text(text);
	size_t count = 0;

	while (count < max && view_next_word(&rest, &targets[count])) {
		count++;
	}
	return count;
}

static enum error try_alias(struct fixture *f, const char *address, const char *text)
{
	struct view targets[64];
	size_t count = split_targets(text, targets, COUNT_OF(targets));

	return directory_add_alias(f->builder, view_from_text(address), targets, count);
}

static void add_alias(struct fixture *f, const char *address, const char *text)
{
	assert_int_equal(try_alias(f, address, text), OK);
}

static void build(struct fixture *f)
{
	assert_int_equal(directory_build(f->builder, &f->block), OK);
	assert_int_equal(directory_open(buffer_view(&f->block), &f->directory), OK);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct directory_settings settings = directory_settings_default();

	fixture = (struct fixture){ .arena = arena_with_max(16 << 20),
				    .block = buffer_with_max(16 << 20) };
	settings.depth_max = 8;
	settings.recipients_max = 100;
	assert_int_equal(
		directory_builder_new((struct hash_key){ 1, 2 }, &settings, &fixture.builder), OK);
	add_domain(&fixture, "example.org");
	add_domain(&fixture, "Example.NET");
	add_account(&fixture, "alice@example.org");
	add_account(&fixture, "bob@example.org");
	assert_int_equal(directory_set_postmaster(fixture.builder, VIEW("postmaster@example.org")),
			 OK);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	directory_builder_free(f->builder);
	buffer_done(&f->block);
	arena_done(&f->arena);
	return 0;
}

static struct directory_answer resolve(struct fixture *f, const char *text)
{
	struct address address = check_address(&f->arena, text);
	struct directory_answer answer;

	assert_int_equal(directory_resolve(&f->directory, &f->arena, &address, &answer), OK);
	return answer;
}

// expected: the recipients, separated by blanks.
static void assert_resolves(struct fixture *f, const char *address, const char *expected)
{
	struct directory_answer answer = resolve(f, address);
	struct buffer text = buffer_with_max(10000);

	assert_int_equal(answer.status, DIRECTORY_FOUND);
	for (size_t i = 0; i < answer.recipient_count; i++) {
		buffer_add_text(&text, i ? " " : "");
		buffer_add(&text, answer.recipients[i]);
	}
	assert_view(buffer_view(&text), expected);
	buffer_done(&text);
}

static void assert_status(struct fixture *f, const char *address, enum directory_status status)
{
	assert_int_equal(resolve(f, address).status, status);
}

static void accounts_are_found_in_any_case_and_with_detail(void **state)
{
	struct fixture *f = *state;

	build(f);
	assert_resolves(f, "alice@example.org", "alice@example.org");
	assert_resolves(f, "ALICE@EXAMPLE.ORG", "alice@example.org");
	assert_resolves(f, "\"alice\"@example.org", "alice@example.org");
	assert_resolves(f, "alice+lists@example.org", "alice@example.org");
	assert_resolves(f, "Alice+a+b@example.org", "alice@example.org");
	assert_status(f, "carol@example.org", DIRECTORY_UNKNOWN);
	assert_status(f, "+alice@example.org", DIRECTORY_UNKNOWN);
	assert_status(f, "\"alice +x\"@example.org", DIRECTORY_UNKNOWN);
	assert_status(f, "alice@example.net", DIRECTORY_UNKNOWN);
	assert_status(f, "alice@sub.example.org", DIRECTORY_NOT_OURS);
	assert_status(f, "alice@elsewhere.example", DIRECTORY_NOT_OURS);
}

static void the_entry_that_answered_is_named(void **state)
{
	struct fixture *f = *state;

	build(f);
	assert_view(resolve(f, "Alice+x@example.org").entry, "alice@example.org");
	assert_int_equal(resolve(f, "alice@example.org").via, DIRECTORY_VIA_ADDRESS);
	assert_int_equal(resolve(f, "postmaster@example.net").via, DIRECTORY_VIA_POSTMASTER);
}

static void only_accounts_are_accounts(void **state)
{
	struct fixture *f = *state;
	struct address alice = check_address(&f->arena, "Alice@example.org");
	struct address detail = check_address(&f->arena, "alice+x@example.org");
	struct address info = check_address(&f->arena, "info@example.org");

	add_alias(f, "info@example.org", "alice@example.org");
	build(f);
	assert_true(directory_has_account(&f->directory, &alice));
	assert_false(directory_has_account(&f->directory, &detail));
	assert_false(directory_has_account(&f->directory, &info));
	assert_true(directory_has_domain(&f->directory, VIEW("example.net")));
	assert_false(directory_has_domain(&f->directory, VIEW("alice@example.org")));
}

static void an_exact_address_goes_before_the_one_without_detail(void **state)
{
	struct fixture *f = *state;

	add_alias(f, "alice+sales@example.org", "bob@example.org");
	build(f);
	assert_resolves(f, "alice+sales@example.org", "bob@example.org");
	assert_resolves(f, "alice+other@example.org", "alice@example.org");
}

static void without_a_separator_there_are_no_details(void **state)
{
	struct fixture *f = *state;

	build(f);
	f->directory.settings.plus_separator = 0;
	assert_status(f, "alice+x@example.org", DIRECTORY_UNKNOWN);
	f->directory.settings.plus_separator = '-';
	assert_resolves(f, "alice-x@example.org", "alice@example.org");
}

static void aliases_expand_here_and_elsewhere_each_recipient_once(void **state)
{
	struct fixture *f = *state;

	add_alias(f, "info@example.org", "Alice@example.org Bob@Elsewhere.example");
	add_alias(f, "all@example.net", "info@example.org alice@example.org bob+x@example.org");
	build(f);
	assert_resolves(f, "info@example.org", "alice@example.org Bob@elsewhere.example");
	assert_resolves(f, "INFO+x@example.org", "alice@example.org Bob@elsewhere.example");
	assert_resolves(f, "all@example.net",
			"alice@example.org Bob@elsewhere.example bob@example.org");
}

static void an_alias_goes_before_the_account_of_its_name(void **state)
{
	struct fixture *f = *state;

	add_alias(f, "alice@example.org", "bob@example.org");
	add_alias(f, "bob@example.org", "bob@example.org copy@elsewhere.example");
	build(f);
	assert_resolves(f, "alice@example.org", "bob@example.org copy@elsewhere.example");
	assert_resolves(f, "bob@example.org", "bob@example.org copy@elsewhere.example");
}

static void a_target_that_nobody_has_stays_beside_a_good_one(void **state)
{
	struct fixture *f = *state;

	add_alias(f, "team@example.org", "gone@example.org alice@example.org");
	add_alias(f, "ghosts@example.org", "gone@example.org gone2@example.org");
	add_alias(f, "both@example.org", "ghosts@example.org alice@example.org");
	build(f);
	assert_resolves(f, "team@example.org", "gone@example.org alice@example.org");
	assert_status(f, "ghosts@example.org", DIRECTORY_UNKNOWN);
	assert_resolves(f, "both@example.org", "ghosts@example.org alice@example.org");
}

static void a28_aliases_that_lead_in_a_circle_are_found(void **state)
{
	struct fixture *f = *state;
	char name[32], target[32];

	add_alias(f, "self@example.org", "self@example.org");
	add_alias(f, "a@example.org", "b@example.org alice@example.org");
	add_alias(f, "b@example.org", "c+x@example.org");
	add_alias(f, "c@example.org", "a@example.org");
	add_alias(f, "alice@example.org", "far@example.org");
	add_alias(f, "far@example.org", "alice@example.org");
	for (unsigned i = 0; i < 9; i++) {
		snprintf(name, sizeof name, "deep%u@example.org", i);
		snprintf(target, sizeof target, "deep%u@example.org", i + 1);
		add_alias(f, name, target);
	}
	add_alias(f, "deep9@example.org", "bob@example.org");
	build(f);
	assert_status(f, "self@example.org", DIRECTORY_LOOP);
	assert_status(f, "a@example.org", DIRECTORY_LOOP);
	assert_status(f, "alice@example.org", DIRECTORY_LOOP);
	assert_status(f, "deep0@example.org", DIRECTORY_LOOP);
	assert_resolves(f, "deep2@example.org", "bob@example.org");
}

static void a28_an_alias_bomb_is_bounded(void **state)
{
	struct fixture *f = *state;
	char name[32], targets[1024];

	for (unsigned i = 0; i < 6; i++) {
		unsigned used = 0;

		for (unsigned j = 0; j < 20; j++) {
			used += (unsigned)snprintf(targets + used, sizeof targets - used,
						   "bomb%u+%u@example.org ", i + 1, j);
		}
		snprintf(name, sizeof name, "bomb%u@example.org", i);
		add_alias(f, name, targets);
	}
	add_alias(f, "bomb6@example.org", "bob@example.org");
	build(f);
	assert_status(f, "bomb0@example.org", DIRECTORY_TOO_MANY);
}

static void an_alias_with_too_many_recipients_is_refused(void **state)
{
	struct fixture *f = *state;
	struct view targets[101];
	char text[101][32];

	for (unsigned i = 0; i < COUNT_OF(targets); i++) {
		snprintf(text[i], sizeof text[i], "u%u@elsewhere.example", i);
		targets[i] = view_from_text(text[i]);
	}
	assert_int_equal(directory_add_alias(f->builder, VIEW("fits@example.org"), targets, 100),
			 OK);
	assert_int_equal(directory_add_alias(f->builder, VIEW("over@example.org"), targets, 101),
			 OK);
	build(f);
	assert_int_equal(resolve(f, "fits@example.org").recipient_count, 100);
	assert_status(f, "over@example.org", DIRECTORY_TOO_MANY);
}

static void postmaster_always_works(void **state)
{
	struct fixture *f = *state;

	build(f);
	assert_resolves(f, "postmaster", "postmaster@example.org");
	assert_resolves(f, "PostMaster@example.org", "postmaster@example.org");
	assert_resolves(f, "postmaster@example.net", "postmaster@example.org");
	assert_resolves(f, "postmaster+x@example.org", "postmaster@example.org");
	assert_status(f, "postmaster@elsewhere.example", DIRECTORY_NOT_OURS);
}

static void a_domain_may_have_its_own_postmaster(void **state)
{
	struct fixture *f = *state;

	add_alias(f, "postmaster@example.net", "bob@example.org");
	build(f);
	assert_resolves(f, "postmaster@example.net", "bob@example.org");
	assert_resolves(f, "postmaster@example.org", "postmaster@example.org");
}

static void a_catch_all_takes_what_nobody_has_but_not_the_postmaster(void **state)
{
	struct fixture *f = *state;
	struct view target = VIEW("bob@example.org");

	assert_int_equal(directory_set_catch_all(f->builder, VIEW("example.net"), &target, 1), OK);
	build(f);
	assert_resolves(f, "whoever+x@example.net", "bob@example.org");
	assert_int_equal(resolve(f, "whoever@example.net").via, DIRECTORY_VIA_CATCH_ALL);
	assert_resolves(f, "postmaster@example.net", "postmaster@example.org");
	assert_status(f, "whoever@example.org", DIRECTORY_UNKNOWN);
}

static void a_domain_called_postmaster_is_no_address(void **state)
{
	struct fixture *f = *state;

	add_domain(f, "postmaster");
	build(f);
	assert_resolves(f, "postmaster", "postmaster@example.org");
}

static void what_does_not_fit_is_not_added(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(directory_add_domain(f->builder, VIEW("not a domain")), ERROR_INVALID);
	assert_int_equal(directory_add_domain(f->builder, VIEW("EXAMPLE.org")), ERROR_EXISTS);
	assert_int_equal(directory_add_account(f->builder, VIEW("x@elsewhere.example")),
			 ERROR_NOT_FOUND);
	assert_int_equal(directory_add_account(f->builder, VIEW("Bob@example.org")), ERROR_EXISTS);
	assert_int_equal(directory_add_account(f->builder, VIEW("a%b@example.org")), ERROR_INVALID);
	assert_int_equal(directory_add_account(f->builder, VIEW("x@[192.0.2.1]")), ERROR_INVALID);
	assert_int_equal(directory_add_account(f->builder, VIEW("nonsense")), ERROR_INVALID);
	assert_int_equal(try_alias(f, "x@example.org", ""), ERROR_INVALID);
	assert_int_equal(try_alias(f, "x@example.org", "|/bin/sh"), ERROR_INVALID);
	assert_int_equal(try_alias(f, "x@elsewhere.example", "bob@example.org"), ERROR_NOT_FOUND);
	add_alias(f, "x@example.org", "bob@example.org");
	assert_int_equal(try_alias(f, "X@example.org", "bob@example.org"), ERROR_EXISTS);
}

static void a_table_without_a_postmaster_is_not_built(void **state)
{
	struct fixture *f = *state;
	struct directory_settings settings = directory_settings_default();

	directory_builder_free(f->builder);
	assert_int_equal(directory_builder_new((struct hash_key){ 1, 2 }, &settings, &f->builder),
			 OK);
	add_domain(f, "example.org");
	assert_int_equal(directory_build(f->builder, &f->block), ERROR_INVALID);
}

static void a15_a_damaged_block_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	char copy[4096];
	size_t len;

	add_alias(f, "info@example.org", "alice@example.org bob@example.org");
	build(f);
	len = f->block.len;
	assert_true(len < sizeof copy);
	for (size_t i = 0; i <= len; i++) {
		struct directory directory;

		assert_int_equal(directory_open(view_of(f->block.data, len - i), &directory),
				 i ? ERROR_CORRUPT : OK);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, f->block.data, len);
		copy[i] = (char)~copy[i];
		if (directory_open(view_of(copy, len), &f->directory) == OK) {
			resolve(f, "info@example.org");
			resolve(f, "postmaster");
		}
	}
}

static void a_shortage_of_memory_is_an_error_not_an_answer(void **state)
{
	struct fixture *f = *state;
	struct address address = check_address(&f->arena, "alice@example.org");
	struct directory_answer answer = { .status = DIRECTORY_LOOP };
	struct arena small = arena_with_max(8);

	build(f);
	assert_int_equal(directory_resolve(&f->directory, &small, &address, &answer),
			 ERROR_NO_MEMORY);
	assert_int_equal(answer.status, DIRECTORY_LOOP);
	arena_done(&small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accounts_are_found_in_any_case_and_with_detail),
		TEST(the_entry_that_answered_is_named),
		TEST(only_accounts_are_accounts),
		TEST(an_exact_address_goes_before_the_one_without_detail),
		TEST(without_a_separator_there_are_no_details),
		TEST(aliases_expand_here_and_elsewhere_each_recipient_once),
		TEST(an_alias_goes_before_the_account_of_its_name),
		TEST(a_target_that_nobody_has_stays_beside_a_good_one),
		TEST(a28_aliases_that_lead_in_a_circle_are_found),
		TEST(a28_an_alias_bomb_is_bounded),
		TEST(an_alias_with_too_many_recipients_is_refused),
		TEST(postmaster_always_works),
		TEST(a_domain_may_have_its_own_postmaster),
		TEST(a_catch_all_takes_what_nobody_has_but_not_the_postmaster),
		TEST(a_domain_called_postmaster_is_no_address),
		TEST(what_does_not_fit_is_not_added),
		TEST(a_table_without_a_postmaster_is_not_built),
		TEST(a15_a_damaged_block_is_refused_or_harmless),
		TEST(a_shortage_of_memory_is_an_error_not_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
