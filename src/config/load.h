// From files to struct config. Every fault is reported, each with its place, up to
// CONFIG_PROBLEMS_MAX of them, as "packetboat.yaml:12:9: unknown key 'tsl', did you mean 'tls'?".
// Loading reads files, blocking: for the supervisor and commands, at start and reload.
#pragma once

#include "config/config.h"

enum {
	CONFIG_PROBLEMS_MAX = 50,
	CONFIG_FILES_MAX = 256,                  // included ones and itself
	CONFIG_FILE_SIZE_MAX = 16 * 1024 * 1024, // bytes
};

#define CONFIG_PATH_DEFAULT "/etc/packetboat/packetboat.yaml"

// Where files come from: the disk (config_files_of_disk), or a test's table.
struct config_files {
	void *context;
	// Appends the whole file to out. ERROR_NOT_FOUND, ERROR_PERMISSION, ERROR_LIMIT, ...
	enum error (*read)(void *context, const char *path, struct buffer *out);
	// Calls fn with each name in the folder, in any order.
	enum error (*list)(void *context, const char *dir,
			   bool (*fn)(void *context, const char *name), void *fn_context);
};

struct config_files config_files_of_disk(void);

struct config_problem {
	struct view file;
	unsigned line, column; // from 1; 0: about the file as a whole
	struct view text;
	bool warning; // worth saying, yet the configuration is good
};

// Where a value was set. A key that has no origin has its default.
struct config_origin {
	struct view key; // "limits.message_size", "listeners[0].port", "domains.example.org"
	struct view file;
	unsigned line, column;
};

struct config_loaded {
	const struct config *config; // NULL when a problem that is no warning was found
	CONFIG_LIST(struct config_problem) problems;
	CONFIG_LIST(struct config_origin) origins; // in the order of the files
	CONFIG_LIST(struct view) files;            // those read: the file itself, included, aliases
	// Where the server is that this file is for, known even while other keys are no good, so
	// that it can be asked and stopped. Empty: not even this is known.
	struct view data_dir;
};

// An error only when memory ran out; a configuration that is no good is a result with problems.
enum error config_load(struct config_files files, const char *path, struct arena *arena,
		       struct config_loaded *ret_loaded) must_check;

// "packetboat.yaml:12:9: unknown key 'tsl', did you mean 'tls'?"; no line end.
void config_problem_add_text(struct buffer *out, const struct config_problem *problem);

// NULL: the default is in force.
const struct config_origin *config_origin_find(const struct config_loaded *loaded, struct view key);
