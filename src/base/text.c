#include "base/text.h"

// Length of the well-formed UTF-8 sequence at the start of the bytes; 0 when there is none.
static size_t utf8_sequence(struct view text, uint32_t *ret_code)
{
	const uint8_t *b = (const uint8_t *)text.data;
	static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	uint32_t code;

	if (len == 0 || len > text.len || b[0] > 0xf4) {
		return 0;
	}
	code = len == 1 ? b[0] : b[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (b[i] & 0x3f);
	}
	if (len > 1 && code < smallest[len]) {
		return 0;
	}
	if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) {
		return 0;
	}
	*ret_code = code;
	return len;
}

bool text_is_utf8(struct view text)
{
	uint32_t code;

	while (text.len) {
		size_t len = utf8_sequence(text, &code);

		if (len == 0) {
			return false;
		}
		text = view_from(text, len);
	}
	return true;
}

bool text_is_ascii(struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((uint8_t)text.data[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

// Controls, and the marks that reorder or hide text on a terminal.
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	       code == 0xfeff;
}

bool text_is_printable(struct view text)
{
	uint32_t code;

	while (text.len) {
		size_t len = utf8_sequence(text, &code);

		if (len == 0 || is_unsafe(code)) {
			return false;
		}
		text = view_from(text, len);
	}
	return true;
}

// How many bytes the sequence of that length takes when escaped.
static size_t escaped_size(size_t len, uint32_t code)
{
	if (len == 0) {
		return 4;
	}
	return is_unsafe(code) ? 4 * len : code == '\\' ? 2 : len;
}

static void add_hex(struct buffer *out, struct view bytes)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t byte = (uint8_t)bytes.data[i];
		char escape[4] = { '\\', 'x', hex[byte >> 4], hex[byte & 15] };

		buffer_add(out, view_of(escape, 4));
	}
}

void text_add_escaped(struct buffer *out, struct view remote, size_t max)
{
	static const struct view end = VIEW("...");
	size_t start = out->len;

	while (remote.len) {
		uint32_t code = 0;
		size_t len = utf8_sequence(remote, &code);

		if (out->len - start + escaped_size(len, code) + end.len > max) {
			buffer_add(out, end);
			return;
		}
		if (len == 0 || is_unsafe(code)) {
			len = len ? len : 1;
			add_hex(out, view_first(remote, len));
		} else if (code == '\\') {
			buffer_add_text(out, "\\\\");
		} else {
			buffer_add(out, view_first(remote, len));
		}
		remote = view_from(remote, len);
	}
}

// Bytes at the start that stand for themselves in a log line and in a JSON string.
static size_t plain_len(struct view text)
{
	size_t len = 0;

	while (len < text.len && text.data[len] >= 0x20 && text.data[len] < 0x7f &&
	       text.data[len] != '"' && text.data[len] != '\\') {
		len++;
	}
	return len;
}

void text_add_json(struct buffer *out, struct view remote, size_t max)
{
	struct buffer safe = buffer_with_max(max + 4);

	buffer_add_byte(out, '"');
	if (remote.len < max - 3 && plain_len(remote) == remote.len) {
		buffer_add(out, remote);
	} else {
		text_add_escaped(&safe, remote, max);
	}
	for (size_t i = 0; i < safe.len; i++) {
		if (safe.data[i] == '"' || safe.data[i] == '\\') {
			buffer_add_byte(out, '\\');
		}
		buffer_add_byte(out, safe.data[i]);
	}
	buffer_add_byte(out, '"');
	buffer_done(&safe);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{ "w", 7 * 86400000ull },
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
	{ "", 1000 },
};

static const struct unit size_units[] = {
	{ "TiB", 1ull << 40 },
	{ "GiB", 1ull << 30 },
	{ "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 },
	{ "B", 1 },
	{ "", 1 },
	{ "kB", 1000 },
	{ "MB", 1000000 },
	{ "GB", 1000000000 },
};

static enum error scaled(struct view text, const struct unit *units, size_t count, uint64_t *ret)
{
	size_t digits = 0;
	struct view name;
	uint64_t number;

	while (digits < text.len && ascii_is_digit(text.data[digits])) {
		digits++;
	}
	if (digits == 0) {
		return ERROR_INVALID;
	}
	if (!view_to_u64(view_first(text, digits), UINT64_MAX, &number)) {
		return ERROR_LIMIT;
	}
	name = view_trim(view_from(text, digits));
	for (size_t i = 0; i < count; i++) {
		if (view_equal_nocase(name, view_from_text(units[i].name))) {
			return __builtin_mul_overflow(number, units[i].factor, ret) ? ERROR_LIMIT
										    : OK;
		}
	}
	return ERROR_INVALID;
}

enum error text_to_duration_ms(struct view text, uint64_t *ret_ms)
{
	uint64_t ms;
	enum error error =
		scaled(text, duration_units, sizeof duration_units / sizeof *duration_units, &ms);

	if (error == OK) {
		*ret_ms = ms;
	}
	return error;
}

enum error text_to_size_bytes(struct view text, uint64_t *ret_bytes)
{
	uint64_t bytes;
	enum error error = scaled(text, size_units, sizeof size_units / sizeof *size_units, &bytes);

	if (error == OK) {
		*ret_bytes = bytes;
	}
	return error;
}

// The units are listed from the largest down to the factor 1, which always fits.
static void add_scaled(struct buffer *out, const struct unit *units, uint64_t number)
{
	while (units->factor > 1 && (number == 0 || number % units->factor)) {
		units++;
	}
	buffer_add_number(out, number / units->factor);
	buffer_add_text(out, units->name);
}

void text_add_duration(struct buffer *out, uint64_t ms)
{
	add_scaled(out, duration_units, ms);
}

void text_add_size(struct buffer *out, uint64_t bytes)
{
	add_scaled(out, size_units, bytes);
}

enum { GUESS_LEN_MAX = 40 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

// Letters to add, drop, change or swap with their neighbour, to get from a to b.
static unsigned distance(struct view a, struct view b)
{
	unsigned rows[3][GUESS_LEN_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	for (unsigned j = 0; j <= b.len; j++) {
		last[j] = j;
	}
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *oldest = before;

		now[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			unsigned change = a.data[i - 1] != b.data[j - 1];

			now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + change);
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
			    a.data[i - 2] == b.data[j - 1]) {
				now[j] = least(now[j], before[j - 2] + 1, now[j]);
			}
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[b.len];
}

void text_guess_consider(struct text_guess *guess, struct view typed, const char *known)
{
	struct view word = view_from_text(known);
	unsigned near = typed.len > 8 ? 3 : typed.len > 3 ? 2 : 1;
	unsigned away;

	if (!word.len || typed.len > GUESS_LEN_MAX || word.len > GUESS_LEN_MAX) {
		return;
	}
	away = distance(typed, word);
	if (away <= near && (!guess->nearest || away < guess->away)) {
		*guess = (struct text_guess){ known, away };
	}
}
