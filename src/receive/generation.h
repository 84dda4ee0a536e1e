// What a reload replaces as a whole: the configuration, and what is made from it for each listener.
// Sessions hold the generation that they began with, so a reload changes nothing under them. It is
// counted: made with one user, and freed by whichever thread gives it back last. Immutable but for
// the count: any thread.
#pragma once

#include <stdatomic.h>

#include "config/config.h"
#include "link/tls.h"
#include "smtp/server.h"

// One listener of the configuration, ready for sessions.
struct receive_listener {
	const struct config_listener *config;
	struct smtp_server_settings settings;
	struct tls_server *tls; // NULL: no certificate could be used
};

struct receive_generation {
	atomic_uint users;
	struct arena arena;
	const struct config *config;
	struct receive_listener *listeners; // in the order of config->listeners
	size_t listener_count;
};

enum {
	RECEIVE_CONFIG_BYTES_MAX = 512 * 1024 * 1024, // in memory, decoded
	RECEIVE_CERTIFICATES_MAX = TLS_IDENTITIES_MAX,
};

struct receive_material {
	struct view config;                    // as config_encode made it; copied
	const struct tls_identity *identities; // copied by the TLS library
	size_t identity_count;
	uint8_t ticket_secret[TLS_TICKET_SECRET_SIZE];
};

// Appends what is wrong, or what had to be left out, to problem.
enum error receive_generation_new(const struct receive_material *material, struct buffer *problem,
				  struct receive_generation **ret_generation) must_check;
struct receive_generation *receive_generation_ref(struct receive_generation *generation);
void receive_generation_unref(struct receive_generation *generation); // accepts NULL
