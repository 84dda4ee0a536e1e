// Inside of the writer: shared by writer.c (ports, appends), commit.c (the committer thread) and
// supply.c (the supply of segments). Who may touch what:
//   committer thread only: the fields under "committer";
//   supply_lock: the fields under "supply", never held across I/O;
//   ports_lock: held while completions are handed to ports, and while a port is freed;
//   atomics: any thread.
#pragma once

#include "os/worker.h"
#include "spool/folder.h"
#include "spool/writer.h"

#include <pthread.h>

// SPOOL_EPOCHS_UNSURE: left out where an earlier use cannot be read, for it may have had a higher
// one.
enum { SPOOL_EPOCHS_UNSURE = 1 << 16 };
enum { SPOOL_FAILURES_MAX = 3, SPOOL_RETRY_MS = 10000, SPOOL_SPARE_SEGMENTS = 8 };

enum slot_state {
	SLOT_ABSENT, // no file
	SLOT_BLANK,  // a file that was never begun
	SLOT_TAKEN,  // being made ready or removed, or ready
	SLOT_USED,   // its header names a use; free when deliver says so
	SLOT_BAD,    // not to be used: unreadable header, or zeroing failed
};

struct slot {
	uint32_t epoch;
	uint32_t bytes;
	enum slot_state state;
};

struct ready_segment {
	int file; // -1: none is ready
	uint32_t segment;
};

// What the committer wants of the supplier.
enum demand { DEMAND_NONE, DEMAND_WAITS, DEMAND_FAILED };

struct spool_writer {
	struct spool_writer_settings settings;
	struct spool_folder folder;
	int lock_file;
	uint64_t opening_last_id;
	struct os_worker *committer, *supplier; // both NULL once stopped

	// committer
	struct spool_segment_header use; // the open segment; use.epoch 0: none yet
	int file;                        // -1: closed
	bool is_buffered;                // the file is not in direct mode now
	uint32_t offset;
	uint64_t sequence;
	uint64_t last_id;
	uint32_t failures_in_row;
	uint32_t epoch; // highest so far
	bool is_unsure; // at the opening: there may have been higher ones, and more records
	uint32_t woken; // the sleep value that deliver was woken for
	struct spool_append *waiting_first, **waiting_end;
	struct spool_append *failed; // a batch, not told before its range is named
	enum error failed_error;
	char *batch_bytes; // of the largest batch, aligned for direct writes

	// supply
	pthread_mutex_t supply_lock;
	struct ready_segment ready;
	enum demand demand;
	bool is_stopping;     // nobody is kicked any more
	uint32_t begun_epoch; // of the last use that was begun
	struct slot slots[SPOOL_SEGMENTS_MAX];
	struct spool_abandoned abandoned[SPOOL_ABANDONED_MAX]; // changed by the committer
	uint32_t abandoned_count;

	pthread_mutex_t ports_lock;

	_Atomic(struct spool_append *) incoming; // newest first
	_Atomic int refusing; // enum error: why nothing is taken before refuse_until_ms
	_Atomic uint64_t refuse_until_ms;
	_Atomic int supply_error; // enum error: why no segment could be made ready
	_Atomic uint64_t supply_retry_ms;
	_Atomic int last_error;
	_Atomic uint32_t failures, segment_count, abandoned_total;
	_Atomic uint64_t records, batches, bytes;
};

struct spool_port {
	struct spool_writer *writer;
	struct os_wake *wake;
	_Atomic(struct spool_append *) done; // newest first
	struct spool_port *next_told;        // committer only
	bool is_told;                        // committer only
};

// commit.c. Commits all that has come in; the worker's task, and once more at the end.
void spool_writer_commit(void *writer);
void spool_writer_note_failure(struct spool_writer *writer, enum error error);

// supply.c
enum error spool_supply_open(struct spool_writer *writer) must_check; // slots, tail, last id
void spool_writer_supply(void *writer);                               // the supplier's task
// A segment to begin; on the committer's thread, which then owns the file and says how it went.
// ERROR_AGAIN: none is ready; the committer is kicked when that has changed.
enum error spool_supply_take(struct spool_writer *writer,
			     struct ready_segment *ret_segment) must_check;
void spool_supply_begun(struct spool_writer *writer, uint32_t segment, uint32_t epoch, bool is_bad);
// ERROR_LIMIT: no room for another range. Ranges of uses that are over are dropped first.
enum error spool_supply_trim_abandoned(struct spool_writer *writer) must_check;
void spool_supply_abandon(struct spool_writer *writer, struct spool_abandoned range);

// writer.c. Stops the threads and commits what came in; completions wait in their ports.
void spool_writer_stop(struct spool_writer *writer);
// The most that one record may have, header and all.
uint32_t spool_writer_record_bytes_max(const struct spool_writer *writer);
// Why nothing is taken now, or OK.
enum error spool_writer_refusal(const struct spool_writer *writer);
