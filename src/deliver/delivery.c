#include "deliver/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "os/clock.h"
#include "os/log.h"

static void free_delivery(struct delivery *delivery)
{
	list_remove(&delivery->link);
	spool_wait_cancel(&delivery->wait);
	spool_source_close(&delivery->source);
	buffer_done(&delivery->record);
	buffer_done(&delivery->chunk);
	arena_done(&delivery->arena);
	free(delivery);
}

// ---- who

static bool belongs(const struct recipient *recipient, const struct lane *lane)
{
	return recipient->place == RECIPIENT_WAITING && recipient->queue->lane == lane;
}

static uint32_t count_recipients(const struct recipient *first, const struct lane *lane)
{
	const struct entry *entry = first->entry;
	uint32_t count = 1;

	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		count += belongs(&entry->recipients[i], lane);
	}
	return count < DELIVERY_RECIPIENTS_MAX ? count : DELIVERY_RECIPIENTS_MAX;
}

static void add_recipient(struct delivery *delivery, struct recipient *recipient)
{
	uint32_t place = delivery->count++;

	recipient->place = RECIPIENT_IN_HAND;
	delivery->attempts[place].recipient = recipient;
	delivery->transaction.recipients[place].address = recipient_address(recipient);
}

static bool fill(struct delivery *delivery, struct recipient *first)
{
	struct entry *entry = first->entry;
	uint32_t count = count_recipients(first, delivery->lane);

	delivery->attempts = arena_alloc_array(&delivery->arena, count, sizeof *delivery->attempts);
	delivery->transaction.recipients = arena_alloc_array(
		&delivery->arena, count, sizeof *delivery->transaction.recipients);
	if (!delivery->attempts || !delivery->transaction.recipients) {
		return false;
	}
	add_recipient(delivery, first);
	for (uint32_t i = 0; delivery->count < count; i++) {
		if (belongs(&entry->recipients[i], delivery->lane)) {
			lane_forget(&entry->recipients[i]);
			add_recipient(delivery, &entry->recipients[i]);
		}
	}
	delivery->transaction.recipient_count = delivery->count;
	return true;
}

struct delivery *delivery_take(struct lane *lane)
{
	struct deliverer *deliverer = lane->deliverer;
	struct delivery *delivery =
		deliverer_may_begin(deliverer) ? calloc(1, sizeof *delivery) : NULL;
	struct recipient *first = delivery ? lane_take(lane) : NULL;

	if (!first) {
		free(delivery);
		return NULL;
	}
	delivery->deliverer = deliverer;
	delivery->lane = lane;
	delivery->entry = first->entry;
	delivery->begun_ms = deliverer_now_ms(deliverer);
	delivery->arena = arena_with_max(DELIVERY_MEMORY_MAX);
	delivery->record = buffer_with_max(first->entry->message->ref.bytes);
	delivery->chunk = buffer_with_max(DELIVERY_CHUNK_BYTES);
	if (!fill(delivery, first)) {
		free_delivery(delivery);
		outcome_defer(first, &(struct trouble){ .class = RETRY_LOCAL,
							.status = "4.3.0",
							.reason = VIEW("out of memory") });
		return NULL;
	}
	lane->users++; // it may outlive its connection, while the pool reads for it
	delivery->entry->in_hand++;
	deliverer->counters.in_hand++;
	return delivery;
}

// ---- the record

static void told_ready(struct delivery *delivery)
{
	if (delivery->abandoned) {
		delivery_done(delivery, (struct view){ 0 });
	} else if (delivery->ready) {
		delivery->ready(delivery->context);
	}
}

static enum error read_once(struct delivery *delivery)
{
	return spool_source_read_envelope(&delivery->source, &delivery->record, &delivery->arena,
					  &delivery->envelope, &delivery->body);
}

// Twice before it is called damaged, as at recovery: its block may just be written.
static enum error read_record(struct delivery *delivery)
{
	enum error error = read_once(delivery);

	return error == ERROR_CORRUPT ? read_once(delivery) : error;
}

static void prepare_transaction(struct delivery *delivery)
{
	struct smtp_client_transaction *transaction = &delivery->transaction;
	const struct spool_envelope *envelope = &delivery->envelope;

	transaction->reverse_path = envelope->reverse_path;
	transaction->edits.front = envelope->added_fields;
	transaction->size_bytes = envelope->body_bytes + envelope->added_fields.len;
	transaction->eight_bit = (envelope->flags & SPOOL_BODY_8BIT) != 0;
	transaction->smtputf8 = (envelope->flags & SPOOL_SMTPUTF8) != 0;
}

