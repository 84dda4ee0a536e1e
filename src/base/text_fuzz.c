// Any text: UTF-8 as a slow reader has it, escaping that is safe, bounded and tells apart what
// differs, base 64 there and back, and durations, sizes and numbers that are read back as the same.
#include <string.h>

#include "base/base64.h"
#include "base/fuzz.h"
#include "base/text.h"

enum { OUT_MAX = 1 << 20 };

// RFC 3629 section 4, row by row.
static size_t slow_sequence(const uint8_t *b, size_t len)
{
	static const uint8_t rows[][6] = {
		// first byte, second byte, further bytes
		{ 0x00, 0x7f, 0, 0, 0 },       { 0xc2, 0xdf, 0x80, 0xbf, 0 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 1 }, { 0xe1, 0xec, 0x80, 0xbf, 1 },
		{ 0xed, 0xed, 0x80, 0x9f, 1 }, { 0xee, 0xef, 0x80, 0xbf, 1 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 2 }, { 0xf1, 0xf3, 0x80, 0xbf, 2 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 2 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const uint8_t *row = rows[i];
		size_t need = row[2] ? 2u + row[4] : 1u;

		if (b[0] < row[0] || b[0] > row[1]) {
			continue;
		}
		if (need > len || (need > 1 && (b[1] < row[2] || b[1] > row[3]))) {
			return 0;
		}
		for (size_t k = 2; k < need; k++) {
			if (b[k] < 0x80 || b[k] > 0xbf) {
				return 0;
			}
		}
		return need;
	}
	return 0;
}

static bool slow_is_utf8(struct view text)
{
	size_t len = 1;

	while (text.len && len) {
		len = slow_sequence((const uint8_t *)text.data, text.len);
		text = view_from(text, len);
	}
	return text.len == 0;
}

// What text_add_escaped wrote, undone.
static void unescape(struct view text, struct buffer *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\\' && i + 1 < text.len && text.data[i + 1] == 'x') {
			MUST(i + 3 < text.len);
			buffer_add_byte(out, (char)(ascii_hex_value(text.data[i + 2]) << 4 |
						    ascii_hex_value(text.data[i + 3])));
			i += 3;
		} else {
			i += text.data[i] == '\\';
			MUST(i < text.len);
			buffer_add_byte(out, text.data[i]);
		}
	}
}

static void check_escaping(struct view text, size_t max)
{
	struct buffer whole = buffer_with_max(OUT_MAX), cut = buffer_with_max(OUT_MAX);
	struct buffer again = buffer_with_max(OUT_MAX);

	text_add_escaped(&whole, text, OUT_MAX);
	MUST(text_is_printable(buffer_view(&whole)));
	unescape(buffer_view(&whole), &again);
	MUST(view_equal(buffer_view(&again), text));
	text_add_escaped(&cut, text, max);
	MUST(text_is_printable(buffer_view(&cut)));
	MUST(cut.len <= max || cut.len == 3);
	MUST(view_equal(buffer_view(&cut), buffer_view(&whole)) ||
	     (cut.len >= 3 && memcmp(cut.data + cut.len - 3, "...", 3) == 0));
	buffer_done(&whole);
	buffer_done(&cut);
	buffer_done(&again);
}

static void check_base64(struct view bytes)
{
	struct buffer text = buffer_with_max(OUT_MAX), again = buffer_with_max(OUT_MAX);

	base64_encode(&text, bytes);
	MUST(base64_decode(&again, buffer_view(&text)) == OK);
	MUST(view_equal(buffer_view(&again), bytes));
	buffer_clear(&text);
	buffer_clear(&again);
	if (base64_decode(&again, bytes) == OK) {
		base64_encode(&text, buffer_view(&again));
		MUST(view_equal(buffer_view(&text), bytes));
	} else {
		MUST(again.len == 0);
	}
	buffer_done(&text);
	buffer_done(&again);
}

static void check_numbers(struct view text)
{
	struct buffer written = buffer_with_max(100);
	uint64_t value, again;

	if (text_to_duration_ms(text, &value) == OK) {
		text_add_duration(&written, value);
		MUST(text_to_duration_ms(buffer_view(&written), &again) == OK && again == value);
		buffer_clear(&written);
	}
	if (text_to_size_bytes(text, &value) == OK) {
		text_add_size(&written, value);
		MUST(text_to_size_bytes(buffer_view(&written), &again) == OK && again == value);
		buffer_clear(&written);
	}
	if (view_to_u64(text, 1000, &value)) {
		MUST(value <= 1000);
	}
	if (view_to_u64(text, UINT64_MAX, &value)) {
		buffer_add_number(&written, value);
		MUST(view_to_u64(buffer_view(&written), value, &again) && again == value);
	}
	buffer_done(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = view_from(view_of(data, size), 1);
	struct text_guess guess = { 0 };

	if (size == 0 || size > 4096) {
		return 0;
	}
	MUST(text_is_utf8(text) == slow_is_utf8(text));
	MUST(!text_is_printable(text) || text_is_utf8(text));
	check_escaping(text, data[0]);
	check_base64(text);
	check_numbers(text);
	text_guess_consider(&guess, text, "configuration");
	MUST(guess.nearest == NULL || text.len < 20);
	return 0;
}
