// The machine that runs the server: its disk, and a supervisor's part played by the harness.
// It holds the listener and the shared pages across restarts, starts children, wires them to each
// other, and starts those that have died again after a moment. It also looks into the mailboxes.
#pragma once

#include "os/sim/sim.h"
#include "sim/child.h"

enum { BOX_CONFIGS = 2 }; // that reloads go between

struct box_setup {
	struct box_config {
		struct view receive, deliver; // encoded for each
	} configs[BOX_CONFIGS];
	struct view directory;
	struct view certificate, key; // PEM
	uint64_t queue_max;           // messages, in both
};

struct spool_queue_page;

struct box {
	struct sim *sim;
	struct ledger *ledger;
	const struct weather *weather;
	const struct box_setup *setup;
	struct sim_machine *machine;
	struct sim_process *supervisor; // NULL: without power
	uint32_t segment_bytes;         // by chance, small: recycled often
	int listeners[CHILD_LISTENERS], commit_pages[CHILD_RECEIVES], queue_page;
	unsigned config; // the one in force
	enum child_kind
		receiving; // the receive that shall run; the other one only as long as it must
	struct spool_queue_page *queue;
	struct box_child {
		struct sim_process *process; // NULL: not there
		struct child *child;
		uint64_t due_ms;
		uint64_t crash_after; // the next one crashes in so many calls; 0: it does not
		unsigned starts, failures;
	} children[CHILD_COUNT];
	uint64_t ticked_us, looked_us;
	struct sim_faults faults; // put aside while the supervisor acts
	bool reliable;            // a child that dies now is a violation
};

void box_init(struct box *box, struct ledger *ledger, const struct weather *weather,
	      const struct box_setup *setup);
void box_power_on(struct box *box);
void box_lose_power(struct box *box);                  // all processes with it
void box_crash(struct box *box, enum child_kind kind); // as kill -9
void box_crash_all(struct box *box);                   // as kill -9 of every process; started anew
void box_stop(struct box *box, enum child_kind kind);  // in order; then it is started again
void box_upgrade(struct box *box); // a new receive comes, and the old one leaves in order
void box_reload(struct box *box);  // the other configuration, for all
// To be called every BOX_TICK_MS: notices deaths, starts what is due.
enum { BOX_TICK_MS = 20 };
void box_tick(struct box *box);
bool box_is_whole(const struct box *box);   // all children run
uint64_t box_queued(const struct box *box); // messages, as deliver publishes them
// Asks deliver to release what is held; or to try everything now.
void box_order(struct box *box, bool release, bool flush);
void box_check_bounds(struct box *box);
void box_check_rest(struct box *box); // all clients have gone: nothing is held for them
// Tells the ledger of files that are new in the mailboxes; with last, also which are still there.
void box_look(struct box *box, bool last);
