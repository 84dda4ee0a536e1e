#include "sim/letter.h"

enum { LINE_LEN_MAX = 998 };

// splitmix64
static uint64_t dice_next(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t dice_below(struct dice *dice, uint64_t bound)
{
	return dice_next(dice) % bound;
}

static void add_line(struct buffer *out, struct dice *dice)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz          ..,,::=="
				      "ABCDEFGHI0123456789\t";
	char line[LINE_LEN_MAX];
	uint64_t shape = dice_below(dice, 64);
	uint64_t length = shape == 0 ? 990 + dice_below(dice, 9) : dice_below(dice, 100);

	if (shape < 12 && length < 990) {
		buffer_add_text(out, shape < 6 ? "." : "..");
	}
	for (uint64_t i = 0, word = 0; i < length; i++, word >>= 6) {
		word = i % 10 ? word : dice_next(dice);
		line[i] = letters[word % 64];
	}
	buffer_add(out, view_of(line, length));
	if (shape == 20) {
		buffer_add_text(out, "gr\xc3\xbc\xc3\x9f dich");
	}
	buffer_add_text(out, "\r\n");
}

void letter_write(const struct letter *letter, struct buffer *out)
{
	struct dice dice = { letter->seed * 1000003 + letter->number };
	size_t start = out->len;

	if (letter->is_submitted) {
		buffer_printf(out, "From: A box <box%u@example.org>\r\n", letter->box);
	} else {
		buffer_add_text(out, "From: Somebody <somebody@senders.example>\r\n");
	}
	buffer_printf(out,
		      "Date: Sat, 21 Nov 2026 20:00:00 +0000\r\n"
		      "Message-ID: <%u.%llu@senders.example>\r\n"
		      "X-Letter: %u\r\n"
		      "Subject: a letter\r\n\r\n",
		      letter->number, (unsigned long long)letter->seed, letter->number);
	while (out->len - start < letter->size && buffer_error(out) == OK) {
		add_line(out, &dice);
	}
}

void letter_add_stuffed(struct buffer *out, struct view letter)
{
	while (letter.len) {
		struct view line = view_first(letter, view_find(letter, '\n') + 1);

		if (line.data[0] == '.') {
			buffer_add_byte(out, '.');
		}
		buffer_add(out, line);
		letter = view_from(letter, line.len);
	}
	buffer_add_text(out, ".\r\n");
}

bool letter_find_number(struct view copy, unsigned *ret_number)
{
	struct view rest = view_from(copy, view_find_text(copy, VIEW("\nX-Letter: ")));
	struct view digits;
	uint64_t number;

	if (!rest.len) {
		return false;
	}
	digits = view_from(rest, sizeof "\nX-Letter: " - 1);
	digits = view_trim(view_first(digits, view_find(digits, '\n')));
	if (digits.len && digits.data[digits.len - 1] == '\r') {
		digits.len--;
	}
	if (!view_to_u64(digits, UINT32_MAX, &number)) {
		return false;
	}
	*ret_number = (unsigned)number;
	return true;
}

// The same bytes, but that each line feed stands without its carriage return.
static bool equals_in_lines(struct view letter, struct view copy)
{
	while (letter.len) {
		size_t end = view_find(letter, '\n'), kept = end - 1;

		if (copy.len < kept + 1 || copy.data[kept] != '\n' ||
		    !view_equal(view_first(letter, kept), view_first(copy, kept))) {
			return false;
		}
		letter = view_from(letter, end + 1);
		copy = view_from(copy, kept + 1);
	}
	return copy.len == 0;
}

static size_t count_lines(struct view text)
{
	size_t lines = 0;

	for (size_t end; (end = view_find(text, '\n')) < text.len; lines++) {
		text = view_from(text, end + 1);
	}
	return lines;
}

bool letter_match(struct view letter, struct view copy, bool line_feeds, struct view *ret_front)
{
	size_t len = line_feeds ? letter.len - count_lines(letter) : letter.len;
	struct view end;

	if (copy.len < len) {
		return false;
	}
	end = view_from(copy, copy.len - len);
	if (line_feeds ? !equals_in_lines(letter, end) : !view_equal(letter, end)) {
		return false;
	}
	*ret_front = view_first(copy, copy.len - len);
	return true;
}
