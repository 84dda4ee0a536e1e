// Other people's messages and field tables (mime folder of CONFORMANCE_DIR): messages pass without
// loss, addresses and dates are read as the tables say.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "mail/date.h"
#include "mail/from.h"
#include "mail/outgoing.h"

enum { MESSAGES_PER_FOLDER_MAX = 200 };

// Fields, then the rest, are the whole message; and the outgoing form of a CRLF message is itself.
static void assert_lossless(struct view message)
{
	struct header_walk walk = header_walk_of(message);
	struct buffer out = buffer_with_max(1 << 24), again = buffer_with_max(1 << 24);
	struct outgoing_edits edits = { 0 };
	struct outgoing outgoing;
	struct header_field field;
	size_t end = 0;

	while (header_next(&walk, &field)) {
		assert_ptr_equal(field.whole.data, message.data + end);
		end += field.whole.len;
	}
	assert_true(walk.offset >= end && walk.offset <= end + 2);
	for (size_t i = 0; i < message.len; i++) {
		if (message.data[i] == '\n' && (i == 0 || message.data[i - 1] != '\r')) {
			buffer_add_byte(&out, '\r');
		}
		buffer_add_byte(&out, message.data[i]);
	}
	if (out.len < 2 || out.data[out.len - 1] != '\n') {
		buffer_add_text(&out, "\r\n");
	}
	outgoing_start(&outgoing, OUTGOING_STORED, &edits, &again);
	outgoing_feed(&outgoing, buffer_view(&out), &again);
	outgoing_finish(&outgoing, &again);
	assert_true(view_equal(buffer_view(&out), buffer_view(&again)));
	buffer_done(&out);
	buffer_done(&again);
}

static unsigned check_folder(const char *folder)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MESSAGES_PER_FOLDER_MAX; i++) {
		char name[64];
		struct view message;

		snprintf(name, sizeof name, "mime/%s/%03u.eml", folder, i);
		message = conformance_read(name);
		if (message.data) {
			assert_lossless(message);
			free((char *)message.data);
			count++;
		}
	}
	return count;
}

static void messages_pass_without_loss(void **state)
{
	unsigned count = check_folder("rfc") + check_folder("malformed");

	(void)state;
	if (count == 0) {
		skip();
	}
	assert_int_equal(count, 33);
}

static json_t *load(const char *name)
{
	struct view file = conformance_read(name);
	json_t *rows = NULL;

	if (file.data) {
		rows = json_loadb(file.data, file.len, 0, NULL);
		assert_non_null(rows);
		free((char *)file.data);
	} else {
		skip();
	}
	return rows;
}

static bool add_expected(struct buffer *text, const json_t *mailboxes)
{
	const json_t *mailbox;
	size_t i;

	json_array_foreach(mailboxes, i, mailbox)
	{
		const char *address = json_string_value(json_object_get(mailbox, "address"));

		if (!address) {
			return false;
		}
		buffer_add_text(text, address);
		buffer_add_byte(text, ' ');
	}
	return true;
}

// False: some entry has no address, which is no list of mailboxes.
static bool expected_addresses(struct buffer *text, const json_t *expected)
{
	const json_t *groups = json_object_get(expected, "Group"), *group;
	size_t i;

	if (!groups) {
		return add_expected(text, json_object_get(expected, "List"));
	}
	json_array_foreach(groups, i, group)
	{
		if (!add_expected(text, json_object_get(group, "addresses"))) {
			return false;
		}
	}
	return true;
}

static bool address_row_agrees(const json_t *row)
{
	struct arena arena = arena_with_max(1 << 20);
	struct buffer is = buffer_with_max(10000), expected = buffer_with_max(10000);
	struct mailbox_list list = { 0 };
	struct view value = view_from_text(json_string_value(json_object_get(row, "header")));
	enum from_verdict verdict = mailbox_list_parse(&arena, value, &list);
	bool is_list = expected_addresses(&expected, json_object_get(row, "expected"));
	bool agrees;

	for (const struct mailbox *mailbox = list.first; mailbox; mailbox = mailbox->next) {
		buffer_add(&is, mailbox->address.text);
		buffer_add_byte(&is, ' ');
	}
	agrees = is_list && expected.len
			 ? verdict == FROM_OK &&
				   view_equal_nocase(buffer_view(&is), buffer_view(&expected))
			 : verdict != FROM_OK;
	buffer_done(&is);
	buffer_done(&expected);
	arena_done(&arena);
	return agrees;
}

