#include <stdlib.h>

#include "config/derive.h"
#include "config/load_private.h"

enum { KEY_MAX = 1024 };

static void no_memory(struct load *load)
{
	load->problems->no_memory = true;
}

void load_add_origin(struct load *load, struct view key, struct place place)
{
	struct origin_link *link = ARENA_NEW(load->arena, struct origin_link);

	if (!link) {
		no_memory(load);
		return;
	}
	link->origin = (struct config_origin){ key, place.file, place.line, place.column };
	if (load->last_origin) {
		load->last_origin->next = link;
	} else {
		load->origins = link;
	}
	load->last_origin = link;
	load->origin_count++;
}

struct place load_place(const struct load *load, const char *key_format, ...)
{
	struct buffer key = buffer_with_max(KEY_MAX);
	struct place place = { .file = load->tree->files[0] };
	va_list arguments;

	va_start(arguments, key_format);
	buffer_vprintf(&key, key_format, arguments);
	va_end(arguments);
	for (const struct origin_link *link = load->origins; link; link = link->next) {
		if (view_equal(link->origin.key, buffer_view(&key))) {
			place = (struct place){ link->origin.file, link->origin.line,
						link->origin.column };
			break;
		}
	}
	buffer_done(&key);
	return place;
}

void load_defaults(struct load *load, const struct schema_object *object, void *target)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		void *value = schema_value(field, target);

		if (field->kind == SCHEMA_OBJECT && field->shape == SCHEMA_ONE) {
			load_defaults(load, field->object, value);
		} else if (field->fallback &&
			   schema_parse(field, load->arena, view_from_text(field->fallback),
					value)) {
			no_memory(load);
		}
	}
}

static void apply_object(struct load *load, const struct schema_object *object,
			 const struct yaml_node *node, void *target, struct view path);

static void apply_scalar(struct load *load, const struct schema_field *field,
			 const struct yaml_node *node, void *value)
{
	const char *fault;

	if (node->kind != YAML_SCALAR) {
		problem_add(load->problems, node->place, "%s: expected a single value",
			    field->name);
		return;
	}
	if (node->empty) {
		problem_add(load->problems, node->place, "%s: a value is missing", field->name);
		return;
	}
	fault = schema_parse(field, load->arena, node->text, value);
	if (fault) {
		problem_add(load->problems, node->place, "%s: %s, not '%.*s'", field->name, fault,
			    SHOWN(load->problems, node->text));
		if (field->kind == SCHEMA_TEXT) {
			*(struct view *)value = (struct view){ 0 }; // not the default
		}
	}
}

// The elements of a list; a single value is a list of one.
static size_t elements_of(const struct yaml_node *node, const struct yaml_node **ret_first)
{
	size_t count = 0;

	if (node->kind != YAML_LIST) {
		*ret_first = node;
		return node->empty ? 0 : 1;
	}
	*ret_first = node->first;
	for (const struct yaml_node *element = node->first; element; element = element->next) {
		count++;
	}
	return count;
}

// Room for count elements at their defaults.
static bool make_list(struct load *load, const struct schema_field *field,
		      const struct yaml_node *node, size_t count, struct schema_list *ret_list)
{
	if (count > field->max) {
		problem_add(load->problems, node->place, "%s: more than %llu", field->name,
			    (unsigned long long)field->max);
		return false;
	}
	ret_list->count = count;
	ret_list->items =
		arena_alloc_array(load->arena, count ? count : 1, schema_element_size(field));
	if (!ret_list->items) {
		no_memory(load);
		return false;
	}
	for (size_t i = 0; field->kind == SCHEMA_OBJECT && i < count; i++) {
		load_defaults(load, field->object,
			      (char *)ret_list->items + i * field->object->size);
	}
	return true;
}

static void apply_list(struct load *load, const struct schema_field *field,
		       const struct yaml_node *node, void *target, struct view path)
{
	const struct yaml_node *element;
	size_t count = elements_of(node, &element);
	struct schema_list list;

	if (!make_list(load, field, node, count, &list)) {
		return;
	}
	schema_list_set(field, target, list);
	for (size_t i = 0; i < count; i++, element = element->next) {
		void *value = (char *)list.items + i * schema_element_size(field);

		if (field->kind == SCHEMA_OBJECT) {
			struct view key = arena_printf(load->arena, "%.*s[%zu]", VIEW_ARG(path), i);

			load_add_origin(load, key, element->place);
			apply_object(load, field->object, element, value, key);
		} else {
			apply_scalar(load, field, element, value);
		}
	}
}

