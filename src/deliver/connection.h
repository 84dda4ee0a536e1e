// One outgoing connection of a lane: the socket with or without TLS, the client machine, and the
// deliveries on their way. The lane's ways are tried in turn until a session stands. One loop
// thread.
#pragma once

#include "deliver/delivery.h"
#include "link/stream.h"

enum {
	CONNECTION_INPUT_MAX = 32 * 1024,
	CONNECTION_WAYS_TRIED_MAX = 32, // of one connection, in all
};

enum connection_phase {
	CONNECTION_CONNECTING,
	CONNECTION_HANDSHAKING,
	CONNECTION_TALKING,
	CONNECTION_GONE, // closed; freed when the loop's turn ends
};

struct connection {
	struct list link; // in lane->connections, or in deliverer->gone
	struct lane *lane;
	struct deliver_generation *generation;
	struct stream stream;
	struct os_watch *watch;
	struct os_timer timer;
	struct smtp_client client;
	struct smtp_client_settings settings;
	struct buffer pending;             // input that is no whole line yet
	struct delivery *opening;          // its record is being read
	unsigned in_machine;               // deliveries handed to it and not done
	struct os_address address;         // of the way that is tried or was taken
	struct buffer host;                // and its name
	uint64_t tried[WAY_LIST_MAX / 64]; // bits of the ways of this version:
	unsigned ways_version;
	unsigned tries;
	uint64_t began_ms; // its first way; then the session that stands
	unsigned messages; // handed to the machine
	unsigned completed;
	unsigned group; // of deliverer->unproven, while it counts there:
	bool unproven;
	bool ready, idle, plain_only, running;
	uint8_t phase;             // enum connection_phase
	struct buffer relay;       // "mx.example.org[192.0.2.1]:25"
	struct buffer reason;      // of the last way that failed
	struct buffer ways_failed; // all of them, for the trace
	struct trouble trouble;
};

// False: no memory; nothing is open then.
bool connection_start(struct lane *lane, unsigned group);
void connection_prove(struct connection *connection); // mail was taken, or it ended
void connection_end(struct connection *connection);   // at once
void connection_bury(struct connection *connection);
void connection_feed(struct connection *connection); // something waits in the lane
void connection_quit(struct connection *connection); // once what is in hand is done
