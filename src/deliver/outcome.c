// What became of recipients: into the journal, into the log, and to the sender where it is due.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/random.h"

enum { FAILURE_TEXT_MAX = 600 };

// ---- the log

static const struct {
	const char *word;
	enum log_level level;
} outcome_kinds[SPOOL_STATUS_COUNT] = {
	[SPOOL_PENDING] = { "deferred", LOG_NOTICE }, [SPOOL_DELIVERED] = { "delivered", LOG_INFO },
	[SPOOL_FAILED] = { "failed", LOG_WARNING },   [SPOOL_EXPIRED] = { "expired", LOG_WARNING },
	[SPOOL_REMOVED] = { "removed", LOG_NOTICE },
};

const char *outcome_word(enum spool_status status)
{
	return outcome_kinds[status].word;
}

static void log_attempt(const struct entry *entry, const struct attempt *attempt, struct view relay)
{
	const char *event = outcome_word(attempt->status);
	uint64_t now_ms = os_clock_wall_ms();
	uint64_t delay_ms = now_ms > entry->arrival_ms ? now_ms - entry->arrival_ms : 0;
	char id[SPOOL_ID_TEXT_LEN + 1], delay[32];

	spool_id_format(entry->message->id, id);
	(void)snprintf(delay, sizeof delay, "%llu.%03u", (unsigned long long)(delay_ms / 1000),
		       (unsigned)(delay_ms % 1000));
	LOG(outcome_kinds[attempt->status].level, event, LOG_TEXT("id", view_from_text(id)),
	    LOG_TEXT("from", entry_reverse_path(entry)),
	    LOG_TEXT("to", recipient_address(attempt->recipient)), LOG_TEXT("relay", relay),
	    LOG_TEXT("dsn", view_from_text(attempt->dsn)), LOG_TEXT("delay", view_from_text(delay)),
	    LOG_TEXT("status", view_from_text(event)), LOG_TEXT("reason", attempt->reason));
}

// ---- failures are kept until the sender is told

static bool keep_failure(struct entry *entry, const struct attempt *attempt, struct view relay)
{
	struct view text = view_first(attempt->reason, FAILURE_TEXT_MAX);
	struct failure *failure;

	relay = view_first(relay, view_find(relay, '['));
	failure = calloc(1, sizeof *failure + relay.len + text.len);
	if (!failure) {
		return false;
	}
	failure->recipient = recipient_index(attempt->recipient);
	failure->expired = attempt->status == SPOOL_EXPIRED;
	memcpy(failure->status, attempt->dsn, sizeof failure->status);
	failure->remote_len = (uint16_t)relay.len;
	failure->text_len = (uint16_t)text.len;
	if (relay.len) {
		memcpy(failure->text, relay.data, relay.len);
	}
	if (text.len) {
		memcpy(failure->text + relay.len, text.data, text.len);
	}
	failure->next = entry->failures;
	entry->failures = failure;
	attempt->recipient->place = RECIPIENT_FAILED;
	return true;
}

// ---- when again

static void decide_retry(struct entry *entry, struct attempt *attempt,
			 struct spool_recipient_state *state)
{
	struct deliverer *deliverer = entry->deliverer;
	uint64_t now_ms = os_clock_wall_ms();
	struct retry_verdict verdict;
	struct retry_facts facts;

	if (entry->arrival_ms > now_ms) { // by a clock that has stepped back: it ages from now on
		entry->arrival_ms = now_ms;
	}
	facts = (struct retry_facts){
		.class = attempt->class,
		.attempts = state->attempts ? state->attempts : 1,
		.arrived_ms = entry->arrival_ms,
		.now_ms = now_ms,
		.warned = (entry->message->flags & SPOOL_WARNED) != 0,
		.null_reverse_path = entry->reverse_path_len == 0,
		.seed = os_random_u64(),
	};
	verdict = retry_decide(&deliverer->generation->config->queue.retry, &facts);
	if (verdict.expired) {
		attempt->status = SPOOL_EXPIRED;
		memcpy(attempt->dsn, "4.4.7", 6);
		return;
	}
	entry->warn_due |= verdict.warn;
	state->next_attempt_s = (uint32_t)(verdict.next_ms / 1000 + 1);
}

// The state that is noted for one attempt: failures become final with their report.
static struct spool_recipient_state state_of(struct entry *entry, struct attempt *attempt,
					     struct view relay)
{
	struct deliverer *deliverer = entry->deliverer;
	struct spool_recipient_state state = *recipient_state(attempt->recipient);

