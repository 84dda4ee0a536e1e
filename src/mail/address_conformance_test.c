// Other people's cases for addresses (isemail) and domain names (UTS 46), read from
// CONFORMANCE_DIR.
#include "mail/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"

// Cases whose expectation differs from ours, by id. Each must still differ.
struct difference {
	unsigned id;
	const char *reason;
};

static const struct difference address_differences[] = {
	{ 43, "an empty local part is one comparison away from the null path" },
	{ 71, "RFC 4291 lets :: stand for one group; the address is unambiguous" },
};

static const struct difference *find_difference(const struct difference *list, size_t count,
						unsigned id)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].id == id) {
			return &list[i];
		}
	}
	return NULL;
}

// The text between <name ...> and </name> in one test of tests.xml; empty where there is none.
static struct view element(struct view xml, const char *open, const char *close)
{
	struct view text = view_from(xml, view_find_text(xml, view_from_text(open)) + strlen(open));

	return view_first(text, view_find_text(text, view_from_text(close)));
}

static void add_utf8(struct buffer *out, uint32_t code)
{
	if (code < 0x80) {
		buffer_add_byte(out, (char)code);
	} else if (code < 0x800) {
		buffer_add_byte(out, (char)(0xc0 | code >> 6));
		buffer_add_byte(out, (char)(0x80 | (code & 63)));
	} else if (code < 0x10000) {
		buffer_add_byte(out, (char)(0xe0 | code >> 12));
		buffer_add_byte(out, (char)(0x80 | (code >> 6 & 63)));
		buffer_add_byte(out, (char)(0x80 | (code & 63)));
	} else {
		buffer_add_byte(out, (char)(0xf0 | code >> 18));
		buffer_add_byte(out, (char)(0x80 | (code >> 12 & 63)));
		buffer_add_byte(out, (char)(0x80 | (code >> 6 & 63)));
		buffer_add_byte(out, (char)(0x80 | (code & 63)));
	}
}

static void add_entity(struct buffer *out, struct view name)
{
	uint32_t code;

	if (name.len && name.data[0] == '#') {
		code = name.data[1] == 'x' ? (uint32_t)strtoul(name.data + 2, NULL, 16)
					   : (uint32_t)strtoul(name.data + 1, NULL, 10);
		// "symbol for" characters stand for the controls that XML cannot hold.
		add_utf8(out, code >= 0x2400 && code < 0x2420 ? code - 0x2400 : code);
	} else {
		buffer_add_byte(out, view_equal(name, VIEW("amp"))  ? '&'
				     : view_equal(name, VIEW("lt")) ? '<'
				     : view_equal(name, VIEW("gt")) ? '>'
								    : '"');
	}
}

static void add_unescaped(struct buffer *out, struct view text)
{
	while (text.len) {
		size_t plain = view_find(text, '&');
		struct view name = view_from(text, plain + 1);

		buffer_add(out, view_first(text, plain));
		text = view_from(text, plain);
		if (text.len) {
			name = view_first(name, view_find(name, ';'));
			add_entity(out, name);
			text = view_from(text, name.len + 2);
		}
	}
}

static bool is_expected(struct view category)
{
	return view_equal(category, VIEW("ISEMAIL_VALID_CATEGORY")) ||
	       view_equal(category, VIEW("ISEMAIL_DNSWARN")) ||
	       view_equal(category, VIEW("ISEMAIL_RFC5321"));
}

static bool is_mailbox(struct view text)
{
	struct arena arena = arena_with_max(1 << 16);
	struct address address;
	bool ok = address_parse(&arena, text, 0, &address) == ADDRESS_OK;

	arena_done(&arena);
	return ok;
}

static void isemail_cases(void **state)
{
	struct view file = conformance_read("address/tests.xml"), rest = file, test;
	unsigned count = 0, failed = 0;

	(void)state;
	if (!file.data) {
		skip();
	}
	for (;;) {
		struct buffer address = buffer_with_max(4096);
		const struct difference *difference;
		unsigned id;
		bool agrees;

		rest = view_from(rest, view_find_text(rest, VIEW("<test id=\"")) + 10);
		if (rest.len == 0) {
			buffer_done(&address);
			break;
		}
		test = view_first(rest, view_find_text(rest, VIEW("</test>")));
		id = (unsigned)strtoul(test.data, NULL, 10);
		add_unescaped(&address, element(test, "<address>", "</address>"));
		agrees = is_mailbox(buffer_view(&address)) ==
			 is_expected(element(test, "<category>", "</category>"));
		difference =
			find_difference(address_differences, COUNT_OF(address_differences), id);
		if (agrees == (difference != NULL)) {
			print_error("case %u %s: %s\n", id, agrees ? "agrees now" : "differs",
				    buffer_text(&address));
			failed++;
		}
		buffer_done(&address);
		count++;
	}
	free((char *)file.data);
	assert_int_equal(failed, 0);
	assert_int_equal(count, 164);
}

