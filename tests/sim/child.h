// The simulated processes: each runs the very objects of its room's archive, started, wired and
// stopped as its main and the supervisor do. One runs on the loop of its own simulated process; the
// harness reaches it through child_poke alone, so that everything happens on its loop's thread.
// Facts and keeper are played by the harness: what they answer is the world's.
#pragma once

#include "os/loop.h"
#include "sim/ledger.h"
#include "sim/weather.h"

// Two receives: during an upgrade an old and a new one run side by side.
enum child_kind {
	CHILD_RECEIVE,
	CHILD_RECEIVE_2,
	CHILD_DELIVER,
	CHILD_FACTS,
	CHILD_KEEPER,
	CHILD_COUNT
};
enum { CHILD_RECEIVES = 2, CHILD_LISTENERS = 2 };
enum child_wire { WIRE_WAKE, WIRE_WAKE_2, WIRE_FACTS, WIRE_KEEPER, WIRE_KEEPER_2, WIRE_COUNT };

// What the supervisor hands over; the descriptors are the child's own, -1 where it gets none.
struct child_given {
	struct view config, directory;    // encoded; constant while the simulation runs
	struct view certificate, key;     // PEM
	int commit_pages[CHILD_RECEIVES]; // receive: its own, as the first
	int queue_page, listeners[CHILD_LISTENERS];
	unsigned family;
	struct ledger *ledger;
	const struct weather *weather;
	uint32_t segment_bytes;
};

struct child_calls;

// The first member of each child.
struct child {
	const struct child_calls *calls;
	struct child_given given;
	struct os_loop *loop;
	struct os_wake *poke;
	enum error error;        // of its start
	int pending[WIRE_COUNT]; // ends of channels that wait to be attached; -1: none
	bool stop_asked, stopping, over;
	bool release_asked; // deliver: release what is held
	bool flush_asked;   // deliver: try everything now
	bool reload_asked;  // given.config is a new one
	bool finished;      // has left in order: nothing of it is left but its loop
};

struct child_calls {
	const char *name;
	struct child *(*make)(void);
	enum error (*start)(struct child *child); // with its loop; blocking
	void (*attach)(struct child *child, enum child_wire wire, int fd);
	void (*stop)(struct child *child);   // begins; child_left when it has ended
	void (*finish)(struct child *child); // frees all but the loop
	void (*command)(struct child *child, bool release, bool flush); // NULL: knows none
	void (*reload)(struct child *child);                            // NULL: as the last
	void (*check)(struct child *child);      // are its bounds kept? NULL: it has none
	void (*check_rest)(struct child *child); // does it hold nothing? NULL: it never does
};

extern const struct child_calls child_receive, child_receive_2, child_deliver, child_facts,
	child_keeper;

const struct child_calls *child_calls_of(enum child_kind kind);

void *child_alloc(size_t size); // zeroed
// On the loop's thread: does what was asked of it, whatever the child is.
enum error child_start_loop(struct child *child) must_check;
void child_left(void *child); // the orderly stop has ended
// From the harness, inside of the child's process: it looks at what was asked.
void child_poke(struct child *child);
// A bound of the configuration, looked at from the harness.
void child_check_bound(struct child *child, const char *what, uint64_t value, uint64_t bound);
