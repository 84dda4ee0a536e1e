// One YAML file as a tree of nodes with their places. The YAML of the configuration is the plain
// part of YAML 1.2: maps, lists and scalars, which stay text. Anchors, aliases, tags, merge keys
// and several documents in a file are refused, so the tree is never larger than its file.
//
// Limits: depth YAML_DEPTH_MAX; the arena's maximum. libfyaml is used here alone.
#pragma once

#include "config/problem.h"

enum { YAML_DEPTH_MAX = 16 };

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	struct place place;
	struct view text;        // of a scalar
	bool empty;              // a scalar that was left out: "key:"
	struct view key;         // of an entry in a map
	struct place key_place;  //
	struct yaml_node *first; // entries and elements
	struct yaml_node *last;
	struct yaml_node *next; // the next one beside this
};

// NULL when it is no good, which has been said, or when memory ran out (problems->no_memory). An
// empty file is an empty map.
struct yaml_node *yaml_parse(struct arena *arena, struct view file, struct view text,
			     struct problems *problems);

struct yaml_node *yaml_get(const struct yaml_node *map, struct view key); // NULL when absent
void yaml_append(struct yaml_node *parent, struct yaml_node *child);