static void opened(struct delivery *delivery, enum error error)
{
	delivery->error = error;
	delivery->state = error == OK ? DELIVERY_READY : DELIVERY_BROKEN;
	if (error == OK) {
		prepare_transaction(delivery);
	}
}

static void read_work(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);

	delivery->error = read_record(delivery);
}

static void read_done(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);

	delivery->reading = false;
	opened(delivery, delivery->error);
	told_ready(delivery);
}

// What was just written is in the page cache: no thread is worth it.
static bool is_quick(const struct delivery *delivery)
{
	uint64_t now_ms = os_clock_wall_ms();

	return delivery->source.ref.bytes <= DELIVERY_INLINE_BYTES &&
	       now_ms - delivery->entry->arrival_ms < DELIVERY_FRESH_MS;
}

static void open_source(struct delivery *delivery)
{
	enum error error = spool_source_open(delivery->deliverer->store, delivery->entry->message,
					     &delivery->source);

	delivery->record.max = delivery->source.ref.bytes;
	if (error != OK || is_quick(delivery)) {
		opened(delivery, error == OK ? read_record(delivery) : error);
		return;
	}
	delivery->job = (struct os_job){ .work = read_work, .done = read_done };
	error = os_pool_submit(delivery->deliverer->pool, &delivery->job);
	if (error == OK) {
		delivery->reading = true;
	} else {
		opened(delivery, error);
	}
}

static void on_durable(void *context)
{
	struct delivery *delivery = context;

	open_source(delivery);
	if (delivery->state != DELIVERY_OPENING) {
		told_ready(delivery);
	}
}

// So that recovery knows what was in hand.
static enum error note_trying(struct delivery *delivery)
{
	struct spool_outcome outcomes[DELIVERY_RECIPIENTS_MAX];
	struct spool_change change = { .message = delivery->entry->message,
				       .outcomes = outcomes,
				       .outcome_count = delivery->count };

	for (uint32_t i = 0; i < delivery->count; i++) {
		outcomes[i].recipient = recipient_index(delivery->attempts[i].recipient);
		outcomes[i].state = *recipient_state(delivery->attempts[i].recipient);
		outcomes[i].state.trying = true;
	}
	return spool_store_note(delivery->deliverer->store, &change);
}

void delivery_open(struct delivery *delivery, void (*ready)(void *context), void *context)
{
	enum error error = note_trying(delivery);

	if (error != OK) {
		opened(delivery, error);
	} else if (spool_store_is_careful(delivery->deliverer->store)) {
		delivery->wait = (struct spool_wait){ .done = on_durable, .context = delivery };
		spool_store_commit(delivery->deliverer->store, &delivery->wait);
	} else {
		open_source(delivery);
	}
	delivery->ready = ready; // not sooner: it is for what comes after this call
	delivery->context = context;
}

// ---- the body

static void chunk_work(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);
	uint64_t rest = delivery->source.body_bytes - delivery->offset;
	size_t len = rest < DELIVERY_CHUNK_BYTES ? (size_t)rest : DELIVERY_CHUNK_BYTES;
	char *room;

	buffer_clear(&delivery->chunk);
	room = buffer_reserve(&delivery->chunk, len ? len : 1);
	delivery->error =
		room ? spool_source_read_body(&delivery->source, delivery->offset, room, len)
		     : ERROR_NO_MEMORY;
	delivery->chunk.len = len;
}

static void chunk_done(struct os_job *job)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);

	delivery->reading = false;
	delivery->chunk_ready = delivery->error == OK;
	delivery->offset += delivery->chunk.len;
	if (delivery->error != OK) {
		delivery->state = DELIVERY_BROKEN;
	}
	told_ready(delivery);
}

static void read_ahead(struct delivery *delivery)
{
	delivery->job = (struct os_job){ .work = chunk_work, .done = chunk_done };
	if (os_pool_submit(delivery->deliverer->pool, &delivery->job) == OK) {
		delivery->reading = true;
	} else {
		delivery->error = ERROR_BUSY;
		delivery->state = DELIVERY_BROKEN;
	}
}

bool delivery_next_chunk(struct delivery *delivery, struct view *ret_chunk)
{
	if (delivery->source.body_file < 0) {
		*ret_chunk = delivery->offset ? (struct view){ 0 } : delivery->body;
		delivery->offset = 1;
		return true;
	}
	if (delivery->chunk_ready) {
		*ret_chunk = buffer_view(&delivery->chunk);
		delivery->chunk_ready = false;
		return true;
	}
	if (!delivery->reading && delivery->state == DELIVERY_READY) {
		read_ahead(delivery);
	}
	return false;
}

