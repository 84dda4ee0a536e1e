// The configuration file and what it includes, joined into one tree. Inside this room.
#pragma once

#include "config/schema.h"
#include "config/yaml.h"

enum { TREE_INCLUDE_DEPTH_MAX = 8 };

struct tree {
	struct config_files source;
	struct arena *arena;
	struct problems *problems;
	struct yaml_node *root;              // NULL when a file was no good
	struct view files[CONFIG_FILES_MAX]; // read so far
	size_t file_count;
};

void tree_read(struct tree *tree, struct view path);

// Reads a file whole into the arena; what is wrong is said at place. False when there is none.
bool tree_read_file(struct tree *tree, struct view path, struct place place, struct view *ret_text);
