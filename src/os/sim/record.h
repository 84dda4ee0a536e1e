// A record of all that a simulated disk was asked to do, and the disk as it may be found had power
// failed at any point of it, with a loss of the harness's own choosing. For harnesses.
//
// A record outlives its simulation; so one run is recorded, and then each case is a simulation of
// its own: a new machine, the first so many entries done again, power lost as chosen, recovery.
#pragma once

#include "os/sim/sim.h"

struct sim_record;

// Of everything from now on; the machine's disk must be new. One record per machine.
struct sim_record *sim_machine_record(struct sim_machine *machine);
void sim_record_free(struct sim_record *record); // after its simulation; accepts NULL
size_t sim_record_count(const struct sim_record *record);

enum sim_record_kind {
	SIM_RECORD_MAKE,
	SIM_RECORD_WRITE,
	SIM_RECORD_RESIZE,
	SIM_RECORD_NAME,
	SIM_RECORD_SYNC,
	SIM_RECORD_SYNC_FAILED,
	SIM_RECORD_DIR_SYNC,
};

struct sim_record_entry {
	enum sim_record_kind kind;
	// The last name that the file had before this; a folder's is "" for the root. Of a change
	// of names: the new one, or the one removed.
	const char *name;
	uint64_t offset;
	size_t len;
};
struct sim_record_entry sim_record_entry(const struct sim_record *record, size_t i);
// After it something more can be lost; after the others less.
bool sim_record_adds(const struct sim_record *record, size_t i);

// Does the first count entries again on the empty disk of machine. leave_out (or NULL) says of
// which entries it is to be as if they had never been asked for: a planted mistake.
void sim_record_replay(const struct sim_record *record, size_t count, struct sim_machine *machine,
		       bool (*leave_out)(const struct sim_record_entry *entry));

// ---- what can be lost -----------------------------------------------------------------------

enum { SIM_PIECES_MAX = 64 };

// A write, a change of size or a change of names that nobody has synced.
struct sim_piece {
	unsigned sectors; // 0: a change of size or of names
	bool grows;       // a write that makes its file larger
	bool is_newest;
};
// Those on the machine's disk, at most SIM_PIECES_MAX (then it aborts).
unsigned sim_machine_pieces(const struct sim_machine *machine, struct sim_piece *ret_pieces);

// What becomes of a piece. A sector whose older write is lost does not get a newer one.
struct sim_fate {
	uint64_t kept; // a bit for each sector, or for equal parts of more than 64; any: kept
	bool size;     // the file's growth is kept
};
// As sim_machine_lose_power, with one fate per piece in place of a seeded loss.
void sim_machine_lose_power_as(struct sim_machine *machine, const struct sim_fate *fates);
