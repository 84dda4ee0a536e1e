#include <string.h>

#include "base/text.h"
#include "config/schema.h"

const struct schema_field *schema_find(const struct schema_object *object, struct view name)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];

		if (field->name && view_equal(name, view_from_text(field->name))) {
			return field;
		}
	}
	return NULL;
}

const char *schema_nearest(const struct schema_object *object, struct view name)
{
	struct text_guess guess = { 0 };

	for (size_t i = 0; i < object->count; i++) {
		text_guess_consider(&guess, name, object->fields[i].name);
	}
	return guess.nearest;
}

size_t schema_element_size(const struct schema_field *field)
{
	switch (field->kind) {
	case SCHEMA_TEXT: return sizeof(struct view);
	case SCHEMA_IP: return sizeof(struct ip_address);
	case SCHEMA_NETWORK: return sizeof(struct network);
	case SCHEMA_PATTERN: return sizeof(struct pattern);
	case SCHEMA_PORTS: return sizeof(struct port_list);
	case SCHEMA_OBJECT: return field->object->size;
	default: return field->width;
	}
}

struct schema_list schema_list_get(const struct schema_field *field, const void *object)
{
	struct schema_list list;

	memcpy(&list, schema_value_const(field, object), sizeof list);
	return list;
}

void schema_list_set(const struct schema_field *field, void *object, struct schema_list list)
{
	memcpy(schema_value(field, object), &list, sizeof list);
}

uint64_t schema_number_get(const struct schema_field *field, const void *value)
{
	uint64_t wide = 0;
	uint32_t narrow;

	switch (field->width) {
	case sizeof(uint8_t): return *(const bool *)value;
	case sizeof narrow: memcpy(&narrow, value, sizeof narrow); return narrow;
	default: memcpy(&wide, value, sizeof wide); return wide;
	}
}

void schema_number_set(const struct schema_field *field, void *value, uint64_t number)
{
	uint32_t narrow = (uint32_t)number;

	switch (field->width) {
	case sizeof(uint8_t): *(bool *)value = number != 0; break;
	case sizeof narrow: memcpy(value, &narrow, sizeof narrow); break;
	default: memcpy(value, &number, sizeof number);
	}
}

static void add_number(const struct schema_field *field, uint64_t number, struct buffer *out)
{
	if (field->kind == SCHEMA_SIZE) {
		text_add_size(out, number);
	} else if (field->kind == SCHEMA_DURATION) {
		text_add_duration(out, number);
	} else {
		buffer_add_number(out, number);
	}
}

static const char *phrase(struct arena *arena, struct buffer *text)
{
	const char *copy = arena_copy(arena, buffer_view(text)).data;

	buffer_done(text);
	return copy ? copy : error_text(ERROR_NO_MEMORY);
}

static const char *range_phrase(const struct schema_field *field, struct arena *arena)
{
	struct buffer text = buffer_with_max(200);

	buffer_add_text(&text, "must be between ");
	add_number(field, field->min, &text);
	buffer_add_text(&text, " and ");
	add_number(field, field->max, &text);
	return phrase(arena, &text);
}

static void add_words(const struct schema_field *field, struct buffer *out)
{
	for (size_t i = 0; field->words[i]; i++) {
		buffer_add_text(out, i == 0 ? "" : field->words[i + 1] ? ", " : " or ");
		buffer_add_text(out, field->words[i]);
	}
}

static const char *words_phrase(const struct schema_field *field, struct arena *arena)
{
	struct buffer text = buffer_with_max(400);

	buffer_add_text(&text, "expected ");
	add_words(field, &text);
	return phrase(arena, &text);
}

static const char *parse_number(const struct schema_field *field, struct arena *arena,
				struct view text, void *value)
{
	uint64_t number = 0;
	enum error error = OK;
	const char *expected = "expected a number";

	if (field->kind == SCHEMA_SIZE) {
		error = text_to_size_bytes(text, &number);
		expected = "expected a size, such as 50MiB";
	} else if (field->kind == SCHEMA_DURATION) {
		error = text_to_duration_ms(text, &number);
		expected = "expected a duration, such as 90s, 5m, 36h, 5d";
	} else if (!text.len || text.len > 20 || !view_to_u64(text, UINT64_MAX, &number)) {
		error = ERROR_INVALID;
	}
	if (error == ERROR_INVALID) {
		return expected;
	}
	if (error || number < field->min || number > field->max) {
		return range_phrase(field, arena);
	}
	schema_number_set(field, value, number);
	return NULL;
}

static const char *parse_word(const struct schema_field *field, struct arena *arena,
			      struct view text, void *value)
{
	for (unsigned i = 0; field->words[i]; i++) {
		if (view_equal(text, view_from_text(field->words[i]))) {
			schema_number_set(field, value, i);
			return NULL;
		}
	}
	return words_phrase(field, arena);
}

static const char *parse_switch(struct view text, void *value)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (view_equal(text, view_from_text(words[i]))) {
			*(bool *)value = i & 1;
			return NULL;
		}
	}
	return "expected true or false";
}

