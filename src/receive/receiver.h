// One loop thread's share of the process `receive`: accepts connections on its listeners, and holds
// their sessions, from the greeting until the message is in the log. Everything in it runs on its
// loop's thread. Limits: connections in all and per peer, memory for bodies (config: limits), which
// it shares with the receivers of other threads.
#pragma once

#include "link/keeper.h"
#include "receive/common.h"
#include "receive/generation.h"
#include "spool/body.h"
#include "spool/trace_ring.h"

struct receiver;

enum { RECEIVER_LISTENERS_MAX = 1024 };

struct receiver_parts {
	struct os_loop *loop;
	struct receive_common *common;
	struct spool_writer *writer;
	struct os_pool *pool;         // for large bodies
	struct keeper_client *keeper; // NULL: no logins
	struct trace_ring *trace;     // NULL: no trace
	uint8_t node;                 // for queue ids: no other receiver's
};

struct receiver_counters {
	uint64_t connections, refused_connections; // accepted; turned away by a limit
	uint64_t messages, bytes;                  // accepted and durable
	uint64_t commands_4xx, commands_5xx;       // refused by the machine: syntax, order, size
	uint64_t refused_recipients, refused_messages, failed_messages;
	uint64_t unknown_recipients, relay_attempts; // charged to clients
	uint64_t limited_recipients;                 // refused for what was charged before
	uint64_t discarded_bytes;                    // of bodies that came to nothing
	uint64_t logins, failed_logins;
	uint64_t tls_failures,
		hostile; // broken handshakes; sessions that broke the protocol on purpose
	uint64_t
		spilled; // bodies whose file is early, or has small buffers, since memory was short
	uint64_t sessions; // open now
};

enum error receiver_new(const struct receiver_parts *parts,
			struct receiver **ret_receiver) must_check;
// At once, whatever is open. Accepts NULL. No append may be under way: stop it first.
void receiver_free(struct receiver *receiver);

struct receiver_socket {
	int fd;         // listening; taken
	unsigned index; // of the listener in the generation
};

// A new generation and its sockets, which replace the earlier ones (those that stay are handed over
// again, as the same or a duplicate descriptor). Sessions go on as they began.
enum error receiver_configure(struct receiver *receiver, struct receive_generation *generation,
			      const struct receiver_socket *sockets,
			      unsigned socket_count) must_check;
// The directory table to look recipients up in, from now on; its bytes stay the caller's, and must
// stay until the next one is set.
void receiver_set_directory(struct receiver *receiver, struct directory directory);

// Orderly stop: closes the listeners, tells sessions 421 as soon as no message is under way, lets
// what is being committed finish. stopped is called once, when all have gone; it may not free the
// receiver.
void receiver_stop(struct receiver *receiver, void (*stopped)(void *context), void *context);

struct receiver_counters receiver_counters(const struct receiver *receiver);