	state.trying = false;
	state.attempts += state.attempts < UINT16_MAX;
	if (attempt->status == SPOOL_PENDING) {
		decide_retry(entry, attempt, &state);
	}
	switch (attempt->status) {
	case SPOOL_DELIVERED:
		deliverer->counters.delivered++;
		state.status = SPOOL_DELIVERED;
		break;
	case SPOOL_FAILED:
	case SPOOL_EXPIRED:
		deliverer->counters.failed++;
		if (!keep_failure(entry, attempt, relay)) {
			state.next_attempt_s = (uint32_t)(os_clock_wall_ms() / 1000 + 60);
		}
		break;
	default: deliverer->counters.deferred++; break;
	}
	return state;
}

// False: its last recipients have ended, and the entry is gone.
static bool note(struct entry *entry, const struct spool_outcome *outcomes, uint32_t count,
		 struct view reason)
{
	struct deliverer *deliverer = entry->deliverer;
	uint64_t id = entry->message->id;
	struct spool_change change = { .message = entry->message,
				       .outcomes = outcomes,
				       .outcome_count = count,
				       .reason = reason };
	uint32_t final = 0;
	enum error error;

	for (uint32_t i = 0; i < count; i++) {
		final += outcomes[i].state.status != SPOOL_PENDING;
	}
	if (final == entry->message->pending) { // it is about to go
		queue_remove(entry);
	} else {
		final = 0;
	}
	error = spool_store_note(deliverer->store, &change);
	if (error == OK && final) {
		entry_free(entry);
		trace_gone(deliverer, id);
		return false;
	}
	if (error != OK) {
		LOG(LOG_ERROR, "journal_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		for (uint32_t i = 0; i < count; i++) { // never again in this life
			if (outcomes[i].state.status != SPOOL_PENDING) {
				entry->recipients[outcomes[i].recipient].place = RECIPIENT_IN_HAND;
			}
		}
	}
	return true;
}

void outcome_note(struct entry *entry, const struct attempt *attempts, uint32_t count,
		  struct view relay)
{
	struct spool_outcome outcomes[DELIVERY_RECIPIENTS_MAX];
	struct view reason = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct attempt attempt = attempts[i];

		outcomes[i].recipient = recipient_index(attempt.recipient);
		outcomes[i].state = state_of(entry, &attempt, relay);
		if (attempt.status != SPOOL_DELIVERED) {
			reason = attempt.reason;
		}
		log_attempt(entry, &attempt, relay);
		trace_outcome(entry, &attempt, &(struct trouble){ .relay = relay },
			      &outcomes[i].state);
	}
	if (note(entry, outcomes, count, reason)) {
		outcome_settle(entry);
	}
}

void outcome_trouble(struct recipient *recipient, const struct trouble *trouble)
{
	struct entry *entry = recipient->entry;
	struct attempt attempt = { .recipient = recipient,
				   .status = trouble->permanent ? SPOOL_FAILED : SPOOL_PENDING,
				   .class = trouble->class,
				   .reason = trouble->reason };
	struct spool_outcome outcome = { .recipient = recipient_index(recipient) };
	struct spool_change change = { .message = entry->message,
				       .outcomes = &outcome,
				       .outcome_count = 1,
				       .reason = trouble->reason };

	recipient->place = RECIPIENT_IDLE;
	memcpy(attempt.dsn, trouble->status, sizeof attempt.dsn);
	outcome.state = state_of(entry, &attempt, trouble->relay);
	log_attempt(entry, &attempt, trouble->relay);
	trace_outcome(entry, &attempt, trouble, &outcome.state);
	// Never final here, so the entry stays.
	if (spool_store_note(entry->deliverer->store, &change) != OK) {
		LOG(LOG_ERROR, "journal_failed", LOG_TEXT("reason", VIEW("out of memory")));
	}
}

void outcome_defer(struct recipient *recipient, const struct trouble *trouble)
{
	struct entry *entry = recipient->entry;

	entry->in_hand++; // settling may end the message: not before all is noted
	outcome_trouble(recipient, trouble);
	entry->in_hand--;
	outcome_settle(entry);
}

