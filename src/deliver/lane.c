#include "deliver/lane.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "os/random.h"

enum { LANE_LOOK_AGAIN_MS = 1000 };

static void on_timer(void *context);

// ---- life

static enum error lane_new(struct deliverer *deliverer, enum lane_kind kind, struct view key,
			   struct view name, const struct smarthost *smarthost,
			   struct lane **ret_lane)
{
	struct lane *lane = calloc(1, sizeof *lane + key.len + name.len);
	char *texts = (char *)(lane + 1);
	enum error error;

	if (!lane) {
		return ERROR_NO_MEMORY;
	}
	memcpy(texts, key.data, key.len);
	memcpy(texts + key.len, name.data, name.len);
	lane->deliverer = deliverer;
	lane->kind = kind;
	lane->smarthost = smarthost;
	lane->key = view_of(texts, key.len);
	lane->name = view_of(texts + key.len, name.len);
	lane->trouble_texts = buffer_with_max(2 * LANE_REASON_MAX + LANE_TRIED_MAX);
	lane->sender_table = table_with_max(os_random_hash_key(), LANE_SENDERS_MAX);
	error = table_add(&deliverer->lanes, lane->key, lane);
	if (error != OK) {
		free(lane);
		return error;
	}
	lane->generation = deliver_generation_ref(deliverer->generation);
	site_init(&lane->site, &lane->generation->config->outbound.site);
	list_init(&lane->kicked);
	list_init(&lane->senders);
	list_init(&lane->connections);
	os_timer_init(&lane->timer, deliverer->loop, on_timer, lane);
	list_add_last(&deliverer->all_lanes, &lane->link);
	*ret_lane = lane;
	return OK;
}

enum error lane_get(struct deliverer *deliverer, enum lane_kind kind, struct view key,
		    struct view name, const struct smarthost *smarthost, struct lane **ret_lane)
{
	struct lane *lane = table_get(&deliverer->lanes, key);

	if (lane) {
		*ret_lane = lane;
		return OK;
	}
	return lane_new(deliverer, kind, key, name, smarthost, ret_lane);
}

// What waits is idle again.
static void empty(struct lane *lane)
{
	struct entry *last = NULL; // scheduled once for all of its own
	struct recipient *recipient;

	while ((recipient = lane_take(lane))) {
		if (last && last != recipient->entry) {
			queue_schedule(last);
		}
		last = lane->deliverer->closing ? NULL : recipient->entry;
	}
	if (last) {
		queue_schedule(last);
	}
}

void lane_free(struct lane *lane)
{
	while (!list_empty(&lane->connections)) {
		connection_end(CONTAINER_OF(lane->connections.next, struct connection, link));
	}
	empty(lane);
	os_timer_stop(&lane->timer);
	lane_unqueue(lane);
	list_remove(&lane->link);
	if (!lane->retired) {
		(void)table_remove(&lane->deliverer->lanes, lane->key);
	}
	table_done(&lane->sender_table);
	arena_done(&lane->ways.arena);
	buffer_done(&lane->trouble_texts);
	deliver_generation_unref(lane->generation);
	free(lane);
}

void lane_free_if_unused(struct lane *lane)
{
	if (lane != lane->deliverer->local && lane->users == 0 && lane->waiting == 0 &&
	    list_empty(&lane->connections) && !lane->deliverer->closing) {
		lane_free(lane);
	}
}

// Those that are idle leave now, the others when they are.
static void quit_all(struct lane *lane)
{
	struct list *link, *next;

	lane->users++; // until all is told
	for (link = lane->connections.next; link != &lane->connections; link = next) {
		next = link->next;
		connection_quit(CONTAINER_OF(link, struct connection, link));
	}
	lane->users--;
}

void lane_retire(struct lane *lane)
{
	if (lane->retired) {
		return;
	}
	lane->retired = true;
	(void)table_remove(&lane->deliverer->lanes, lane->key);
	empty(lane);
	quit_all(lane);
	lane_free_if_unused(lane);
}

// ---- ways

void lane_set_ways(struct lane *lane, struct way_list list)
{
	for (unsigned i = 0; i < list.count; i++) {
		const struct way *old = way_list_find(&lane->ways, &list.items[i].address);

		if (old) {
			list.items[i].failures = old->failures;
			list.items[i].paused_until_ms = old->paused_until_ms;
		}
	}
	arena_done(&lane->ways.arena);
	lane->ways = list;
	lane->ways_version++;
}

struct way *lane_choose_way(struct lane *lane, uint64_t tried[WAY_LIST_MAX / 64])
{
	uint64_t now_ms = deliverer_now_ms(lane->deliverer);
	struct way_facts facts[WAY_LIST_MAX];
	struct way *ways = lane->ways.items;
	int chosen;

