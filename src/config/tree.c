#include "config/tree.h"

#include <fnmatch.h>
#include <stdlib.h>

static void read_into(struct tree *tree, struct view path, struct place place, unsigned depth);

static void no_memory(struct tree *tree)
{
	tree->problems->no_memory = true;
}

static bool note_file(struct tree *tree, struct view path, struct place place)
{
	for (size_t i = 0; i < tree->file_count; i++) {
		if (view_equal(tree->files[i], path)) {
			problem_add(tree->problems, place, "%.*s is included already",
				    SHOWN(tree->problems, path));
			return false;
		}
	}
	if (tree->file_count == CONFIG_FILES_MAX) {
		problem_add(tree->problems, place, "more than %d files", CONFIG_FILES_MAX);
		return false;
	}
	tree->files[tree->file_count++] = path;
	return true;
}

static void report_unreadable(struct tree *tree, struct view path, struct place place,
			      enum error error)
{
	if (!place.line && error == ERROR_NOT_FOUND) {
		problem_add(tree->problems, place,
			    "no such file; write it with this one line, and the name of this "
			    "server: hostname: mail.example.org");
	} else if (error == ERROR_LIMIT) {
		problem_add(tree->problems, place, "%.*s is larger than %d MiB",
			    SHOWN(tree->problems, path), CONFIG_FILE_SIZE_MAX >> 20);
	} else {
		problem_add(tree->problems, place, "cannot read %.*s: %s",
			    SHOWN(tree->problems, path), error_text(error));
	}
}

bool tree_read_file(struct tree *tree, struct view path, struct place place, struct view *ret_text)
{
	struct buffer text = buffer_with_max(CONFIG_FILE_SIZE_MAX);
	enum error error = tree->source.read(tree->source.context, path.data, &text);
	struct view copy = VIEW("");

	if (error == OK) {
		error = buffer_error(&text);
	}
	if (error == OK) {
		copy = arena_copy(tree->arena, buffer_view(&text));
	}
	buffer_done(&text);
	if (error) {
		report_unreadable(tree, path, place, error);
		return false;
	}
	if (!copy.data) {
		no_memory(tree);
		return false;
	}
	*ret_text = copy;
	return true;
}

// A list with the node as its one element, where it is none yet.
static struct yaml_node *as_list(struct tree *tree, struct yaml_node *node)
{
	struct yaml_node *element;

	if (node->kind == YAML_LIST) {
		return node;
	}
	element = ARENA_NEW(tree->arena, struct yaml_node);
	if (!element) {
		no_memory(tree);
		return node;
	}
	*element = *node;
	element->next = NULL;
	node->kind = YAML_LIST;
	node->first = node->last = NULL;
	yaml_append(node, element);
	return node;
}

static void join(struct yaml_node *into, struct yaml_node *from)
{
	for (struct yaml_node *node = from->first, *next; node; node = next) {
		next = node->next;
		yaml_append(into, node);
	}
}

// Puts the entries of one map into another: lists and maps are joined, objects key by key. A single
// value that both have stays there twice, and is refused with both places later.
static void merge(struct tree *tree, const struct schema_object *object, struct yaml_node *into,
		  struct yaml_node *from)
{
	for (struct yaml_node *node = from->first, *next; node; node = next) {
		const struct schema_field *field = schema_find(object, node->key);
		struct yaml_node *there = field ? yaml_get(into, node->key) : NULL;

		next = node->next;
		if (there && field->shape == SCHEMA_LIST) {
			join(as_list(tree, there), as_list(tree, node));
		} else if (there && there->kind == YAML_MAP && node->kind == YAML_MAP) {
			if (field->shape == SCHEMA_MAP) {
				join(there, node);
			} else {
				merge(tree, field->object, there, node);
			}
		} else {
			yaml_append(into, node);
		}
	}
}

struct names {
	struct tree *tree;
	struct view pattern;
	struct view items[CONFIG_FILES_MAX];
	size_t count;
	bool too_many;
};

