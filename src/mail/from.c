#include "mail/from.h"

#include <string.h>

static const char *const verdict_texts[] = {
	[FROM_OK] = "one From field",
	[FROM_NO_MEMORY] = "out of memory",
	[FROM_BAD_HEADER] = "malformed header",
	[FROM_NO_FIELD] = "no From field",
	[FROM_MANY_FIELDS] = "more than one From field",
	[FROM_BAD_SYNTAX] = "malformed From field",
	[FROM_NO_MAILBOX] = "no address in the From field",
	[FROM_TOO_MANY] = "too many addresses in the From field",
};

const char *from_verdict_text(enum from_verdict verdict)
{
	return verdict_texts[verdict];
}

// A list as it is read. spec gathers the address being read, free of blanks and comments; words
// before a < gather there too and are thrown away.
struct reader {
	struct arena *arena;
	struct view text;
	size_t at;
	char spec[ADDRESS_PATH_MAX];
	size_t spec_len;
	bool spec_overflow;
	bool in_group;
	struct mailbox_list list;
};

static char peek(const struct reader *r)
{
	return r->at < r->text.len ? r->text.data[r->at] : '\0';
}

static void gather(struct reader *r, size_t start)
{
	size_t len = r->at - start;

	if (len > sizeof r->spec - r->spec_len) {
		r->spec_overflow = true;
		return;
	}
	memcpy(r->spec + r->spec_len, r->text.data + start, len);
	r->spec_len += len;
}

static void gather_nothing(struct reader *r)
{
	r->spec_len = 0;
	r->spec_overflow = false;
}

// Up to and with the closing byte of a quoted string, comment or literal that begins here.
static bool skip_delimited(struct reader *r, char open, char close)
{
	size_t depth = 0;

	for (; r->at < r->text.len; r->at++) {
		char c = r->text.data[r->at];

		if (c == '\\') {
			r->at++;
		} else if (c == close && (depth == 1 || open == close) && depth) {
			r->at++;
			return true;
		} else if (c == close && depth > 1) {
			depth--;
		} else if (c == open && (open == '(' || depth == 0)) {
			depth++;
		}
	}
	return false;
}

static bool skip_blanks_and_comments(struct reader *r)
{
	for (;;) {
		while (r->at < r->text.len && strchr(" \t\r\n", peek(r)) && peek(r)) {
			r->at++;
		}
		if (peek(r) != '(') {
			return true;
		}
		if (!skip_delimited(r, '(', ')')) {
			return false;
		}
	}
}

static bool is_atom_byte(char c)
{
	return (uint8_t)c > ' ' && c != 0x7f && !strchr("()<>[]:;@\\,.\"", c);
}

static bool take_word(struct reader *r)
{
	size_t start = r->at;

	if (peek(r) == '"') {
		if (!skip_delimited(r, '"', '"')) {
			return false;
		}
	} else {
		while (is_atom_byte(peek(r))) {
			r->at++;
		}
	}
	gather(r, start);
	return r->at != start;
}

// Words and dots, with blanks and comments dropped. ret_phrase: two words without a dot between.
static bool take_words(struct reader *r, bool *ret_phrase)
{
	bool after_word = false;

	*ret_phrase = false;
	for (;;) {
		if (!skip_blanks_and_comments(r)) {
			return false;
		}
		if (peek(r) == '.') {
			r->at++;
			gather(r, r->at - 1);
			after_word = false;
		} else if (peek(r) == '"' || is_atom_byte(peek(r))) {
			*ret_phrase |= after_word;
			after_word = true;
			if (!take_word(r)) {
				return false;
			}
		} else {
			return true;
		}
	}
}

// "@" and a domain, gathered without blanks and comments.
static bool take_at_domain(struct reader *r)
{
	size_t start = r->at;
	bool phrase;

	if (peek(r) != '@') {
		return false;
	}
	r->at++;
	gather(r, start);
	if (!skip_blanks_and_comments(r)) {
		return false;
	}
	start = r->at;
	if (peek(r) == '[') {
		if (!skip_delimited(r, '[', ']')) {
			return false;
		}
		gather(r, start);
		return skip_blanks_and_comments(r);
	}
	return take_words(r, &phrase) && !phrase;
}

static enum from_verdict add_mailbox(struct reader *r)
{
	struct mailbox *mailbox;
	enum address_fault fault;

