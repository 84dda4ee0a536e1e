// packetboat(1). One table holds its commands; dispatch, help, usage errors and the tests that
// enumerate commands are made from it. Data goes to standard output, words for people to standard
// error; exit statuses are those of sysexits.h.
//
// One thread. An invocation is what was typed, checked against the table: its arguments are already
// in the form of a control request (link/control.h), options without their "--".
#pragma once

#include "link/control.h"

enum option_id {
	OPTION_CONFIG,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_ALL,
	OPTION_FROM,
	OPTION_TO,
	OPTION_SITE,
	OPTION_OLDER,
	OPTION_REASON,
	OPTION_SENDER,
	OPTION_EXPLAIN,
	OPTION_EXAMPLE,
	OPTION_COUNT,
};

struct option {
	const char *name;  // without "--"
	const char *value; // what its value is called; NULL: it takes none
	const char *help;
	bool (*fits)(struct view value); // NULL: any
	const char *misfit;              // "is no duration, such as 30m, 12h or 5d"
	bool repeatable;
};

extern const struct option options[OPTION_COUNT];

struct invocation;

struct command {
	const char *words;     // "user add"
	const char *arguments; // as the usage line shows them: "ADDRESS", "[ID...]"; "" for none
	unsigned arguments_min, arguments_max;
	bool (*fits)(struct view argument); // NULL: any
	const char *misfit;
	unsigned options;             // bits: 1 << enum option_id
	const char *line;             // what it does, in one line
	const char *help;             // what it does, whole
	const char *example;          // lines to type
	const char *next;             // what to do next
	enum control_command request; // what the server is asked, where it is asked
	int (*run)(const struct invocation *invocation);
};

extern const struct command commands[];
extern const unsigned command_count;

struct invocation {
	const struct command *command;
	const char *config_path;
	bool json;
	struct control_argument *arguments;
	size_t argument_count;
};

const struct command *command_find(struct view words); // "user add"; or NULL
// The command's words are this word, or begin with it.
bool command_begins(const struct command *command, struct view word);
// "unknown command 'staus', did you mean 'status'?"
void command_say_unknown(struct buffer *words, struct view typed);

// The value of the first argument of this name ("" for the first plain one); empty: none.
struct view invocation_get(const struct invocation *invocation, const char *name);
bool invocation_has(const struct invocation *invocation, const char *name);

// Checks what was typed. EX_OK; or EX_USAGE, and words say what is wrong and what would be right.
// "user add --help" becomes the command help with the arguments "user" and "add".
int invocation_parse(struct arena *arena, int argc, char **argv, struct invocation *ret_invocation,
		     struct buffer *words) must_check;

// The whole program but for the processes that the supervisor starts: returns the exit status.
int command_run(int argc, char **argv);

// Help, appended to out. words "user": all commands that begin so.
void help_add_all(struct buffer *out, struct view words);
void help_add_command(struct buffer *out, const struct command *command);
void help_add_usage(struct buffer *out, const struct command *command); // one line
