// When entries are due: a heap by the wall clock. An entry is in it while some recipient of it is
// idle, pending and not held back.
#include "deliver/deliverer_private.h"
#include "os/clock.h"

enum {
	LOOK_AGAIN_MS = 1000, // while the journal cannot be written
	REPORT_AGAIN_MS = 60 * 1000,
	QUEUE_TIMER_MAX_MS = 3600 * 1000, // clocks step
};

static bool is_waiting(const struct recipient *recipient)
{
	return recipient->place == RECIPIENT_IDLE &&
	       recipient_state(recipient)->status == SPOOL_PENDING;
}

static uint64_t due_of(const struct recipient *recipient)
{
	return recipient->entry->urgent ? 0 : recipient_state(recipient)->next_attempt_s * 1000ull;
}

void queue_remove(struct entry *entry)
{
	heap_remove(&entry->deliverer->due, &entry->due);
}

void queue_schedule(struct entry *entry)
{
	struct heap *due = &entry->deliverer->due;
	uint64_t first = UINT64_MAX, report_again_ms = os_clock_wall_ms() + REPORT_AGAIN_MS;

	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		const struct recipient *recipient = &entry->recipients[i];

		if (is_waiting(recipient) && due_of(recipient) < first) {
			first = due_of(recipient);
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
	if (entry->failures && entry->in_hand == 0) {
		outcome_settle(entry);
		if (entry->reporting) {
			return;
		}
	}
	// Routing may end the message, and the entry with it: not before the last is looked at.
	entry->in_hand++;
	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		struct recipient *recipient = &entry->recipients[i];

		if (is_waiting(recipient) && (urgent || due_of(recipient) <= now_ms)) {
			route_recipient(recipient);
		}
	}
	entry->in_hand--;
	outcome_settle(entry);
}

void queue_timer(void *context)
{
	struct deliverer *deliverer = context;
	uint64_t now_ms = os_clock_wall_ms(), delay_ms;
	struct heap_entry *first;

	if (deliverer->stopping || !deliverer->has_directory ||
	    deliverer->generation->config->queue.hold) {
		return;
	}
	if (spool_store_status(deliverer->store).journal_error != OK) {
		os_timer_set(&deliverer->queue_timer, LOOK_AGAIN_MS);
		return;
	}
	for (unsigned i = 0; i < DELIVERER_ROUTE_TURN; i++) {
		first = heap_first(&deliverer->due);
		if (!first || first->key > now_ms) {
			break;
		}
		heap_remove(&deliverer->due, first);
		route_entry(CONTAINER_OF(first, struct entry, due), now_ms);
	}
	first = heap_first(&deliverer->due);
	if (first) {
		delay_ms = first->key > now_ms ? first->key - now_ms : 0;
		os_timer_set(&deliverer->queue_timer,
			     delay_ms < QUEUE_TIMER_MAX_MS ? delay_ms : QUEUE_TIMER_MAX_MS);
	}
}

void queue_run_soon(struct deliverer *deliverer)
{
	const struct heap_entry *first = heap_first(&deliverer->due);
	uint64_t now_ms = os_clock_wall_ms();

	if (first && first->key <= now_ms) {
		os_timer_set(&deliverer->queue_timer, 0);
	} else if (first && !os_timer_is_set(&deliverer->queue_timer)) {
		os_timer_set(&deliverer->queue_timer, first->key - now_ms < QUEUE_TIMER_MAX_MS
							      ? first->key - now_ms
							      : QUEUE_TIMER_MAX_MS);
	}
}