static void apply_entry(struct load *load, const struct schema_field *field,
			const struct yaml_node *entry, struct view *value, struct view path)
{
	const char *fault = form_check(field->object->key_form, load->arena, entry->key, value);
	struct view key;

	if (fault) {
		problem_add(load->problems, entry->key_place, "'%.*s': %s",
			    SHOWN(load->problems, entry->key), fault);
		return;
	}
	key = arena_printf(load->arena, "%.*s.%.*s", VIEW_ARG(path), VIEW_ARG(*value));
	load_add_origin(load, key, entry->key_place);
	apply_object(load, field->object, entry, value, key);
}

static void apply_map(struct load *load, const struct schema_field *field,
		      const struct yaml_node *node, void *target, struct view path)
{
	struct placed_key *keys;
	struct schema_list list;
	size_t count = 0;

	if (node->kind != YAML_MAP && !node->empty) {
		problem_add(load->problems, node->place, "%s: expected keys and values",
			    field->name);
		return;
	}
	for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
		count++;
	}
	keys = calloc(count + 1, sizeof *keys);
	if (!keys || !make_list(load, field, node, count, &list)) {
		load->problems->no_memory |= !keys;
		free(keys);
		return;
	}
	schema_list_set(field, target, list);
	count = 0;
	for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
		void *value = (char *)list.items + count * field->object->size;

		apply_entry(load, field, entry, value, path);
		// By its normal spelling where it has one, so that two spellings are one key.
		keys[count].key = *(struct view *)value;
		if (!keys[count].key.len) {
			keys[count].key = entry->key;
		}
		keys[count++].place = entry->key_place;
	}
	problem_check_twice(load->problems, keys, count);
	free(keys);
}

// The ports of a list, as the text that a port list is read from.
static void apply_ports(struct load *load, const struct schema_field *field,
			const struct yaml_node *node, void *value)
{
	const struct yaml_node *element;
	size_t count = elements_of(node, &element);
	struct buffer text = buffer_with_max(FORM_TEXT_MAX);
	struct yaml_node joined = { .kind = YAML_SCALAR, .place = node->place };

	for (size_t i = 0; i < count; i++, element = element->next) {
		buffer_add_text(&text, i ? "," : "");
		buffer_add(&text, element->kind == YAML_SCALAR ? element->text : VIEW("?"));
	}
	joined.text = buffer_view(&text);
	apply_scalar(load, field, &joined, value);
	buffer_done(&text);
}

static void apply_field(struct load *load, const struct schema_field *field,
			const struct yaml_node *node, void *target, struct view path)
{
	void *value = schema_value(field, target);

	load_add_origin(load, path, node->place);
	if (field->shape == SCHEMA_LIST) {
		apply_list(load, field, node, target, path);
	} else if (field->shape == SCHEMA_MAP) {
		apply_map(load, field, node, target, path);
	} else if (field->kind == SCHEMA_OBJECT) {
		apply_object(load, field->object, node, value, path);
	} else if (field->kind == SCHEMA_PORTS) {
		apply_ports(load, field, node, value);
	} else {
		apply_scalar(load, field, node, value);
	}
}

static void refuse_key(struct load *load, const struct schema_object *object,
		       const struct schema_field *field, const struct yaml_node *entry)
{
	const char *nearest = field ? NULL : schema_nearest(object, entry->key);

	if (field) {
		problem_add(load->problems, entry->key_place,
			    "'%s' is not available in this version", field->name);
	} else if (nearest) {
		problem_add(load->problems, entry->key_place,
			    "unknown key '%.*s', did you mean '%s'?",
			    SHOWN(load->problems, entry->key), nearest);
	} else {
		problem_add(load->problems, entry->key_place, "unknown key '%.*s'",
			    SHOWN(load->problems, entry->key));
	}
}

static void check_keys_twice(struct load *load, const struct yaml_node *node)
{
	struct placed_key *keys;
	size_t count = 0;

	for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
		count++;
	}
	keys = calloc(count + 1, sizeof *keys);
	if (!keys) {
		no_memory(load);
		return;
	}
	count = 0;
	for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
		keys[count++] = (struct placed_key){ .key = entry->key, .place = entry->key_place };
	}
	problem_check_twice(load->problems, keys, count);
	free(keys);
}

