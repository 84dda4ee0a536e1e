#include "mail/outgoing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static struct buffer transform(enum outgoing_form form, const struct outgoing_edits *edits,
			       struct view message, size_t chunk)
{
	struct buffer out = buffer_with_max(1 << 20);
	struct outgoing outgoing;

	outgoing_start(&outgoing, form, edits, &out);
	while (message.len) {
		size_t before = out.len, len = view_first(message, chunk).len;

		outgoing_feed(&outgoing, view_first(message, chunk), &out);
		assert_true(out.len - before <= 2 * len + OUTGOING_SLACK);
		message = view_from(message, chunk);
	}
	outgoing_finish(&outgoing, &out);
	assert_int_equal(buffer_error(&out), OK);
	return out;
}

// Whatever the chunks, the output is this.
static void assert_output(enum outgoing_form form, const struct outgoing_edits *edits,
			  struct view message, const char *expected)
{
	for (size_t chunk = 1; chunk <= message.len + 1; chunk++) {
		struct buffer out = transform(form, edits, message, chunk);

		assert_view(buffer_view(&out), expected);
		buffer_done(&out);
	}
}

static const struct outgoing_edits no_edits;

static void dots_are_stuffed_at_every_line_start(void **state)
{
	(void)state;
	assert_output(OUTGOING_SMTP, &no_edits, VIEW(""), ".\r\n");
	assert_output(OUTGOING_SMTP, &no_edits, VIEW("."), "..\r\n.\r\n");
	assert_output(OUTGOING_SMTP, &no_edits, VIEW(".\r\n..\r\na.b\r\n.c\r\n"),
		      "..\r\n...\r\na.b\r\n..c\r\n.\r\n");
	assert_output(OUTGOING_SMTP, &no_edits, VIEW("\r\n.\r\n\r\n"), "\r\n..\r\n\r\n.\r\n");
}

static void last_line_is_ended(void **state)
{
	(void)state;
	assert_output(OUTGOING_SMTP, &no_edits, VIEW("A: b\r\n\r\nc"), "A: b\r\n\r\nc\r\n.\r\n");
	assert_output(OUTGOING_STORED, &no_edits, VIEW("c"), "c\r\n");
	assert_output(OUTGOING_MAILDIR, &no_edits, VIEW("c\r\n.\r\nd"), "c\n.\nd\n");
}

