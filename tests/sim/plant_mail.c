// Planted in receive and deliver: between the files of their rooms.
#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "link/stream.h"
#include "os/random.h"
#include "os/sim/private.h"
#include "receive/transaction_private.h"
#include "sim/plant.h"
#include "spool/id.h"

// ---- receive

// The session is told before the committer is done; the transaction goes on as one whose session
// has left.
static void answer_early(struct transaction *transaction)
{
	transaction_done_fn *done = transaction->done;
	char id[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(transaction->envelope.id, id);
	transaction->done = NULL;
	done(transaction->context, smtp_reply_with(SMTP_REPLY_QUEUED, view_from_text(id)));
}

void __real_transaction_finish(struct transaction *transaction, transaction_done_fn *done,
			       void *context);
void __wrap_transaction_finish(struct transaction *transaction, transaction_done_fn *done,
			       void *context);
void __wrap_transaction_finish(struct transaction *transaction, transaction_done_fn *done,
			       void *context)
{
	// A large body goes into its file first, and may be answered from there.
	bool is_small = !transaction->file;

	if (plant_is(PLANT_BODY_MEMORY_KEPT) && os_random_below(16) == 0) {
		atomic_fetch_add(&transaction->place.receiver->parts.common->body_bytes,
				 transaction->body.len);
	}
	__real_transaction_finish(transaction, done, context);
	if (plant_is(PLANT_REPLY_EARLY) && is_small && transaction->appending) {
		answer_early(transaction);
	}
}

enum error __real_spool_writer_admit(const struct spool_writer *writer) must_check;
enum error __wrap_spool_writer_admit(const struct spool_writer *writer) must_check;
enum error __wrap_spool_writer_admit(const struct spool_writer *writer)
{
	return plant_is(PLANT_PRESSURE_IGNORED) ? OK : __real_spool_writer_admit(writer);
}

// Two whole lines at the front change places.
static bool swap_lines(struct view bytes, struct buffer *out)
{
	size_t first = view_find(bytes, '\n') + 1;
	struct view rest = view_from(bytes, first < bytes.len ? first : bytes.len);
	size_t second = view_find(rest, '\n') + 1;

	if (bytes.len < 4 || bytes.data[0] < '2' || bytes.data[0] > '5' || bytes.data[3] != ' ' ||
	    second > rest.len || rest.len < 4 || rest.data[3] != ' ') {
		return false;
	}
	buffer_add(out, view_first(rest, second));
	buffer_add(out, view_first(bytes, first));
	buffer_add(out, view_from(rest, second));
	return true;
}

enum error __real_stream_send(struct stream *stream, struct view bytes, size_t *ret_len) must_check;
enum error __wrap_stream_send(struct stream *stream, struct view bytes, size_t *ret_len) must_check;
enum error __wrap_stream_send(struct stream *stream, struct view bytes, size_t *ret_len)
{
	struct buffer swapped = buffer_with_max(bytes.len + 1);
	enum error error;

	if (plant_is(PLANT_REPLIES_SWAPPED) && sim_current->process != sim_current->harness &&
	    swap_lines(bytes, &swapped)) {
		bytes = buffer_view(&swapped);
	}
	error = __real_stream_send(stream, bytes, ret_len);
	buffer_done(&swapped);
	return error;
}

// ---- deliver

void __real_queue_schedule(struct entry *entry);
void __wrap_queue_schedule(struct entry *entry);
void __wrap_queue_schedule(struct entry *entry)
{
	if (!plant_is(PLANT_RETRY_FORGOTTEN) || os_random_below(16)) {
		__real_queue_schedule(entry);
	}
}

// The outcome of a bounce, noted once the bounce itself is there.
struct split {
	struct spool_store *store;
	struct spool_change change;
	void (*done)(void *context, enum error error);
	void *context;
	struct spool_outcome outcomes[];
};

static void note_outcome(void *context, enum error error)
{
	struct split *split = context;

	if (error == OK) {
		error = spool_store_note(split->store, &split->change);
	}
	split->done(split->context, error);
	free(split);
}

static struct split *split_new(struct spool_store *store, const struct spool_change *change,
			       void (*done)(void *context, enum error error), void *context)
{
	size_t bytes = change->outcome_count * sizeof *change->outcomes;
	struct split *split = malloc(sizeof *split + bytes);

	if (!split) {
		abort();
	}
	*split = (struct split){
		.store = store, .change = *change, .done = done, .context = context
	};
	memcpy(split->outcomes, change->outcomes, bytes);
	split->change.outcomes = split->outcomes;
	return split;
}

enum error __real_spool_store_submit(struct spool_store *store, struct spool_submission *submission,
				     const struct spool_change *change,
				     const struct spool_envelope *envelope, const struct view *body,
				     unsigned body_count,
				     void (*done)(void *context, enum error error),
				     void *context) must_check;
enum error __wrap_spool_store_submit(struct spool_store *store, struct spool_submission *submission,
				     const struct spool_change *change,
				     const struct spool_envelope *envelope, const struct view *body,
				     unsigned body_count,
				     void (*done)(void *context, enum error error),
				     void *context) must_check;
enum error __wrap_spool_store_submit(struct spool_store *store, struct spool_submission *submission,
				     const struct spool_change *change,
				     const struct spool_envelope *envelope, const struct view *body,
				     unsigned body_count,
				     void (*done)(void *context, enum error error), void *context)
{
	struct spool_envelope from_us = *envelope;

	if (plant_is(PLANT_BOUNCE_HAS_SENDER)) {
		from_us.reverse_path = VIEW("postmaster@mail.example.org");
	}
	if (plant_is(PLANT_BOUNCE_NOT_ATOMIC) && change && change->outcome_count) {
		context = split_new(store, change, done, context);
		done = note_outcome;
		change = NULL;
	}
	return __real_spool_store_submit(store, submission, change, &from_us, body, body_count,
					 done, context);
}
