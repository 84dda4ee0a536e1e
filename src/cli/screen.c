#include "cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum {
	SAFE_TEXT_MAX = 64 * 1024,
	SECOND_MS = 1000,
	MINUTE_MS = 60 * SECOND_MS,
	HOUR_MS = 60 * MINUTE_MS,
	DAY_MS = 24 * HOUR_MS,
};

bool screen_has_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
	       !(terminal && view_equal(view_from_text(terminal), VIEW("dumb")));
}

int screen_print(const struct buffer *out)
{
	if (buffer_error(out) != OK) {
		screen_say("packetboat: too much to show: %s\n", error_text(out->error));
		return EX_OSERR;
	}
	if ((out->len && fwrite(out->data, 1, out->len, stdout) != out->len) ||
	    fflush(stdout) != 0) {
		screen_say("packetboat: cannot write to standard output\n");
		return EX_IOERR;
	}
	return EX_OK;
}

void screen_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

void screen_add(struct buffer *out, bool colour, enum tone tone, struct view text)
{
	static const char *const codes[] = {
		[TONE_STRONG] = "1",   [TONE_FAINT] = "2",  [TONE_GOOD] = "32",
		[TONE_WARNING] = "33", [TONE_BAD] = "1;31",
	};
	bool painted = colour && tone != TONE_PLAIN && text.len;

	if (painted) {
		buffer_printf(out, "\033[%sm", codes[tone]);
	}
	screen_add_safe(out, text);
	if (painted) {
		buffer_add_text(out, "\033[0m");
	}
}

void screen_add_safe(struct buffer *out, struct view text)
{
	if (text_is_utf8(text) && text_is_printable(text)) {
		buffer_add(out, text);
	} else {
		text_add_escaped(out, text, SAFE_TEXT_MAX);
	}
}

void screen_add_age(struct buffer *out, uint64_t ms)
{
	static const struct {
		unsigned ms, below_ms; // below: the next smaller unit that is shown with it
		const char *name, *below;
	} units[] = {
		{ DAY_MS, HOUR_MS, "d", "h" },
		{ HOUR_MS, MINUTE_MS, "h", "m" },
		{ MINUTE_MS, 0, "m", "" },
		{ SECOND_MS, 0, "s", "" },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		uint64_t below = units[i].below_ms ? ms % units[i].ms / units[i].below_ms : 0;

		if (ms < units[i].ms) {
			continue;
		}
		buffer_add_number(out, ms / units[i].ms);
		buffer_add_text(out, units[i].name);
		if (below) {
			buffer_add_byte(out, ' ');
			buffer_add_number(out, below);
			buffer_add_text(out, units[i].below);
		}
		return;
	}
	buffer_add_text(out, "now");
}

void screen_add_size(struct buffer *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned rest = 0;
	size_t unit = 0;

	while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		rest = bytes % 1024;
		bytes /= 1024;
		unit++;
	}
	buffer_add_number(out, bytes);
	if (bytes < 10 && rest * 10 / 1024) {
		buffer_printf(out, ".%u", rest * 10 / 1024);
	}
	buffer_add_byte(out, ' ');
	buffer_add_text(out, units[unit]);
}

void screen_add_time(struct buffer *out, uint64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / SECOND_MS);
	struct tm parts;
	char text[32];

	if (localtime_r(&seconds, &parts) &&
	    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)) {
		buffer_add_text(out, text);
	}
}
