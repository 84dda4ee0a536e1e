// For tests of this room on the simulated disk: one life of receive and deliver together, ended by
// its work or by a fault; the truth, which is what the world outside was told and outlives every
// crash; and the look, which compares what recovery gives with it.
//
// In a life each family takes its messages in, a few at a time; each LIFE_LARGE_EVERYth has a body
// file. Of four messages deliver delivers one, bounces one, puts one off and leaves one alone;
// meanwhile it copies forward, frees and checkpoints. Bytes and envelope follow from the id.
#pragma once

#include "base/check.h"
#include "os/sim/record.h"
#include "spool/store.h"

enum {
	LIFE_FAMILIES = 2,
	LIFE_MESSAGES_MAX = 60, // of each family in one life
	LIFE_IDS_MAX = 1024,
	LIFE_BOUNCE = 512, // the id of the bounce of a message is this much higher
	LIFE_LARGE_EVERY = 6,
	LIFE_SMALL_BYTES_MAX = 2000,
};

struct life_plan {
	unsigned families, messages, at_once;
	unsigned ticks_min; // deliver goes on for so many ticks at least
	bool is_delivering;
	uint32_t large_bytes; // of a large body, a multiple of 20,000; 0: none is large
	bool ends_refused;    // crashes as soon as it is told that a message is not accepted
};

enum {
	TRUTH_GIVEN = 1, // to the writer
	TRUTH_ACKED = 2,
	TRUTH_NOTED = 4,     // as delivered
	TRUTH_COMMITTED = 8, // and durably so
	TRUTH_BOUNCED = 16,  // told that the bounce is durable
	TRUTH_LARGE = 32,
	TRUTH_TIME = 64,     // passes; of no message
	TRUTH_REFUSED = 128, // told in a life that ends_refused
};

struct truth_event {
	size_t at; // entries in the record before it
	uint64_t id, now_ms;
	uint8_t what;
};

struct truth {
	uint8_t told[LIFE_IDS_MAX];
	uint64_t noted_ms[LIFE_IDS_MAX];
	uint64_t next_id, now_ms;
	uint32_t large_bytes;   // of the lives so far
	unsigned copied, large; // copied forward; large bodies read back
	char violation[256];    // the first; empty: none

	const struct sim_record *record; // with it events are kept
	struct truth_event *events;
	size_t event_count;
};

struct truth truth_new(void);
void truth_done(struct truth *truth);
// What was told before the record had more than count entries.
struct truth truth_at(const struct truth *truth, size_t count);

// A process on the machine's /spool. False when it crashed: at the plan of before_life (or NULL).
bool life_run(struct sim_machine *machine, struct truth *truth, const struct life_plan *plan,
	      void (*before_life)(struct sim_process *process, uint64_t nth), uint64_t nth);
// Recovers and compares: each acknowledged message is there with its bytes and envelope, or its end
// was noted; none whose end was durable is there, nor noted longer ago than the window; a message
// or its bounce is there, never both; what was given but not acknowledged is whole or absent; what
// was refused is absent; every segment is in use or free; nothing is reported as wrong. With
// is_thorough also that a look without touching gives the same, before and after.
void life_look(struct sim_machine *machine, struct truth *truth, bool is_thorough);