static const char *parse_ports(struct view text, struct port_list *value)
{
	struct port_list list = { 0 };
	struct view part;
	uint64_t port;

	while (view_next_part(&text, ',', &part)) {
		if (list.count == PORT_LIST_MAX) {
			return "too many ports";
		}
		if (!view_to_u64(view_trim(part), 65535, &port) || port == 0) {
			return "a port must be between 1 and 65535";
		}
		list.ports[list.count++] = (uint16_t)port;
	}
	if (!list.count) {
		return "expected ports";
	}
	*value = list;
	return NULL;
}

static const char *parse_pattern(struct arena *arena, struct view text, struct pattern *value)
{
	switch (pattern_parse(arena, text, value)) {
	case OK: return NULL;
	case ERROR_NO_MEMORY: return error_text(ERROR_NO_MEMORY);
	default: return "expected a pattern: *, user@domain, *@domain, domain or *.domain";
	}
}

const char *schema_parse(const struct schema_field *field, struct arena *arena, struct view text,
			 void *value)
{
	switch (field->kind) {
	case SCHEMA_SWITCH: return parse_switch(text, value);
	case SCHEMA_NUMBER:
	case SCHEMA_SIZE:
	case SCHEMA_DURATION: return parse_number(field, arena, text, value);
	case SCHEMA_WORD: return parse_word(field, arena, text, value);
	case SCHEMA_TEXT: return form_check(field->form, arena, text, value);
	case SCHEMA_IP: return ip_address_parse(text, value) ? NULL : "expected an IP address";
	case SCHEMA_NETWORK:
		return network_parse(text, value)
			       ? NULL
			       : "expected an IP address or a network, such as 10.0.0.0/8, with no "
				 "bits set beyond its prefix";
	case SCHEMA_PATTERN: return parse_pattern(arena, text, value);
	case SCHEMA_PORTS: return parse_ports(text, value);
	default: return "expected keys and values";
	}
}

static void add_ports(struct buffer *out, const struct port_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		buffer_add_text(out, i ? ", " : "");
		buffer_add_number(out, list->ports[i]);
	}
}

void schema_format(const struct schema_field *field, const void *value, struct buffer *out)
{
	switch (field->kind) {
	case SCHEMA_SWITCH: buffer_add_text(out, *(const bool *)value ? "true" : "false"); break;
	case SCHEMA_NUMBER:
	case SCHEMA_SIZE:
	case SCHEMA_DURATION: add_number(field, schema_number_get(field, value), out); break;
	case SCHEMA_WORD:
		buffer_add_text(out, field->words[schema_number_get(field, value)]);
		break;
	case SCHEMA_TEXT: buffer_add(out, *(const struct view *)value); break;
	case SCHEMA_IP: ip_address_add_text(out, value); break;
	case SCHEMA_NETWORK: network_add_text(out, value); break;
	case SCHEMA_PATTERN: pattern_add_text(out, value); break;
	case SCHEMA_PORTS: add_ports(out, value); break;
	default: break;
	}
}

static const char *form_text(enum form form)
{
	switch (form) {
	case FORM_NAME: return "a name";
	case FORM_HOSTNAME: return "a host name";
	case FORM_DOMAIN: return "a domain";
	case FORM_HOST: return "a host name or IP address";
	case FORM_MAILBOX:
	case FORM_MAILBOX_KEY: return "a mail address";
	case FORM_PATH: return "a path";
	case FORM_GLOB: return "a file, with wildcards";
	case FORM_LOG: return "stderr, syslog or a path";
	case FORM_SEPARATOR: return "a character, or none";
	case FORM_DNS_SERVER: return "an IP address, or ADDRESS@PORT";
	default: return "text";
	}
}

static void add_range(const struct schema_field *field, struct buffer *out)
{
	add_number(field, field->min, out);
	buffer_add_text(out, " to ");
	add_number(field, field->max, out);
}

void schema_add_type(const struct schema_field *field, struct buffer *out)
{
	if (field->shape == SCHEMA_MAP) {
		buffer_add_text(out, "keys (each ");
		buffer_add_text(out, form_text(field->object->key_form));
		buffer_add_text(out, ") and values");
		return;
	}
	buffer_add_text(out, field->shape == SCHEMA_LIST ? "list: " : "");
	switch (field->kind) {
	case SCHEMA_SWITCH: buffer_add_text(out, "true or false"); break;
	case SCHEMA_NUMBER:
	case SCHEMA_SIZE:
	case SCHEMA_DURATION: add_range(field, out); break;
	case SCHEMA_WORD: add_words(field, out); break;
	case SCHEMA_TEXT: buffer_add_text(out, form_text(field->form)); break;
	case SCHEMA_IP: buffer_add_text(out, "an IP address"); break;
	case SCHEMA_NETWORK: buffer_add_text(out, "an IP address or network"); break;
	case SCHEMA_PATTERN: buffer_add_text(out, "a pattern"); break;
	case SCHEMA_PORTS: buffer_add_text(out, "list: 1 to 65535"); break;
	default: buffer_add_text(out, "keys and values");
	}
}
