// The simulated processes: each runs the very objects of its room's archive, started, wired and
// stopped as its main and the supervisor do. One runs on the loop of its own simulated process; the
// harness reaches it through child_poke alone, so that everything happens on its loop's thread.
#pragma once

#include "os/loop.h"
#include "sim/ledger.h"
#include "sim/weather.h"

enum child_kind { CHILD_RECEIVE, CHILD_DELIVER, CHILD_FACTS, CHILD_COUNT };
enum child_wire { WIRE_WAKE, WIRE_FACTS, WIRE_COUNT };

// What the supervisor hands over; the descriptors are the child's own, -1 where it gets none.
struct child_given {
	struct view config, directory; // encoded; constant while the simulation runs
	int commit_page, queue_page, listener;
	struct ledger *ledger;
	const struct weather *weather;
	uint32_t segment_bytes;
};

// The first member of each child.
struct child {
	const char *name;
	struct child_given given;
	struct os_loop *loop;
	struct os_wake *poke;
	enum error error;        // of its start
	int pending[WIRE_COUNT]; // ends of channels that wait to be attached; -1: none
	bool stop_asked, stopping, over;
	bool release_asked; // deliver: release what is held, try everything now
	bool finished;      // has left in order: nothing of it is left but its loop
};

struct child_calls {
	const char *name;
	struct child *(*make)(void);
	enum error (*start)(struct child *child); // with its loop; blocking
	void (*attach)(struct child *child, enum child_wire wire, int fd);
	void (*stop)(struct child *child);   // begins; child_left when it has ended
	void (*finish)(struct child *child); // frees all but the loop
	void (*release)(struct child *child);
};

extern const struct child_calls child_receive, child_deliver, child_facts;

static inline const struct child_calls *child_calls_of(enum child_kind kind)
{
	return kind == CHILD_RECEIVE   ? &child_receive
	       : kind == CHILD_DELIVER ? &child_deliver
				       : &child_facts;
}

void *child_alloc(size_t size); // zeroed
// On the loop's thread: does what was asked of it, whatever the child is.
enum error child_start_loop(struct child *child, void (*poked)(void *child)) must_check;
void child_poked(struct child *child, const struct child_calls *calls);
void child_left(void *child); // the orderly stop has ended
// From the harness, inside of the child's process: it looks at what was asked.
void child_poke(struct child *child);
