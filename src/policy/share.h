// Fair shares of a few places among many senders: questions to the DNS, connections to sites that
// have not shown yet that they answer. Senders are spread over groups by a keyed hash. A group may
// hold as many places as are free, so that one alone has half of them, n of them an n+1th each, and
// one that comes anew never waits for the slow things of another (attacks A22, A25). Who waits does
// so in the queue of its group; the group that holds fewest is served first. Pure state; links are
// the owners'; randomness is handed in.
#pragma once

#include "base/hash.h"
#include "base/list.h"

enum { SHARE_GROUPS = 64 };

struct share_group {
	struct list waiting;
	unsigned waiting_count, held;
};

struct share {
	struct hash_key key;
	unsigned held, waiting_count;
	struct share_group groups[SHARE_GROUPS];
};

void share_init(struct share *share, struct hash_key random);
unsigned share_group_of(const struct share *share, struct view sender);

// One more place for the group, of so many in all.
bool share_admits(const struct share *share, unsigned group, unsigned places);
void share_take(struct share *share, unsigned group);
void share_give_back(struct share *share, unsigned group);

void share_wait(struct share *share, unsigned group, struct list *link);
void share_leave(struct share *share, unsigned group, struct list *link); // it waits no more
// From the group where it waits to another one that asks for it too, where that serves it sooner;
// gives the group where it waits then.
unsigned share_move(struct share *share, unsigned from, unsigned to, struct list *link);
// Who is to have the next place: taken out of its queue, without the place. NULL: none waits that
// the places admit.
struct list *share_next(struct share *share, unsigned places);
