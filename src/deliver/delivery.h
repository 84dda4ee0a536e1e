// One attempt: one message to recipients that share a lane. It opens the record, gives the body in
// chunks, collects what became of each recipient, and notes it at the end. One loop thread; reading
// of what is not fresh runs on the pool.
#pragma once

#include "deliver/lane.h"
#include "os/worker.h"
#include "smtp/client.h"

enum {
	DELIVERY_RECIPIENTS_MAX = 100, // in one transaction (RFC 5321 section 4.5.3.1.8)
	DELIVERY_CHUNK_BYTES = 256 * 1024,
	DELIVERY_FRESH_MS = 30000, // so long a record is taken to be in the page cache
	DELIVERY_INLINE_BYTES = 64 * 1024,
	DELIVERY_MEMORY_MAX = 8 * 1024 * 1024,
};

enum delivery_state { DELIVERY_OPENING, DELIVERY_READY, DELIVERY_BROKEN };

struct attempt {
	struct recipient *recipient;
	enum spool_status status; // SPOOL_PENDING: try again
	bool told;                // else it waits again at the end, as if nothing had been tried
	enum retry_class class;
	char dsn[16];
	struct view reason; // the arena's
};

struct delivery {
	struct list link; // of local and abandoned ones, in deliverer->locals
	struct deliverer *deliverer;
	struct lane *lane;
	struct entry *entry;
	enum delivery_state state;
	uint64_t begun_ms; // monotonic
	struct spool_source source;
	struct buffer record;
	struct arena arena;
	struct spool_envelope envelope;
	struct view body;    // of a small message
	uint64_t offset;     // of what comes next
	struct buffer chunk; // read ahead from a large body
	bool chunk_ready, reading;
	enum error error;
	struct os_job job;
	struct spool_wait wait;
	void (*ready)(void *context); // opened, broken, or a chunk came
	void *context;                // NULL: nobody waits any more
	bool abandoned;
	struct smtp_client_transaction transaction;
	struct attempt *attempts;
	uint32_t count;
};

// With the recipient whose turn it is and those of the same message that wait in the same lane.
// NULL: none waits, or no memory (they wait on).
struct delivery *delivery_take(struct lane *lane);
// Marks it as in hand, reads the record. ready is called unless the state has changed when this
// returns.
void delivery_open(struct delivery *delivery, void (*ready)(void *context), void *context);
// The next chunk: false while it is being read (ready is called) or where that failed (BROKEN); an
// empty one is the end.
bool delivery_next_chunk(struct delivery *delivery, struct view *ret_chunk);
void delivery_tell(struct delivery *delivery, uint32_t index, enum spool_status status,
		   enum retry_class class, const char *dsn, struct view reason);
void delivery_tell_all(struct delivery *delivery, const struct trouble *trouble);
// Notes the outcomes, logs them, and frees it. Recipients that were told nothing go back into the
// lane. Of a BROKEN one they are tried later, or the message is held where it is damaged.
void delivery_done(struct delivery *delivery, struct view relay);
