#include "config/yaml.h"

#include <libfyaml.h>

#include "base/text.h"

struct reading {
	struct arena *arena;
	struct problems *problems;
	struct view file;
	struct yaml_node *open[YAML_DEPTH_MAX]; // the maps and lists around this event
	unsigned depth;
	struct yaml_node *root;
	struct view key; // of the entry whose value comes next
	struct place key_place;
	bool has_key;
	bool stop;
};

static struct place place_of(const struct reading *reading, const struct fy_mark *mark)
{
	struct place place = { .file = reading->file, .line = 1, .column = 1 };

	if (mark && mark->line >= 0 && mark->column >= 0) {
		place.line = (unsigned)mark->line + 1;
		place.column = (unsigned)mark->column + 1;
	}
	return place;
}

static void refuse(struct reading *reading, struct place place, const char *what)
{
	problem_add(reading->problems, place, "%s", what);
	reading->stop = true;
}

static bool no_memory(struct reading *reading)
{
	reading->problems->no_memory = true;
	reading->stop = true;
	return false;
}

void yaml_append(struct yaml_node *parent, struct yaml_node *child)
{
	if (parent->last) {
		parent->last->next = child;
	} else {
		parent->first = child;
	}
	parent->last = child;
	child->next = NULL;
}

// Puts a node where the reading stands: the root, an element, or the value of the key before it.
static struct yaml_node *place_node(struct reading *reading, enum yaml_kind kind,
				    struct fy_event *event)
{
	struct yaml_node *node = ARENA_NEW(reading->arena, struct yaml_node);

	if (!node) {
		no_memory(reading);
		return NULL;
	}
	node->kind = kind;
	node->place = place_of(reading, fy_event_start_mark(event));
	if (!reading->depth) {
		reading->root = node;
		return node;
	}
	node->key = reading->key;
	node->key_place = reading->key_place;
	reading->has_key = false;
	reading->key = VIEW("");
	yaml_append(reading->open[reading->depth - 1], node);
	return node;
}

static bool scalar_text(struct reading *reading, struct fy_event *event, struct view *ret_text)
{
	size_t len = 0;
	const char *data = fy_token_get_text(event->scalar.value, &len);

	*ret_text = arena_copy(reading->arena, view_of(data, data ? len : 0));
	return ret_text->data || no_memory(reading);
}

static bool wants_key(const struct reading *reading)
{
	return reading->depth && reading->open[reading->depth - 1]->kind == YAML_MAP &&
	       !reading->has_key;
}

// The library's mark of a quoted scalar lies behind the quote, that of an alias behind the "*".
static struct place before_mark(struct place place)
{
	place.column -= place.column > 1;
	return place;
}

