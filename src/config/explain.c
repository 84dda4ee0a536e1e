#include "config/explain.h"

#include "config/schema.h"

enum {
	KEY_MAX = 2048,
	ENTRIES_SHOWN_MAX = 100, // of one list; more are counted only
};

static void add_default(struct buffer *out, const struct schema_field *field)
{
	if (field->fallback) {
		buffer_printf(out, "`%s`", field->fallback);
	} else if (field->derived) {
		buffer_add_text(out, field->derived);
	} else if (field->required) {
		buffer_add_text(out, "*must be set*");
	}
}

static void reference_rows(struct buffer *out, const struct schema_object *object,
			   const char *prefix, unsigned depth)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		struct buffer name = buffer_with_max(KEY_MAX);

		if (!field->name || field->kind == SCHEMA_LATER) {
			continue;
		}
		buffer_printf(&name, "%s%s", prefix, field->name);
		buffer_printf(out, "| `%s` | ", buffer_text(&name));
		schema_add_type(field, out);
		buffer_add_text(out, " | ");
		add_default(out, field);
		buffer_printf(out, " | %s |\n", field->help);
		if (field->kind == SCHEMA_OBJECT && depth < SCHEMA_DEPTH_MAX) {
			buffer_add_text(&name, field->shape == SCHEMA_ONE    ? "."
					       : field->shape == SCHEMA_LIST ? "[]."
									     : ".KEY.");
			reference_rows(out, field->object, buffer_text(&name), depth + 1);
		}
		buffer_done(&name);
	}
}

static void reference_head(struct buffer *out)
{
	buffer_add_text(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
}

static void reference_section(struct buffer *out, const struct schema_field *field)
{
	static const char *const joints[] = { ".", "[].", ".KEY." };
	struct buffer prefix = buffer_with_max(KEY_MAX);

	buffer_printf(out, "\n## %s\n\n%s", field->name, field->help);
	if (field->derived) {
		buffer_printf(out, " Default: %s.", field->derived);
	}
	if (field->example) {
		buffer_printf(out, "\n\n    %s: %s", field->name, field->example);
	}
	buffer_add_text(out, "\n\n");
	reference_head(out);
	buffer_printf(&prefix, "%s%s", field->name, joints[field->shape]);
	reference_rows(out, field->object, buffer_text(&prefix), 1);
	buffer_done(&prefix);
}

void config_reference(struct buffer *out)
{
	struct schema_object scalars = schema_config;

	buffer_add_text(out,
			"# Configuration\n\n"
			"Made by the program from the table that it loads files with; do not edit. "
			"The file is\n"
			"`" CONFIG_PATH_DEFAULT "`, in YAML without anchors, aliases and tags.\n"
			"`hostname` alone is a complete file. `packetboat check` says what is "
			"wrong in it, and\n"
			"where. Sizes are written 512B, 64KiB, 50MiB; durations 90s, 5m, 36h, 5d. "
			"Where a list\n"
			"is expected, a single value is a list of one.\n\n");
	reference_head(out);
	for (size_t i = 0; i < schema_config.count; i++) {
		if (schema_config.fields[i].kind != SCHEMA_OBJECT) {
			scalars.fields = &schema_config.fields[i];
			scalars.count = 1;
			reference_rows(out, &scalars, "", 0);
		}
	}
	for (size_t i = 0; i < schema_config.count; i++) {
		if (schema_config.fields[i].kind == SCHEMA_OBJECT) {
			reference_section(out, &schema_config.fields[i]);
		}
	}
}

static void example_keys(struct buffer *out, const struct schema_object *object, unsigned indent)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		const char *value = field->fallback ? field->fallback : field->example;
		bool list = field->kind == SCHEMA_PORTS;
		const char *mark = field->required ? "" : "#";

		if (!field->name || field->kind == SCHEMA_LATER) {
			continue;
		}
		buffer_printf(out, "%s%*s# %s", indent ? "" : "\n", (int)indent, "", field->help);
		if (field->derived) {
			buffer_printf(out, " Default: %s.", field->derived);
		}
		buffer_add_text(out, "\n");
		if (field->kind == SCHEMA_OBJECT && field->shape == SCHEMA_ONE) {
			buffer_printf(out, "%s%*s%s:\n", mark, (int)indent, "", field->name);
			example_keys(out, field->object, indent + 2);
		} else if (value) {
			buffer_printf(out, "%s%*s%s: %s%s%s\n", mark, (int)indent, "", field->name,
				      list ? "[" : "", value, list ? "]" : "");
		}
	}
}

