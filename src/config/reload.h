// What a reload has to do: the listeners that come and go, and the changes that need a restart.
#pragma once

#include "config/config.h"

struct config_difference {
	// Into the old one: to close. Into the new one: to bind. A listener whose port and address
	// stay is in neither; its other settings count for new connections.
	CONFIG_LIST(const struct config_listener *) removed;
	CONFIG_LIST(const struct config_listener *) added;
	CONFIG_LIST(struct view) restart; // names of the keys that a restart alone can change
	enum config_reader changed;       // bits: the processes whose part has changed
};

enum error config_compare(const struct config *old, const struct config *new, struct arena *arena,
			  struct config_difference *ret_difference) must_check;
