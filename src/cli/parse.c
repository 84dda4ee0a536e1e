// What was typed, against the table.
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "cli/command.h"
#include "config/load.h"

enum { WORD_SHOWN_MAX = 80 };

// What has been typed so far.
struct typed {
	struct invocation *invocation;
	struct buffer *words; // what is wrong
	unsigned given;       // bits: 1 << enum option_id
	size_t plain_count;   // of the arguments, those without a name
};

const struct command *command_find(struct view words)
{
	for (unsigned i = 0; i < command_count; i++) {
		if (view_equal(words, view_from_text(commands[i].words))) {
			return &commands[i];
		}
	}
	return NULL;
}

bool command_begins(const struct command *command, struct view word)
{
	struct view words = view_from_text(command->words);

	return view_starts(words, word) && (words.len == word.len || words.data[word.len] == ' ');
}

struct view invocation_get(const struct invocation *invocation, const char *name)
{
	for (size_t i = 0; i < invocation->argument_count; i++) {
		if (view_equal(invocation->arguments[i].name, view_from_text(name))) {
			return invocation->arguments[i].value;
		}
	}
	return (struct view){ 0 };
}

bool invocation_has(const struct invocation *invocation, const char *name)
{
	return invocation_get(invocation, name).data != NULL;
}

static void add_quoted(struct buffer *words, struct view typed)
{
	buffer_add_byte(words, '\'');
	text_add_escaped(words, typed, WORD_SHOWN_MAX);
	buffer_add_byte(words, '\'');
}

static void add_guess(struct buffer *words, const struct text_guess *guess, const char *prefix)
{
	if (guess->nearest) {
		buffer_printf(words, ", did you mean '%s%s'?", prefix, guess->nearest);
	}
	buffer_add_byte(words, '\n');
}

void command_say_unknown(struct buffer *words, struct view typed)
{
	struct text_guess guess = { 0 };

	for (unsigned i = 0; i < command_count; i++) {
		text_guess_consider(&guess, typed, commands[i].words);
	}
	buffer_add_text(words, "packetboat: unknown command ");
	add_quoted(words, typed);
	add_guess(words, &guess, "");
}

// ---- options

static int refuse_option(struct typed *typed, struct view name)
{
	struct text_guess guess = { 0 };

	for (int i = 0; i < OPTION_COUNT; i++) {
		text_guess_consider(&guess, name, options[i].name);
	}
	buffer_add_text(typed->words, "packetboat: unknown option ");
	add_quoted(typed->words, name);
	add_guess(typed->words, &guess, "--");
	return EX_USAGE;
}

static void add_argument(struct typed *typed, const char *name, struct view value)
{
	struct invocation *invocation = typed->invocation;

	invocation->arguments[invocation->argument_count++] = (struct control_argument){
		.name = view_from_text(name),
		.value = value,
	};
}

static int take_option(struct typed *typed, enum option_id id, const struct view *value)
{
	const struct option *option = &options[id];

	if (option->value && !value) {
		buffer_printf(typed->words, "packetboat: --%s needs a value: --%s %s\n",
			      option->name, option->name, option->value);
		return EX_USAGE;
	}
	if (typed->given & 1u << id && !option->repeatable) {
		buffer_printf(typed->words, "packetboat: --%s was given twice\n", option->name);
		return EX_USAGE;
	}
	if (option->value && option->fits && !option->fits(*value)) {
		buffer_printf(typed->words, "packetboat: --%s: ", option->name);
		add_quoted(typed->words, *value);
		buffer_printf(typed->words, " %s\n", option->misfit);
		return EX_USAGE;
	}
	typed->given |= 1u << id;
	if (id == OPTION_CONFIG) {
		typed->invocation->config_path = value->data; // a word of argv, or its end
	} else if (id == OPTION_JSON) {
		typed->invocation->json = true;
	} else if (id != OPTION_HELP && id != OPTION_VERSION) {
		add_argument(typed, option->name, option->value ? *value : VIEW("yes"));
	}
	return EX_OK;
}

