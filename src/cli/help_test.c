// Help that teaches: every command and option says what it does, with an example and what is next.
#include "base/check.h"
#include "cli/command.h"

enum { HELP_BYTES_MAX = 16 * 1024, COLUMNS_MAX = 100 };

static bool holds(const struct buffer *out, const char *text)
{
	return view_find_text(buffer_view(out), view_from_text(text)) < out->len;
}

static void each_command_teaches(void **state)
{
	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		const struct command *command = &commands[i];
		struct buffer out = buffer_with_max(HELP_BYTES_MAX);

		help_add_command(&out, command);
		assert_int_equal(buffer_error(&out), OK);
		assert_true(holds(&out, command->line));
		assert_true(holds(&out, command->help));
		assert_true(holds(&out, "\nExample\n  packetboat "));
		assert_true(holds(&out, "\nNext\n  "));
		for (int option = 0; option < OPTION_COUNT; option++) {
			if (command->options & 1u << option) {
				assert_true(holds(&out, options[option].help));
			}
		}
		buffer_done(&out);
	}
}

static void no_line_is_too_long(void **state)
{
	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		struct buffer out = buffer_with_max(HELP_BYTES_MAX);
		struct view rest, line;

		help_add_command(&out, &commands[i]);
		rest = buffer_view(&out);
		while (view_next_part(&rest, '\n', &line)) {
			if (!view_starts(line, VIEW("usage:")) && line.len > COLUMNS_MAX) {
				fail_msg("%.*s", VIEW_ARG(line));
			}
		}
		buffer_done(&out);
	}
}

static void each_option_belongs_to_a_command(void **state)
{
	unsigned used = 1u << OPTION_HELP | 1u << OPTION_VERSION;

	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		used |= commands[i].options;
	}
	assert_int_equal(used, (1u << OPTION_COUNT) - 1);
}

static void each_request_has_its_command(void **state)
{
	(void)state;
	for (int request = CONTROL_NONE + 1; request < CONTROL_COMMAND_COUNT; request++) {
		const char *words = control_command_words((enum control_command)request);
		const struct command *command = command_find(view_from_text(words));

		assert_non_null(command);
		assert_int_equal(command->request, request);
	}
}

static void a_group_shows_its_own(void **state)
{
	struct buffer out = buffer_with_max(HELP_BYTES_MAX);

	(void)state;
	help_add_all(&out, VIEW("user"));
	assert_true(holds(&out, "user add"));
	assert_false(holds(&out, "queue list"));
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_teaches),
		cmocka_unit_test(no_line_is_too_long),
		cmocka_unit_test(each_option_belongs_to_a_command),
		cmocka_unit_test(each_request_has_its_command),
		cmocka_unit_test(a_group_shows_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