	for (unsigned i = 0; i < lane->ways.count; i++) {
		facts[i] = (struct way_facts){
			.tried = tried[i / 64] >> (i % 64) & 1,
			.paused = now_ms < ways[i].paused_until_ms,
			.nameless = ways[i].needs_name &&
				    !(ways[i].origin && origin_has_name(ways[i].origin)),
		};
	}
	chosen = way_choose(facts, lane->ways.count);
	if (chosen == WAY_NONE) {
		return NULL;
	}
	tried[chosen / 64] |= 1ull << (chosen % 64);
	lane->deliverer->counters.ipv6_nameless += facts[chosen].nameless;
	return &ways[chosen];
}

void lane_way_failed(struct lane *lane, const struct os_address *address)
{
	struct way *way = way_list_find(&lane->ways, address);

	if (way) {
		way->paused_until_ms =
			deliverer_now_ms(lane->deliverer) + way_pause_ms(++way->failures);
	}
}

void lane_way_worked(struct lane *lane, const struct os_address *address)
{
	struct way *way = way_list_find(&lane->ways, address);

	if (way) {
		way->failures = 0;
		way->paused_until_ms = 0;
	}
}

// ---- who waits

static struct sender_queue *sender_queue_new(struct lane *lane, struct view key)
{
	struct sender_queue *queue = calloc(1, sizeof *queue + key.len);

	if (!queue) {
		return NULL;
	}
	queue->lane = lane;
	queue->key_len = key.len;
	if (key.len) {
		memcpy(queue->key, key.data, key.len);
	}
	list_init(&queue->recipients);
	if (table_add(&lane->sender_table, view_of(queue->key, key.len), queue) != OK) {
		free(queue);
		return NULL;
	}
	list_add_last(&lane->senders, &queue->link);
	return queue;
}

enum error lane_add(struct lane *lane, struct recipient *recipient)
{
	struct view key = entry_sender(recipient->entry);
	struct share *share = &lane->deliverer->unproven;
	struct sender_queue *queue = table_get(&lane->sender_table, key);

	if (!queue) {
		queue = sender_queue_new(lane, key);
	}
	if (!queue) {
		return ERROR_NO_MEMORY;
	}
	recipient->place = RECIPIENT_WAITING;
	recipient->queue = queue;
	list_add_last(&queue->recipients, &recipient->link);
	lane->waiting++;
	if (lane->in_share) {
		lane->group =
			share_move(share, lane->group, share_group_of(share, key), &lane->kicked);
	}
	lane_kick(lane);
	return OK;
}

void lane_forget(struct recipient *recipient)
{
	struct sender_queue *queue = recipient->queue;
	struct lane *lane = queue->lane;

	list_remove(&recipient->link);
	recipient->queue = NULL;
	recipient->place = RECIPIENT_IDLE;
	lane->waiting--;
	if (list_empty(&queue->recipients)) {
		(void)table_remove(&lane->sender_table, view_of(queue->key, queue->key_len));
		list_remove(&queue->link);
		free(queue);
	}
}

struct recipient *lane_take(struct lane *lane)
{
	struct sender_queue *queue;
	struct recipient *recipient;

	if (list_empty(&lane->senders)) {
		return NULL;
	}
	queue = CONTAINER_OF(list_take_first(&lane->senders), struct sender_queue, link);
	list_add_last(&lane->senders, &queue->link); // the next turn is another's
	recipient = CONTAINER_OF(queue->recipients.next, struct recipient, link);
	lane_forget(recipient);
	return recipient;
}

// ---- connections

void lane_kick(struct lane *lane)
{
	if (list_empty(&lane->kicked)) {
		list_add_last(&lane->deliverer->kicked, &lane->kicked);
	}
}

void lane_unqueue(struct lane *lane)
{
	if (lane->in_share) {
		share_leave(&lane->deliverer->unproven, lane->group, &lane->kicked);
		lane->in_share = false;
	} else {
		list_remove(&lane->kicked);
	}
}

static void drain(struct lane *lane)
{
	struct recipient *recipient;
	struct list turn;

	list_init(&turn);
	for (unsigned i = 0; i < LANE_DRAIN_TURN && (recipient = lane_take(lane)); i++) {
		list_add_last(&turn, &recipient->link);
	}
	lane->draining = lane->waiting != 0;
	outcome_defer_all(&turn, &lane->trouble);
	if (lane->draining) {
		os_timer_set(&lane->timer, 0);
	}
}

