// What all receivers of the process share, one a thread: who is connected, what clients did wrong,
// and the memory of messages under way, so that each limit holds for the process. Any thread: the
// tables under one lock, held for a look-up or two (a connection takes it twice, a recipient and an
// accepted message once; without a second thread it is never contended), the sums as atomics.
// Outlives the receivers and the pools of their bodies.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "policy/conduct.h"

struct receive_common {
	pthread_mutex_t lock;
	struct count_table *peers; // connections open now, per peer
	struct rate_table *rates;  // what clients did wrong
	struct hash_key secret;    // of the keys of both
	atomic_ullong sessions;    // open now
	atomic_ullong body_bytes;  // of memory for messages under way
};

enum error receive_common_new(struct receive_common **ret_common) must_check;
void receive_common_free(struct receive_common *common); // accepts NULL

// A connection of this peer: false where it is one too many, of all or of the peer's. Then it is
// counted among all nevertheless, until receive_common_leave with admitted false.
bool receive_common_admit(struct receive_common *common, const struct ip_address *peer,
			  uint64_t sessions_max, uint32_t peer_max);
void receive_common_leave(struct receive_common *common, const struct ip_address *peer,
			  bool admitted);

// How many clients were forgotten early, since there were too many.
uint64_t receive_common_forgotten(struct receive_common *common);
