#include "mail/header.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "mail/from.h"

static void field_has_name_value_and_bytes(void **state)
{
	struct header_walk walk =
		header_walk_of(VIEW("A: b\r\n c\r\nEmpty:\r\nX-y:z\n\r\nbody: x\r\n"));
	struct header_field field;
	struct buffer line = buffer_with_max(100);

	(void)state;
	assert_true(header_next(&walk, &field));
	assert_view(field.name, "A");
	assert_view(field.value, " b\r\n c");
	assert_view(field.whole, "A: b\r\n c\r\n");
	header_add_unfolded(&line, field.value);
	assert_view(buffer_view(&line), "b c");
	buffer_done(&line);
	assert_true(header_next(&walk, &field));
	assert_view(field.value, "");
	assert_true(header_next(&walk, &field));
	assert_view(field.value, "z");
	assert_false(header_next(&walk, &field));
	assert_false(header_next(&walk, &field));
	assert_int_equal(walk.fault, HEADER_OK);
	assert_view(view_from(walk.message, walk.offset), "body: x\r\n");
}

static void a38_boundary_is_where_fields_end(void **state)
{
	static const struct {
		struct view message;
		enum header_fault fault;
		size_t fields, body;
	} cases[] = {
		{ { "", 0 }, HEADER_OK, 0, 0 },
		{ { "\r\n", 2 }, HEADER_OK, 0, 2 },
		{ { "\n", 1 }, HEADER_OK, 0, 1 },
		{ { "A: b", 4 }, HEADER_OK, 1, 4 },
		{ { "A: b\r\n", 6 }, HEADER_OK, 1, 6 },
		{ { "A: b\r\n \r\nC: d\r\n\r\n", 17 }, HEADER_OK, 2, 17 },
		{ { "A: b\r\nno field\r\nC: d\r\n", 22 }, HEADER_NOT_A_FIELD, 1, 6 },
		{ { " A: b\r\n", 7 }, HEADER_NOT_A_FIELD, 0, 0 },
		{ { "A B: c\r\n", 8 }, HEADER_NOT_A_FIELD, 0, 0 },
		{ { ": c\r\n", 5 }, HEADER_NOT_A_FIELD, 0, 0 },
		{ { "\xc3\xa9: c\r\n", 7 }, HEADER_NOT_A_FIELD, 0, 0 },
		{ { "From\0: c\r\n", 10 }, HEADER_NOT_A_FIELD, 0, 0 },
		{ { "A : b\r\n", 7 }, HEADER_BLANK_IN_NAME, 1, 7 },
		{ { "A: \0\r\n", 6 }, HEADER_NUL, 1, 6 },
		{ { "A: b\rC: d\r\n", 11 }, HEADER_BARE_CR, 1, 11 },
		{ { "A: b\r\r\n", 7 }, HEADER_BARE_CR, 1, 7 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct header_facts facts = header_facts_of(cases[i].message);

		assert_int_equal(facts.fault, cases[i].fault);
		assert_int_equal(facts.field_count, cases[i].fields);
		assert_int_equal(facts.body_offset, cases[i].body);
	}
}

static char *repeat(const char *text, size_t count)
{
	size_t len = strlen(text);
	char *all = malloc(len * count + 1);

	assert_non_null(all);
	for (size_t i = 0; i < count; i++) {
		memcpy(all + i * len, text, len);
	}
	all[len * count] = '\0';
	return all;
}

static void a22_header_is_bounded(void **state)
{
	char *fields = repeat("A: b\r\n", HEADER_FIELDS_MAX + 1);
	char *folds = repeat(" \r\n", HEADER_MAX);
	char *name = repeat("n", HEADER_NAME_MAX + 1);
	struct buffer long_field = buffer_with_max(8 << 20);
	struct header_facts facts = header_facts_of(view_from_text(fields));

	(void)state;
	assert_int_equal(facts.fault, HEADER_TOO_MANY);
	assert_int_equal(facts.field_count, HEADER_FIELDS_MAX);
	buffer_add_text(&long_field, "A:\r\n");
	buffer_add_text(&long_field, folds);
	facts = header_facts_of(buffer_view(&long_field));
	assert_int_equal(facts.fault, HEADER_TOO_LONG);
	buffer_clear(&long_field);
	buffer_add_text(&long_field, name);
	buffer_add_text(&long_field, ": x\r\n");
	facts = header_facts_of(buffer_view(&long_field));
	assert_int_equal(facts.fault, HEADER_NOT_A_FIELD);
	buffer_done(&long_field);
	free(fields);
	free(folds);
	free(name);
}

static void a28_hops_and_earlier_deliveries_are_counted(void **state)
{
	struct view message = VIEW("Received: x\r\nRECEIVED: y\r\nX-Received: z\r\n"
				   "Delivered-To: Ann@EXAMPLE.org\r\n\r\nReceived: body\r\n");

	(void)state;
	assert_int_equal(header_facts_of(message).received_count, 2);
	assert_true(header_was_delivered_to(message, VIEW("ann@example.org")));
	assert_false(header_was_delivered_to(message, VIEW("bob@example.org")));
}

static void facts_say_what_is_there(void **state)
{
	struct header_facts facts =
		header_facts_of(VIEW("date: x\r\nFrom: a\r\nfrom: b\r\nSubject: \xc3\xa9\r\n\r\n"));

	(void)state;
	assert_true(facts.has_date);
	assert_false(facts.has_message_id);
	assert_true(facts.has_utf8);
	assert_int_equal(facts.from_count, 2);
}

static void assert_from(const char *message, enum from_verdict verdict, const char *addresses)
{
	struct arena arena = arena_with_max(1 << 20);
	struct buffer text = buffer_with_max(10000);
	struct mailbox_list list = { 0 };
	enum from_verdict is = from_parse(&arena, view_from_text(message), &list);

	if (is != verdict) {
		fail_msg("%s: %s, expected %s", message, from_verdict_text(is),
			 from_verdict_text(verdict));
	}
	for (const struct mailbox *mailbox = list.first; mailbox; mailbox = mailbox->next) {
		buffer_add(&text, mailbox->address.text);
		buffer_add_byte(&text, mailbox->next ? ' ' : '\0');
	}
	assert_string_equal(buffer_text(&text), addresses);
	buffer_done(&text);
	arena_done(&arena);
}

static void from_gives_its_mailboxes(void **state)
{
	static const struct {
		const char *message, *addresses;
	} cases[] = {
		{ "From: ann@EXAMPLE.org\r\n", "ann@example.org" },
		{ "From: Ann Lee <ann@b.example>\r\n", "ann@b.example" },
		{ "From:Ann\r\n\t<ann@b.example>\r\n\r\n", "ann@b.example" },
		{ "From: \"x@y.example\" <ann@b.example>\r\n", "ann@b.example" },
		{ "From: \"Lee, Ann\" <ann@b.example>, bob@c.example\r\n",
		  "ann@b.example bob@c.example" },
		{ "From: =?utf-8?q?x=40y?= <ann@b.example>\r\n", "ann@b.example" },
		{ "From: A. Lee (x <y@z>) <ann@b.example> (c (d) \\) e)\r\n", "ann@b.example" },
		{ "From: G: ann@b.example, <bob@c.example>;\r\n", "ann@b.example bob@c.example" },
		{ "From: <@x.example,@y.example:ann@b.example>\r\n", "ann@b.example" },
		{ "From: ann (c) . lee @ b . example\r\n", "ann.lee@b.example" },
		{ "From: ann@[192.0.2.1]\r\n", "ann@[192.0.2.1]" },
		{ "From: , ann@b.example,,\r\n", "ann@b.example" },
		{ "From: \"a b\"@c.example\r\n", "\"a b\"@c.example" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_from(cases[i].message, FROM_OK, cases[i].addresses);
	}
}

static void a39_forged_from_has_a_verdict(void **state)
{
	static const struct {
		const char *message;
		enum from_verdict verdict;
	} cases[] = {
		{ "To: a@b.example\r\n", FROM_NO_FIELD },
		{ "", FROM_NO_FIELD },
		{ "From: a@b.example\r\nfrom: c@d.example\r\n", FROM_MANY_FIELDS },
		{ "From : a@b.example\r\n", FROM_BAD_HEADER },
		{ " From: a@b.example\r\nFrom: c@d.example\r\n", FROM_BAD_HEADER },
		{ "From: a@b.example\r\nx\r\nFrom: c@d.example\r\n", FROM_BAD_HEADER },
		{ "From: a@b.example\r\nA: x\rFrom: c@d.example\r\n", FROM_BAD_HEADER },
		{ "From:\r\n", FROM_NO_MAILBOX },
		{ "From: G:;\r\n", FROM_NO_MAILBOX },
		{ "From: ,,\r\n", FROM_NO_MAILBOX },
		{ "From: <>\r\n", FROM_BAD_SYNTAX },
		{ "From: ann\r\n", FROM_BAD_SYNTAX },
		{ "From: Ann <ann>\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b.example <c@d.example>\r\n", FROM_BAD_SYNTAX },
		{ "From: <a@b.example> <c@d.example>\r\n", FROM_BAD_SYNTAX },
		{ "From: <a@b.example>c@d.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b.example c\r\n", FROM_BAD_SYNTAX },
		{ "From: a b@c.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b@c.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@(b.example\r\n", FROM_BAD_SYNTAX },
		{ "From: \"a@b.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b.example)\r\n", FROM_BAD_SYNTAX },
		{ "From: G: a@b.example\r\n", FROM_BAD_SYNTAX },
		{ "From: G: H: a@b.example;;\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b.example;\r\n", FROM_BAD_SYNTAX },
		{ "From: <a@b.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b(c.example\r\n", FROM_BAD_SYNTAX },
		{ "From: a@b.example\\\r\n", FROM_BAD_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_from(cases[i].message, cases[i].verdict, "");
	}
}

static void from_is_bounded(void **state)
{
	struct arena arena = arena_with_max(1 << 20);
	char *many = repeat("a@b.example,", HEADER_MAILBOXES_MAX + 1);
	char *open = repeat("(", 500000), *words = repeat("w ", 400000);
	struct mailbox_list list;

	(void)state;
	assert_int_equal(mailbox_list_parse(&arena, view_from_text(many), &list), FROM_TOO_MANY);
	assert_int_equal(mailbox_list_parse(&arena, view_from_text(open), &list), FROM_BAD_SYNTAX);
	assert_int_equal(mailbox_list_parse(&arena, view_from_text(words), &list), FROM_BAD_SYNTAX);
	arena_done(&arena);
	arena = arena_with_max(16);
	assert_int_equal(mailbox_list_parse(&arena, VIEW("a@b.example"), &list), FROM_NO_MEMORY);
	arena_done(&arena);
	free(many);
	free(open);
	free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(field_has_name_value_and_bytes),
		cmocka_unit_test(a38_boundary_is_where_fields_end),
		cmocka_unit_test(a22_header_is_bounded),
		cmocka_unit_test(a28_hops_and_earlier_deliveries_are_counted),
		cmocka_unit_test(facts_say_what_is_there),
		cmocka_unit_test(from_gives_its_mailboxes),
		cmocka_unit_test(a39_forged_from_has_a_verdict),
		cmocka_unit_test(from_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