static bool add_name(void *context, const char *name)
{
	struct names *names = context;

	if (fnmatch(names->pattern.data, name, FNM_PERIOD)) {
		return true;
	}
	if (names->count == CONFIG_FILES_MAX) {
		names->too_many = true;
		return false;
	}
	names->items[names->count] = arena_copy(names->tree->arena, view_from_text(name));
	if (!names->items[names->count].data) {
		no_memory(names->tree);
		return false;
	}
	names->count++;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return view_compare(*(const struct view *)a, *(const struct view *)b);
}

static void include_matches(struct tree *tree, struct view folder, struct view pattern,
			    struct place place, unsigned depth)
{
	struct names names = { .tree = tree, .pattern = pattern };
	enum error error = tree->source.list(tree->source.context, folder.data, add_name, &names);

	if (error && error != ERROR_NOT_FOUND) {
		report_unreadable(tree, folder, place, error);
		return;
	}
	if (names.too_many) {
		problem_add(tree->problems, place, "more than %d files", CONFIG_FILES_MAX);
		return;
	}
	qsort(names.items, names.count, sizeof *names.items, by_name);
	for (size_t i = 0; i < names.count; i++) {
		read_into(tree,
			  arena_printf(tree->arena, "%.*s%s%.*s", VIEW_ARG(folder),
				       folder.len == 1 ? "" : "/", VIEW_ARG(names.items[i])),
			  place, depth);
	}
}

static bool has_wildcard(struct view text)
{
	return view_find(text, '*') < text.len || view_find(text, '?') < text.len ||
	       view_find(text, '[') < text.len;
}

// The folder that a path lies in, and the name in it.
static void split_path(struct tree *tree, struct view path, struct view *ret_folder,
		       struct view *ret_name)
{
	size_t slash = view_find_last(path, '/');

	if (slash == path.len) {
		*ret_folder = VIEW(".");
		*ret_name = path;
		return;
	}
	*ret_folder = arena_copy(tree->arena, view_first(path, slash ? slash : 1));
	*ret_name = view_from(path, slash + 1);
}

static void include(struct tree *tree, struct view from, const struct yaml_node *node,
		    unsigned depth)
{
	struct view path = node->text, folder, name;

	if (node->kind != YAML_SCALAR || !path.len) {
		problem_add(tree->problems, node->place, "include: expected the name of a file");
		return;
	}
	if (!view_starts(path, VIEW("/"))) {
		split_path(tree, from, &folder, &name);
		path = arena_printf(tree->arena, "%.*s/%.*s", VIEW_ARG(folder), VIEW_ARG(path));
	}
	if (!path.data) {
		no_memory(tree);
		return;
	}
	split_path(tree, path, &folder, &name);
	if (!folder.data) {
		no_memory(tree);
	} else if (has_wildcard(folder)) {
		problem_add(tree->problems, node->place,
			    "include: only the last part of a path may have wildcards");
	} else if (has_wildcard(name)) {
		include_matches(tree, folder, name, node->place, depth);
	} else {
		read_into(tree, path, node->place, depth);
	}
}

static void read_into(struct tree *tree, struct view path, struct place place, unsigned depth)
{
	struct yaml_node *root, *includes;
	struct view text;

	if (!path.data) {
		no_memory(tree);
		return;
	}
	if (depth > TREE_INCLUDE_DEPTH_MAX) {
		problem_add(tree->problems, place, "included too deeply");
		return;
	}
	if (!note_file(tree, path, place) || !tree_read_file(tree, path, place, &text)) {
		return;
	}
	root = yaml_parse(tree->arena, path, text, tree->problems);
	if (!root) {
		return;
	}
	includes = yaml_get(root, VIEW("include"));
	includes = includes ? as_list(tree, includes) : NULL;
	// The list is read to its end before what it includes may add to it.
	struct yaml_node *last = includes ? includes->last : NULL;

	if (!tree->root) {
		tree->root = root;
	} else {
		merge(tree, &schema_config, tree->root, root);
	}
	for (struct yaml_node *node = includes ? includes->first : NULL; node; node = node->next) {
		include(tree, path, node, depth + 1);
		if (node == last) {
			break;
		}
	}
}

void tree_read(struct tree *tree, struct view path)
{
	read_into(tree, path, (struct place){ .file = path }, 0);
}
