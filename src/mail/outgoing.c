#include "mail/outgoing.h"

#include <string.h>

// Where the next stored byte stands, when fields are put in front or taken out. Only PLACE_NAME and
// PLACE_CR hold bytes back.
enum place {
	PLACE_BODY,      // nothing is taken out or put in any more
	PLACE_NAME,      // a field's name, gathered from the line's first byte
	PLACE_CR,        // after a CR that began a line
	PLACE_KEEP,      // the rest of a line of a field that stays
	PLACE_DROP,      // the rest of a line of a field that goes
	PLACE_KEPT_LINE, // the first byte of a line after one that stayed
	PLACE_DROPPED_LINE,
};

static void add_line_end(struct outgoing *o, struct buffer *out)
{
	buffer_add_text(out, o->form == OUTGOING_MAILDIR ? "\n" : "\r\n");
	o->line_start = true;
}

static void add_run(struct outgoing *o, struct view run, struct buffer *out)
{
	if (run.len == 0) {
		return;
	}
	if (o->line_start && run.data[0] == '.' && o->form == OUTGOING_SMTP) {
		buffer_add_byte(out, '.');
	}
	buffer_add(out, run);
	o->line_start = false;
}

// Where the next byte of this kind is, at or behind from. Known places are kept, so that each byte
// is looked at once however CR and LF alternate.
static size_t next_place(struct view bytes, char byte, size_t from, size_t known)
{
	return known >= from ? known : from + view_find(view_from(bytes, from), byte);
}

// Framing: CR LF is the line end, a CR or LF alone a blank.
static void frame(struct outgoing *o, struct view bytes, struct buffer *out)
{
	size_t at = 0, cr, lf;

	if (bytes.len == 0) {
		return;
	}
	cr = view_find(bytes, '\r');
	lf = view_find(bytes, '\n');
	while (at < bytes.len) {
		size_t end;

		if (o->after_cr) {
			o->after_cr = false;
			if (bytes.data[at] == '\n') {
				add_line_end(o, out);
				at++;
			} else {
				add_run(o, VIEW(" "), out);
			}
			continue;
		}
		cr = next_place(bytes, '\r', at, cr);
		lf = next_place(bytes, '\n', at, lf);
		end = cr < lf ? cr : lf;
		add_run(o, view_of(bytes.data + at, end - at), out);
		o->after_cr = cr < lf;
		if (lf < cr) {
			add_run(o, VIEW(" "), out);
		}
		at = end + 1;
	}
}

static bool is_removed(const struct outgoing *o)
{
	struct view name = view_trim(view_of(o->name, o->name_len));

	for (size_t i = 0; i < o->edits.removal_count; i++) {
		if (view_equal_nocase(name, o->edits.removals[i])) {
			return true;
		}
	}
	return false;
}

static void release_name(struct outgoing *o, enum place place, struct buffer *out)
{
	frame(o, view_of(o->name, o->name_len), out);
	o->name_len = 0;
	o->place = place;
}

// What is neither a field nor the empty line before a body comes next. Behind our fields it would
// be read as one, or as the fold of one; behind a field of its own it stands as it was received.
static void begin_bare_body(struct outgoing *o, struct buffer *out)
{
	if (o->edits.front.len && !o->field_kept) {
		add_line_end(o, out);
	}
	release_name(o, PLACE_BODY, out);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

// A byte that may follow what is gathered of a name; blanks may only end it.
static bool continues_name(const struct outgoing *o, char c)
{
	if (is_blank(c)) {
		return o->name_len != 0;
	}
	return c > ' ' && c < 0x7f && (o->name_len == 0 || !is_blank(o->name[o->name_len - 1]));
}

static void feed_name(struct outgoing *o, char c, struct buffer *out)
{
	if (c == ':' && o->name_len) {
		if (is_removed(o)) {
			o->name_len = 0;
			o->place = PLACE_DROP;
			return;
		}
		o->field_kept = true;
		release_name(o, PLACE_KEEP, out);
	} else if (c == '\r' && o->name_len == 0) {
		o->place = PLACE_CR;
		return;
	} else if (c == ':' || o->name_len == HEADER_NAME_MAX || !continues_name(o, c)) {
		begin_bare_body(o, out);
	} else {
		o->name[o->name_len++] = c;
		return;
	}
	frame(o, view_of(&c, 1), out);
}

static void end_cr(struct outgoing *o, bool line_feed_follows, struct buffer *out)
{
	if (line_feed_follows) {
		o->place = PLACE_BODY;
	} else {
		begin_bare_body(o, out);
	}
	frame(o, VIEW("\r"), out);
}

// Takes from the front of the bytes what one place covers; returns how many.
static size_t feed_header(struct outgoing *o, struct view bytes, struct buffer *out)
{
	size_t len = view_find(bytes, '\n');
	char c = bytes.data[0];

	switch ((enum place)o->place) {
	case PLACE_KEEP:
	case PLACE_DROP:
		if (len < bytes.len) {
			len++;
		}
		if (o->place == PLACE_KEEP) {
			frame(o, view_first(bytes, len), out);
		}
		if (bytes.data[len - 1] == '\n') {
			o->place = o->place == PLACE_KEEP ? PLACE_KEPT_LINE : PLACE_DROPPED_LINE;
		}
		return len;
	case PLACE_KEPT_LINE:
	case PLACE_DROPPED_LINE:
		if (is_blank(c)) {
			o->place = o->place == PLACE_KEPT_LINE ? PLACE_KEEP : PLACE_DROP;
		} else {
			o->place = PLACE_NAME;
		}
		return 0;
	case PLACE_CR: end_cr(o, c == '\n', out); return 0;
	default: feed_name(o, c, out); return 1;
	}
}

void outgoing_start(struct outgoing *o, enum outgoing_form form, const struct outgoing_edits *edits,
		    struct buffer *out)
{
	*o = (struct outgoing){
		.form = form,
		.edits = *edits,
		.line_start = true,
	};
	frame(o, edits->front, out);
	o->place = edits->removal_count || edits->front.len ? PLACE_NAME : PLACE_BODY;
}

void outgoing_feed(struct outgoing *o, struct view chunk, struct buffer *out)
{
	while (chunk.len && o->place != PLACE_BODY) {
		chunk = view_from(chunk, feed_header(o, chunk, out));
	}
	frame(o, chunk, out);
}

void outgoing_finish(struct outgoing *o, struct buffer *out)
{
	if (o->place == PLACE_CR) {
		end_cr(o, false, out);
	} else if (o->name_len) {
		begin_bare_body(o, out);
	}
	if (o->after_cr) {
		o->after_cr = false;
		add_run(o, VIEW(" "), out);
	}
	if (!o->line_start) {
		add_line_end(o, out);
	}
	if (o->form == OUTGOING_SMTP) {
		buffer_add_text(out, ".\r\n");
	}
}
