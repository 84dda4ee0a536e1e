// Help and usage, from the table.
#include <string.h>
#include <sysexits.h>

#include "cli/run.h"
#include "cli/screen.h"

enum { COLUMN_COMMAND = 18, COLUMN_OPTION = 22 };

static void add_padded(struct buffer *out, const char *text, size_t width)
{
	size_t len = strlen(text);

	buffer_add_text(out, text);
	do {
		buffer_add_byte(out, ' ');
	} while (++len < width);
}

// Every line of text, set in.
static void add_lines(struct buffer *out, const char *text)
{
	struct view rest = view_from_text(text), line;

	while (view_next_part(&rest, '\n', &line)) {
		buffer_add_text(out, "  ");
		buffer_add(out, line);
		buffer_add_byte(out, '\n');
	}
}

void help_add_usage(struct buffer *out, const struct command *command)
{
	buffer_printf(out, "usage: packetboat %s%s%s", command->words,
		      *command->arguments ? " " : "", command->arguments);
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (command->options & 1u << i) {
			buffer_printf(out, " [--%s%s%s]%s", options[i].name,
				      options[i].value ? " " : "",
				      options[i].value ? options[i].value : "",
				      options[i].repeatable ? "..." : "");
		}
	}
	buffer_add_byte(out, '\n');
}

static void add_options(struct buffer *out, const struct command *command)
{
	buffer_add_text(out, "\nOptions\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		struct buffer name = buffer_with_max(COLUMN_OPTION * 2);

		if (!(command->options & 1u << i)) {
			continue;
		}
		buffer_printf(&name, "  --%s%s%s", options[i].name, options[i].value ? " " : "",
			      options[i].value ? options[i].value : "");
		add_padded(out, buffer_text(&name), COLUMN_OPTION);
		buffer_printf(out, "%s\n", options[i].help);
		buffer_done(&name);
	}
}

void help_add_command(struct buffer *out, const struct command *command)
{
	buffer_printf(out, "packetboat %s: %s\n\n", command->words, command->line);
	help_add_usage(out, command);
	buffer_printf(out, "\n%s\n", command->help);
	if (command->options) {
		add_options(out, command);
	}
	buffer_add_text(out, "\nExample\n");
	add_lines(out, command->example);
	buffer_add_text(out, "\nNext\n");
	add_lines(out, command->next);
}

void help_add_all(struct buffer *out, struct view words)
{
	buffer_add_text(out, "packetboat " PACKETBOAT_VERSION ": a mail server\n\n"
			     "usage: packetboat COMMAND [ARGUMENT...] [OPTION...]\n\n");
	for (unsigned i = 0; i < command_count; i++) {
		if (words.len == 0 || command_begins(&commands[i], words)) {
			buffer_add_text(out, "  ");
			add_padded(out, commands[i].words, COLUMN_COMMAND - 2);
			buffer_printf(out, "%s\n", commands[i].line);
		}
	}
	buffer_add_text(out, "\n`packetboat help COMMAND` tells more, with an example.\n");
	if (words.len == 0) {
		buffer_add_text(out,
				"The configuration is /etc/packetboat/packetboat.yaml, or what "
				"--config FILE names.\n"
				"New here? `packetboat check --example` prints one; its one line "
				"`hostname:` is enough.\n");
	}
}

static bool is_group(struct view word)
{
	for (unsigned i = 0; i < command_count; i++) {
		if (command_begins(&commands[i], word)) {
			return true;
		}
	}
	return word.len == 0;
}

// The longest beginning of what was typed that is a command: "queue show ID --help" helps too.
static const struct command *find_beginning(struct view typed)
{
	const struct command *command = command_find(typed);

	return command ? command : command_find(view_first(typed, view_find(typed, ' ')));
}

int run_help(const struct invocation *invocation)
{
	struct buffer out = buffer_with_max(SCREEN_BYTES_MAX);
	struct buffer typed = buffer_with_max(SCREEN_BYTES_MAX);
	const struct command *command;
	int status = EX_OK;

	for (size_t i = 0; i < invocation->argument_count; i++) {
		buffer_add_text(&typed, i ? " " : "");
		buffer_add(&typed, invocation->arguments[i].value);
	}
	command = find_beginning(buffer_view(&typed));
	if (command) {
		help_add_command(&out, command);
	} else if (is_group(buffer_view(&typed))) {
		help_add_all(&out, buffer_view(&typed));
	} else {
		command_say_unknown(&out, buffer_view(&typed));
		screen_say("%s", buffer_text(&out));
		buffer_clear(&out);
		status = EX_USAGE;
	}
	if (status == EX_OK) {
		status = screen_print(&out);
	}
	buffer_done(&out);
	buffer_done(&typed);
	return status;
}
