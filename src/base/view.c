#include "base/view.h"

#include <string.h>

struct view view_from_text(const char *text)
{
	return text ? view_of(text, strlen(text)) : (struct view){ 0 };
}

bool view_equal(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool view_equal_nocase(struct view a, struct view b)
{
	return a.len == b.len && view_starts_nocase(a, b);
}

bool view_starts(struct view v, struct view prefix)
{
	return view_equal(view_first(v, prefix.len), prefix);
}

bool view_starts_nocase(struct view v, struct view prefix)
{
	if (v.len < prefix.len) {
		return false;
	}
	for (size_t i = 0; i < prefix.len; i++) {
		if (ascii_lower(v.data[i]) != ascii_lower(prefix.data[i])) {
			return false;
		}
	}
	return true;
}

bool view_ends_nocase(struct view v, struct view suffix)
{
	return v.len >= suffix.len && view_equal_nocase(view_from(v, v.len - suffix.len), suffix);
}

int view_compare(struct view a, struct view b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	if (order != 0) {
		return order;
	}
	return (a.len > b.len) - (a.len < b.len);
}

struct view view_from(struct view v, size_t offset)
{
	if (offset >= v.len) {
		return (struct view){ 0 };
	}
	return view_of(v.data + offset, v.len - offset);
}

struct view view_first(struct view v, size_t len)
{
	return view_of(v.data, v.len < len ? v.len : len);
}

size_t view_find(struct view v, char byte)
{
	const char *found = v.len ? memchr(v.data, byte, v.len) : NULL;

	return found ? (size_t)(found - v.data) : v.len;
}

size_t view_find_last(struct view v, char byte)
{
	const char *found = v.len ? memrchr(v.data, byte, v.len) : NULL;

	return found ? (size_t)(found - v.data) : v.len;
}

size_t view_find_text(struct view v, struct view text)
{
	const char *found = NULL;

	if (v.len && text.len) {
		found = memmem(v.data, v.len, text.data, text.len);
	}
	return found ? (size_t)(found - v.data) : v.len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct view view_trim(struct view v)
{
	while (v.len && is_blank(v.data[0])) {
		v = view_from(v, 1);
	}
	while (v.len && is_blank(v.data[v.len - 1])) {
		v.len--;
	}
	return v;
}

bool view_next_part(struct view *rest, char separator, struct view *ret_part)
{
	size_t end;

	if (rest->len == 0) {
		return false;
	}
	end = view_find(*rest, separator);
	*ret_part = view_first(*rest, end);
	*rest = view_from(*rest, end + 1);
	return true;
}

bool view_next_word(struct view *rest, struct view *ret_word)
{
	size_t start = 0, end;

	while (start < rest->len && is_blank(rest->data[start])) {
		start++;
	}
	end = start;
	while (end < rest->len && !is_blank(rest->data[end])) {
		end++;
	}
	if (end == start) {
		*rest = (struct view){ 0 };
		return false;
	}
	*ret_word = view_of(rest->data + start, end - start);
	*rest = view_from(*rest, end);
	return true;
}

bool view_to_u64(struct view v, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (v.len == 0) {
		return false;
	}
	for (size_t i = 0; i < v.len; i++) {
		if (!ascii_is_digit(v.data[i])) {
			return false;
		}
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(v.data[i] - '0'), &number)) {
			return false;
		}
	}
	if (number > max) {
		return false;
	}
	*ret_number = number;
	return true;
}

int ascii_hex_value(char c)
{
	if (ascii_is_digit(c)) {
		return c - '0';
	}
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
