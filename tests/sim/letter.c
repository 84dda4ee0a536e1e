#include "sim/letter.h"

// splitmix64
uint64_t dice_below(struct dice *dice, uint64_t bound)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % bound;
}

static void add_line(struct buffer *out, struct dice *dice)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz     .,:=ABCDEFGH0123456789\t";
	uint64_t shape = dice_below(dice, 64);
	uint64_t length = shape == 0 ? 990 + dice_below(dice, 9) : dice_below(dice, 100);

	if (shape < 12 && length < 990) {
		buffer_add_text(out, shape < 6 ? "." : "..");
	}
	for (uint64_t i = 0; i < length; i++) {
		buffer_add_byte(out, letters[dice_below(dice, sizeof letters - 1)]);
	}
	if (shape == 20) {
		buffer_add_text(out, "gr\xc3\xbc\xc3\x9f dich");
	}
	buffer_add_text(out, "\r\n");
}

void letter_add(struct buffer *out, const struct letter *letter)
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

static void drop_carriage_returns(struct buffer *bytes)
{
	size_t kept = 0;

	for (size_t i = 0; i < bytes->len; i++) {
		if (bytes->data[i] != '\r') {
			bytes->data[kept++] = bytes->data[i];
		}
	}
	bytes->len = kept;
}

bool letter_match(const struct letter *letter, struct view copy, bool line_feeds,
		  struct view *ret_front)
{
	struct buffer sent = buffer_with_max(LETTER_BYTES_MAX);
	bool equal;

	letter_add(&sent, letter);
	if (line_feeds) {
		drop_carriage_returns(&sent);
	}
	equal = buffer_error(&sent) == OK && copy.len >= sent.len &&
		view_equal(view_from(copy, copy.len - sent.len), buffer_view(&sent));
	if (equal) {
		*ret_front = view_first(copy, copy.len - sent.len);
	}
	buffer_done(&sent);
	return equal;
}
