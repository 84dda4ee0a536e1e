// The delivering end: takes messages from the spool's store, decides where each recipient goes,
// sends or files, and notes the outcome. Everything runs on the loop's thread but what its pool
// does (reading of bodies, Maildir). Limits come from the configuration (outbound, queue) and from
// deliverer_private.h. The process `deliver` and the simulator host it.
#pragma once

#include "deliver/generation.h"
#include "link/control.h"
#include "link/facts.h"
#include "policy/directory.h"
#include "spool/store.h"
#include "spool/trace_ring.h"

struct deliverer;

struct deliverer_parts {
	struct os_loop *loop;
	struct facts_client *facts;
	struct trace_ring *trace;              // NULL: no trace; outlives the deliverer
	int spool[SPOOL_PARTS], mail_dir;      // stay the caller's, longer than the deliverer
	struct spool_store_settings store;     // pages, sizes
	struct deliver_generation *generation; // counted again
};

// Blocking: recovers the queue. Until a directory is set nothing is delivered.
enum error deliverer_new(const struct deliverer_parts *parts,
			 struct deliverer **ret_deliverer) must_check;
// Ends all at once, then closes the store (blocking). Accepts NULL.
void deliverer_free(struct deliverer *deliverer);

// From now on; connections go on as they began.
void deliverer_configure(struct deliverer *deliverer, struct deliver_generation *generation);
// Its bytes stay the caller's, and must stay until the next one is set.
void deliverer_set_directory(struct deliverer *deliverer, struct directory directory);
// Something was committed: what receive's wake-up says.
void deliverer_wake(struct deliverer *deliverer);

// Orderly stop: begins no attempts, lets those in hand end, for at most DELIVERER_STOP_MS.
enum { DELIVERER_STOP_MS = 20000 };
void deliverer_stop(struct deliverer *deliverer, void (*stopped)(void *context), void *context);

struct deliverer_counters {
	uint64_t delivered, deferred, failed; // recipients
	uint64_t bounces, warnings;           // reports submitted
	uint64_t connections;                 // made
	uint64_t open;                        // connections now
	uint64_t in_hand;                     // attempts now
	uint64_t reply_timeouts;              // a reply, a connection or a handshake was late
	uint64_t deadlines;                   // a session's begin or a transaction took too long
	uint64_t reply_limits;                // a reply was longer than one may be
	uint64_t ipv6_nameless;               // connections begun from an address without name
	uint64_t damaged;                     // bodies that are not what was written: held
	uint64_t dns_waits, connection_waits; // for a share: of questions, of connections
};
struct deliverer_counters deliverer_counters(const struct deliverer *deliverer);

// A local command (queue ..., trace, status). Appends one JSON text to out and words for people,
// which may be empty; gives the exit status of sysexits.h.
int deliverer_command(struct deliverer *deliverer, const struct control_request *request,
		      struct buffer *out, struct buffer *words);
