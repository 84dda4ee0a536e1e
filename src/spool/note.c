// The journal: outcomes gather, go to disk in groups, and take effect for good once they are there.
#include "spool/store_private.h"
#include "spool/writer_private.h"

#include <stdlib.h>

enum { RETRY_MS = 1000, STATES_BYTES_MAX = 4 * 1024 * 1024 }; // that are noted and not yet written

static bool change_is_sound(const struct spool_change *change)
{
	const uint8_t flags = change->flags_set | change->flags_cleared;

	if ((flags & ~(SPOOL_HELD | SPOOL_WARNED)) != 0 ||
	    change->outcome_count > SPOOL_RECIPIENTS_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < change->outcome_count; i++) {
		if (change->outcomes[i].recipient >= change->message->recipient_count ||
		    change->outcomes[i].state.status >= SPOOL_STATUS_COUNT) {
			return false;
		}
	}
	return true;
}

// Recipients that would be pending after it; each appears in a change once at the most.
static uint32_t pending_after(const struct spool_change *change)
{
	uint32_t pending = change->message->pending;

	for (uint32_t i = 0; i < change->outcome_count; i++) {
		const struct spool_outcome *outcome = &change->outcomes[i];

		pending -= change->message->recipients[outcome->recipient].status == SPOOL_PENDING;
		pending += outcome->state.status == SPOOL_PENDING;
	}
	return pending;
}

static bool ends_an_attempt(const struct spool_change *change)
{
	for (uint32_t i = 0; i < change->outcome_count; i++) {
		if (!change->outcomes[i].state.trying) {
			return true;
		}
	}
	return false;
}

static struct spool_state state_after(const struct spool_change *change)
{
	const struct spool_message *message = change->message;
	uint8_t flags = (uint8_t)((message->flags | change->flags_set) & ~change->flags_cleared);
	bool is_forgiven = ends_an_attempt(change) || (change->flags_cleared & SPOOL_HELD);

	return (struct spool_state){
		.id = message->id,
		.recipient_count = message->recipient_count,
		.flags = flags | (pending_after(change) == 0 ? SPOOL_STATE_GONE : 0),
		.crashes = is_forgiven ? 0 : message->crashes,
		.reason = view_first(change->reason, SPOOL_REASON_BYTES_MAX),
		.outcome_count = change->outcome_count,
	};
}

// Takes an encoded state back off the end where it did not fit.
static enum error check_room(struct buffer *out, size_t len_before, size_t len_max)
{
	enum error error = buffer_error(out);

	if (error || out->len > len_max) {
		out->len = len_before;
		out->error = OK;
		return ERROR_NO_MEMORY;
	}
	return OK;
}

static void gather(struct spool_store *store)
{
	if (store->states.len >= SPOOL_JOURNAL_BYTES && store->status.journal_error == OK) {
		spool_store_flush(store);
	} else if (!os_timer_is_set(&store->journal_timer)) {
		os_timer_set(&store->journal_timer, store->settings.journal_ms);
	}
}

enum error spool_store_note_whole(struct spool_store *store, struct spool_message *message)
{
	size_t before = store->states.len;
	enum error error;

	spool_state_encode_message(&store->states, message, 0);
	error = check_room(&store->states, before, store->states.max);
	gather(store);
	return error;
}

// In memory; the message is freed when that was its last recipient, its place when it is durable.
static void apply(struct spool_store *store, struct spool_message *message,
		  const struct spool_state *state, struct spool_ended *ended)
{
	if (state->reason.len > 0) {
		spool_message_set_reason(store, message, state->reason);
	}
	spool_state_apply(message, state);
	if (message->pending > 0) {
		free(ended);
		return;
	}
	*ended = (struct spool_ended){ .id = message->id,
				       .ref = message->ref,
				       .has_body_file = message->has_body_file };
	list_add_last(&store->ended, &ended->link);
	spool_message_drop(store, message);
}

enum error spool_store_note(struct spool_store *store, const struct spool_change *change)
{
	struct spool_state state;
	struct wire_reader reader;
	struct spool_ended *ended;
	size_t before = store->states.len;

	if (!change_is_sound(change)) {
		return ERROR_INVALID;
	}
	ended = calloc(1, sizeof *ended);
	if (!ended) {
		return ERROR_NO_MEMORY;
	}
	state = state_after(change);
	spool_state_encode(&store->states, &state, change->outcomes);
	if (check_room(&store->states, before, STATES_BYTES_MAX)) {
		free(ended);
		return ERROR_NO_MEMORY;
	}
	reader = wire_reader_of(view_from(buffer_view(&store->states), before));
	(void)!spool_state_next(&reader, &state);
	apply(store, change->message, &state, ended);
	gather(store);
	return OK;
}

