// A client of the server: sends letters over simulated connections, in one of several manners, and
// checks that each reply belongs to the command whose turn it is. Lives in the harness.
#pragma once

#include "link/stream.h"
#include "os/loop.h"
#include "sim/ledger.h"
#include "sim/weather.h"

enum { CLIENT_SOURCE_OCTET = 10, CLIENT_PATIENCE_MS = 400 * 1000 };

struct client;

struct client_parts {
	struct os_loop *loop;
	struct ledger *ledger;
	const struct weather *weather;
	struct tls_client *tls;
	bool may_use_tls; // some connections use STARTTLS
	bool may_log_in;  // some go to the submission port, and log in
	unsigned number;  // its source address is 10.0.0.number
	unsigned letters; // to send
};

struct client *client_new(const struct client_parts *parts, uint64_t start_ms);
void client_free(struct client *client);
bool client_is_done(const struct client *client);