void config_example(struct buffer *out)
{
	buffer_add_text(out,
			"# Packetboat's configuration. A line that begins with \"#\" and a key "
			"shows the default, or\n# an example where it says what the default "
			"is.\n");
	example_keys(out, &schema_config, 0);
}

static void explain_object(struct buffer *out, const struct config_loaded *loaded,
			   const struct schema_object *object, const void *source,
			   const char *prefix);

static void add_origin(struct buffer *out, const struct config_loaded *loaded, struct view key)
{
	const struct config_origin *origin = config_origin_find(loaded, key);

	if (origin) {
		buffer_printf(out, " (%.*s:%u)\n", VIEW_ARG(origin->file), origin->line);
	} else {
		buffer_add_text(out, " (default)\n");
	}
}

static void explain_list(struct buffer *out, const struct config_loaded *loaded,
			 const struct schema_field *field, const void *source, struct buffer *name)
{
	struct schema_list list = schema_list_get(field, source);
	size_t base = name->len;

	buffer_add(out, buffer_view(name));
	if (field->kind == SCHEMA_OBJECT || list.count > ENTRIES_SHOWN_MAX) {
		buffer_printf(out, ": %zu", list.count);
	} else {
		buffer_add_text(out, ":");
	}
	for (size_t i = 0;
	     field->kind != SCHEMA_OBJECT && i < list.count && list.count <= ENTRIES_SHOWN_MAX;
	     i++) {
		buffer_add_text(out, i ? ", " : " ");
		schema_format(field, (char *)list.items + i * schema_element_size(field), out);
	}
	add_origin(out, loaded, buffer_view(name));
	for (size_t i = 0;
	     field->kind == SCHEMA_OBJECT && i < list.count && list.count <= ENTRIES_SHOWN_MAX;
	     i++) {
		const char *element = (const char *)list.items + i * field->object->size;

		name->len = base;
		if (field->shape == SCHEMA_MAP) {
			buffer_printf(name, ".%.*s", VIEW_ARG(*(const struct view *)element));
		} else {
			buffer_printf(name, "[%zu]", i);
		}
		explain_object(out, loaded, field->object, element, buffer_text(name));
	}
}

static void explain_field(struct buffer *out, const struct config_loaded *loaded,
			  const struct schema_field *field, const void *source, struct buffer *name)
{
	const void *value = schema_value_const(field, source);

	if (field->shape != SCHEMA_ONE) {
		explain_list(out, loaded, field, source, name);
	} else if (field->kind == SCHEMA_OBJECT) {
		explain_object(out, loaded, field->object, value, buffer_text(name));
	} else {
		buffer_add(out, buffer_view(name));
		buffer_add_text(out, ": ");
		schema_format(field, value, out);
		add_origin(out, loaded, buffer_view(name));
	}
}

static void explain_object(struct buffer *out, const struct config_loaded *loaded,
			   const struct schema_object *object, const void *source,
			   const char *prefix)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		struct buffer name = buffer_with_max(KEY_MAX);

		if (field->name && field->kind != SCHEMA_LATER) {
			buffer_printf(&name, "%s%s%s", prefix, *prefix ? "." : "", field->name);
			explain_field(out, loaded, field, source, &name);
		}
		buffer_done(&name);
	}
}

void config_explain(struct buffer *out, const struct config_loaded *loaded)
{
	if (loaded->config) {
		explain_object(out, loaded, &schema_config, loaded->config, "");
	}
}
