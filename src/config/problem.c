#include "config/problem.h"

#include <stdlib.h>

#include "base/text.h"

enum { TEXT_MAX = 1000, SHOWN_MAX = 80 };

static void add(struct problems *problems, struct place place, bool warning, struct view text)
{
	struct config_problem *problem;

	problems->errors += !warning;
	if (problems->count == CONFIG_PROBLEMS_MAX) {
		return;
	}
	problem = &problems->items[problems->count];
	*problem = (struct config_problem){
		.file = place.file,
		.line = place.line,
		.column = place.column,
		.text = arena_copy(problems->arena, text),
		.warning = warning,
	};
	if (!problem->text.data) {
		problems->no_memory = true;
		return;
	}
	problems->count++;
}

static void add_formatted(struct problems *problems, struct place place, bool warning,
			  const char *format, va_list arguments) printf_like(4, 0);

static void add_formatted(struct problems *problems, struct place place, bool warning,
			  const char *format, va_list arguments)
{
	struct buffer text = buffer_with_max(TEXT_MAX);

	buffer_vprintf(&text, format, arguments);
	add(problems, place, warning, buffer_view(&text));
	buffer_done(&text);
}

void problem_add(struct problems *problems, struct place place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_formatted(problems, place, false, format, arguments);
	va_end(arguments);
}

void problem_warn(struct problems *problems, struct place place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_formatted(problems, place, true, format, arguments);
	va_end(arguments);
}

struct view problem_shown(struct problems *problems, struct view text)
{
	struct buffer shown = buffer_with_max(SHOWN_MAX + 4);
	struct view copy;

	text_add_escaped(&shown, text, SHOWN_MAX);
	copy = arena_copy(problems->arena, buffer_view(&shown));
	buffer_done(&shown);
	if (!copy.data) {
		problems->no_memory = true;
		return VIEW("");
	}
	return copy;
}

void config_problem_add_text(struct buffer *out, const struct config_problem *problem)
{
	text_add_escaped(out, problem->file, 4096);
	if (problem->line) {
		buffer_printf(out, ":%u:%u", problem->line, problem->column);
	}
	buffer_printf(out, ": %s%.*s", problem->warning ? "warning: " : "",
		      VIEW_ARG(problem->text));
}

static int by_key(const void *a, const void *b)
{
	const struct placed_key *x = a, *y = b;
	int order = view_compare(x->key, y->key);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

void problem_check_twice(struct problems *problems, struct placed_key *keys, size_t count)
{
	if (count == 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		keys[i].order = i;
	}
	qsort(keys, count, sizeof *keys, by_key);
	for (size_t i = 1; i < count; i++) {
		const struct placed_key *first = &keys[i - 1], *second = &keys[i];

		if (!view_equal(first->key, second->key)) {
			continue;
		}
		if (view_equal(first->place.file, second->place.file)) {
			problem_add(problems, second->place, "'%.*s' is set already, in line %u",
				    SHOWN(problems, second->key), first->place.line);
		} else {
			problem_add(problems, second->place, "'%.*s' is set already, in %.*s:%u",
				    SHOWN(problems, second->key),
				    SHOWN(problems, first->place.file), first->place.line);
		}
	}
}