static bool date_row_agrees(const json_t *row)
{
	struct view value = view_from_text(json_string_value(json_object_get(row, "header")));
	const json_t *expected = json_object_get(row, "expected");
	struct buffer text = buffer_with_max(100), wanted = buffer_with_max(100);
	int64_t unix_ms;
	int zone;
	bool read = date_parse(value, &unix_ms, &zone), agrees;

	if (!json_is_object(expected)) {
		return !read;
	}
	if (read) {
		date_add(&text, unix_ms, zone);
	}
#define NUMBER(name) ((int)json_integer_value(json_object_get(expected, name)))
	buffer_printf(&wanted, "%02d:%02d:%02d %c%02d%02d", NUMBER("hour"), NUMBER("minute"),
		      NUMBER("second"),
		      json_is_true(json_object_get(expected, "tz_before_gmt")) ? '-' : '+',
		      NUMBER("tz_hour"), NUMBER("tz_minute"));
	agrees = read && view_ends_nocase(buffer_view(&text), buffer_view(&wanted));
	buffer_done(&text);
	buffer_done(&wanted);
	return agrees;
}

struct difference {
	size_t row;
	const char *reason;
};

// Rows where their reader, made to get something out of anything, differs from ours, which must not
// be talked into an address. Each must still differ.
static const struct difference address_differences[] = {
	{ 9, "a ) behind a comment that has ended" },
	{ 10, "they make an address entry of the comment behind a group" },
	{ 13, "they keep source route and blanks in the address" },
	{ 14, "they keep blanks in the address" },
	{ 30, "two addresses without a comma" },
	{ 31, "the value runs on into a body" },
	{ 37, "a URL is no mailbox" },
	{ 38, "a URL is no mailbox" },
	{ 39, "a URL is no mailbox" },
	{ 40, "a URL is no mailbox" },
	{ 41, "a URL is no mailbox" },
	{ 42, "a phrase is no mailbox" },
	{ 43, "a URL is no mailbox" },
	{ 44, "a URL is no mailbox" },
	{ 45, "a URL is no mailbox" },
	{ 46, "a URL is no mailbox" },
	{ 47, "a URL is no mailbox" },
	{ 51, "an address as display name must be quoted: which of the two is meant? (A39)" },
	{ 55, "words behind the address" },
};

static const struct difference date_differences[] = {
	{ 10, "a month as a number" },
	{ 12, "no date at all" },
	{ 14, "comments nest, so this date is well-formed" },
	{ 28, "a whole Received field" },
	{ 30, "EST5EDT is no zone of RFC 5322" },
};

static bool is_listed(const struct difference *list, size_t count, size_t row)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].row == row) {
			return true;
		}
	}
	return false;
}

static void check_rows(const char *name, bool (*agrees)(const json_t *row),
		       const struct difference *list, size_t list_count)
{
	json_t *rows = load(name), *row;
	unsigned failed = 0;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		bool same = agrees(row);

		if (same == is_listed(list, list_count, i)) {
			print_error("%s row %zu %s: %s\n", name, i, same ? "agrees now" : "differs",
				    json_string_value(json_object_get(row, "header")));
			failed++;
		}
	}
	assert_true(json_array_size(rows) > 10);
	json_decref(rows);
	assert_int_equal(failed, 0);
}

static void addresses_are_read(void **state)
{
	(void)state;
	check_rows("mime/address.json", address_row_agrees, address_differences,
		   COUNT_OF(address_differences));
}

static void dates_are_read(void **state)
{
	(void)state;
	check_rows("mime/date.json", date_row_agrees, date_differences, COUNT_OF(date_differences));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_pass_without_loss),
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(dates_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
