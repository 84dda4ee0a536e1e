// When entries are due: a heap by the wall clock. An entry is in it while some recipient of it is
// idle, pending and not held back.
#include "deliver/deliverer_private.h"
#include "os/clock.h"

enum {
	LOOK_AGAIN_MS = 1000, // while the journal cannot be written
	REPORT_AGAIN_MS = 60 * 1000,
	QUEUE_TIMER_MAX_MS = 3600 * 1000, // clocks step
	CLOCK_STEP_MS = 60 * 1000,        // less than this is not worth a look at the whole queue
};

static bool is_waiting(const struct recipient *recipient)
{
	return recipient->place == RECIPIENT_IDLE &&
	       recipient_state(recipient)->status == SPOOL_PENDING;
}

// No retry is planned further ahead than the longest delay and its jitter: what is was planned by
// a clock that has stepped back since, and is due.
static uint64_t due_of(const struct recipient *recipient, uint64_t now_ms)
{
	const struct entry *entry = recipient->entry;
	uint64_t longest_ms = entry->deliverer->generation->config->queue.retry.longest_ms;
	uint64_t due_ms = recipient_state(recipient)->next_attempt_s * 1000ull;

	return entry->urgent || due_ms > now_ms + 2 * longest_ms + QUEUE_TIMER_MAX_MS ? 0 : due_ms;
}

void queue_remove(struct entry *entry)
{
	heap_remove(&entry->deliverer->due, &entry->due);
}

void queue_schedule(struct entry *entry)
{
	struct heap *due = &entry->deliverer->due;
	uint64_t now_ms = os_clock_wall_ms(), report_again_ms = now_ms + REPORT_AGAIN_MS;
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		const struct recipient *recipient = &entry->recipients[i];

		if (is_waiting(recipient) && due_of(recipient, now_ms) < first) {
			first = due_of(recipient, now_ms);
		}
	}
	if (entry->failures && entry->in_hand == 0 && first > report_again_ms) {
		first = report_again_ms;
	}
	if (first == UINT64_MAX || entry->reporting || entry->message->flags & SPOOL_HELD) {
		heap_remove(due, &entry->due);
	} else if (heap_holds(&entry->due)) {
		heap_move(due, &entry->due, first);
	} else if (heap_add(due, &entry->due, first) != OK) {
		return; // no memory: it waits for the next change, or a restart
	}
	queue_run_soon(entry->deliverer);
}

static void route_entry(struct entry *entry, uint64_t now_ms)
{
	bool urgent = entry->urgent;

	entry->urgent = false;
	// Routing may end the message, and the entry with it: not before the last is looked at.
	entry->in_hand++;
	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		struct recipient *recipient = &entry->recipients[i];

		if (is_waiting(recipient) && (urgent || due_of(recipient, now_ms) <= now_ms)) {
			route_recipient(recipient);
		}
	}
	entry->in_hand--;
	outcome_settle(entry);
}

// The heap goes by the wall clock: when that has stepped back, all in it is late by so much.
static void mind_clock(struct deliverer *deliverer, uint64_t now_ms)
{
	bool has_stepped_back = now_ms + CLOCK_STEP_MS < deliverer->wall_ms;

	deliverer->wall_ms = now_ms;
	for (struct list *link = deliverer->entries.next;
	     has_stepped_back && link != &deliverer->entries; link = link->next) {
		queue_schedule(CONTAINER_OF(link, struct entry, link));
	}
}

void queue_timer(void *context)
{
	struct deliverer *deliverer = context;
	uint64_t now_ms = os_clock_wall_ms();
	struct heap_entry *first;

	if (deliverer->stopping || !deliverer->has_directory ||
	    deliverer->generation->config->queue.hold) {
		return;
	}
	if (spool_store_status(deliverer->store).journal_error != OK) {
		os_timer_set(&deliverer->queue_timer, LOOK_AGAIN_MS);
		return;
	}
	mind_clock(deliverer, now_ms);
	for (unsigned i = 0; i < DELIVERER_ROUTE_TURN; i++) {
		first = heap_first(&deliverer->due);
		if (!first || first->key > now_ms) {
			break;
		}
		heap_remove(&deliverer->due, first);
		route_entry(CONTAINER_OF(first, struct entry, due), now_ms);
	}
	queue_run_soon(deliverer);
}

void queue_run_soon(struct deliverer *deliverer)
{
	const struct heap_entry *first = heap_first(&deliverer->due);
	uint64_t now_ms = os_clock_wall_ms(), delay_ms;

	if (first) {
		delay_ms = first->key > now_ms ? first->key - now_ms : 0;
		os_timer_set(&deliverer->queue_timer,
			     delay_ms < QUEUE_TIMER_MAX_MS ? delay_ms : QUEUE_TIMER_MAX_MS);
	}
}
