// The inside of the deliverer, for the files of this folder.
#pragma once

#include "deliver/connection.h"
#include "deliver/deliverer.h"
#include "os/worker.h"
#include "spool/id.h"

enum {
	DELIVERER_POOL_THREADS = 8,
	DELIVERER_POOL_JOBS_MAX = 4096,
	DELIVERER_FOLLOW_TURN = 512, // messages taken in one turn of the loop
	DELIVERER_ROUTE_TURN = 1000, // messages routed in one turn
	DELIVERER_LANES_MAX = 100000,
	DELIVERER_DESTINATIONS_MAX = 200000,
	DELIVERER_ASKING_MAX = 1000, // questions to facts at once
	DELIVERER_SCRATCH_BYTES = 256 * 1024,
	DELIVERER_NODE = 0, // of queue ids: family 0
};

struct destination;

struct deliverer {
	struct os_loop *loop;
	struct facts_client *facts;
	struct spool_store *store;
	struct os_pool *pool;
	struct deliver_generation *generation;
	struct directory directory;
	bool has_directory;
	int mail_dir;
	struct spool_id_source ids;
	struct list entries;
	struct heap due;  // entries, by wall clock ms
	uint64_t wall_ms; // when it was last looked at
	struct table destinations, lanes;
	size_t forget_position; // of destinations
	struct share asking;    // of questions to facts, among destinations by sender
	struct origins origins;
	// starved: proven lanes that wait for a connection; unproven: of the others, among them
	struct list all_lanes, kicked, starved, gone, locals;
	struct share unproven;
	bool unproven_next; // whose turn it is to open one
	struct lane *local;
	struct os_timer follow_timer, behind_timer, queue_timer, stop_timer;
	struct os_hook hook;
	bool asleep; // the mark is up
	bool stopping, closing;
	void (*stopped)(void *context);
	void *stopped_context;
	uint64_t unique; // counts Maildir names
	struct deliverer_counters counters;
	struct trace_ring *trace;
	struct trace_steps steps; // of the message steps_id, gathered in this turn
	uint64_t steps_id;
	const struct destination *steps_site; // the last that they tell of
	char *scratch;                        // DELIVERER_SCRATCH_BYTES, for one read
};

uint64_t deliverer_now_ms(const struct deliverer *deliverer); // monotonic
bool deliverer_has_room(const struct deliverer *deliverer);   // for one more connection
// Connections to sites that have not shown yet that they take mail: some are left for the others.
unsigned deliverer_unproven_max(const struct deliverer *deliverer);
bool deliverer_is_short(const struct deliverer *deliverer); // some wait, and there is no room
// An attempt: not while its outcome could not be noted.
bool deliverer_may_begin(const struct deliverer *deliverer);
void deliverer_follow(struct deliverer *deliverer); // soon
void deliverer_attempt_ended(struct deliverer *deliverer);

// queue.c: when an entry is due.
void queue_schedule(struct entry *entry); // anew, by the states of its idle recipients
void queue_remove(struct entry *entry);
void queue_run_soon(struct deliverer *deliverer);
void queue_timer(void *deliverer);

// router.c: where a recipient goes.
void route_recipient(struct recipient *recipient);

// destination.c: a domain or a smarthost, and the lane that leads there.
void destination_send(struct deliverer *deliverer, struct recipient *recipient,
		      const struct route *route, struct view domain);
void destination_forget_all(struct deliverer *deliverer); // what waits is routed anew

// local.c
void local_run(struct lane *lane);

// outcome.c
const char *outcome_word(enum spool_status status); // "delivered"; still pending: "deferred"
// A trouble that no attempt was needed for, or that ended one: noted, logged, scheduled.
void outcome_trouble(struct recipient *recipient, const struct trouble *trouble);
// The same, and settles: the entry may be gone after that.
void outcome_defer(struct recipient *recipient, const struct trouble *trouble);
// The same for all of a list, which is empty then. What one message has in it is settled at once,
// so that its sender is told in one report.
void outcome_defer_all(struct list *recipients, const struct trouble *trouble);
// What an attempt has brought. reason is the last to be shown.
void outcome_note(struct entry *entry, const struct attempt *attempts, uint32_t count,
		  struct view relay);
// Entries with nothing in hand: tells their sender what is to be told.
void outcome_settle(struct entry *entry);

// report.c: bounces and delay warnings.
bool report_can_tell(const struct entry *entry); // the sender is somebody who can be reached
// True: it is on its way, and the entry is reporting.
bool report_failures(struct entry *entry);
bool report_delay(struct entry *entry);

// It waits for the operator from now on, and the log says why.
void outcome_hold(struct entry *entry, struct view reason);
void outcome_tell_held(const struct entry *entry, struct view reason);
// Removed by the operator: it has nothing in hand. False: it could not be noted, and stays.
bool outcome_remove(struct entry *entry);

// present.c: appends one JSON array of steps: the arrival, and where each recipient stands.
void present_add_json(struct buffer *out, const struct entry *entry);

// trace.c: what the trace is told. Steps of one message in one turn of the loop share a record.
void trace_flush(struct deliverer *deliverer);     // at the end of each turn
void trace_configure(struct deliverer *deliverer); // the ring was turned on or off
void trace_queued(const struct entry *entry);
// reason: may be empty.
void trace_event(const struct entry *entry, const char *event, struct view reason);
void trace_routed(const struct recipient *recipient, const struct route_choice *choice);
// hosts: as trace_add_hosts; age_ms: of the answer, 0 where it has just come.
void trace_site(const struct recipient *recipient, const struct destination *destination,
		struct view hosts, bool secure, uint64_t age_ms);
void trace_add_hosts(struct buffer *out, const struct facts_answer *answer);
// Remembered until an attempt, or the end of them all, tells of it.
void trace_way_failed(struct connection *connection, struct view why);
void trace_attempt(const struct delivery *delivery, struct connection *connection);
void trace_outcome(const struct entry *entry, const struct attempt *attempt,
		   const struct trouble *trouble, const struct spool_recipient_state *state);
void trace_report(const struct entry *entry, uint64_t report_id, bool is_warning);
void trace_gone(struct deliverer *deliverer, uint64_t id); // it has left the queue
