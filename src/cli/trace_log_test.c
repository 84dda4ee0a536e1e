// Lines of the log about one message, in both of its formats.
#include "cli/trace_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

enum { OUT_BYTES_MAX = 1024 * 1024, LONG_LINE = 700 * 1024 };

static const struct view ID = VIEW("06fq3v8k2m9ta");

static enum error read_log(struct view log, bool json, struct buffer *out)
{
	char path[] = "/tmp/trace-log-test-XXXXXX";
	int file = mkstemp(path);
	enum error error;

	assert_true(file >= 0);
	assert_int_equal(write(file, log.data, log.len), log.len);
	close(file);
	error = trace_log_read(path, json, ID, out);
	assert_int_equal(remove(path), 0);
	return error;
}

static void text_lines_become_steps(void **state)
{
	struct buffer out = buffer_with_max(OUT_BYTES_MAX);

	(void)state;
	assert_int_equal(
		read_log(VIEW("T1 info receive received id=06fq3v8k2m9ta from=a@example.org\n"
			      "T2 info receive received id=06fq3v8k2m9tb from=b@example.org\n"
			      "broken id=06fq3v8k2m9ta\n"
			      "T3 info deliver delivered id=06fq3v8k2m9ta reason=\"250 \\\\x1b\"\n"
			      "T4 info deliver half a line id=06fq3v8k2m9ta"),
			 false, &out),
		OK);
	assert_view(buffer_view(&out),
		    "[{\"time\":\"T1\",\"level\":\"info\",\"process\":\"receive\","
		    "\"event\":\"received\",\"fields\":\"id=06fq3v8k2m9ta from=a@example.org\"},"
		    "{\"time\":\"T3\",\"level\":\"info\",\"process\":\"deliver\","
		    "\"event\":\"delivered\","
		    "\"fields\":\"id=06fq3v8k2m9ta reason=\\\"250 \\\\\\\\\\\\\\\\x1b\\\"\"}]");
	buffer_done(&out);
}

static void json_lines_are_steps(void **state)
{
	struct buffer out = buffer_with_max(OUT_BYTES_MAX);

	(void)state;
	assert_int_equal(read_log(VIEW("{\"event\":\"a\",\"id\":\"06fq3v8k2m9ta\"}\n"
				       "{\"event\":\"b\",\"id\":\"06fq3v8k2m9tb\"}\n"
				       "{\"event\":\"torn\",\"id\":\"06fq3v8k2m9ta\"\n"
				       "{\"event\":\"c\",\"id\":\"06fq3v8k2m9ta\"}\n"),
				  true, &out),
			 OK);
	assert_view(buffer_view(&out), "[{\"event\":\"a\",\"id\":\"06fq3v8k2m9ta\"},"
				       "{\"event\":\"c\",\"id\":\"06fq3v8k2m9ta\"}]");
	buffer_done(&out);
}

static void a_line_without_end_costs_bounded_memory(void **state)
{
	static const char last[] = "\n{\"event\":\"c\",\"id\":\"06fq3v8k2m9ta\"}\n";
	struct buffer log = buffer_with_max(OUT_BYTES_MAX), out = buffer_with_max(OUT_BYTES_MAX);

	(void)state;
	for (int i = 0; i < LONG_LINE; i++) {
		buffer_add_byte(&log, 'x');
	}
	buffer_add_text(&log, last);
	assert_int_equal(read_log(buffer_view(&log), true, &out), OK);
	assert_view(buffer_view(&out), "[{\"event\":\"c\",\"id\":\"06fq3v8k2m9ta\"}]");
	buffer_done(&log);
	buffer_done(&out);
}

static void no_line_is_not_found(void **state)
{
	struct buffer out = buffer_with_max(OUT_BYTES_MAX);

	(void)state;
	assert_int_equal(read_log(VIEW("T1 info receive received id=other\n"), false, &out),
			 ERROR_NOT_FOUND);
	buffer_clear(&out);
	assert_int_equal(trace_log_read("/nonexistent/log", true, ID, &out), ERROR_NOT_FOUND);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_lines_become_steps),
		cmocka_unit_test(json_lines_are_steps),
		cmocka_unit_test(a_line_without_end_costs_bounded_memory),
		cmocka_unit_test(no_line_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