// "--name", "--name=value" or "--name" with the next word; *index then moves on to that.
static int parse_option(struct typed *typed, int argc, char **argv, int *index)
{
	struct view rest = view_from_text(argv[*index] + 2), name = rest, value;
	size_t equals = view_find(rest, '=');
	bool has_value = equals < rest.len;
	int id = 0;

	name = view_first(rest, equals);
	value = view_from(rest, equals + 1);
	while (id < OPTION_COUNT && !view_equal(name, view_from_text(options[id].name))) {
		id++;
	}
	if (id == OPTION_COUNT) {
		return refuse_option(typed, name);
	}
	if (has_value && !options[id].value) {
		buffer_printf(typed->words, "packetboat: --%s takes no value\n", options[id].name);
		return EX_USAGE;
	}
	if (options[id].value && !has_value && *index + 1 < argc) {
		value = view_from_text(argv[++*index]);
		has_value = true;
	}
	return take_option(typed, (enum option_id)id, has_value ? &value : NULL);
}

static int parse_words(struct typed *typed, int argc, char **argv)
{
	bool options_end = false;

	for (int i = 1; i < argc; i++) {
		int status = EX_OK;

		if (options_end || argv[i][0] != '-' || !argv[i][1]) {
			add_argument(typed, "", view_from_text(argv[i]));
			typed->plain_count++;
		} else if (strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (strcmp(argv[i], "-h") == 0) {
			status = take_option(typed, OPTION_HELP, NULL);
		} else if (argv[i][1] == '-') {
			status = parse_option(typed, argc, argv, &i);
		} else {
			status = refuse_option(typed, view_from_text(argv[i] + 1));
		}
		if (status != EX_OK) {
			return status;
		}
	}
	return EX_OK;
}

// ---- the command

static struct view plain(const struct invocation *invocation, size_t number)
{
	for (size_t i = 0; i < invocation->argument_count; i++) {
		if (invocation->arguments[i].name.len == 0 && number-- == 0) {
			return invocation->arguments[i].value;
		}
	}
	return (struct view){ 0 };
}

// Takes the first count plain arguments out.
static void drop_plain(struct invocation *invocation, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < invocation->argument_count; i++) {
		if (invocation->arguments[i].name.len == 0 && count) {
			count--;
		} else {
			invocation->arguments[kept++] = invocation->arguments[i];
		}
	}
	invocation->argument_count = kept;
}

static int say_group(struct typed *typed, struct view group, struct view second)
{
	struct text_guess guess = { 0 };
	const char *separator = "";

	if (second.len) {
		buffer_printf(typed->words, "packetboat %.*s: unknown command ", VIEW_ARG(group));
		add_quoted(typed->words, second);
		for (unsigned i = 0; i < command_count; i++) {
			if (command_begins(&commands[i], group)) {
				text_guess_consider(&guess, second,
						    commands[i].words + group.len + 1);
			}
		}
		add_guess(typed->words, &guess, "");
	}
	buffer_printf(typed->words, "usage: packetboat %.*s ", VIEW_ARG(group));
	for (unsigned i = 0; i < command_count; i++) {
		if (command_begins(&commands[i], group)) {
			buffer_printf(typed->words, "%s%s", separator,
				      commands[i].words + group.len + 1);
			separator = "|";
		}
	}
	buffer_printf(typed->words, "\nmore:  packetboat help %.*s\n", VIEW_ARG(group));
	return EX_USAGE;
}

static int find_command(struct typed *typed, struct arena *arena)
{
	struct invocation *invocation = typed->invocation;
	struct view first = plain(invocation, 0), second = plain(invocation, 1);
	struct view both = arena_printf(arena, "%.*s %.*s", VIEW_ARG(first), VIEW_ARG(second));

	invocation->command = command_find(both);
	if (invocation->command) {
		drop_plain(invocation, 2);
		return EX_OK;
	}
	invocation->command = command_find(first);
	if (invocation->command) {
		drop_plain(invocation, 1);
		return EX_OK;
	}
	for (unsigned i = 0; i < command_count; i++) {
		if (first.len && command_begins(&commands[i], first)) {
			return say_group(typed, first, second);
		}
	}
	command_say_unknown(typed->words, first);
	buffer_add_text(typed->words, "more: packetboat help\n");
	return EX_USAGE;
}