// ---- the outcome

static void set(struct delivery *delivery, uint32_t index, enum spool_status status,
		enum retry_class class, const char *dsn, struct view reason)
{
	struct attempt *attempt = &delivery->attempts[index];

	attempt->told = true;
	attempt->status = status;
	attempt->class = class;
	(void)snprintf(attempt->dsn, sizeof attempt->dsn, "%s", dsn);
	attempt->reason = arena_copy(&delivery->arena, reason);
	if (!attempt->reason.data) {
		attempt->reason = (struct view){ 0 };
	}
}

void delivery_tell(struct delivery *delivery, uint32_t index, enum spool_status status,
		   enum retry_class class, const char *dsn, struct view reason)
{
	if (index < delivery->count && !delivery->attempts[index].told) {
		set(delivery, index, status, class, dsn, reason);
	}
}

void delivery_tell_all(struct delivery *delivery, const struct trouble *trouble)
{
	for (uint32_t i = 0; i < delivery->count; i++) {
		delivery_tell(delivery, i, trouble->permanent ? SPOOL_FAILED : SPOOL_PENDING,
			      trouble->class, trouble->status, trouble->reason);
	}
}

// What could not be read is tried again; what is not what was written never is, but by hand.
static void tell_broken(struct delivery *delivery)
{
	struct buffer reason = buffer_with_max(256);

	if (delivery->error == ERROR_CORRUPT) {
		delivery->deliverer->counters.damaged++;
		outcome_hold(delivery->entry,
			     VIEW("its copy in the spool is damaged (checksum or size); it is not "
				  "sent like this"));
	} else {
		buffer_printf(&reason, "the spool cannot be read: %s", error_text(delivery->error));
		delivery_tell_all(delivery, &(struct trouble){ .class = RETRY_LOCAL,
							       .status = "4.3.0",
							       .reason = buffer_view(&reason) });
	}
	buffer_done(&reason);
}

// They are not in hand while they wait again: a crash then says nothing against their message.
static void note_waiting(struct delivery *delivery)
{
	struct spool_outcome outcomes[DELIVERY_RECIPIENTS_MAX];
	struct spool_change change = { .message = delivery->entry->message, .outcomes = outcomes };

	for (uint32_t i = 0; i < delivery->count; i++) {
		struct recipient *recipient = delivery->attempts[i].recipient;
		struct spool_outcome *outcome = &outcomes[change.outcome_count];

		if (!delivery->attempts[i].told) {
			outcome->recipient = recipient_index(recipient);
			outcome->state = *recipient_state(recipient);
			outcome->state.trying = false;
			change.outcome_count++;
		}
	}
	if (change.outcome_count) {
		(void)!spool_store_note(delivery->deliverer->store, &change); // else so be it
	}
}

// Those that were told come first afterwards; the others wait again.
static uint32_t part_told(struct delivery *delivery)
{
	struct lane *lane = delivery->lane;
	bool is_held = delivery->entry->message->flags & SPOOL_HELD;
	uint32_t told = 0;

	for (uint32_t i = 0; i < delivery->count; i++) {
		struct attempt *attempt = &delivery->attempts[i];
		struct recipient *recipient = attempt->recipient;

		recipient->place = RECIPIENT_IDLE;
		if (attempt->told) {
			delivery->attempts[told++] = *attempt;
		} else if (!is_held && (lane->retired || lane_add(lane, recipient) != OK)) {
			delivery->entry->urgent = true; // routed anew
		}
	}
	return told;
}

void delivery_done(struct delivery *delivery, struct view relay)
{
	struct deliverer *deliverer = delivery->deliverer;
	struct entry *entry = delivery->entry;
	struct lane *lane = delivery->lane;
	uint32_t told;

	if (deliverer->closing) { // the pool is gone
		free_delivery(delivery);
		return;
	}
	if (delivery->reading) { // the pool still has it
		delivery->abandoned = true;
		list_remove(&delivery->link);
		list_add_last(&deliverer->locals, &delivery->link); // no connection has it now
		return;
	}
	if (delivery->state == DELIVERY_BROKEN) {
		tell_broken(delivery);
	}
	note_waiting(delivery);
	told = part_told(delivery);
	entry->in_hand--;
	if (told) {
		outcome_note(entry, delivery->attempts, told, relay);
	} else {
		outcome_settle(entry);
	}
	free_delivery(delivery);
	lane->users--;
	lane_free_if_unused(lane);
	deliverer_attempt_ended(deliverer);
}
