#include "base/check.h"
#include "os/log.h"

#include <string.h>

#include "base/buffer.h"

static const uint64_t noon_ms = 1795262400123; // 2026-11-21 12:00:00.123 UTC

static void assert_line(bool json, struct log_field field, const char *expected)
{
	struct buffer line = buffer_with_max(4096);

	log_format(&line, json, noon_ms, "deliver", LOG_INFO, "delivered", &field, 1);
	assert_view(buffer_view(&line), expected);
	buffer_done(&line);
}

static void a_line_has_time_level_process_event_and_fields(void **state)
{
	const struct log_field fields[] = {
		LOG_TEXT("id", VIEW("06f")),
		LOG_NUMBER("delay", 7),
		LOG_TEXT("reason", VIEW("250 2.0.0 ok")),
	};
	struct buffer line = buffer_with_max(4096);

	(void)state;
	log_format(&line, false, noon_ms, "deliver", LOG_INFO, "delivered", fields, 3);
	assert_view(buffer_view(&line), "2026-11-21T12:00:00.123Z info deliver delivered"
					" id=06f delay=7 reason=\"250 2.0.0 ok\"\n");
	buffer_clear(&line);
	log_format(&line, true, noon_ms, "deliver", LOG_INFO, "delivered", fields, 3);
	assert_view(
		buffer_view(&line),
		"{\"time\":\"2026-11-21T12:00:00.123Z\",\"level\":\"info\",\"process\":\"deliver\","
		"\"event\":\"delivered\",\"id\":\"06f\",\"delay\":7,\"reason\":\"250 2.0.0 "
		"ok\"}\n");
	buffer_done(&line);
}

static void a24_remote_text_cannot_break_out_of_its_value(void **state)
{
	static const struct {
		struct view remote;
		const char *text, *json;
	} cases[] = {
		{ VIEW("a\r\n2026 info"), "\"a\\x0d\\x0a2026 info\"",
		  "\"a\\\\x0d\\\\x0a2026 info\"" },
		{ VIEW("x\" status=sent"), "\"x\\\" status=sent\"", "\"x\\\" status=sent\"" },
		{ VIEW("x\\\" y"), "\"x\\\\\\\" y\"", "\"x\\\\\\\\\\\" y\"" },
		{ VIEW("a=b"), "\"a=b\"", "\"a=b\"" },
		{ VIEW(""), "\"\"", "\"\"" },
		{ VIEW("\x1b[2J\0"), "\\x1b[2J\\x00", "\"\\\\x1b[2J\\\\x00\"" },
		{ VIEW("\xff\xc3\xa9"), "\\xff\xc3\xa9", "\"\\\\xff\xc3\xa9\"" },
		{ VIEW("%s%n"), "%s%n", "\"%s%n\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer expected = buffer_with_max(4096);

		buffer_printf(&expected,
			      "2026-11-21T12:00:00.123Z info deliver delivered from=%s\n",
			      cases[i].text);
		assert_line(false, LOG_TEXT("from", cases[i].remote), buffer_text(&expected));
		buffer_clear(&expected);
		buffer_printf(&expected,
			      "{\"time\":\"2026-11-21T12:00:00.123Z\",\"level\":\"info\","
			      "\"process\":\"deliver\",\"event\":\"delivered\",\"from\":%s}\n",
			      cases[i].json);
		assert_line(true, LOG_TEXT("from", cases[i].remote), buffer_text(&expected));
		buffer_done(&expected);
	}
}

static void a24_a_value_is_bounded(void **state)
{
	struct buffer line = buffer_with_max(1 << 20);
	char remote[100000];
	struct log_field field = LOG_TEXT("from", view_of(remote, sizeof remote));

	(void)state;
	memset(remote, '\n', sizeof remote);
	log_format(&line, true, noon_ms, "receive", LOG_NOTICE, "refused", &field, 1);
	assert_int_equal(buffer_error(&line), OK);
	assert_in_range(line.len, 1000, 2200);
	assert_true(view_ends_nocase(buffer_view(&line), VIEW("...\"}\n")));
	buffer_done(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_process_event_and_fields),
		cmocka_unit_test(a24_remote_text_cannot_break_out_of_its_value),
		cmocka_unit_test(a24_a_value_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