// \uXXXX and \x{XXXX} of IdnaTest.txt. False for a lone surrogate, which no UTF-8 text can hold.
static bool add_unicode(struct buffer *out, struct view text)
{
	uint32_t high = 0;

	while (text.len) {
		uint32_t code;
		size_t len;

		if (text.len > 5 && view_starts(text, VIEW("\\u"))) {
			code = 0;
			for (size_t i = 2; i < 6; i++) {
				code = code << 4 | (uint32_t)ascii_hex_value(text.data[i]);
			}
			len = 6;
		} else if (view_starts(text, VIEW("\\x{"))) {
			len = view_find(text, '}') + 1;
			code = 0;
			for (size_t i = 3; i < len - 1; i++) {
				code = code << 4 | (uint32_t)ascii_hex_value(text.data[i]);
			}
		} else {
			if (high) {
				return false;
			}
			buffer_add_byte(out, text.data[0]);
			text = view_from(text, 1);
			continue;
		}
		text = view_from(text, len);
		if (code >= 0xd800 && code < 0xdc00 && !high) {
			high = code;
			continue;
		}
		if (high && code >= 0xdc00 && code < 0xe000) {
			code = 0x10000 + ((high & 0x3ff) << 10 | (code & 0x3ff));
			high = 0;
		}
		if (high || (code >= 0xd800 && code < 0xe000)) {
			return false;
		}
		add_utf8(out, code);
	}
	return high == 0;
}

static struct view column(struct view *line)
{
	struct view part = { 0 };

	view_next_part(line, ';', &part);
	return view_trim(part);
}

// By line of IdnaTest.txt.
static const struct difference idna_differences[] = {
	{ 438, "hyphens in the third and fourth place: hosts with such names exist (RFC 1123)" },
};

static bool idna_line_agrees(struct view line)
{
	struct arena arena = arena_with_max(1 << 16);
	struct buffer source = buffer_with_max(4096), expected = buffer_with_max(4096);
	struct view columns[4], domain = { 0 };
	bool agrees = true, is_text;

	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		columns[i] = column(&line);
	}
	is_text = add_unicode(&source, columns[1]);
	for (size_t i = 3; i >= 1; i--) {
		if (columns[i].len) {
			(void)add_unicode(&expected, columns[i]);
			break;
		}
	}
	if (is_text &&
	    address_domain_normalise(&arena, buffer_view(&source), &domain) == ADDRESS_OK) {
		struct view wanted = buffer_view(&expected);

		if (wanted.len && wanted.data[wanted.len - 1] == '.') {
			wanted.len--;
		}
		agrees = view_equal(domain, wanted);
	}
	buffer_done(&source);
	buffer_done(&expected);
	arena_done(&arena);
	return agrees;
}

static void idna_cases(void **state)
{
	struct view file = conformance_read("idna/IdnaTest.txt"), rest = file, line;
	unsigned number = 0, count = 0, failed = 0;

	(void)state;
	if (!file.data) {
		skip();
	}
	while (view_next_part(&rest, '\n', &line)) {
		const struct difference *difference;
		bool agrees;

		number++;
		line = view_first(line, view_find(view_first(line, view_find(line, '\r')), '#'));
		if (line.len == 0 || line.data[0] == 'T') {
			count += line.len != 0;
			continue;
		}
		count++;
		agrees = idna_line_agrees(line);
		difference = find_difference(idna_differences, COUNT_OF(idna_differences), number);
		if (agrees == (difference != NULL)) {
			print_error("line %u %s: %.*s\n", number, agrees ? "agrees now" : "differs",
				    VIEW_ARG(line));
			failed++;
		}
	}
	free((char *)file.data);
	assert_int_equal(failed, 0);
	assert_int_equal(count, 7762);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(isemail_cases),
		cmocka_unit_test(idna_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
