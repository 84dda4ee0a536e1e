// The table.
#include "base/text.h"
#include "cli/run.h"
#include "policy/pattern.h"
#include "spool/id.h"

enum { PATTERN_MEMORY_MAX = 4096, NAME_BYTES_MAX = 255 };

static bool is_duration(struct view value)
{
	uint64_t ms;

	return text_to_duration_ms(value, &ms) == OK;
}

static bool is_pattern(struct view value)
{
	struct arena arena = arena_with_max(PATTERN_MEMORY_MAX);
	struct pattern pattern;
	bool good = pattern_parse(&arena, value, &pattern) == OK;

	arena_done(&arena);
	return good;
}

static bool is_text(struct view value)
{
	return value.len > 0 && text_is_utf8(value);
}

static bool is_short_text(struct view value)
{
	return is_text(value) && value.len <= NAME_BYTES_MAX;
}

static bool is_id(struct view value)
{
	uint64_t id;

	return spool_id_parse(value, &id) == OK;
}

#define NO_PATTERN \
	"is no address pattern; write user@example.org, *@example.org, *@*.example.org, <> or *"
#define NO_ID "is no queue id, which has 13 characters such as 06fq3v8k2m9ta"

const struct option options[OPTION_COUNT] = {
	[OPTION_CONFIG] = { "config", "FILE",
			    "the configuration (default /etc/packetboat/packetboat.yaml)", is_text,
			    "is no file name" },
	[OPTION_JSON] = { "json", NULL, "data as JSON, for programs" },
	[OPTION_HELP] = { "help", NULL, "what this command does, with an example" },
	[OPTION_VERSION] = { "version", NULL, "the version" },
	[OPTION_ALL] = { "all", NULL, "every message, where no ID and no other filter is given" },
	[OPTION_FROM] = { "from", "PATTERN", "messages from such senders; <> is the null sender",
			  is_pattern, NO_PATTERN },
	[OPTION_TO] = { "to", "PATTERN", "messages that still have to reach such recipients",
			is_pattern, NO_PATTERN },
	[OPTION_SITE] = { "site", "NAME", "messages waiting for this destination", is_short_text,
			  "is no name of a site" },
	[OPTION_OLDER] = { "older", "DURATION", "messages that wait longer than this", is_duration,
			   "is no duration, such as 30m, 12h or 5d" },
	[OPTION_REASON] = { "reason", "TEXT", "messages whose last reason holds this text", is_text,
			    "is no text" },
	[OPTION_SENDER] = { "sender", "PATTERN",
			    "addresses that this user may also send as; may be given again",
			    is_pattern, NO_PATTERN, true },
	[OPTION_EXPLAIN] = { "explain", NULL,
			     "every key with the value in force and where it was set" },
	[OPTION_EXAMPLE] = { "example", NULL,
			     "a complete file with each key, its default and its meaning" },
};

enum {
	CONFIG = 1 << OPTION_CONFIG,
	ASKING = CONFIG | 1 << OPTION_JSON,
	FILTERS = 1 << OPTION_FROM | 1 << OPTION_TO | 1 << OPTION_SITE | 1 << OPTION_OLDER |
		  1 << OPTION_REASON,
	CHANGING = ASKING | FILTERS | 1 << OPTION_ALL,
	IDS_MAX = 900, // of the CONTROL_ARGUMENTS_MAX of a request
};

