// One generation of the configuration: what a reload replaces. Lanes and connections hold the one
// that they began with. Counted; one loop thread.
#pragma once

#include "config/config.h"
#include "link/tls.h"

enum { DELIVER_CONFIG_BYTES_MAX = 256 * 1024 * 1024 };

struct deliver_generation {
	unsigned users;
	struct arena arena;
	const struct config *config;
	struct tls_client *tls;
};

// config: as config_encode made it; authorities: PEM, may be empty. Both are copied.
enum error deliver_generation_new(struct view config, struct view authorities,
				  struct deliver_generation **ret_generation) must_check;
struct deliver_generation *deliver_generation_ref(struct deliver_generation *generation);
void deliver_generation_unref(struct deliver_generation *generation); // accepts NULL
