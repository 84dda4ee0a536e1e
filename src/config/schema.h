// The one table of the configuration: every key with its type, default, range, readers and the
// sentence that explains it. The loader, its messages, the encoding, the reference and the example
// all come from it. Inside this room.
#pragma once

#include "config/form.h"

enum schema_kind {
	SCHEMA_SWITCH,   // bool: true or false
	SCHEMA_NUMBER,   // unsigned of 4 or 8 bytes
	SCHEMA_SIZE,     // bytes, likewise
	SCHEMA_DURATION, // milliseconds, likewise
	SCHEMA_WORD,     // one of words; an int, its place among them
	SCHEMA_TEXT,     // struct view
	SCHEMA_IP,       // struct ip_address
	SCHEMA_NETWORK,  // struct network
	SCHEMA_PATTERN,  // struct pattern
	SCHEMA_PORTS,    // struct port_list
	SCHEMA_OBJECT,   // a struct of its own
	SCHEMA_LATER,    // known, but refused: not in this version
};

enum schema_shape {
	SCHEMA_ONE,
	SCHEMA_LIST, // a pointer and a count
	SCHEMA_MAP,  // of objects: likewise, and the first member holds the key
};

struct schema_field {
	const char *name; // NULL: no key but a part of the struct that travels with it
	enum schema_kind kind;
	enum schema_shape shape;
	enum form form;
	size_t offset, width;
	uint64_t min, max;        // of the number; of a list's length: max
	const char *fallback;     // as it would be written; NULL: none
	const char *example;      // a value in YAML; NULL: the fallback serves
	const char *derived;      // the default in words, where it depends on other keys
	const char *const *words; // NULL-terminated
	const struct schema_object *object;
	unsigned readers; // bits of enum config_reader
	bool required;
	const char *help;
};

struct schema_object {
	size_t size;
	const struct schema_field *fields;
	size_t count;
	const char *short_field; // the one that a value without braces means; NULL: none
	enum form key_form;      // in a map
	unsigned key_readers;
};

// The whole file.
extern const struct schema_object schema_config;

enum { SCHEMA_DEPTH_MAX = 6 };

const struct schema_field *schema_find(const struct schema_object *object, struct view name);
// The key that was probably meant; NULL when none is close.
const char *schema_nearest(const struct schema_object *object, struct view name);
// The size of one element.
size_t schema_element_size(const struct schema_field *field);

// A list as it lies in a struct: every CONFIG_LIST, and pointer-and-count pairs of other rooms.
struct schema_list {
	void *items;
	size_t count;
};

struct schema_list schema_list_get(const struct schema_field *field, const void *object);
void schema_list_set(const struct schema_field *field, void *object, struct schema_list list);
uint64_t schema_number_get(const struct schema_field *field, const void *value);
void schema_number_set(const struct schema_field *field, void *value, uint64_t number);
static inline void *schema_value(const struct schema_field *field, void *object)
{
	return (char *)object + field->offset;
}
static inline const void *schema_value_const(const struct schema_field *field, const void *object)
{
	return (const char *)object + field->offset;
}

// Text to value, for every kind but objects. NULL, or a phrase that says what is wrong, which lies
// in the arena or is constant.
const char *schema_parse(const struct schema_field *field, struct arena *arena, struct view text,
			 void *value);
// "a number between 1 and 65535", "relay or submission", "a list of domains".
void schema_add_type(const struct schema_field *field, struct buffer *out);

// The value as it would be written.
void schema_format(const struct schema_field *field, const void *value, struct buffer *out);
