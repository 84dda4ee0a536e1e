#include "os/log.h"

#include <time.h>

#include "base/text.h"

enum { TEXT_MAX = 1024 }; // bytes of one field's text once escaped; "..." ends a longer one

static const char *const level_names[] = { "error", "warning", "notice", "info", "debug" };

static void add_time(struct buffer *out, uint64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc;

	if (!gmtime_r(&seconds, &utc)) {
		utc = (struct tm){ .tm_year = 70, .tm_mday = 1 };
	}
	buffer_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", utc.tm_year + 1900,
		      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		      (unsigned)(wall_ms % 1000));
}

// In double quotes. The text holds no control characters any more.
static void add_quoted(struct buffer *out, struct view text, const char *special)
{
	struct view specials = view_from_text(special);

	buffer_add_byte(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (view_find(specials, text.data[i]) < specials.len) {
			buffer_add_byte(out, '\\');
		}
		buffer_add_byte(out, text.data[i]);
	}
	buffer_add_byte(out, '"');
}

// A backslash is doubled by the escaping already, so that in text only the quote needs one.
static void add_text_value(struct buffer *out, struct view escaped)
{
	bool plain = escaped.len > 0;

	for (size_t i = 0; i < escaped.len; i++) {
		char c = escaped.data[i];

		plain = plain && c != ' ' && c != '"' && c != '=';
	}
	if (plain) {
		buffer_add(out, escaped);
	} else {
		add_quoted(out, escaped, "\"");
	}
}

static void add_field(struct buffer *out, bool json, const struct log_field *field,
		      struct buffer *scratch)
{
	if (json) {
		buffer_printf(out, ",\"%s\":", field->name);
	} else {
		buffer_printf(out, " %s=", field->name);
	}
	if (field->kind == LOG_FIELD_NUMBER) {
		buffer_add_number(out, field->number);
		return;
	}
	buffer_clear(scratch);
	text_add_escaped(scratch, field->text, TEXT_MAX);
	if (json) {
		add_quoted(out, buffer_view(scratch), "\"\\");
	} else {
		add_text_value(out, buffer_view(scratch));
	}
}

void log_format(struct buffer *out, bool json, uint64_t wall_ms, const char *process,
		enum log_level level, const char *event, const struct log_field *fields,
		unsigned count)
{
	struct buffer scratch = buffer_with_max(TEXT_MAX + 16);

	buffer_add_text(out, json ? "{\"time\":\"" : "");
	add_time(out, wall_ms);
	buffer_printf(
		out, json ? "\",\"level\":\"%s\",\"process\":\"%s\",\"event\":\"%s\"" : " %s %s %s",
		level_names[level], process, event);
	for (unsigned i = 0; i < count; i++) {
		add_field(out, json, &fields[i], &scratch);
	}
	buffer_add_text(out, json ? "}\n" : "\n");
	buffer_done(&scratch);
}
