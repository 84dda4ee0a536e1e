// The ways to resolve that the configuration leaves open, in the order in which they are tried.
#pragma once

#include "config/config.h"
#include "link/resolver.h"

enum { WAYS_MAX = 4 };

struct ways {
	struct resolver_options options[WAYS_MAX];
	unsigned count;
};

// Views into dns and anchors stay in use; what is parsed from system_servers goes to the arena.
// ERROR_INVALID: there is no way.
enum error ways_make(const struct config_dns *dns, struct view system_servers,
		     struct view trust_anchors, struct arena *arena,
		     struct ways *ret_ways) must_check;
