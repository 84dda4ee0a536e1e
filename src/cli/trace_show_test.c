#include "base/check.h"

#include "cli/trace_show.h"

static void shown_is(const char *json, bool colour, const char *expected)
{
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	json_error_t fault;
	json_t *steps = json_loads(json, 0, &fault);

	assert_non_null(steps);
	trace_show(&out, colour, VIEW("06fq3v8k2m9ta"), steps);
	assert_view(view_from(buffer_view(&out), view_find(buffer_view(&out), '\n') + 1), expected);
	json_decref(steps);
	buffer_done(&out);
}

static void a_step_has_its_time_its_event_and_its_fields(void **state)
{
	(void)state;
	shown_is("[{\"time_ms\":1000,\"event\":\"mail\",\"from\":\"a@b.example\","
		 "\"declared_bytes\":812,\"empty\":\"\"},"
		 "{\"time_ms\":1012,\"event\":\"stored\",\"took_us\":1250,\"good\":true},"
		 "{\"time_ms\":4456,\"event\":\"accepted\",\"took_ms\":3456},"
		 "{\"time_ms\":7201000,\"event\":\"delay_warning\",\"recipients\":3},"
		 "{\"time_ms\":500,\"event\":\"odd_clock\"}]",
		 false,
		 "   +0ms  mail          from a@b.example  declared 812 B\n"
		 "  +12ms  stored        took 1.2ms  good yes\n"
		 "  +3.4s  accepted      took 3.456s\n"
		 "    +2h  delay warning recipients 3\n"
		 "   +0ms  odd clock\n");
}

static void long_lines_are_wrapped_under_their_text(void **state)
{
	(void)state;
	shown_is("[{\"time_ms\":1,\"event\":\"rcpt\","
		 "\"to\":\"a-rather-long-name@a-rather-long-domain.example\","
		 "\"reply\":\"550 5.1.1 No such mailbox here\",\"verdict\":\"refuse\"}]",
		 false,
		 "   +0ms  rcpt          to a-rather-long-name@a-rather-long-domain.example\n"
		 "                       reply 550 5.1.1 No such mailbox here  verdict refuse\n");
}

static void a24_remote_text_cannot_command_the_terminal(void **state)
{
	(void)state;
	shown_is("[{\"time_ms\":1,\"event\":\"mail\",\"helo\":\"\\u001b]0;gone\\u0007\"}]", false,
		 "   +0ms  mail          helo \\x1b]0;gone\\x07\n");
}

static void the_end_has_its_colour(void **state)
{
	(void)state;
	shown_is("[{\"time_ms\":1,\"event\":\"delivered\"},{\"time_ms\":1,\"event\":\"failed\"}]",
		 true,
		 "   \033[2m+0ms\033[0m  \033[32mdelivered\033[0m\n"
		 "   \033[2m+0ms\033[0m  \033[1;31mfailed\033[0m\n");
}

static void what_is_no_step_is_passed_over(void **state)
{
	(void)state;
	shown_is("[1,\"x\",null]", false, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_has_its_time_its_event_and_its_fields),
		cmocka_unit_test(long_lines_are_wrapped_under_their_text),
		cmocka_unit_test(a24_remote_text_cannot_command_the_terminal),
		cmocka_unit_test(the_end_has_its_colour),
		cmocka_unit_test(what_is_no_step_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
