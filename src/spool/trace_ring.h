// The trace's writing end: takes the steps of messages into a bounded buffer in memory, and writes
// them from a thread of its own into a ring of files in the spool (README.md, "The trace"). It
// never delays mail: nothing is synced; a full buffer drops records, a failing or full disk pauses
// tracing, and both only count.
//
// One ring per writing process. Steps, adding and status: any thread; all else on the loop's.
// Limits: TRACE_BUFFER_BYTES_MAX in memory, size_bytes on disk, segments no older than keep_ms.
#pragma once

#include "os/loop.h"
#include "spool/trace_steps.h"

enum {
	TRACE_BUFFER_BYTES_MAX = 4 * 1024 * 1024,
	TRACE_WRITE_BYTES = 128 * 1024, // so much is worth a write at once
	TRACE_WRITE_MS = 200,           // else it waits so long for more
	TRACE_PAUSE_MS = 60 * 1000,     // after a failure
	TRACE_SEGMENTS_MAX = 4096,
};

struct trace_limits {
	uint64_t size_bytes; // of this writer's files; 0: off, and what is there is removed
	uint64_t keep_ms;
};

struct trace_ring_settings {
	uint16_t family; // 0: deliver; others share one size, so that none is left behind
	struct trace_limits limits;
	uint64_t reserve_bytes; // kept free on the disk; the oldest segments go for it
	uint64_t reserve_inodes;
	bool shared_group; // of receive's: files 0660, folder 2770, instead of 0600 and 0700
	// Tracing pauses because of this error, or goes on (OK). Told once each, on the loop. NULL:
	// nobody is told.
	void (*changed)(void *context, enum error error);
	void *context;
};

struct trace_ring;

// dir is the folder of the family's part of the spool (layout.h): the caller's, and open for longer
// than the ring. What the disk says is met later, by the thread.
enum error trace_ring_new(int dir, struct os_loop *loop, const struct trace_ring_settings *settings,
			  struct trace_ring **ret_ring) must_check;
// Writes what was added. Blocking. Accepts NULL.
void trace_ring_free(struct trace_ring *ring);
void trace_ring_set_limits(struct trace_ring *ring, struct trace_limits limits);

// A ring that is off, or NULL, gives steps that take nothing.
struct trace_steps trace_ring_steps(const struct trace_ring *ring);
// The record of a message, or one more of it; clears the steps. Accepts NULL.
void trace_ring_add(struct trace_ring *ring, uint64_t id, struct trace_steps *steps);

struct trace_ring_status {
	enum error error;         // why tracing pauses; OK: it does not
	uint64_t records;         // written
	uint64_t dropped;         // the buffer was full
	uint64_t lost;            // while it paused, or when it failed
	uint64_t bytes, segments; // on disk
};
struct trace_ring_status trace_ring_status(const struct trace_ring *ring); // NULL: zeros
