#include "config/encode.h"

#include "base/wire.h"
#include "config/derive.h"
#include "config/schema.h"

enum { MAGIC = 0x47464350 }; // "PCFG"

static unsigned readers_of(const struct schema_field *field, unsigned inherited)
{
	return field->readers ? field->readers : inherited;
}

static bool is_encoded(const struct schema_field *field, unsigned readers, unsigned reader)
{
	return field->kind != SCHEMA_LATER && (readers_of(field, readers) & reader);
}

static bool is_number(const struct schema_field *field)
{
	return field->kind <= SCHEMA_WORD;
}

static void encode_object(struct buffer *out, const struct schema_object *object,
			  const void *source, unsigned readers, unsigned reader);

static void encode_value(struct buffer *out, const struct schema_field *field, const void *value,
			 unsigned readers, unsigned reader)
{
	size_t start = out->len;

	if (field->kind == SCHEMA_OBJECT) {
		encode_object(out, field->object, value, readers_of(field, readers), reader);
	} else if (is_number(field)) {
		wire_add_u64(out, schema_number_get(field, value));
	} else {
		wire_add_u32(out, 0);
		schema_format(field, value, out);
		if (!out->error) {
			wire_put_u32(out->data + start, (uint32_t)(out->len - start - 4));
		}
	}
}

static void encode_list(struct buffer *out, const struct schema_field *field, const void *source,
			unsigned readers, unsigned reader)
{
	struct schema_list list = schema_list_get(field, source);

	wire_add_u32(out, (uint32_t)list.count);
	for (size_t i = 0; i < list.count; i++) {
		const char *element = (const char *)list.items + i * schema_element_size(field);

		if (field->shape == SCHEMA_MAP) {
			wire_add_string(out, *(const struct view *)element);
		}
		encode_value(out, field, element, readers, reader);
	}
}

static void encode_object(struct buffer *out, const struct schema_object *object,
			  const void *source, unsigned readers, unsigned reader)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];

		if (!is_encoded(field, readers, reader)) {
			continue;
		}
		if (field->shape == SCHEMA_ONE) {
			encode_value(out, field, schema_value_const(field, source), readers,
				     reader);
		} else {
			encode_list(out, field, source, readers, reader);
		}
	}
}

void config_encode(const struct config *config, enum config_reader reader, struct buffer *out)
{
	wire_add_u32(out, MAGIC);
	wire_add_u32(out, reader);
	encode_object(out, &schema_config, config, 0, reader);
}

struct decoding {
	struct wire_reader wire;
	struct arena *arena;
	unsigned reader;
	enum error error;
};

static void fail(struct decoding *decoding, enum error error)
{
	if (!decoding->error) {
		decoding->error = error;
	}
}

// A text may be empty where a file may leave the key out and nothing takes its place.
static bool may_be_empty(const struct schema_field *field)
{
	return field->kind == SCHEMA_TEXT && !field->required &&
	       (!field->fallback || field->form == FORM_SEPARATOR);
}

static void decode_object(struct decoding *decoding, const struct schema_object *object,
			  void *target, unsigned readers);

static void decode_number(struct decoding *decoding, const struct schema_field *field, void *value)
{
	uint64_t number = wire_u64(&decoding->wire);
	uint64_t max = field->max;

	if (field->kind == SCHEMA_SWITCH) {
		max = 1;
	} else if (field->kind == SCHEMA_WORD) {
		for (max = 0; field->words[max + 1]; max++) {
		}
	}
	if (decoding->wire.failed || number < field->min || number > max) {
		fail(decoding, ERROR_INVALID);
		return;
	}
	schema_number_set(field, value, number);
}

