#include <string.h>
#include <uniwidth.h>

#include "cli/screen.h"

enum { GAP = 2, CELL_BYTES_MAX = 4096, NOTE_INDENT = 4 };

struct sheet sheet_of(struct arena *arena, const struct sheet_column *columns, unsigned count)
{
	return (struct sheet){ .arena = arena, .columns = columns, .column_count = count };
}

static unsigned width_of(struct view text)
{
	int width = u8_width((const uint8_t *)text.data, text.len, "UTF-8");

	return width > 0 ? (unsigned)width : 0;
}

// The longest beginning that fits, at a character's border.
static struct view cut(struct view text, unsigned width)
{
	while (text.len && width_of(text) > width) {
		do {
			text.len--;
		} while (text.len && ((unsigned char)text.data[text.len] & 0xc0) == 0x80);
	}
	return text;
}

static struct sheet_cell *grow(struct sheet *sheet)
{
	size_t capacity = sheet->capacity ? sheet->capacity * 2 : 64;
	struct sheet_cell *cells;

	if (sheet->count < sheet->capacity) {
		return &sheet->cells[sheet->count++];
	}
	cells = capacity <= (size_t)SHEET_ROWS_MAX * SHEET_COLUMNS_MAX
			? arena_alloc_array(sheet->arena, capacity, sizeof *cells)
			: NULL;
	if (!cells) {
		sheet->failed = true;
		return NULL;
	}
	if (sheet->count) {
		memcpy(cells, sheet->cells, sheet->count * sizeof *cells);
	}
	sheet->cells = cells;
	sheet->capacity = capacity;
	return &sheet->cells[sheet->count++];
}

static void add(struct sheet *sheet, enum tone tone, struct view text, bool note)
{
	struct sheet_cell *cell = grow(sheet);
	struct buffer safe = buffer_with_max(CELL_BYTES_MAX);
	struct view fitting;

	if (!cell) {
		return;
	}
	screen_add_safe(&safe, view_first(text, CELL_BYTES_MAX / 4));
	fitting = buffer_view(&safe);
	if (!note && width_of(fitting) > SHEET_CELL_MAX) {
		safe.len = cut(fitting, SHEET_CELL_MAX - 3).len;
		buffer_add_text(&safe, "...");
	}
	*cell = (struct sheet_cell){ .tone = tone, .note = note };
	cell->text = arena_copy(sheet->arena, buffer_view(&safe));
	cell->width = width_of(cell->text);
	sheet->failed |= !cell->text.data;
	buffer_done(&safe);
}

void sheet_add(struct sheet *sheet, enum tone tone, struct view text)
{
	add(sheet, tone, text, false);
}

void sheet_printf(struct sheet *sheet, enum tone tone, const char *format, ...)
{
	struct buffer text = buffer_with_max(CELL_BYTES_MAX);
	va_list arguments;

	va_start(arguments, format);
	buffer_vprintf(&text, format, arguments);
	va_end(arguments);
	add(sheet, tone, buffer_view(&text), false);
	buffer_done(&text);
}

void sheet_note(struct sheet *sheet, enum tone tone, struct view text)
{
	add(sheet, tone, text, true);
}

// The last column is not padded, unless its text stands at the right.
static void add_cell(struct buffer *out, bool colour, const struct sheet_cell *cell, unsigned width,
		     bool right, bool last)
{
	unsigned pad = width > cell->width ? width - cell->width : 0;

	for (unsigned i = 0; right && i < pad; i++) {
		buffer_add_byte(out, ' ');
	}
	screen_add(out, colour, cell->tone, cell->text);
	for (unsigned i = 0; !last && i < (right ? 0 : pad) + GAP; i++) {
		buffer_add_byte(out, ' ');
	}
	if (last) {
		while (out->len && out->data[out->len - 1] == ' ') {
			out->len--; // of empty cells at the end
		}
		buffer_add_byte(out, '\n');
	}
}

static void measure(const struct sheet *sheet, unsigned widths[SHEET_COLUMNS_MAX])
{
	unsigned column = 0;

	for (unsigned i = 0; i < sheet->column_count; i++) {
		widths[i] = width_of(view_from_text(sheet->columns[i].heading));
	}
	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_cell *cell = &sheet->cells[i];

		if (cell->note) {
			continue;
		}
		if (cell->width > widths[column]) {
			widths[column] = cell->width;
		}
		column = (column + 1) % sheet->column_count;
	}
}

void sheet_add_text(const struct sheet *sheet, bool colour, struct buffer *out)
{
	unsigned widths[SHEET_COLUMNS_MAX];
	unsigned column = 0;

	measure(sheet, widths);
	for (unsigned i = 0; i < sheet->column_count; i++) {
		struct sheet_cell heading = { .tone = TONE_STRONG };

		heading.text = view_from_text(sheet->columns[i].heading);
		heading.width = width_of(heading.text);
		add_cell(out, colour, &heading, widths[i], sheet->columns[i].right,
			 i + 1 == sheet->column_count);
	}
	for (size_t i = 0; i < sheet->count; i++) {
		const struct sheet_cell *cell = &sheet->cells[i];

		if (cell->note) {
			buffer_printf(out, "%*s", NOTE_INDENT, "");
			add_cell(out, colour, cell, 0, false, true);
			continue;
		}
		add_cell(out, colour, cell, widths[column], sheet->columns[column].right,
			 column + 1 == sheet->column_count);
		column = (column + 1) % sheet->column_count;
	}
}
