// The simulated network: streams and listeners. Part of the simulation only.
//
// A stream's bytes travel in packets that arrive in order, each after a seeded time. What was sent
// and not yet read by the peer is bounded by a window, so a peer that does not read blocks.
#pragma once

#include "os/sim/private.h"
#include "os/socket.h"

struct sim_stream {
	struct sim_object object;
	struct list link;        // of the listener that it waits at
	struct sim_stream *peer; // NULL once it is freed
	struct os_address local, remote;
	struct buffer inbox;
	size_t in_flight;    // bytes on their way to inbox
	uint64_t arrival_us; // of the last packet to it
	enum error connect_error;
	bool is_connecting, is_closed, is_reset, has_end, has_sent_end;
};

struct sim_listener {
	struct sim_object object;
	struct list link; // of the simulation
	struct os_address address;
	const struct sim_machine *machine; // of a local one
	bool reuse_port, is_channel, is_closed;
	unsigned backlog, waiting_count;
	struct list waiting; // streams; or channels
};

// ERROR_BUSY when the address is taken.
enum error sim_listener_new(const struct os_address *address, unsigned backlog, bool reuse_port,
			    struct sim_listener **ret_listener) must_check;
// One that listens for it now, by chance where there are several; or NULL.
struct sim_listener *sim_listener_find(const struct os_address *address,
				       const struct sim_machine *machine);
void sim_listener_make_channel(struct sim_listener *listener,
			       void (*close)(struct sim_object *object, bool by_crash));
