// A lane: the way to one site (a set of MX hosts, or a smarthost), or into the mailboxes here. Its
// recipients wait in one queue per sender, and these take turns, so that a sender of many delays
// nobody else. It opens connections as policy/site.h allows. One loop thread.
#pragma once

#include "base/table.h"
#include "deliver/entry.h"
#include "deliver/generation.h"
#include "deliver/way_list.h"
#include "policy/share.h"
#include "policy/site.h"

struct delivery;

enum {
	LANE_SENDERS_MAX = 10 * 1000 * 1000,
	LANE_LOCAL_JOBS_MAX = 16,
	LANE_DRAIN_TURN = 1000, // recipients deferred in one turn
	LANE_REASON_MAX = 512,  // bytes of a reason, and of the name of a relay
	LANE_TRIED_MAX = 1000,  // bytes that tell of the ways that failed
};

enum lane_kind { LANE_LOCAL, LANE_MX, LANE_SMARTHOST };

struct sender_queue {
	struct list link; // in lane->senders, by turn
	struct lane *lane;
	struct list recipients;
	size_t key_len;
	char key[];
};

// Why a lane or a recipient could not go on.
struct trouble {
	enum retry_class class;
	bool permanent;
	char status[16];   // "4.4.1"
	struct view relay; // name of the host, may be empty
	struct view reason;
	struct view tried; // the ways that failed, and why; for the trace
};

struct lane {
	struct list link;   // in deliverer->lanes
	struct list kicked; // in deliverer->kicked, ->starved or ->unproven
	bool in_share;      // it is in ->unproven, in this group:
	unsigned group;
	struct deliverer *deliverer;
	struct deliver_generation *generation;
	enum lane_kind kind;
	const struct smarthost *smarthost; // the generation's
	struct view key, name;             // name: for people, and for --site
	struct site site;
	struct table sender_table;
	struct list senders;
	uint64_t waiting;        // recipients
	struct list connections; // struct connection
	unsigned local_jobs;
	struct way_list ways;
	unsigned ways_version; // counts their lists
	unsigned users;        // destinations that lead here
	struct os_timer timer; // end of a back-off, or more to drain
	bool retired;          // of an earlier configuration
	bool draining;         // all that waits is deferred, for this:
	struct trouble trouble;
	struct buffer trouble_texts;
};

// The lane of this key, made where absent. ERROR_LIMIT, ERROR_NO_MEMORY.
enum error lane_get(struct deliverer *deliverer, enum lane_kind kind, struct view key,
		    struct view name, const struct smarthost *smarthost,
		    struct lane **ret_lane) must_check;
void lane_free(struct lane *lane);   // with what waits in it taken out, and its connections ended
void lane_retire(struct lane *lane); // its recipients are to be routed anew
void lane_free_if_unused(struct lane *lane);

// In place of those it had, of which it keeps what was learnt. Takes the list.
void lane_set_ways(struct lane *lane, struct way_list list);
// By policy/way.h, and marks it in tried, a bit for each; NULL: there is none any more.
struct way *lane_choose_way(struct lane *lane, uint64_t tried[WAY_LIST_MAX / 64]);
void lane_way_failed(struct lane *lane, const struct os_address *address);
void lane_way_worked(struct lane *lane, const struct os_address *address);

enum error lane_add(struct lane *lane, struct recipient *recipient) must_check;
void lane_forget(struct recipient *recipient);  // it waits no more
struct recipient *lane_take(struct lane *lane); // whose turn it is; NULL: none waits

void lane_kick(struct lane *lane);    // to be looked at before the loop sleeps
void lane_unqueue(struct lane *lane); // out of the list where it waits to be looked at
void lane_run(struct lane *lane);
// A connection could not be made at all, on any way.
void lane_failed(struct lane *lane, const struct trouble *trouble, enum site_event event);
void lane_learn(struct lane *lane, enum site_event event);