static bool is_quoted(struct fy_event *event)
{
	enum fy_scalar_style style = fy_token_scalar_style(event->scalar.value);

	return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

static void read_scalar(struct reading *reading, struct fy_event *event)
{
	struct place place = place_of(reading, fy_event_start_mark(event));
	struct yaml_node *node;
	struct view text;

	if (is_quoted(event)) {
		place = before_mark(place);
	}
	if (event->scalar.anchor || event->scalar.tag) {
		refuse(reading, place,
		       "anchors and tags are not used here: write the value itself");
		return;
	}
	if (!scalar_text(reading, event, &text)) {
		return;
	}
	if (wants_key(reading)) {
		reading->key = text;
		reading->key_place = place;
		reading->has_key = true;
		return;
	}
	node = place_node(reading, YAML_SCALAR, event);
	if (node) {
		node->text = text;
		node->place = place;
		node->empty = !text.len && fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
		if (node->empty && node->key.len) {
			node->place = node->key_place;
		}
	}
}

static void open_node(struct reading *reading, struct fy_event *event, enum yaml_kind kind)
{
	bool map = kind == YAML_MAP;
	struct place place = place_of(reading, fy_event_start_mark(event));

	if (map ? event->mapping_start.anchor || event->mapping_start.tag
		: event->sequence_start.anchor || event->sequence_start.tag) {
		refuse(reading, place,
		       "anchors and tags are not used here: write the value itself");
	} else if (wants_key(reading)) {
		refuse(reading, place, "a key must be plain text");
	} else if (reading->depth == YAML_DEPTH_MAX) {
		refuse(reading, place, "nested too deeply");
	} else {
		struct yaml_node *node = place_node(reading, kind, event);

		if (node) {
			reading->open[reading->depth++] = node;
		}
	}
}

static void read_event(struct reading *reading, struct fy_event *event)
{
	switch (event->type) {
	case FYET_DOCUMENT_START:
		if (reading->root) {
			refuse(reading, place_of(reading, fy_event_start_mark(event)),
			       "a second document: a file holds one");
		}
		return;
	case FYET_SCALAR: read_scalar(reading, event); return;
	case FYET_MAPPING_START: open_node(reading, event, YAML_MAP); return;
	case FYET_SEQUENCE_START: open_node(reading, event, YAML_LIST); return;
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END: reading->depth--; return;
	case FYET_ALIAS:
		refuse(reading, before_mark(place_of(reading, fy_event_start_mark(event))),
		       "aliases are not used here (quote a value that begins with '*')");
		return;
	default: return;
	}
}

static void report_syntax(struct reading *reading, struct fy_diag *diag)
{
	void *position = NULL;
	struct fy_diag_error *error = fy_diag_errors_iterate(diag, &position);
	struct place place = { .file = reading->file };

	if (!error) {
		problem_add(reading->problems, place, "not YAML");
		return;
	}
	if (error->line > 0) {
		place.line = (unsigned)error->line;
		place.column = error->column > 0 ? (unsigned)error->column : 1;
	}
	problem_add(reading->problems, place, "not YAML: %.*s",
		    SHOWN(reading->problems, view_from_text(error->msg)));
}

static void read_events(struct reading *reading, struct fy_parser *parser, struct fy_diag *diag)
{
	struct fy_event *event;

	while (!reading->stop && (event = fy_parser_parse(parser))) {
		read_event(reading, event);
		fy_parser_event_free(parser, event);
	}
	if (!reading->stop && fy_parser_get_stream_error(parser)) {
		report_syntax(reading, diag);
		reading->stop = true;
	}
}

static void read_text(struct reading *reading, struct view text)
{
	struct fy_diag_cfg diag_settings = { .level = FYET_ERROR, .module_mask = ~0u };
	struct fy_diag *diag = fy_diag_create(&diag_settings);
	struct fy_parse_cfg settings = { .flags = FYPCF_QUIET, .diag = diag };
	struct fy_parser *parser;

	if (!diag) {
		no_memory(reading);
		return;
	}
	fy_diag_set_collect_errors(diag, true);
	parser = fy_parser_create(&settings);
	if (!parser || fy_parser_set_string(parser, text.data, text.len)) {
		no_memory(reading);
	} else {
		read_events(reading, parser, diag);
	}
	if (parser) {
		fy_parser_destroy(parser);
	}
	fy_diag_destroy(diag);
}

// The line of the first byte that is NUL or no UTF-8; false when all is text.
static bool find_bad_line(struct view text, unsigned *ret_line)
{
	for (unsigned number = 1; text.len; number++) {
		size_t end = view_find(text, '\n');
		struct view line = view_first(text, end);

		if (!text_is_utf8(line) || view_find(line, '\0') < line.len) {
			*ret_line = number;
			return true;
		}
		text = view_from(text, end + 1);
	}
	return false;
}

struct yaml_node *yaml_parse(struct arena *arena, struct view file, struct view text,
			     struct problems *problems)
{
	struct reading reading = { .arena = arena, .problems = problems, .file = file };
	struct place place = { .file = file, .column = 1 };

	if (find_bad_line(text, &place.line)) {
		problem_add(problems, place, "not UTF-8 text");
		return NULL;
	}
	if (text.len) {
		read_text(&reading, text);
	}
	if (reading.stop) {
		return NULL;
	}
	if (!reading.root || (reading.root->kind == YAML_SCALAR && reading.root->empty)) {
		reading.root = ARENA_NEW(arena, struct yaml_node);
		if (!reading.root) {
			problems->no_memory = true;
			return NULL;
		}
		reading.root->kind = YAML_MAP;
		reading.root->place = (struct place){ .file = file, .line = 1, .column = 1 };
	}
	if (reading.root->kind != YAML_MAP) {
		problem_add(problems, reading.root->place, "expected keys and values");
		return NULL;
	}
	return reading.root;
}

struct yaml_node *yaml_get(const struct yaml_node *map, struct view key)
{
	for (struct yaml_node *node = map->first; node; node = node->next) {
		if (view_equal(node->key, key)) {
			return node;
		}
	}
	return NULL;
}
