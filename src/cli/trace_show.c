#include "cli/trace_show.h"

#include "cli/answer.h"

enum {
	TIME_COLUMNS = 9,
	EVENT_COLUMNS = 14,
	TEXT_COLUMN = TIME_COLUMNS + EVENT_COLUMNS,
	SOON_MS = 60 * 1000,
	CELL_BYTES_MAX = 16 * 1024,
};

// A line under way: parts are wrapped at TRACE_SHOW_COLUMNS.
struct line {
	struct buffer *out;
	bool colour;
	size_t column;
	bool is_first; // no part yet
};

static void add_blanks(struct buffer *out, size_t count)
{
	while (count--) {
		buffer_add_byte(out, ' ');
	}
}

// "+12ms", "+3.4s", "+5m"
static void add_since(struct buffer *out, uint64_t ms)
{
	buffer_add_byte(out, '+');
	if (ms < 1000) {
		buffer_printf(out, "%ums", (unsigned)ms);
	} else if (ms < SOON_MS) {
		buffer_printf(out, "%u.%us", (unsigned)(ms / 1000), (unsigned)(ms % 1000 / 100));
	} else {
		screen_add_age(out, ms);
	}
}

static enum tone tone_of(struct view event)
{
	static const struct {
		const char *event;
		enum tone tone;
	} tones[] = {
		{ "accepted", TONE_GOOD },     { "delivered", TONE_GOOD },
		{ "deferred", TONE_WARNING },  { "held", TONE_WARNING },
		{ "refused", TONE_BAD },       { "failed", TONE_BAD },
		{ "expired", TONE_BAD },       { "bounce", TONE_BAD },
		{ "not_stored", TONE_BAD },    { "lost", TONE_WARNING },
		{ "closed", TONE_WARNING },    { "removed", TONE_WARNING },
		{ "no_bounce", TONE_WARNING }, { "delay_warning", TONE_WARNING },
	};

	for (size_t i = 0; i < sizeof tones / sizeof *tones; i++) {
		if (view_equal(event, view_from_text(tones[i].event))) {
			return tones[i].tone;
		}
	}
	return TONE_STRONG;
}

// "delay_warning" is "delay warning" to people.
static void add_event(struct line *line, struct view event, enum tone tone)
{
	struct buffer shown = buffer_with_max(CELL_BYTES_MAX);

	for (size_t i = 0; i < event.len; i++) {
		buffer_add_byte(&shown, event.data[i] == '_' ? ' ' : event.data[i]);
	}
	screen_add(line->out, line->colour, tone, buffer_view(&shown));
	line->column = TIME_COLUMNS + shown.len;
	buffer_done(&shown);
}

static bool has_end(struct view name, const char *end)
{
	return view_ends_nocase(name, view_from_text(end));
}

static void add_value(struct buffer *out, struct view name, const json_t *value)
{
	json_int_t number = json_integer_value(value);
	uint64_t shown = number > 0 ? (uint64_t)number : 0;

	if (json_is_string(value)) {
		screen_add_safe(out, view_from_text(json_string_value(value)));
	} else if (json_is_boolean(value)) {
		buffer_add_text(out, json_is_true(value) ? "yes" : "no");
	} else if (has_end(name, "_bytes")) {
		screen_add_size(out, shown);
	} else if (has_end(name, "attempt_s")) {
		screen_add_time(out, shown * 1000);
	} else if (has_end(name, "_ms")) {
		buffer_printf(out, "%llu.%03us", (unsigned long long)(shown / 1000),
			      (unsigned)(shown % 1000));
	} else if (has_end(name, "_us")) {
		buffer_printf(out, "%llu.%01ums", (unsigned long long)(shown / 1000),
			      (unsigned)(shown % 1000 / 100));
	} else {
		buffer_add_number(out, shown);
	}
}

// "declared_bytes" is "declared": its unit is in the value.
static struct view name_of(struct view name)
{
	static const char *const units[] = { "_bytes", "_ms", "_us", "_s" };

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct view unit = view_from_text(units[i]);

		if (name.len > unit.len && has_end(name, units[i])) {
			return view_first(name, name.len - unit.len);
		}
	}
	return name;
}

static void go_to_text_column(struct line *line)
{
	add_blanks(line->out, TEXT_COLUMN - line->column);
	line->column = TEXT_COLUMN;
}

// On this line if it fits there, else on the next.
static void begin_part(struct line *line, size_t width)
{
	if (line->is_first && line->column < TEXT_COLUMN) {
		go_to_text_column(line);
	} else if (line->is_first || line->column + 2 + width <= TRACE_SHOW_COLUMNS) {
		buffer_add_text(line->out, "  ");
		line->column += 2;
	} else {
		buffer_add_byte(line->out, '\n');
		line->column = 0;
		go_to_text_column(line);
	}
	line->is_first = false;
}

static void add_part(struct line *line, struct view name, const json_t *value)
{
	struct buffer shown = buffer_with_max(CELL_BYTES_MAX), label = buffer_with_max(64);
	struct view short_name = name_of(name);

	for (size_t i = 0; i < short_name.len; i++) {
		buffer_add_byte(&label, short_name.data[i] == '_' ? ' ' : short_name.data[i]);
	}
	buffer_add_byte(&label, ' ');
	add_value(&shown, name, value);
	begin_part(line, label.len + shown.len);
	screen_add(line->out, line->colour, TONE_FAINT, buffer_view(&label));
	buffer_add(line->out, buffer_view(&shown));
	line->column += label.len + shown.len;
	buffer_done(&shown);
	buffer_done(&label);
}

static bool is_head(struct view key)
{
	return view_equal(key, VIEW("time_ms")) || view_equal(key, VIEW("event"));
}

static void show_step(struct buffer *out, bool colour, json_t *step, uint64_t first_ms)
{
	struct line line = { .out = out, .colour = colour, .is_first = true };
	struct buffer since = buffer_with_max(64);
	uint64_t time_ms = answer_number(step, "time_ms");
	struct view event = answer_text(step, "event");
	const char *key;
	json_t *value;

	add_since(&since, time_ms > first_ms ? time_ms - first_ms : 0);
	if (since.len < TIME_COLUMNS - 2) {
		add_blanks(out, TIME_COLUMNS - 2 - since.len);
	}
	screen_add(out, colour, TONE_FAINT, buffer_view(&since));
	buffer_add_text(out, "  ");
	add_event(&line, event, tone_of(event));
	json_object_foreach(step, key, value)
	{
		if (!is_head(view_from_text(key)) &&
		    !(json_is_string(value) && !json_string_length(value))) {
			add_part(&line, view_from_text(key), value);
		}
	}
	buffer_add_byte(out, '\n');
	buffer_done(&since);
}

void trace_show(struct buffer *out, bool colour, struct view id, const json_t *steps)
{
	uint64_t first_ms = answer_number(json_array_get(steps, 0), "time_ms");
	json_t *step;
	size_t i;

	screen_add(out, colour, TONE_STRONG, id);
	buffer_add_text(out, id.len ? "  " : "");
	screen_add_time(out, first_ms);
	buffer_add_byte(out, '\n');
	json_array_foreach(steps, i, step)
	{
		if (json_is_object(step)) {
			show_step(out, colour, step, first_ms);
		}
	}
}