	if (r->spec_overflow) {
		return FROM_BAD_SYNTAX;
	}
	if (r->list.count == HEADER_MAILBOXES_MAX) {
		return FROM_TOO_MANY;
	}
	mailbox = ARENA_NEW(r->arena, struct mailbox);
	if (!mailbox) {
		return FROM_NO_MEMORY;
	}
	fault = address_parse(r->arena, view_of(r->spec, r->spec_len), ADDRESS_UTF8,
			      &mailbox->address);
	if (fault != ADDRESS_OK) {
		return fault == ADDRESS_NO_MEMORY ? FROM_NO_MEMORY : FROM_BAD_SYNTAX;
	}
	if (r->list.last) {
		r->list.last->next = mailbox;
	} else {
		r->list.first = mailbox;
	}
	r->list.last = mailbox;
	r->list.count++;
	return FROM_OK;
}

// obs-route = *("@" domain ",") "@" domain ":"; thrown away.
static bool skip_route(struct reader *r)
{
	while (peek(r) == '@') {
		if (!take_at_domain(r)) {
			return false;
		}
		if (peek(r) == ':') {
			r->at++;
			gather_nothing(r);
			return true;
		}
		while (peek(r) == ',') {
			r->at++;
			if (!skip_blanks_and_comments(r)) {
				return false;
			}
		}
	}
	return false;
}

static enum from_verdict take_angle_address(struct reader *r)
{
	bool phrase;

	r->at++;
	gather_nothing(r);
	if (!skip_blanks_and_comments(r) || (peek(r) == '@' && !skip_route(r)) ||
	    !take_words(r, &phrase) || phrase || r->spec_len == 0 || !take_at_domain(r) ||
	    peek(r) != '>') {
		return FROM_BAD_SYNTAX;
	}
	r->at++;
	return skip_blanks_and_comments(r) ? add_mailbox(r) : FROM_BAD_SYNTAX;
}

// One mailbox, the beginning of a group, or nothing (list elements may be empty).
static enum from_verdict take_element(struct reader *r)
{
	bool phrase, empty;

	gather_nothing(r);
	if (!take_words(r, &phrase)) {
		return FROM_BAD_SYNTAX;
	}
	empty = r->spec_len == 0 && !r->spec_overflow;
	switch (peek(r)) {
	case '<': return take_angle_address(r);
	case '@':
		if (empty || phrase || !take_at_domain(r)) {
			return FROM_BAD_SYNTAX;
		}
		return add_mailbox(r);
	case ':':
		if (empty || r->in_group) {
			return FROM_BAD_SYNTAX;
		}
		r->at++;
		r->in_group = true;
		return take_element(r);
	default: return empty ? FROM_OK : FROM_BAD_SYNTAX;
	}
}

// After an element: the end, a comma, or the end of a group (where some forget the comma).
static bool take_separator(struct reader *r)
{
	if (peek(r) == ';' && r->in_group) {
		r->in_group = false;
		r->at++;
		return skip_blanks_and_comments(r) && peek(r) != ';';
	}
	if (peek(r) == ',') {
		r->at++;
		return true;
	}
	return r->at == r->text.len;
}

enum from_verdict mailbox_list_parse(struct arena *arena, struct view value,
				     struct mailbox_list *ret_list)
{
	struct reader reader = { .arena = arena, .text = value };
	enum from_verdict verdict;

	do {
		verdict = take_element(&reader);
		if (verdict == FROM_OK && !take_separator(&reader)) {
			verdict = FROM_BAD_SYNTAX;
		}
		if (verdict != FROM_OK) {
			return verdict;
		}
	} while (reader.at < value.len);
	if (reader.in_group) {
		return FROM_BAD_SYNTAX;
	}
	if (reader.list.count == 0) {
		return FROM_NO_MAILBOX;
	}
	*ret_list = reader.list;
	return FROM_OK;
}

enum from_verdict from_parse(struct arena *arena, struct view message,
			     struct mailbox_list *ret_list)
{
	struct header_walk walk = header_walk_of(message);
	struct header_field field;
	struct view value = { 0 };
	size_t count = 0;

	while (header_next(&walk, &field)) {
		if (view_equal_nocase(field.name, VIEW("From"))) {
			value = field.value;
			count++;
		}
	}
	if (walk.fault != HEADER_OK) {
		return FROM_BAD_HEADER;
	}
	if (count != 1) {
		return count ? FROM_MANY_FIELDS : FROM_NO_FIELD;
	}
	return mailbox_list_parse(arena, value, ret_list);
}
