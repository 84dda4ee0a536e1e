#include <stdlib.h>

#include "deliver/deliverer_private.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/random.h"

enum { FOLLOW_AGAIN_MS = 5000, PRESSURE_FULL = 100 };

uint64_t deliverer_now_ms(const struct deliverer *deliverer)
{
	return os_loop_now_ms(deliverer->loop);
}

bool deliverer_may_begin(const struct deliverer *deliverer)
{
	return !deliverer->stopping && !deliverer->generation->config->queue.hold &&
	       spool_store_status(deliverer->store).journal_error == OK;
}

// ---- what comes out of the store

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct deliverer *deliverer = context;
	struct entry *entry = entry_new(deliverer, message, envelope);

	if (!entry) {
		return ERROR_NO_MEMORY;
	}
	message->user = entry;
	list_add_last(&deliverer->entries, &entry->link);
	if (message->flags & SPOOL_HELD && message->crashes >= SPOOL_CRASHES_MAX) {
		outcome_tell_held(entry, VIEW("deliver died twice with it in hand"));
	}
	if (deliverer->store) { // not one of those that recovery finds
		trace_queued(entry);
	}
	queue_schedule(entry);
	return OK;
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	(void)context;
	LOG(LOG_ERROR, "spool_fault", LOG_TEXT("reason", view_from_text(what)),
	    LOG_NUMBER("family", where.family), LOG_NUMBER("segment", where.segment),
	    LOG_NUMBER("epoch", where.epoch), LOG_NUMBER("offset", where.offset));
}

static void set_pressure(struct deliverer *deliverer)
{
	uint64_t most = deliverer->generation->config->queue.messages;
	uint64_t now = spool_store_status(deliverer->store).messages;
	uint64_t percent = most ? now * PRESSURE_FULL / most : 0;

	spool_store_set_pressure(deliverer->store,
				 percent > PRESSURE_FULL ? PRESSURE_FULL : (uint32_t)percent);
}

static void follow(void *context)
{
	struct deliverer *deliverer = context;

	if (deliverer->closing) {
		return;
	}
	if (spool_store_follow(deliverer->store, DELIVERER_FOLLOW_TURN)) {
		os_timer_set(&deliverer->follow_timer, 0);
	} else if (spool_store_is_behind(deliverer->store)) {
		os_timer_set(&deliverer->behind_timer, FOLLOW_AGAIN_MS);
	}
	queue_timer(deliverer);
}

void deliverer_follow(struct deliverer *deliverer)
{
	if (!os_timer_is_set(&deliverer->follow_timer)) {
		os_timer_set(&deliverer->follow_timer, 0);
	}
}

void deliverer_wake(struct deliverer *deliverer)
{
	spool_store_awake(deliverer->store);
	deliverer->asleep = false;
	if (!os_timer_is_set(&deliverer->follow_timer)) {
		follow(deliverer);
	}
}

// ---- each turn of the loop

bool deliverer_has_room(const struct deliverer *deliverer)
{
	return deliverer->counters.open < deliverer->generation->config->outbound.connections;
}

unsigned deliverer_unproven_max(const struct deliverer *deliverer)
{
	unsigned most = (unsigned)deliverer->generation->config->outbound.connections;

	return most - most / 4;
}

bool deliverer_is_short(const struct deliverer *deliverer)
{
	return !deliverer_has_room(deliverer) &&
	       (!list_empty(&deliverer->starved) || deliverer->unproven.waiting_count);
}

// Who waited for a connection and may have one; sites that are proven and others in turn.
static struct lane *next_starved(struct deliverer *deliverer)
{
	struct lane *lane = NULL;
	struct list *link;

	for (int i = 0; i < 2 && !lane && deliverer_has_room(deliverer); i++) {
		deliverer->unproven_next = !deliverer->unproven_next;
		link = deliverer->unproven_next
			       ? share_next(&deliverer->unproven, deliverer_unproven_max(deliverer))
			       : list_take_first(&deliverer->starved);
		lane = link ? CONTAINER_OF(link, struct lane, kicked) : NULL;
	}
	if (lane) {
		lane->in_share = false;
	}
	return lane;
}