// The text must be in its normal spelling already: the loader has made it so.
static void decode_text(struct decoding *decoding, const struct schema_field *field, void *value)
{
	struct view text = wire_string(&decoding->wire);

	if (!text.len && may_be_empty(field)) {
		*(struct view *)value = VIEW("");
		return;
	}
	if (decoding->wire.failed || schema_parse(field, decoding->arena, text, value) ||
	    (field->kind == SCHEMA_TEXT && !view_equal(text, *(struct view *)value))) {
		fail(decoding, ERROR_INVALID);
	}
}

static void decode_value(struct decoding *decoding, const struct schema_field *field, void *value,
			 unsigned readers)
{
	if (field->kind == SCHEMA_OBJECT) {
		decode_object(decoding, field->object, value, readers_of(field, readers));
	} else if (is_number(field)) {
		decode_number(decoding, field, value);
	} else {
		decode_text(decoding, field, value);
	}
}

static void decode_key(struct decoding *decoding, const struct schema_object *object,
		       struct view *value)
{
	struct view text = wire_string(&decoding->wire);

	if (form_check(object->key_form, decoding->arena, text, value) ||
	    !view_equal(text, *value)) {
		fail(decoding, ERROR_INVALID);
	}
}

static void decode_list(struct decoding *decoding, const struct schema_field *field, void *target,
			unsigned readers)
{
	struct schema_list list = { .count = wire_u32(&decoding->wire) };
	size_t size = schema_element_size(field);

	// Every element has at least one byte, so a short message cannot ask for much memory.
	if (list.count > field->max || list.count > decoding->wire.rest.len) {
		fail(decoding, ERROR_INVALID);
		return;
	}
	list.items = arena_alloc_array(decoding->arena, list.count ? list.count : 1, size);
	if (!list.items) {
		fail(decoding, ERROR_NO_MEMORY);
		return;
	}
	for (size_t i = 0; i < list.count && !decoding->error; i++) {
		char *element = (char *)list.items + i * size;

		if (field->shape == SCHEMA_MAP) {
			decode_key(decoding, field->object, (struct view *)element);
		}
		decode_value(decoding, field, element, readers);
	}
	schema_list_set(field, target, list);
}

static void decode_object(struct decoding *decoding, const struct schema_object *object,
			  void *target, unsigned readers)
{
	for (size_t i = 0; i < object->count && !decoding->error; i++) {
		const struct schema_field *field = &object->fields[i];

		if (!is_encoded(field, readers, decoding->reader)) {
			continue;
		}
		if (field->shape == SCHEMA_ONE) {
			decode_value(decoding, field, schema_value(field, target), readers);
		} else {
			decode_list(decoding, field, target, readers);
		}
	}
}

// What no single field shows: members that are never empty once loaded, networks not to be trusted.
static bool is_sound(const struct config *config)
{
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *listener = &config->listeners.items[i];

		if (!listener->name.len || !listener->hostname.len ||
		    listener->tls == CONFIG_TLS_BY_PORT) {
			return false;
		}
	}
	for (size_t i = 0; i < config->relay.network_count; i++) {
		if (relay_network_fault(&config->relay.networks[i])) {
			return false;
		}
	}
	return config->postmaster.len && config->spool_dir.len && config->mail_dir.len;
}

enum error config_decode(struct view bytes, enum config_reader reader, struct arena *arena,
			 const struct config **ret_config)
{
	struct decoding decoding = {
		.wire = wire_reader_of(bytes),
		.arena = arena,
		.reader = reader,
	};
	struct config *config = ARENA_NEW(arena, struct config);

	if (!config) {
		return ERROR_NO_MEMORY;
	}
	if (wire_u32(&decoding.wire) != MAGIC || wire_u32(&decoding.wire) != (uint32_t)reader) {
		return ERROR_INVALID;
	}
	decode_object(&decoding, &schema_config, config, 0);
	if (decoding.error || !wire_finished(&decoding.wire) || !is_sound(config)) {
		return decoding.error ? decoding.error : ERROR_INVALID;
	}
	config_derive(config);
	*ret_config = config;
	return OK;
}
