// Replies: every row of the table, and what may stand in a line.
#include <string.h>

#include "base/check.h"
#include "smtp/reply.h"

static void every_reply_is_well_formed(void **state)
{
	(void)state;
	for (int id = 0; id < SMTP_REPLY_COUNT; id++) {
		struct smtp_reply reply = smtp_reply((enum smtp_reply_id)id);

		assert_in_range(reply.code, 200, 599);
		assert_true(reply.status.class == 0 || reply.status.class == reply.code / 100);
		assert_true(reply.status.class == 0 || reply.code / 100 != 3);
		assert_true(reply.status.subject <= 7);
		assert_true(strlen(reply.text) < 100);
	}
}

static void lines_as_they_are_sent(void **state)
{
	struct buffer out = buffer_with_max(4096);
	struct smtp_reply reply = smtp_reply_with(SMTP_REPLY_QUEUED, VIEW("0abc"));

	(void)state;
	smtp_reply_write(&out, &reply);
	reply = smtp_reply(SMTP_REPLY_SEND_DATA);
	smtp_reply_write(&out, &reply);
	reply = smtp_reply_of(550, (struct smtp_status){ 5, 7, 26 }, VIEW("No"));
	smtp_reply_write(&out, &reply);
	assert_view(buffer_view(&out), "250 2.0.0 Queued as 0abc\r\n"
				       "354 End data with <CR><LF>.<CR><LF>\r\n"
				       "550 5.7.26 No\r\n");
	buffer_done(&out);
}

static void remote_text_cannot_break_a_line(void **state)
{
	struct smtp_reply reply =
		smtp_reply_with(SMTP_REPLY_POLICY, VIEW("a\r\n250 ok\0\x1b[2J\xc3\xbc"));

	(void)state;
	assert_string_equal(reply.text, "Refused by policy a??250 ok??[2J??");
}

static void lines_stay_below_512_octets(void **state)
{
	struct buffer out = buffer_with_max(4096);
	char text[2000];
	struct smtp_reply reply;

	(void)state;
	memset(text, 'x', sizeof text);
	reply = smtp_reply_of(554, (struct smtp_status){ 5, 999, 999 }, view_of(text, sizeof text));
	smtp_reply_write(&out, &reply);
	assert_in_range(out.len, SMTP_REPLY_TEXT_MAX, 512);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reply_is_well_formed),
		cmocka_unit_test(lines_as_they_are_sent),
		cmocka_unit_test(remote_text_cannot_break_a_line),
		cmocka_unit_test(lines_stay_below_512_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