// A lane that waited for its share may need it no more: then it is the next one's.
static void run_kicked(struct deliverer *deliverer)
{
	struct lane *lane;
	struct list *link;

	while ((lane = next_starved(deliverer)) || (link = list_take_first(&deliverer->kicked))) {
		lane_run(lane ? lane : CONTAINER_OF(link, struct lane, kicked));
	}
}

static void before_sleep(void *context)
{
	struct deliverer *deliverer = context;
	struct list *link;

	run_kicked(deliverer);
	set_pressure(deliverer);
	trace_flush(deliverer);
	while ((link = list_take_first(&deliverer->gone))) {
		connection_bury(CONTAINER_OF(link, struct connection, link));
	}
	if (!deliverer->asleep && !os_timer_is_set(&deliverer->follow_timer)) {
		deliverer->asleep = !spool_store_sleep(deliverer->store);
		if (!deliverer->asleep) {
			deliverer_follow(deliverer);
		}
	}
}

// ---- life

static enum error open_all(struct deliverer *deliverer, const struct deliverer_parts *parts)
{
	struct spool_store_calls calls = { on_message, on_fault, deliverer };
	enum error error = os_pool_new(parts->loop, "deliver", DELIVERER_POOL_THREADS,
				       DELIVERER_POOL_JOBS_MAX, &deliverer->pool);

	if (error == OK) {
		error = spool_store_open(parts->spool, parts->loop, &parts->store, calls,
					 &deliverer->store);
	}
	if (error == OK) {
		spool_id_source_init(&deliverer->ids, DELIVERER_NODE,
				     spool_writer_last_id(spool_store_writer(deliverer->store)));
		error = lane_get(deliverer, LANE_LOCAL, VIEW("local"), VIEW("local"), NULL,
				 &deliverer->local);
	}
	return error;
}

enum error deliverer_new(const struct deliverer_parts *parts, struct deliverer **ret_deliverer)
{
	struct deliverer *deliverer = calloc(1, sizeof *deliverer);
	struct list *lists[] = { &deliverer->entries, &deliverer->all_lanes, &deliverer->kicked,
				 &deliverer->starved, &deliverer->gone,      &deliverer->locals };
	enum error error;

	if (!deliverer) {
		return ERROR_NO_MEMORY;
	}
	deliverer->loop = parts->loop;
	deliverer->facts = parts->facts;
	deliverer->mail_dir = parts->mail_dir;
	deliverer->trace = parts->trace;
	deliverer->steps = trace_ring_steps(parts->trace);
	deliverer->generation = deliver_generation_ref(parts->generation);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		list_init(lists[i]);
	}
	share_init(&deliverer->asking, os_random_hash_key());
	share_init(&deliverer->unproven, os_random_hash_key());
	deliverer->destinations = table_with_max(os_random_hash_key(), DELIVERER_DESTINATIONS_MAX);
	deliverer->lanes = table_with_max(os_random_hash_key(), DELIVERER_LANES_MAX);
	os_timer_init(&deliverer->follow_timer, parts->loop, follow, deliverer);
	os_timer_init(&deliverer->behind_timer, parts->loop, follow, deliverer);
	os_timer_init(&deliverer->queue_timer, parts->loop, queue_timer, deliverer);
	os_timer_init(&deliverer->stop_timer, parts->loop, NULL, deliverer);
	deliverer->scratch = malloc(DELIVERER_SCRATCH_BYTES);
	deliverer->hook = (struct os_hook){ .fn = before_sleep, .context = deliverer };
	error = deliverer->scratch ? open_all(deliverer, parts) : ERROR_NO_MEMORY;
	if (error != OK) {
		deliverer_free(deliverer);
		return error;
	}
	os_hook_add_before_sleep(parts->loop, &deliverer->hook);
	deliverer_follow(deliverer);
	*ret_deliverer = deliverer;
	return OK;
}