static int check_arguments(struct typed *typed)
{
	const struct invocation *invocation = typed->invocation;
	const struct command *command = invocation->command;
	unsigned count = 0;

	for (size_t i = 0; i < invocation->argument_count; i++) {
		struct view value = invocation->arguments[i].value;

		if (invocation->arguments[i].name.len) {
			continue;
		}
		count++;
		if (count > command->arguments_max) {
			buffer_printf(typed->words, "packetboat %s: too many arguments, from ",
				      command->words);
			add_quoted(typed->words, value);
			buffer_add_text(typed->words, " on\n");
			return EX_USAGE;
		}
		if (command->fits && !command->fits(value)) {
			buffer_printf(typed->words, "packetboat %s: ", command->words);
			add_quoted(typed->words, value);
			buffer_printf(typed->words, " %s\n", command->misfit);
			return EX_USAGE;
		}
	}
	if (count < command->arguments_min) {
		buffer_printf(typed->words, "packetboat %s: %s is missing\n", command->words,
			      command->arguments);
		return EX_USAGE;
	}
	return EX_OK;
}

static int check_command(struct typed *typed)
{
	const struct command *command = typed->invocation->command;

	for (int i = 0; i < OPTION_COUNT; i++) {
		if (typed->given & 1u << i & ~command->options) {
			buffer_printf(typed->words, "packetboat %s: --%s does not belong here\n",
				      command->words, options[i].name);
			return EX_USAGE;
		}
	}
	return check_arguments(typed);
}

// --help and --version are commands in another spelling: of "help user add --help" the words "user
// add" stay.
static int turn_into(struct typed *typed, const char *words)
{
	struct invocation *invocation = typed->invocation;
	struct view first = plain(invocation, 0), second = plain(invocation, 1);
	size_t count = 0;

	if (view_equal(first, VIEW("help")) && second.len) {
		first = second;
		second = plain(invocation, 2);
	}
	invocation->command = command_find(view_from_text(words));
	if (first.len && invocation->command->arguments_max) {
		invocation->arguments[count++].value = first;
	}
	if (second.len && invocation->command->arguments_max) {
		invocation->arguments[count++].value = second;
	}
	for (size_t i = 0; i < count; i++) {
		invocation->arguments[i].name = (struct view){ 0 };
	}
	invocation->argument_count = count;
	return EX_OK;
}

int invocation_parse(struct arena *arena, int argc, char **argv, struct invocation *ret_invocation,
		     struct buffer *words)
{
	struct invocation invocation = { .config_path = CONFIG_PATH_DEFAULT };
	struct typed typed = { .invocation = &invocation, .words = words };
	int status;

	if (argc - 1 > CONTROL_ARGUMENTS_MAX) {
		buffer_add_text(words, "packetboat: too many arguments\n");
		return EX_USAGE;
	}
	invocation.arguments = arena_alloc_array(arena, (size_t)argc, sizeof *invocation.arguments);
	if (!invocation.arguments) {
		buffer_printf(words, "packetboat: %s\n", error_text(ERROR_NO_MEMORY));
		return EX_OSERR;
	}
	status = parse_words(&typed, argc, argv);
	if (status == EX_OK && typed.given & 1u << OPTION_HELP) {
		status = turn_into(&typed, "help");
	} else if (status == EX_OK && typed.given & 1u << OPTION_VERSION) {
		status = turn_into(&typed, "version");
	} else if (status == EX_OK && typed.plain_count == 0) {
		help_add_all(words, (struct view){ 0 });
		status = EX_USAGE;
	} else if (status == EX_OK) {
		status = find_command(&typed, arena);
		if (status == EX_OK) {
			status = check_command(&typed);
		}
		if (status != EX_OK && invocation.command) {
			help_add_usage(words, invocation.command);
			buffer_printf(words, "more:  packetboat help %s\n",
				      invocation.command->words);
		}
	}
	if (status == EX_OK) {
		*ret_invocation = invocation;
	}
	return status;
}
