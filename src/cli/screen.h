// What people see: tables with aligned columns, ages and sizes as people say them, colours on a
// terminal only (and not where NO_COLOR is set). Text from elsewhere is made safe here, always
// (attack A24). One thread.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

enum {
	SCREEN_BYTES_MAX = 256 * 1024 * 1024, // of one answer
	SHEET_COLUMNS_MAX = 8,
	SHEET_ROWS_MAX = 4 * 1000 * 1000,
	SHEET_CELL_MAX = 120, // columns of a cell; the rest becomes "..."
};

bool screen_has_colour(void); // standard output is a terminal

// Data to standard output. EX_OK, or EX_IOERR.
int screen_print(const struct buffer *out) must_check;
// Words to standard error.
void screen_say(const char *format, ...) printf_like(1, 2);

enum tone { TONE_PLAIN, TONE_STRONG, TONE_FAINT, TONE_GOOD, TONE_WARNING, TONE_BAD };

// Text with the tone's colours around it, where there are any.
void screen_add(struct buffer *out, bool colour, enum tone tone, struct view text);
// As it is where it is printable, else escaped.
void screen_add_safe(struct buffer *out, struct view text);

void screen_add_age(struct buffer *out, uint64_t ms);     // "now", "42s", "5m", "3h 20m", "12d 4h"
void screen_add_size(struct buffer *out, uint64_t bytes); // "812 B", "1.2 KiB", "50 MiB"
void screen_add_time(struct buffer *out, uint64_t unix_ms); // local: "2026-11-21 20:13:31"

// A table, filled cell by cell, row by row. Cells and their text live in the arena.
struct sheet_column {
	const char *heading;
	bool right; // numbers
};

struct sheet_cell {
	struct view text; // safe
	unsigned width;   // columns on the screen
	enum tone tone;
	bool note; // a line of its own, below its row
};

struct sheet {
	struct arena *arena;
	const struct sheet_column *columns;
	unsigned column_count;
	struct sheet_cell *cells;
	size_t count, capacity;
	bool failed; // memory ran out
};

struct sheet sheet_of(struct arena *arena, const struct sheet_column *columns, unsigned count);
void sheet_add(struct sheet *sheet, enum tone tone, struct view text);
void sheet_printf(struct sheet *sheet, enum tone tone, const char *format, ...) printf_like(3, 4);
// After the last cell of a row: a line below it, set in.
void sheet_note(struct sheet *sheet, enum tone tone, struct view text);
void sheet_add_text(const struct sheet *sheet, bool colour, struct buffer *out);