static void check_required(struct load *load, const struct schema_object *object,
			   const struct yaml_node *node)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];

		if (field->required && !yaml_get(node, view_from_text(field->name))) {
			problem_add(load->problems, node->place, "'%s' is missing", field->name);
		}
	}
}

static void apply_object(struct load *load, const struct schema_object *object,
			 const struct yaml_node *node, void *target, struct view path)
{
	if (object->short_field && node->kind != YAML_MAP && !node->empty) {
		const struct schema_field *field =
			schema_find(object, view_from_text(object->short_field));

		apply_field(load, field, node, target,
			    arena_printf(load->arena, "%.*s.%s", VIEW_ARG(path), field->name));
		return;
	}
	if (node->kind != YAML_MAP && !node->empty) {
		problem_add(load->problems, node->place, "expected keys and values");
		return;
	}
	check_keys_twice(load, node);
	for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
		const struct schema_field *field = schema_find(object, entry->key);

		if (!field || field->kind == SCHEMA_LATER) {
			refuse_key(load, object, field, entry);
			continue;
		}
		apply_field(load, field, entry, target,
			    arena_printf(load->arena, "%.*s%s%s", VIEW_ARG(path),
					 path.len ? "." : "", field->name));
	}
	check_required(load, object, node);
}

static void load_tree(struct load *load)
{
	load->config = ARENA_NEW(load->arena, struct config);
	if (!load->config) {
		no_memory(load);
		return;
	}
	load_defaults(load, &schema_config, load->config);
	apply_object(load, &schema_config, load->tree->root, load->config, VIEW(""));
	if (load->problems->errors || load->problems->no_memory) {
		return;
	}
	load_derive(load);
	load_aliases_file(load);
	if (!load->problems->errors && !load->problems->no_memory) {
		load_check_rules(load);
	}
}

static bool hand_over(const struct load *load, struct config_loaded *ret_loaded)
{
	struct config_loaded loaded = {
		.config = load->problems->errors ? NULL : load->config,
		.problems.count = load->problems->count,
		.origins.count = load->origin_count,
		.files.count = load->tree->file_count,
		.data_dir = load->config ? load->config->data_dir : (struct view){ 0 },
	};
	size_t i = 0;

	loaded.problems.items = arena_alloc_array(load->arena, loaded.problems.count + 1,
						  sizeof *loaded.problems.items);
	loaded.origins.items = arena_alloc_array(load->arena, loaded.origins.count + 1,
						 sizeof *loaded.origins.items);
	loaded.files.items =
		arena_alloc_array(load->arena, loaded.files.count + 1, sizeof *loaded.files.items);
	if (!loaded.problems.items || !loaded.origins.items || !loaded.files.items) {
		return false;
	}
	for (i = 0; i < loaded.problems.count; i++) {
		loaded.problems.items[i] = load->problems->items[i];
	}
	for (i = 0; i < loaded.files.count; i++) {
		loaded.files.items[i] = load->tree->files[i];
	}
	i = 0;
	for (const struct origin_link *link = load->origins; link; link = link->next) {
		loaded.origins.items[i++] = link->origin;
	}
	*ret_loaded = loaded;
	return true;
}

enum error config_load(struct config_files files, const char *path, struct arena *arena,
		       struct config_loaded *ret_loaded)
{
	struct problems problems = { .arena = arena };
	struct tree tree = { .source = files, .arena = arena, .problems = &problems };
	struct load load = { .arena = arena, .problems = &problems, .tree = &tree };
	struct view name = arena_copy(arena, view_from_text(path));

	if (!name.data) {
		return ERROR_NO_MEMORY;
	}
	tree_read(&tree, name);
	if (tree.root && !problems.errors && !problems.no_memory) {
		load_tree(&load);
	}
	if (problems.no_memory || !hand_over(&load, ret_loaded)) {
		return ERROR_NO_MEMORY;
	}
	return OK;
}

const struct config_origin *config_origin_find(const struct config_loaded *loaded, struct view key)
{
	for (size_t i = 0; i < loaded->origins.count; i++) {
		if (view_equal(loaded->origins.items[i].key, key)) {
			return &loaded->origins.items[i];
		}
	}
	return NULL;
}