void outcome_defer_all(struct list *recipients, const struct trouble *trouble)
{
	struct list all, *link;

	list_init(&all);
	while ((link = list_take_first(recipients))) {
		CONTAINER_OF(link, struct recipient, link)->entry->in_hand++;
		list_add_last(&all, link);
	}
	for (link = all.next; link != &all; link = link->next) {
		outcome_trouble(CONTAINER_OF(link, struct recipient, link), trouble);
	}
	while ((link = list_take_first(&all))) {
		struct entry *entry = CONTAINER_OF(link, struct recipient, link)->entry;
		bool is_last = list_empty(&all) ||
			       CONTAINER_OF(all.next, struct recipient, link)->entry != entry;

		entry->in_hand--;
		if (is_last) {
			outcome_settle(entry);
		}
	}
}

void outcome_tell_held(const struct entry *entry, struct view reason)
{
	char id[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(entry->message->id, id);
	LOG(LOG_ERROR, "held", LOG_TEXT("id", view_from_text(id)),
	    LOG_TEXT("from", entry_reverse_path(entry)), LOG_TEXT("reason", reason));
	trace_event(entry, "held", reason);
}

void outcome_hold(struct entry *entry, struct view reason)
{
	struct spool_change change = { .message = entry->message,
				       .flags_set = SPOOL_HELD,
				       .reason = reason };

	if (entry->message->flags & SPOOL_HELD) {
		return;
	}
	if (spool_store_note(entry->deliverer->store, &change) != OK) {
		LOG(LOG_ERROR, "journal_failed", LOG_TEXT("reason", VIEW("out of memory")));
		return; // it is tried again, and held then
	}
	entry_withdraw(entry);
	outcome_tell_held(entry, reason);
}

bool outcome_remove(struct entry *entry)
{
	uint32_t recipient_count = entry->message->recipient_count, count = 0;
	struct spool_outcome *outcomes = calloc(recipient_count, sizeof *outcomes);
	struct spool_change change = { .message = entry->message, .outcomes = outcomes };
	struct deliverer *deliverer = entry->deliverer;
	uint64_t id = entry->message->id;
	enum error error;

	if (!outcomes) {
		return false;
	}
	for (uint32_t i = 0; i < recipient_count; i++) {
		struct attempt attempt = { .recipient = &entry->recipients[i],
					   .status = SPOOL_REMOVED,
					   .dsn = "5.0.0",
					   .reason = VIEW("removed by the operator") };

		if (entry->message->recipients[i].status == SPOOL_PENDING) {
			outcomes[count].recipient = i;
			outcomes[count].state = entry->message->recipients[i];
			outcomes[count++].state.status = SPOOL_REMOVED;
			log_attempt(entry, &attempt, (struct view){ 0 });
			trace_outcome(entry, &attempt, &(struct trouble){ 0 },
				      &outcomes[count - 1].state);
		}
	}
	change.outcome_count = count;
	queue_remove(entry);
	error = spool_store_note(deliverer->store, &change);
	if (error == OK) {
		entry_free(entry);
		trace_gone(deliverer, id);
	} else {
		queue_schedule(entry);
	}
	free(outcomes);
	return error == OK;
}

// ---- what is left to do

static bool end_some(struct entry *entry)
{
	struct spool_outcome outcomes[DELIVERY_RECIPIENTS_MAX];
	uint32_t count = 0;

	while (entry->failures && count < DELIVERY_RECIPIENTS_MAX) {
		struct failure *failure = entry->failures;

		outcomes[count].recipient = failure->recipient;
		outcomes[count].state = entry->message->recipients[failure->recipient];
		outcomes[count].state.status = failure->expired ? SPOOL_EXPIRED : SPOOL_FAILED;
		entry->recipients[failure->recipient].place = RECIPIENT_IDLE;
		entry->failures = failure->next;
		free(failure);
		count++;
	}
	return note(entry, outcomes, count, (struct view){ 0 });
}

// Failures of which nobody is to be told. False: the entry is gone.
static bool end_quietly(struct entry *entry)
{
	bool is_there = true;

	trace_event(entry, "no_bounce",
		    entry->reverse_path_len ? VIEW("the sender does not exist here")
					    : VIEW("the null sender is never told"));
	while (is_there && entry->failures) {
		is_there = end_some(entry);
	}
	return is_there;
}

void outcome_settle(struct entry *entry)
{
	if (entry->reporting) {
		return;
	}
	if (entry->in_hand) { // the others need not wait for it
		queue_schedule(entry);
		return;
	}
	if (entry->failures && !report_can_tell(entry) && !end_quietly(entry)) {
		return;
	}
	if (entry->failures) {
		if (report_failures(entry)) {
			return;
		}
	} else if (entry->warn_due) {
		entry->warn_due = false;
		if (report_delay(entry)) {
			return;
		}
	}
	queue_schedule(entry);
}