// Its texts are the lane's own from now on.
static void keep_trouble(struct lane *lane, const struct trouble *trouble)
{
	struct view reason = view_first(trouble->reason, LANE_REASON_MAX);
	struct view relay = view_first(trouble->relay, LANE_REASON_MAX);
	struct buffer *texts = &lane->trouble_texts;
	struct view rest;

	buffer_clear(texts);
	buffer_add(texts, reason);
	buffer_add(texts, relay);
	buffer_add(texts, view_first(trouble->tried, LANE_TRIED_MAX));
	rest = buffer_view(texts);
	lane->trouble = *trouble;
	lane->trouble.reason = view_first(rest, reason.len);
	rest = view_from(rest, reason.len);
	lane->trouble.relay = view_first(rest, relay.len);
	lane->trouble.tried = view_from(rest, relay.len);
}

void lane_failed(struct lane *lane, const struct trouble *trouble, enum site_event event)
{
	struct recipient *recipient;

	lane_learn(lane, event);
	keep_trouble(lane, trouble);
	if (site_next_ms(&lane->site, deliverer_now_ms(lane->deliverer)) ||
	    trouble->class == RETRY_LOGIN || trouble->class == RETRY_TLS) {
		lane->draining = true;
		drain(lane);
	} else if ((recipient = lane_take(lane))) {
		outcome_defer(recipient, &lane->trouble);
	}
	lane_kick(lane);
}

void lane_learn(struct lane *lane, enum site_event event)
{
	site_learn(&lane->site, &lane->generation->config->outbound.site, event,
		   deliverer_now_ms(lane->deliverer),
		   event == SITE_DELIVERED ? 0 : os_random_u64());
	if (lane->in_share && event == SITE_DELIVERED) { // it need not wait there any more
		lane_unqueue(lane);
		lane_kick(lane);
	}
}

static void feed_idle(struct lane *lane)
{
	struct list *link, *next;

	lane->users++; // stays while its connections are walked
	for (link = lane->connections.next; link != &lane->connections && lane->waiting;
	     link = next) {
		struct connection *connection = CONTAINER_OF(link, struct connection, link);

		next = link->next;
		if (connection->idle) {
			connection_feed(connection);
		}
	}
	lane->users--;
}

static unsigned count_beginning(const struct lane *lane)
{
	unsigned count = 0;

	for (const struct list *link = lane->connections.next; link != &lane->connections;
	     link = link->next) {
		count += !CONTAINER_OF(link, struct connection, link)->ready;
	}
	return count;
}

// The share that a connection of this lane counts in while it has brought nothing.
static unsigned group_of(const struct lane *lane)
{
	const struct sender_queue *queue =
		CONTAINER_OF(lane->senders.next, struct sender_queue, link);

	return share_group_of(&lane->deliverer->unproven, view_of(queue->key, queue->key_len));
}

// False: not now; it is looked at again when it may have one.
static bool may_open(struct lane *lane)
{
	struct deliverer *deliverer = lane->deliverer;
	bool has_room = deliverer_has_room(deliverer);
	unsigned group = group_of(lane);

	if (site_is_proven(&lane->site, deliverer_now_ms(deliverer))) {
		if (!has_room) {
			lane_unqueue(lane);
			list_add_last(&deliverer->starved, &lane->kicked);
		}
		return has_room;
	}
	if (has_room &&
	    share_admits(&deliverer->unproven, group, deliverer_unproven_max(deliverer))) {
		return true;
	}
	deliverer->counters.connection_waits++;
	lane_unqueue(lane);
	lane->in_share = true;
	lane->group = group;
	share_wait(&deliverer->unproven, group, &lane->kicked);
	return false;
}

static void open_more(struct lane *lane)
{
	struct deliverer *deliverer = lane->deliverer;
	uint64_t now_ms = deliverer_now_ms(deliverer);
	unsigned room = site_room(&lane->site, now_ms), beginning = count_beginning(lane);
	uint64_t next_ms = site_next_ms(&lane->site, now_ms);

	while (room && lane->waiting > beginning) {
		if (!may_open(lane)) {
			return;
		}
		if (!connection_start(lane, group_of(lane))) {
			os_timer_set(&lane->timer, LANE_LOOK_AGAIN_MS);
			return;
		}
		room--;
		beginning++;
	}
	if (lane->waiting && next_ms) {
		os_timer_set(&lane->timer, next_ms - now_ms);
	}
}

void lane_run(struct lane *lane)
{
	if (lane->deliverer->stopping || lane->retired) {
		quit_all(lane);
	} else if (lane->waiting && !deliverer_may_begin(lane->deliverer)) {
		os_timer_set(&lane->timer, LANE_LOOK_AGAIN_MS);
	} else if (lane->kind == LANE_LOCAL) {
		local_run(lane);
	} else if (lane->waiting && !lane->draining) {
		feed_idle(lane);
		open_more(lane);
	}
	lane_free_if_unused(lane);
}

static void on_timer(void *context)
{
	struct lane *lane = context;

	if (lane->draining) {
		drain(lane);
	}
	lane_kick(lane);
}