static void a2_bare_line_ends_never_leave(void **state)
{
	static const struct {
		struct view message;
		const char *sent;
	} cases[] = {
		{ { "a\n.\nb", 5 }, "a . b\r\n.\r\n" },
		{ { "a\r.\rb", 5 }, "a . b\r\n.\r\n" },
		{ { "a\n.\r\nb", 6 }, "a .\r\nb\r\n.\r\n" },
		{ { "a\r\n.\nb", 6 }, "a\r\n.. b\r\n.\r\n" },
		{ { "a\r\r\n.\r\n", 7 }, "a \r\n..\r\n.\r\n" },
		{ { "\r", 1 }, " \r\n.\r\n" },
		{ { "\n", 1 }, " \r\n.\r\n" },
		{ { "\r\r", 2 }, "  \r\n.\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_output(OUTGOING_SMTP, &no_edits, cases[i].message, cases[i].sent);
	}
}

static void fields_are_added_in_front(void **state)
{
	const struct outgoing_edits edits = { .front = VIEW("Received: x\r\n\ty\r\n") };

	(void)state;
	assert_output(OUTGOING_SMTP, &edits, VIEW("A: b\r\n\r\n.\r\n"),
		      "Received: x\r\n\ty\r\nA: b\r\n\r\n..\r\n.\r\n");
	assert_output(OUTGOING_MAILDIR, &edits, VIEW("A: b\r\n"), "Received: x\n\ty\nA: b\n");
}

static void a38_a_body_without_header_is_not_read_as_one(void **state)
{
	static const struct view name = { "Bcc", 3 };
	const struct outgoing_edits edits = { VIEW("X: y\r\n"), &name, 1 };
	static const struct {
		struct view message;
		const char *sent; // behind our field
	} cases[] = {
		{ { "", 0 }, "" },
		{ { "\r\n", 2 }, "\r\n" },
		{ { "\r\nbody\r\n", 8 }, "\r\nbody\r\n" },
		{ { "no colon here\r\n", 15 }, "\r\nno colon here\r\n" },
		{ { " folded\r\n", 9 }, "\r\n folded\r\n" },
		{ { "\tA: b\r\n", 7 }, "\r\n\tA: b\r\n" },
		{ { ": x\r\n", 5 }, "\r\n: x\r\n" },
		{ { "odd name: x\r\n", 13 }, "\r\nodd name: x\r\n" },
		{ { "\r \r\n", 4 }, "\r\n  \r\n" },
		{ { "\n x\r\n", 5 }, "\r\n  x\r\n" },
		{ { "\r", 1 }, "\r\n \r\n" },
		{ { "word", 4 }, "\r\nword\r\n" },
		{ { "Bcc: a\r\nno colon\r\n", 18 }, "\r\nno colon\r\n" },
		{ { "Bcc: a\r\n\r\nbody\r\n", 16 }, "\r\nbody\r\n" },
		// Behind a field of its own it stays as it was received, and as it was signed.
		{ { "A: b\r\nno colon\r\n", 16 }, "A: b\r\nno colon\r\n" },
		{ { "A: b\r\nBcc: c\r\nno colon\r\n", 24 }, "A: b\r\nno colon\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char expected[64];

		(void)snprintf(expected, sizeof expected, "X: y\r\n%s", cases[i].sent);
		assert_output(OUTGOING_STORED, &edits, cases[i].message, expected);
	}
	assert_output(OUTGOING_SMTP, &edits, VIEW(".\r\n"), "X: y\r\n\r\n..\r\n.\r\n");
	assert_output(OUTGOING_MAILDIR, &edits, VIEW("a"), "X: y\n\na\n");
}

// Whoever reads what leaves finds our field, the message's own, and its body.
static void a38_the_header_walk_finds_the_same_body_behind_our_fields(void **state)
{
	static const char alphabet[] = "B: \t\r\nb.";
	const struct outgoing_edits edits = { .front = VIEW("X: y\r\n") };
	char message[7];

	(void)state;
	for (unsigned n = 0; n < 8 * 8 * 8 * 8 * 8 * 8 * 8; n += 3) {
		struct view text = view_of(message, sizeof message);
		struct buffer stored, out;
		struct header_facts before, after;

		for (unsigned i = 0, digits = n; i < sizeof message; i++, digits /= 8) {
			message[i] = alphabet[digits % 8];
		}
		stored = transform(OUTGOING_STORED, &no_edits, text, 100); // no bare line ends
		out = transform(OUTGOING_STORED, &edits, buffer_view(&stored), 3);
		before = header_facts_of(buffer_view(&stored));
		after = header_facts_of(buffer_view(&out));
		assert_int_equal(after.field_count, before.field_count + 1);
		assert_true(view_equal(view_from(buffer_view(&out), after.body_offset),
				       view_from(buffer_view(&stored), before.body_offset)));
		buffer_done(&stored);
		buffer_done(&out);
	}
}

static void fields_are_removed_from_the_header_only(void **state)
{
	static const struct view names[] = { { "Return-Path", 11 }, { "Bcc", 3 } };
	const struct outgoing_edits edits = { .removals = names, .removal_count = 2 };
	static const struct {
		const char *message, *sent;
	} cases[] = {
		{ "Bcc: a\r\nA: b\r\n\r\nBcc: c\r\n", "A: b\r\n\r\nBcc: c\r\n" },
		{ "A: b\r\nBCC: a,\r\n\tc\r\n d\r\nE: f\r\n\r\n", "A: b\r\nE: f\r\n\r\n" },
		{ "bcc : a\r\nReturn-path:\r\n\r\n", "\r\n" },
		{ "Bcc2: a\r\nXBcc: b\r\n", "Bcc2: a\r\nXBcc: b\r\n" },
		{ "not a field\r\nBcc: a\r\n", "not a field\r\nBcc: a\r\n" },
		{ " Bcc: a\r\nBcc: b\r\n", " Bcc: a\r\nBcc: b\r\n" },
		{ "Bcc", "Bcc\r\n" },
		{ "A: b\r\n Bcc: c\r\n", "A: b\r\n Bcc: c\r\n" },
		{ ": x\r\nBcc: y\r\n", ": x\r\nBcc: y\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_output(OUTGOING_STORED, &edits, view_from_text(cases[i].message),
			      cases[i].sent);
	}
}

// What is removed is exactly what the header walk calls a field of that name.
static void removal_agrees_with_the_header_walk(void **state)
{
	static const char alphabet[] = "B: \t\r\nb.";
	static const struct view name = { "B", 1 };
	const struct outgoing_edits edits = { .removals = &name, .removal_count = 1 };
	char message[7];

	(void)state;
	for (unsigned n = 0; n < 8 * 8 * 8 * 8 * 8 * 8 * 8; n += 3) {
		struct view text = view_of(message, sizeof message);
		struct buffer kept = buffer_with_max(100), expected, out;
		struct header_walk walk = header_walk_of(text);
		struct header_field field;
		size_t end = 0;

		for (unsigned i = 0, digits = n; i < sizeof message; i++, digits /= 8) {
			message[i] = alphabet[digits % 8];
		}
		while (header_next(&walk, &field)) {
			end += field.whole.len;
			if (!view_equal_nocase(field.name, name)) {
				buffer_add(&kept, field.whole);
			}
		}
		buffer_add(&kept, view_from(text, end));
		out = transform(OUTGOING_STORED, &edits, text, 3);
		expected = transform(OUTGOING_STORED, &no_edits, buffer_view(&kept), 100);
		assert_true(view_equal(buffer_view(&out), buffer_view(&expected)));
		buffer_done(&kept);
		buffer_done(&expected);
		buffer_done(&out);
	}
}

static void a22_a_body_of_line_ends_costs_its_length(void **state)
{
	struct buffer message = buffer_with_max(4 << 20), out;
	char *room = buffer_reserve(&message, 4 << 20);

	(void)state;
	assert_non_null(room);
	memset(room, '\r', 4 << 20);
	message.len = 4 << 20;
	room[message.len - 1] = '\n';
	out = buffer_with_max(5 << 20);
	for (int form = OUTGOING_SMTP; form <= OUTGOING_MAILDIR; form++) {
		struct outgoing outgoing;

		buffer_clear(&out);
		outgoing_start(&outgoing, (enum outgoing_form)form, &no_edits, &out);
		outgoing_feed(&outgoing, buffer_view(&message), &out);
		outgoing_finish(&outgoing, &out);
		assert_int_equal(buffer_error(&out), OK);
		assert_in_range(out.len, message.len - 1, message.len + 5);
	}
	buffer_done(&message);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_are_stuffed_at_every_line_start),
		cmocka_unit_test(last_line_is_ended),
		cmocka_unit_test(a2_bare_line_ends_never_leave),
		cmocka_unit_test(fields_are_added_in_front),
		cmocka_unit_test(a38_a_body_without_header_is_not_read_as_one),
		cmocka_unit_test(a38_the_header_walk_finds_the_same_body_behind_our_fields),
		cmocka_unit_test(fields_are_removed_from_the_header_only),
		cmocka_unit_test(removal_agrees_with_the_header_walk),
		cmocka_unit_test(a22_a_body_of_line_ends_costs_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