const struct command commands[] = {
	{
		.words = "serve",
		.arguments = "",
		.options = CONFIG,
		.line = "run the server, in the foreground",
		.help = "Reads the configuration, binds the ports, starts the processes and runs "
			"until it is\nstopped. Started as root it uses one system user per process "
			"and says how to make a\nmissing one. What it logs goes where the key "
			"log.to says, to standard error at first.",
		.example = "packetboat serve --config /etc/packetboat/packetboat.yaml",
		.next = "In another terminal, `packetboat status` says whether it is ready.\n"
			"`packetboat user add ADDRESS` makes somebody who may send.",
		.run = run_serve,
	},
	{
		.words = "check",
		.arguments = "",
		.options = ASKING | 1 << OPTION_EXPLAIN | 1 << OPTION_EXAMPLE,
		.line = "say whether the configuration is good",
		.help = "Reads the configuration as the server would, with all files that it "
			"includes and the\ncertificates that it names, and reports each problem as "
			"file:line:column. Exit status 0:\ngood (warnings may be there); 1: the "
			"server would refuse it.",
		.example = "packetboat check --example >packetboat.yaml\n"
			   "packetboat check --config packetboat.yaml\n"
			   "packetboat check --config packetboat.yaml --explain",
		.next = "When it is good: `packetboat serve`, or `packetboat reload` where the "
			"server runs.",
		.run = run_check,
	},
	{
		.words = "reload",
		.arguments = "",
		.options = CONFIG,
		.line = "make the running server read its configuration again",
		.help = "No connection is dropped; sessions end with the configuration that they "
			"began with.\nA file that is no good is reported and changes nothing. What "
			"takes a restart is named.",
		.example = "packetboat check && packetboat reload",
		.next = "`packetboat status` shows the ports now in use.",
		.request = CONTROL_RELOAD,
		.run = run_reload,
	},
	{
		.words = "stop",
		.arguments = "",
		.options = CONFIG,
		.line = "stop the running server, and wait until it has stopped",
		.help = "What is in flight is finished first. Accepted messages stay in the spool "
			"and are sent\nafter the next start.",
		.example = "packetboat stop",
		.next = "`packetboat queue list` shows what waits, also while the server is down.",
		.request = CONTROL_STOP,
		.run = run_stop,
	},
	{
		.words = "status",
		.arguments = "",
		.options = ASKING,
		.line = "show how the server is; also the health check",
		.help = "Shows ports, processes, counters and warnings. Exit status 0 only when "
			"every process is\nready; 69 when no server runs, 75 when it is not ready "
			"yet.",
		.example = "packetboat status\n"
			   "packetboat status --json | jq .processes",
		.next = "A process that keeps failing says why here; the log has the details.",
		.request = CONTROL_STATUS,
		.run = run_status,
	},
	{
		.words = "user add",
		.arguments = "ADDRESS",
		.arguments_min = 1,
		.arguments_max = 1,
		.options = CONFIG | 1 << OPTION_SENDER,
		.line = "make a user who may log in and send",
		.help = "The password is asked for twice on the terminal, or read as one line of "
			"standard input.\nThe user may send as this address, its plus forms and "
			"the "
			"aliases that end only there;\n--sender adds more. Works while the server "
			"is down too.",
		.example = "packetboat user add alice@example.org\n"
			   "packetboat user add shop@example.org --sender '*@shop.example.org' "
			   "<password.txt",
		.next = "Set up the mail program with port 465 (TLS) or 587 (STARTTLS), the "
			"address "
			"as user name.",
		.request = CONTROL_USER_ADD,
		.run = run_user_change,
	},
	{
		.words = "user passwd",
		.arguments = "ADDRESS",
		.arguments_min = 1,
		.arguments_max = 1,
		.options = CONFIG,
		.line = "give a user another password",
		.help = "The password is asked for twice on the terminal, or read as one line of "
			"standard input.\nIt holds from the next login on.",
		.example = "packetboat user passwd alice@example.org",
		.next = "`packetboat user list` shows all users.",
		.request = CONTROL_USER_PASSWD,
		.run = run_user_change,
	},
	{
		.words = "user list",
		.arguments = "",
		.options = ASKING,
		.line = "show the users and what they may send as",
		.help = "Shows each user's address and the further addresses that it may send as. "
			"Works while the\nserver is down too.",
		.example = "packetboat user list",
		.next = "`packetboat user add ADDRESS` makes another one.",
		.request = CONTROL_USER_LIST,
		.run = run_user_list,
	},
	{
		.words = "user remove",
		.arguments = "ADDRESS",
		.arguments_min = 1,
		.arguments_max = 1,
		.options = CONFIG,
		.line = "remove a user",
		.help = "The user can no longer log in, and the address is no longer known. Mail "
			"in the mailbox\nstays where it is.",
		.example = "packetboat user remove alice@example.org",
		.next = "The mailbox is in mail_dir/DOMAIN/USER, to be kept or deleted by hand.",
		.request = CONTROL_USER_REMOVE,
		.run = run_user_change,
	},
	{
		.words = "queue list",
		.arguments = "",
		.options = ASKING | FILTERS,
		.line = "show the messages that wait",
		.help = "One line per message and recipient that still waits, the oldest first, "
			"and the last reason.\nFilters narrow it down. Works while the server is "
			"down too.",
		.example = "packetboat queue list\n"
			   "packetboat queue list --to '*@example.net' --older 2h",
		.next = "`packetboat queue show ID` tells all about one; `packetboat queue flush` "
			"tries again now.",
		.request = CONTROL_QUEUE_LIST,
		.run = run_queue_list,
	},
	{
		.words = "queue show",
		.arguments = "ID",
		.arguments_min = 1,
		.arguments_max = 1,
		.fits = is_id,
		.misfit = NO_ID,
		.options = ASKING,
		.line = "show all about one waiting message",
		.help = "Shows sender, recipients with their state, attempts, next attempt and "
			"last reason.\nWorks while the server is down too.",
		.example = "packetboat queue show 06fq3v8k2m9ta",
		.next = "`packetboat trace ID` shows what has happened to it so far.",
		.request = CONTROL_QUEUE_SHOW,
		.run = run_queue_show,
	},
	{
		.words = "queue flush",
		.arguments = "[ID...]",
		.arguments_max = IDS_MAX,
		.fits = is_id,
		.misfit = NO_ID,
		.options = CHANGING,
		.line = "try waiting messages now",
		.help = "Without an ID or a filter, all of them. Held messages stay held.",
		.example = "packetboat queue flush --to '*@example.net'",
		.next = "`packetboat queue list` shows how it went.",
		.request = CONTROL_QUEUE_FLUSH,
		.run = run_queue_change,
	},
	{
		.words = "queue hold",
		.arguments = "[ID...]",
		.arguments_max = IDS_MAX,
		.fits = is_id,
		.misfit = NO_ID,
		.options = CHANGING,
		.line = "keep messages, without attempts, until released",
		.help = "Held messages neither expire nor are they tried. Needs an ID, a filter "
			"or --all.",
		.example = "packetboat queue hold --from '*@shop.example.org'",
		.next = "`packetboat queue release` lets them go.",
		.request = CONTROL_QUEUE_HOLD,
		.run = run_queue_change,
	},
	{
		.words = "queue release",
		.arguments = "[ID...]",
		.arguments_max = IDS_MAX,
		.fits = is_id,
		.misfit = NO_ID,
		.options = CHANGING,
		.line = "let held messages go",
		.help = "They are tried at once. Needs an ID, a filter or --all.",
		.example = "packetboat queue release --all",
		.next = "`packetboat queue list` shows how it went.",
		.request = CONTROL_QUEUE_RELEASE,
		.run = run_queue_change,
	},
	{
		.words = "queue remove",
		.arguments = "[ID...]",
		.arguments_max = IDS_MAX,
		.fits = is_id,
		.misfit = NO_ID,
		.options = CHANGING,
		.line = "delete waiting messages; nobody is told",
		.help = "They are gone for good, and their senders get no report. Needs an ID, a "
			"filter or --all.",
		.example = "packetboat queue list --from '<>' --older 3d\n"
			   "packetboat queue remove --from '<>' --older 3d",
		.next = "Look with `packetboat queue list` and the same filter first.",
		.request = CONTROL_QUEUE_REMOVE,
		.run = run_queue_change,
	},
	{
		.words = "trace",
		.arguments = "ID",
		.arguments_min = 1,
		.arguments_max = 1,
		.fits = is_id,
		.misfit = NO_ID,
		.options = ASKING,
		.line = "show the life of a message",
		.help = "Shows each step that the server took with a message: the connection, each "
			"command\nwith its verdict and reply, where it was routed, each attempt, "
			"and how it ended; also\nfor what has left the queue, and while the "
			"server is down. How far back it reaches\nis set by trace.keep and "
			"trace.size.",
		.example = "packetboat trace 06fq3v8k2m9ta",
		.next = "The queue id is in the reply to DATA, in the Received field and in the "
			"log; so it is\nfor recipients and messages that were refused.",
		.request = CONTROL_TRACE,
		.run = run_trace,
	},
	{
		.words = "help",
		.arguments = "[COMMAND]",
		.arguments_max = 2,
		.options = CONFIG,
		.line = "explain a command, with an example",
		.help = "Without a command, lists all of them. `packetboat COMMAND --help` does "
			"the "
			"same.",
		.example = "packetboat help user add",
		.next = "New here? Start with `packetboat help serve`.",
		.run = run_help,
	},
	{
		.words = "version",
		.arguments = "",
		.options = ASKING,
		.line = "show the version",
		.help = "Shows the version of this program. A running server's is in `packetboat "
			"status`.",
		.example = "packetboat version",
		.next = "`packetboat help` lists what it can do.",
		.run = run_version,
	},
};

const unsigned command_count = sizeof commands / sizeof *commands;