static void move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		list_add_last(to, list_take_first(from));
	}
}

static void call_waits(struct list *waits)
{
	while (!list_empty(waits)) {
		struct spool_wait *wait =
			CONTAINER_OF(list_take_first(waits), struct spool_wait, link);

		wait->done(wait->context);
	}
}

// What the group held is gathered again, as it is by now: a later group may already be on disk.
static void gather_again(struct spool_store *store, struct spool_group *group, enum error error)
{
	struct wire_reader reader = wire_reader_of(buffer_view(&group->states));
	struct spool_state state;

	while (spool_state_next(&reader, &state)) {
		struct spool_message *message = spool_index_get(&store->index, state.id);

		if (message) {
			(void)!spool_store_note_whole(store, message);
		} else {
			size_t before = store->states.len;

			state.outcome_count = 0;
			spool_state_encode(&store->states, &state, NULL);
			(void)!check_room(&store->states, before, store->states.max);
		}
	}
	for (struct list *link = &group->link; link != &store->groups; link = link->next) {
		move_all(&CONTAINER_OF(link, struct spool_group, link)->waits, &store->waits);
	}
	move_all(&group->ended, &store->ended);
	store->status.journal_error = error;
	os_timer_set(&store->journal_timer, RETRY_MS);
}

static void group_done(void *context, struct spool_append *append, enum error error)
{
	struct spool_group *group = context;
	struct spool_store *store = group->store;
	struct list waits;

	(void)append;
	list_init(&waits);
	if (error) {
		gather_again(store, group, error);
	} else {
		store->status.journal_error = OK;
		move_all(&group->waits, &waits);
		while (!list_empty(&group->ended)) {
			struct spool_ended *ended = CONTAINER_OF(list_take_first(&group->ended),
								 struct spool_ended, link);

			spool_store_release(store, ended);
			free(ended);
		}
	}
	list_remove(&group->link);
	buffer_done(&group->states);
	free(group);
	call_waits(&waits);
}

// How much of the states goes into the next record: whole ones, as many as fit.
static size_t group_bytes(const struct spool_store *store)
{
	size_t max = spool_writer_record_bytes_max(store->writer) - SPOOL_RECORD_HEADER_BYTES;
	struct wire_reader reader = wire_reader_of(buffer_view(&store->states));
	struct spool_state state;
	size_t len = 0;

	if (store->states.len <= max) {
		return store->states.len;
	}
	while (spool_state_next(&reader, &state) && store->states.len - reader.rest.len <= max) {
		len = store->states.len - reader.rest.len;
	}
	return len;
}

// Those whose end these states tell: both are in the order in which they were noted.
static void take_ended(struct spool_store *store, struct spool_group *group)
{
	struct wire_reader reader = wire_reader_of(buffer_view(&group->states));
	struct spool_state state;

	while (!list_empty(&store->ended) && spool_state_next(&reader, &state)) {
		struct spool_ended *first =
			CONTAINER_OF(store->ended.next, struct spool_ended, link);

		if ((state.flags & SPOOL_STATE_GONE) && state.id == first->id) {
			list_add_last(&group->ended, list_take_first(&store->ended));
		}
	}
}

static enum error append_group(struct spool_store *store, struct spool_group *group)
{
	struct buffer head = buffer_with_max(group->states.len);

	buffer_add(&head, buffer_view(&group->states));
	return spool_writer_append_record(store->port, &group->append, head,
					  (uint32_t)group->states.len, 0, NULL, 0, group_done,
					  group);
}

static enum error flush_group(struct spool_store *store)
{
	size_t len = group_bytes(store);
	struct spool_group *group = len > 0 ? calloc(1, sizeof *group) : NULL;
	enum error error;

	if (!group) {
		return len > 0 ? ERROR_NO_MEMORY : ERROR_LIMIT;
	}
	group->store = store;
	group->states = buffer_with_max(len);
	buffer_add(&group->states, view_first(buffer_view(&store->states), len));
	error = buffer_error(&group->states);
	if (!error) {
		error = append_group(store, group);
	}
	if (error) {
		buffer_done(&group->states);
		free(group);
		return error;
	}
	buffer_consume(&store->states, len);
	list_init(&group->ended);
	list_init(&group->waits);
	take_ended(store, group);
	list_add_last(&store->groups, &group->link);
	return OK;
}

