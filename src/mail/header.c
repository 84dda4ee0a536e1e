#include "mail/header.h"

#include "base/text.h"
#include "mail/address.h"

static const char *const fault_texts[] = {
	[HEADER_OK] = "well-formed header",
	[HEADER_NOT_A_FIELD] = "a line of the header is not a field",
	[HEADER_BLANK_IN_NAME] = "blank before the colon of a header field",
	[HEADER_NUL] = "NUL in the header",
	[HEADER_BARE_CR] = "bare CR in the header",
	[HEADER_TOO_LONG] = "header too long",
	[HEADER_TOO_MANY] = "too many header fields",
};

const char *header_fault_text(enum header_fault fault)
{
	return fault_texts[fault];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

// The line at offset with its end; the rest of the message where there is none.
static struct view line_at(struct view message, size_t offset)
{
	struct view rest = view_from(message, offset);

	return view_first(rest, view_find(rest, '\n') + 1);
}

static struct view without_line_end(struct view line)
{
	if (line.len && line.data[line.len - 1] == '\n') {
		line.len--;
		if (line.len && line.data[line.len - 1] == '\r') {
			line.len--;
		}
	}
	return line;
}

static void note(struct header_walk *walk, enum header_fault fault)
{
	if (walk->fault == HEADER_OK) {
		walk->fault = fault;
	}
}

static bool end_walk(struct header_walk *walk, enum header_fault fault)
{
	note(walk, fault);
	walk->over = true;
	return false;
}

// field-name = 1*%d33-57 / %d59-126; blanks between it and the colon are the caller's to judge.
static bool is_name(struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] < 33 || name.data[i] > 126) {
			return false;
		}
	}
	return name.len != 0;
}

// Bare CRs: those that are not the first half of a line end.
static bool has_bare_cr(struct view text)
{
	for (;;) {
		size_t at = view_find(text, '\r');

		if (at == text.len) {
			return false;
		}
		if (at + 1 == text.len || text.data[at + 1] != '\n') {
			return true;
		}
		text = view_from(text, at + 2);
	}
}

bool header_next(struct header_walk *walk, struct header_field *ret_field)
{
	struct view header = view_first(walk->message, HEADER_MAX + 1);
	struct view line = line_at(header, walk->offset), raw_name, name;
	size_t colon, end = walk->offset + line.len;

	if (walk->over || line.len == 0) {
		return end_walk(walk, HEADER_OK);
	}
	if (without_line_end(line).len == 0) {
		walk->offset = end;
		return end_walk(walk, HEADER_OK);
	}
	colon = view_find(line, ':');
	raw_name = view_first(line, colon);
	name = is_blank(line.data[0]) ? raw_name : view_trim(raw_name);
	if (colon == line.len || colon > HEADER_NAME_MAX || !is_name(name)) {
		return end_walk(walk, end > HEADER_MAX ? HEADER_TOO_LONG : HEADER_NOT_A_FIELD);
	}
	if (walk->field_count == HEADER_FIELDS_MAX) {
		return end_walk(walk, HEADER_TOO_MANY);
	}
	while (end < header.len && is_blank(header.data[end])) {
		end += line_at(header, end).len;
	}
	if (end > HEADER_MAX) {
		return end_walk(walk, HEADER_TOO_LONG);
	}
	ret_field->whole = view_of(header.data + walk->offset, end - walk->offset);
	ret_field->name = name;
	ret_field->value = without_line_end(view_from(ret_field->whole, colon + 1));
	if (raw_name.len != name.len) {
		note(walk, HEADER_BLANK_IN_NAME);
	}
	if (view_find(ret_field->value, '\0') != ret_field->value.len) {
		note(walk, HEADER_NUL);
	}
	if (has_bare_cr(ret_field->value)) {
		note(walk, HEADER_BARE_CR);
	}
	walk->field_count++;
	walk->offset = end;
	return true;
}

struct header_facts header_facts_of(struct view message)
{
	struct header_walk walk = header_walk_of(message);
	struct header_facts facts = { 0 };
	struct header_field field;

	while (header_next(&walk, &field)) {
		facts.received_count += view_equal_nocase(field.name, VIEW("Received"));
		facts.from_count += view_equal_nocase(field.name, VIEW("From"));
		facts.has_date |= view_equal_nocase(field.name, VIEW("Date"));
		facts.has_message_id |= view_equal_nocase(field.name, VIEW("Message-ID"));
		facts.has_utf8 |= !text_is_ascii(field.whole);
	}
	facts.fault = walk.fault;
	facts.field_count = walk.field_count;
	facts.body_offset = walk.offset;
	return facts;
}

static bool names_mailbox(struct view value, struct view address_key)
{
	struct arena arena = arena_with_max(4096);
	struct buffer text = buffer_with_max(ADDRESS_PATH_MAX);
	struct address address;
	bool same;

	header_add_unfolded(&text, value);
	same = buffer_error(&text) == OK &&
	       address_parse(&arena, buffer_view(&text), ADDRESS_UTF8, &address) == ADDRESS_OK &&
	       view_equal(address.key, address_key);
	buffer_done(&text);
	arena_done(&arena);
	return same;
}

bool header_was_delivered_to(struct view message, struct view address_key)
{
	struct header_walk walk = header_walk_of(message);
	struct header_field field;

	while (header_next(&walk, &field)) {
		if (view_equal_nocase(field.name, VIEW("Delivered-To")) &&
		    names_mailbox(field.value, address_key)) {
			return true;
		}
	}
	return false;
}

void header_add_unfolded(struct buffer *out, struct view value)
{
	struct view line;

	value = view_trim(value);
	while (value.len) {
		line = line_at(value, 0);
		buffer_add(out, without_line_end(line));
		value = view_from(value, line.len);
	}
}
