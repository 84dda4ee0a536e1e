// What the parts of a load share. Inside this room.
#pragma once

#include "config/tree.h"

struct origin_link {
	struct config_origin origin;
	struct origin_link *next;
};

struct load {
	struct arena *arena;
	struct problems *problems;
	struct tree *tree;
	struct config *config;
	struct origin_link *origins, *last_origin;
	size_t origin_count;
};

// Where a key was set; the file as a whole where it was not.
struct place load_place(const struct load *load, const char *key_format, ...) printf_like(2, 3);

// Fills a struct with the schema's defaults.
void load_defaults(struct load *load, const struct schema_object *object, void *target);

// After the keys: the defaults that depend on other keys, the aliases of aliases_file, the rules
// that no single key can break, and the aliases and domains as a whole.
void load_derive(struct load *load);
void load_aliases_file(struct load *load);
void load_check_rules(struct load *load);
void load_check_directory(struct load *load);

void load_add_origin(struct load *load, struct view key, struct place place);
