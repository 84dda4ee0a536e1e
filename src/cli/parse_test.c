// What was typed, against the command table: what is understood, and what is said where it is not.
#include <sysexits.h>

#include "base/check.h"
#include "cli/command.h"

enum { WORDS_MAX = 12, MEMORY_MAX = 64 * 1024 };

struct typing {
	struct arena arena;
	struct buffer words;
	struct invocation invocation;
	int status;
};

static struct typing type(const char *line)
{
	struct typing typing = {
		.arena = arena_with_max(MEMORY_MAX),
		.words = buffer_with_max(MEMORY_MAX),
	};
	struct view rest = view_from_text(line), word;
	char *argv[WORDS_MAX + 1] = { (char[]){ "packetboat" } };
	int argc = 1;

	while (argc < WORDS_MAX && view_next_word(&rest, &word)) {
		argv[argc++] = (char *)(uintptr_t)arena_copy(&typing.arena, word).data;
	}
	typing.status =
		invocation_parse(&typing.arena, argc, argv, &typing.invocation, &typing.words);
	return typing;
}

static void done(struct typing *typing)
{
	arena_done(&typing->arena);
	buffer_done(&typing->words);
}

static void each_command_is_found_by_its_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < command_count; i++) {
		struct buffer line = buffer_with_max(MEMORY_MAX);
		struct typing typing;

		buffer_printf(&line, "%s%s", commands[i].words,
			      commands[i].arguments_min ? " 06fq3v8k2m9ta" : "");
		typing = type(buffer_text(&line));
		assert_int_equal(typing.status, EX_OK);
		assert_ptr_equal(typing.invocation.command, &commands[i]);
		done(&typing);
		buffer_done(&line);
	}
}

static void arguments_become_those_of_a_request(void **state)
{
	struct typing typing = type("user add a@example.org --sender *@b.example --sender=<> "
				    "--config /c.yaml");

	(void)state;
	assert_int_equal(typing.status, EX_OK);
	assert_string_equal(typing.invocation.config_path, "/c.yaml");
	assert_int_equal(typing.invocation.argument_count, 3);
	assert_view(typing.invocation.arguments[0].name, "");
	assert_view(typing.invocation.arguments[0].value, "a@example.org");
	assert_view(typing.invocation.arguments[1].name, "sender");
	assert_view(typing.invocation.arguments[1].value, "*@b.example");
	assert_view(typing.invocation.arguments[2].value, "<>");
	done(&typing);
}

static void options_may_stand_anywhere(void **state)
{
	static const char *const lines[] = {
		"--config /c.yaml --json queue show 06fq3v8k2m9ta",
		"queue --config=/c.yaml show --json 06fq3v8k2m9ta",
		"queue show --json --config /c.yaml -- 06fq3v8k2m9ta",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		struct typing typing = type(lines[i]);

		assert_int_equal(typing.status, EX_OK);
		assert_string_equal(typing.invocation.command->words, "queue show");
		assert_true(typing.invocation.json);
		assert_string_equal(typing.invocation.config_path, "/c.yaml");
		assert_view(invocation_get(&typing.invocation, ""), "06fq3v8k2m9ta");
		done(&typing);
	}
}

static void the_configuration_has_its_usual_place(void **state)
{
	struct typing typing = type("status");

	(void)state;
	assert_string_equal(typing.invocation.config_path, "/etc/packetboat/packetboat.yaml");
	assert_false(typing.invocation.json);
	done(&typing);
}

static void help_and_version_are_options_too(void **state)
{
	static const struct {
		const char *line, *command, *first;
		size_t count;
	} cases[] = {
		{ "--help", "help", "", 0 },
		{ "-h", "help", "", 0 },
		{ "help status", "help", "status", 1 },
		{ "status --help", "help", "status", 1 },
		{ "user add --help", "help", "user", 2 },
		{ "queue remove 06fq3v8k2m9ta --help", "help", "queue", 2 },
		{ "--version", "version", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct typing typing = type(cases[i].line);

		assert_int_equal(typing.status, EX_OK);
		assert_string_equal(typing.invocation.command->words, cases[i].command);
		assert_int_equal(typing.invocation.argument_count, cases[i].count);
		assert_view(invocation_get(&typing.invocation, ""), cases[i].first);
		done(&typing);
	}
}

static void a_slip_is_answered_with_what_would_be_right(void **state)
{
	static const struct {
		const char *line, *first_line;
	} cases[] = {
		{ "staus", "packetboat: unknown command 'staus', did you mean 'status'?" },
		{ "frobnicate", "packetboat: unknown command 'frobnicate'" },
		{ "user", "usage: packetboat user add|passwd|list|remove" },
		{ "user ad", "packetboat user: unknown command 'ad', did you mean 'add'?" },
		{ "user add", "packetboat user add: ADDRESS is missing" },
		{ "user add a@b.example c@d.example",
		  "packetboat user add: too many arguments, from 'c@d.example' on" },
		{ "status now", "packetboat status: too many arguments, from 'now' on" },
		{ "status --jsom", "packetboat: unknown option 'jsom', did you mean '--json'?" },
		{ "status -j", "packetboat: unknown option 'j'" },
		{ "status --json=yes", "packetboat: --json takes no value" },
		{ "status --json --json", "packetboat: --json was given twice" },
		{ "status --config", "packetboat: --config needs a value: --config FILE" },
		{ "status --all", "packetboat status: --all does not belong here" },
		{ "queue list --older soon",
		  "packetboat: --older: 'soon' is no duration, such as 30m, 12h or 5d" },
		{ "queue show 123",
		  "packetboat queue show: '123' is no queue id, which has 13 characters such as "
		  "06fq3v8k2m9ta" },
		{ "user add a@b.example --sender a@b@c",
		  "packetboat: --sender: 'a@b@c' is no address pattern; write user@example.org, "
		  "*@example.org, *@*.example.org, <> or *" },
		{ "sta\x1b[2Jtus", "packetboat: unknown command 'sta\\x1b[2Jtus'" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct typing typing = type(cases[i].line);
		struct view rest = buffer_view(&typing.words), line = { 0 };

		assert_int_equal(typing.status, EX_USAGE);
		assert_true(view_next_part(&rest, '\n', &line));
		assert_view(line, cases[i].first_line);
		done(&typing);
	}
}

static void nothing_typed_shows_the_commands(void **state)
{
	struct typing typing = type("");

	(void)state;
	assert_int_equal(typing.status, EX_USAGE);
	for (unsigned i = 0; i < command_count; i++) {
		assert_true(view_find_text(buffer_view(&typing.words),
					   view_from_text(commands[i].line)) < typing.words.len);
	}
	done(&typing);
}

static void a_usage_error_ends_with_the_usage(void **state)
{
	struct typing typing = type("queue show");

	(void)state;
	assert_view(buffer_view(&typing.words),
		    "packetboat queue show: ID is missing\n"
		    "usage: packetboat queue show ID [--config FILE] [--json]\n"
		    "more:  packetboat help queue show\n");
	done(&typing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_is_found_by_its_words),
		cmocka_unit_test(arguments_become_those_of_a_request),
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(the_configuration_has_its_usual_place),
		cmocka_unit_test(help_and_version_are_options_too),
		cmocka_unit_test(a_slip_is_answered_with_what_would_be_right),
		cmocka_unit_test(nothing_typed_shows_the_commands),
		cmocka_unit_test(a_usage_error_ends_with_the_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