static void free_lanes(struct deliverer *deliverer)
{
	struct list *link;

	while (!list_empty(&deliverer->all_lanes)) {
		lane_free(CONTAINER_OF(deliverer->all_lanes.next, struct lane, link));
	}
	while ((link = list_take_first(&deliverer->gone))) {
		connection_bury(CONTAINER_OF(link, struct connection, link));
	}
}

void deliverer_free(struct deliverer *deliverer)
{
	if (!deliverer) {
		return;
	}
	deliverer->closing = deliverer->stopping = true;
	deliverer->stopped = NULL;
	os_hook_remove(deliverer->loop, &deliverer->hook);
	os_pool_free(deliverer->pool);
	deliverer->pool = NULL;
	destination_forget_all(deliverer);
	while (!list_empty(&deliverer->locals)) {
		delivery_done(CONTAINER_OF(deliverer->locals.next, struct delivery, link),
			      (struct view){ 0 });
	}
	free_lanes(deliverer);
	origins_forget(&deliverer->origins);
	spool_store_close(deliverer->store);
	os_timer_stop(&deliverer->follow_timer);
	os_timer_stop(&deliverer->behind_timer);
	os_timer_stop(&deliverer->queue_timer);
	os_timer_stop(&deliverer->stop_timer);
	heap_done(&deliverer->due); // before its entries go
	while (!list_empty(&deliverer->entries)) {
		entry_free(CONTAINER_OF(deliverer->entries.next, struct entry, link));
	}
	table_done(&deliverer->destinations);
	table_done(&deliverer->lanes);
	deliver_generation_unref(deliverer->generation);
	trace_flush(deliverer);
	trace_steps_done(&deliverer->steps);
	free(deliverer->scratch);
	free(deliverer);
}

void deliverer_configure(struct deliverer *deliverer, struct deliver_generation *generation)
{
	struct list *link, *next;

	deliver_generation_ref(generation);
	deliver_generation_unref(deliverer->generation);
	deliverer->generation = generation;
	trace_configure(deliverer);
	destination_forget_all(deliverer);
	for (link = deliverer->all_lanes.next; link != &deliverer->all_lanes; link = next) {
		struct lane *lane = CONTAINER_OF(link, struct lane, link);

		next = link->next;
		if (lane != deliverer->local) {
			lane_retire(lane);
		}
	}
	queue_run_soon(deliverer);
}

void deliverer_set_directory(struct deliverer *deliverer, struct directory directory)
{
	deliverer->directory = directory;
	deliverer->has_directory = true;
	queue_run_soon(deliverer);
}

// ---- the end

static void stop_now(void *context)
{
	struct deliverer *deliverer = context;
	void (*stopped)(void *context) = deliverer->stopped;

	deliverer->stopped = NULL;
	os_timer_stop(&deliverer->stop_timer);
	if (stopped) {
		stopped(deliverer->stopped_context);
	}
}

void deliverer_attempt_ended(struct deliverer *deliverer)
{
	deliverer->counters.in_hand--;
	if (deliverer->stopping && !deliverer->closing && deliverer->counters.in_hand == 0) {
		stop_now(deliverer);
	}
}

void deliverer_stop(struct deliverer *deliverer, void (*stopped)(void *context), void *context)
{
	deliverer->stopping = true;
	deliverer->stopped = stopped;
	deliverer->stopped_context = context;
	for (struct list *link = deliverer->all_lanes.next; link != &deliverer->all_lanes;
	     link = link->next) {
		lane_kick(CONTAINER_OF(link, struct lane, link));
	}
	os_timer_init(&deliverer->stop_timer, deliverer->loop, stop_now, deliverer);
	os_timer_set(&deliverer->stop_timer, deliverer->counters.in_hand ? DELIVERER_STOP_MS : 0);
}

struct deliverer_counters deliverer_counters(const struct deliverer *deliverer)
{
	return deliverer->counters;
}
