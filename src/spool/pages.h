// The shared pages between receive and deliver. Each has one writing process; the readers validate
// all that they take from it. They carry hints: with both lost, nothing is lost, since recovery
// reads the disk alone. The supervisor makes them (os_page_new with the sizes here), keeps them
// across restarts and hands them out: the commit page of a family writable to its receive and
// read-only to deliver, the queue page the other way round.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum {
	SPOOL_FAMILIES_MAX = 16,   // 0 is deliver's own
	SPOOL_SEGMENTS_MAX = 4096, // per family
};

// receive -> deliver, one per family.
struct spool_commit_page {
	// Synced up to here: epoch of the segment << 32 | offset in it. 0: nothing yet.
	_Atomic uint64_t mark;
	// The epoch of each segment's current use, set before mark reaches it; 0: none.
	_Atomic uint32_t epochs[SPOOL_SEGMENTS_MAX];
};

// deliver -> receive.
struct spool_queue_page {
	// Odd while deliver sleeps; a writer wakes it once for each odd value that it sees.
	_Atomic uint32_t sleep;
	_Atomic uint32_t pressure; // 0 none .. 100: deliver asks receive to refuse new mail
	_Atomic uint64_t queued_messages;
	_Atomic uint64_t queued_bytes;
	// The epoch of the use that ended for good: this segment may be used again, if that is
	// still its epoch.
	_Atomic uint32_t freed[SPOOL_FAMILIES_MAX][SPOOL_SEGMENTS_MAX];
};
