// A view: bytes that somebody else owns, as pointer and length. Never NUL-terminated by contract;
// may hold any byte, NUL included. An empty view may have a NULL pointer. Case folding here is
// ASCII only, whatever the locale.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view {
	const char *data;
	size_t len;
};

#define VIEW(literal) ((struct view){ "" literal, sizeof(literal) - 1 })
// For printf_like functions: "%.*s" takes VIEW_ARG(view). Only for text known to be printable.
#define VIEW_ARG(v) (int)(v).len, (v).data

static inline struct view view_of(const void *data, size_t len)
{
	return (struct view){ data, len };
}

struct view view_from_text(const char *text); // NULL gives an empty view

bool view_equal(struct view a, struct view b);
bool view_equal_nocase(struct view a, struct view b);
bool view_starts(struct view v, struct view prefix);
bool view_starts_nocase(struct view v, struct view prefix);
bool view_ends_nocase(struct view v, struct view suffix);
// memcmp order, then the shorter first; for sorting.
int view_compare(struct view a, struct view b);

// The part from offset on (empty when offset is past the end), and the first len bytes at most.
struct view view_from(struct view v, size_t offset);
struct view view_first(struct view v, size_t len);

// Offset of the first such byte or text; v.len when there is none.
size_t view_find(struct view v, char byte);
size_t view_find_last(struct view v, char byte);
size_t view_find_text(struct view v, struct view text);

// Without spaces and tabs at both ends.
struct view view_trim(struct view v);

// Takes the part before the next separator off *rest (the whole of it when there is none), and the
// separator too. Returns false, leaving ret_part alone, once *rest is empty.
bool view_next_part(struct view *rest, char separator, struct view *ret_part);

// Takes the next run of bytes other than space and tab off *rest. Returns false at the end.
bool view_next_word(struct view *rest, struct view *ret_word);

// Decimal digits only, no sign, no blanks, at least one digit; false when above max.
bool view_to_u64(struct view v, uint64_t max, uint64_t *ret_number);

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

// Value of a hexadecimal digit; -1 for any other byte.
int ascii_hex_value(char c);