void spool_store_flush(struct spool_store *store)
{
	enum error error = OK;

	if (store->states.len == 0) {
		return;
	}
	while (!error && store->states.len > 0) {
		error = flush_group(store);
	}
	if (error) {
		store->status.journal_error = error;
		os_timer_set(&store->journal_timer, RETRY_MS);
		return;
	}
	os_timer_stop(&store->journal_timer);
	buffer_done(&store->states);
	move_all(&store->waits,
		 &CONTAINER_OF(store->groups.previous, struct spool_group, link)->waits);
}

void spool_store_group_timer(void *context)
{
	spool_store_flush(context);
}

void spool_store_commit(struct spool_store *store, struct spool_wait *wait)
{
	if (store->states.len == 0 && list_empty(&store->groups)) {
		list_init(&wait->link);
		wait->done(wait->context);
		return;
	}
	list_add_last(&store->waits, &wait->link);
	if (store->states.len > 0) {
		spool_store_flush(store);
	} else {
		struct list *last = store->groups.previous;

		list_remove(&wait->link);
		list_add_last(&CONTAINER_OF(last, struct spool_group, link)->waits, &wait->link);
	}
}

void spool_wait_cancel(struct spool_wait *wait)
{
	list_remove(&wait->link);
}

// The change is on disk together with its message: now it is true here too. It is noted once more,
// for a group of before that failed may be written again behind it.
static void apply_submission(struct spool_store *store, struct spool_submission *submission)
{
	struct wire_reader reader = wire_reader_of(buffer_view(&submission->state));
	struct spool_message *message = submission->message;
	struct spool_ended *ended = calloc(1, sizeof *ended);
	struct spool_state state;
	size_t before;

	message->internal &= (uint8_t)~SPOOL_IS_SUBMITTING;
	if (!ended || !spool_state_next(&reader, &state)) {
		free(ended); // recovery will find it
		return;
	}
	before = store->states.len;
	buffer_add(&store->states, buffer_view(&submission->state));
	(void)!check_room(&store->states, before, store->states.max);
	apply(store, message, &state, ended);
	gather(store);
}

static void submission_done(void *context, struct spool_append *append, enum error error)
{
	struct spool_submission *submission = context;
	struct spool_store *store = submission->store;

	(void)append;
	list_remove(&submission->waiting.link);
	if (submission->message && error) {
		submission->message->internal &= (uint8_t)~SPOOL_IS_SUBMITTING;
	} else if (submission->message) {
		apply_submission(store, submission);
	}
	buffer_done(&submission->state);
	submission->done(submission->context, error);
}

static enum error encode_submission(struct spool_submission *submission,
				    const struct spool_change *change,
				    const struct spool_envelope *envelope, struct buffer *ret_head)
{
	struct buffer head = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX + SPOOL_JOURNAL_BYTES);
	enum error error;

	if (change) {
		struct spool_state state = state_after(change);

		spool_state_encode(&submission->state, &state, change->outcomes);
		buffer_add(&head, buffer_view(&submission->state));
	}
	error = buffer_error(&submission->state);
	if (!error) {
		error = spool_envelope_encode(&head, envelope);
	}
	if (error) {
		buffer_done(&head);
		buffer_done(&submission->state);
		return error;
	}
	*ret_head = head;
	return OK;
}

enum error spool_store_submit(struct spool_store *store, struct spool_submission *submission,
			      const struct spool_change *change,
			      const struct spool_envelope *envelope, const struct view *body,
			      unsigned body_count, void (*done)(void *context, enum error error),
			      void *context)
{
	struct buffer head;
	enum error error;

	if (change &&
	    (!change_is_sound(change) || (change->message->internal & SPOOL_IS_SUBMITTING))) {
		return ERROR_INVALID;
	}
	*submission = (struct spool_submission){
		.store = store,
		.message = change ? change->message : NULL,
		.state = buffer_with_max(SPOOL_JOURNAL_BYTES),
		.done = done,
		.context = context,
	};
	error = encode_submission(submission, change, envelope, &head);
	if (error) {
		return error;
	}
	spool_store_flush(store); // what was noted before goes before it
	error = spool_writer_append_record(store->port, &submission->append, head,
					   (uint32_t)submission->state.len, envelope->id, body,
					   body_count, submission_done, submission);
	if (error) {
		buffer_done(&submission->state);
		return error;
	}
	if (change) {
		change->message->internal |= SPOOL_IS_SUBMITTING;
	}
	spool_store_wait_for(store, &submission->waiting);
	return OK;
}
