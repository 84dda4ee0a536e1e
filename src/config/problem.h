// Where something stands in a file, and the list of what is wrong there. Inside this room.
#pragma once

#include "config/load.h"

struct place {
	struct view file;
	unsigned line, column; // from 1; 0: the file as a whole
};

struct problems {
	struct arena *arena;
	struct config_problem items[CONFIG_PROBLEMS_MAX];
	size_t count;
	size_t errors; // counted beyond the cap too
	bool no_memory;
};

void problem_add(struct problems *problems, struct place place, const char *format, ...)
	printf_like(3, 4);
void problem_warn(struct problems *problems, struct place place, const char *format, ...)
	printf_like(3, 4);

// Text out of a file, safe to show and not too long.
struct view problem_shown(struct problems *problems, struct view text);
#define SHOWN(problems, text) VIEW_ARG(problem_shown((problems), (text)))

// A key and where it stands, for finding those that stand there twice.
struct placed_key {
	struct view key;
	struct place place;
	size_t order;
};

// Sorts the keys, and says for each that equals an earlier one where that was.
void problem_check_twice(struct problems *problems, struct placed_key *keys, size_t count);
