#include "receive/transaction.h"

#include <stdlib.h>

#include "os/clock.h"
#include "receive/trace.h"
#include "receive/transaction_private.h"
#include "spool/id.h"

enum {
	ADDED_FIELDS_BYTES_MAX = 16 * 1024,
	READ_BYTES_FIRST = 8 * 1024,    // most messages fit
	SPILL_BUFFER_BYTES = 32 * 1024, // each of two, of a file when memory is short
};

struct transaction *transaction_new(const struct transaction_place *place,
				    const struct smtp_event_mail *mail)
{
	struct transaction *transaction = calloc(1, sizeof *transaction);
	struct view text;

	if (!transaction) {
		return NULL;
	}
	transaction->place = *place;
	transaction->arena = arena_with_max(TRANSACTION_ENVELOPE_BYTES_MAX);
	transaction->body = buffer_with_max(place->config->limits.body_memory_per_message_bytes +
					    HEADER_MAX + TRANSACTION_READ_BYTES);
	transaction->size_hint = mail->size;
	text = arena_copy(&transaction->arena, mail->sender.text);
	if (!text.data ||
	    (text.len && address_parse(&transaction->arena, text, ADDRESS_UTF8 | ADDRESS_NULL,
				       &transaction->sender) != ADDRESS_OK)) {
		transaction_free(transaction);
		return NULL;
	}
	transaction->envelope.id = spool_id_next(&place->receiver->ids, os_clock_wall_ms());
	transaction->envelope.reverse_path = text;
	transaction->trace = trace_ring_steps(place->receiver->parts.trace);
	transaction->begun_ms = os_loop_now_ms(place->receiver->loop);
	transaction->envelope.flags = (mail->body == SMTP_BODY_8BITMIME ? SPOOL_BODY_8BIT : 0) |
				      (mail->smtputf8 ? SPOOL_SMTPUTF8 : 0);
	return transaction;
}

// The buffers of a file count themselves.
void transaction_account(struct transaction *transaction)
{
	atomic_ullong *sum = &transaction->place.receiver->parts.common->body_bytes;
	size_t bytes = transaction->body.capacity + transaction->arena.used +
		       transaction->trace.json.capacity;

	if (bytes != transaction->accounted) {
		atomic_fetch_add(sum, (unsigned long long)bytes - transaction->accounted);
		transaction->accounted = bytes;
	}
}

static uint64_t memory_used(const struct transaction *transaction)
{
	return atomic_load(&transaction->place.receiver->parts.common->body_bytes);
}

static uint64_t memory_max(const struct transaction *transaction)
{
	return transaction->place.config->limits.body_memory_bytes;
}

bool transaction_is_over_budget(const struct transaction *transaction)
{
	return memory_used(transaction) > memory_max(transaction);
}

static bool memory_is_short(const struct transaction *transaction)
{
	return memory_used(transaction) > memory_max(transaction) / 2;
}

// Whether all would be within the budget with this body in a file, small buffers and all.
static bool file_would_fit(const struct transaction *transaction)
{
	return memory_used(transaction) + 2 * SPILL_BUFFER_BYTES <=
	       memory_max(transaction) + transaction->body.capacity;
}

void transaction_free(struct transaction *transaction)
{
	if (!transaction) {
		return;
	}
	receive_trace_end(transaction, "lost", "the connection broke");
	receive_trace_done(transaction);
	transaction_discard_body(transaction);
	table_done(&transaction->known);
	arena_done(&transaction->arena);
	transaction_account(transaction);
	free(transaction);
}

void transaction_leave(struct transaction *transaction)
{
	if (transaction && transaction->appending) {
		transaction->done = NULL;
	} else {
		transaction_free(transaction);
	}
}

const struct address *transaction_sender(const struct transaction *transaction)
{
	return &transaction->sender;
}

// ---- body

enum error transaction_begin_body(struct transaction *transaction,
				  const struct transaction_origin *origin)
{
	transaction->origin = *origin;
	return transaction_is_over_budget(transaction) ? ERROR_LIMIT : OK;
}

size_t transaction_read_size(const struct transaction *transaction)
{
	uint64_t declared = transaction->size_hint;

	if (transaction->body.len || transaction->file) {
		return TRANSACTION_READ_BYTES;
	}
	if (declared == 0) {
		return READ_BYTES_FIRST;
	}
	return declared < TRANSACTION_READ_BYTES - 1024 ? (size_t)declared + 1024
							: TRANSACTION_READ_BYTES;
}

char *transaction_room(struct transaction *transaction, size_t wanted)
{
	char *room = buffer_reserve(&transaction->body, wanted);

	transaction_account(transaction);
	return room;
}

static enum error examine(struct transaction *transaction)
{
	const struct receiver *receiver = transaction->place.receiver;
	const struct transaction_origin *origin = &transaction->origin;
	const struct receive_listener *listener = transaction->place.listener;
	struct examine_facts facts = {
		.header = buffer_view(&transaction->body),
		.is_submission = listener->config->role == ROLE_SUBMISSION,
		.hops_max = transaction->place.config->limits.hops,
		.login = origin->login,
		.login_senders = origin->login_senders,
		.directory = &receiver->directory,
	};

	enum error error = examine_header(&facts, &transaction->arena, &transaction->verdict);

	transaction->examined = true;
	if (error == OK) {
		receive_trace_header(transaction);
	}
	return error;
}

// A body that has ended gives its memory back soon: no file would be sooner.
static bool should_go_to_file(const struct transaction *transaction, bool ended)
{
	uint64_t limit = transaction->place.config->limits.body_memory_per_message_bytes;
	size_t len = transaction->body.len;

	return len > limit || len > SPOOL_BODY_INLINE_BYTES ||
	       (len > TRANSACTION_READ_BYTES && !ended && memory_is_short(transaction));
}

static bool refuse(struct smtp_reply *ret_why, enum smtp_reply_id id, const char *detail)
{
	*ret_why = smtp_reply_with(id, view_from_text(detail));
	return false;
}

static void append_record(struct transaction *transaction);
static void answer(struct transaction *transaction, struct smtp_reply reply);

// While it is with the pool or the committer, neither it nor the receiver may go.
static void set_appending(struct transaction *transaction, bool appending)
{
	struct receiver *receiver = transaction->place.receiver;

	receiver->committing += appending;
	receiver->committing -= transaction->appending;
	transaction->appending = appending;
}

static void free_left(struct transaction *transaction)
{
	struct receiver *receiver = transaction->place.receiver;

	transaction_free(transaction);
	receiver_left(receiver);
}

static void on_file_finished(void *context, enum error error)
{
	struct transaction *transaction = context;

	set_appending(transaction, false);
	if (!transaction->done) {
		free_left(transaction);
	} else if (error != OK) {
		answer(transaction, smtp_reply(SMTP_REPLY_NO_STORAGE));
	} else {
		spool_body_describe(transaction->file, &transaction->envelope);
		append_record(transaction);
	}
}

static void on_file_ready(void *context);

// The header is judged while it is still in memory; until its end is there the body waits for it.
static bool open_file(struct transaction *transaction, struct smtp_reply *ret_why)
{
	const struct receiver_parts *parts = &transaction->place.receiver->parts;
	struct spool_body_calls calls = {
		.ready = on_file_ready,
		.finished = on_file_finished,
		.context = transaction,
		.buffer_bytes = memory_is_short(transaction) ? SPILL_BUFFER_BYTES : 0,
		.memory = &parts->common->body_bytes,
	};
	enum error error;

	if (examine(transaction) != OK) {
		return refuse(ret_why, SMTP_REPLY_NO_MEMORY, "");
	}
	if (!transaction->verdict.accepted) {
		*ret_why = transaction->verdict.reply;
		return false;
	}
	error = spool_body_new(parts->writer, parts->pool, transaction->envelope.id, calls,
			       &transaction->file);
	transaction->place.receiver->counters.spilled += error == OK && calls.buffer_bytes != 0;
	return error == OK || refuse(ret_why, SMTP_REPLY_NO_STORAGE, "");
}

// What the file takes leaves the buffer; what it cannot take yet stays.
static enum error feed_file(struct transaction *transaction)
{
	struct buffer *body = &transaction->body;
	size_t taken = 0;
	enum error error = OK;

	while (taken < body->len && error == OK && !spool_body_is_full(transaction->file)) {
		struct view part = view_first(view_from(buffer_view(body), taken),
					      spool_body_room(transaction->file));

		error = spool_body_add(transaction->file, part);
		taken += error == OK ? part.len : 0;
	}
	transaction->file_bytes += taken;
	buffer_consume(body, taken);
	if (body->len == 0 &&
	    (body->capacity > 2 * TRANSACTION_READ_BYTES || memory_is_short(transaction))) {
		buffer_done(body);
		transaction_account(transaction);
	}
	return error;
}

// Brings the rest of the body into the file, as far as it goes; all of it: the file is complete.
static void finish_file(struct transaction *transaction)
{
	if (feed_file(transaction) != OK) {
		answer(transaction, smtp_reply(SMTP_REPLY_NO_STORAGE));
	} else if (transaction->body.len == 0) {
		set_appending(transaction, true);
		spool_body_finish(transaction->file);
	}
}

static void on_file_ready(void *context)
{
	struct transaction *transaction = context;

	if (transaction->done) {
		finish_file(transaction);
	} else if (transaction->ready) {
		transaction->ready(transaction->ready_context);
	}
}

bool transaction_keep(struct transaction *transaction, size_t kept, bool ended,
		      struct smtp_reply *ret_why)
{
	struct view body;

	transaction->body.len += kept;
	body = buffer_view(&transaction->body);
	if (!transaction->file && should_go_to_file(transaction, ended)) {
		if (body.len <= HEADER_MAX && !examine_header_complete(body)) {
			return !transaction_is_over_budget(transaction) ||
			       refuse(ret_why, SMTP_REPLY_NO_STORAGE, "");
		}
		if (memory_is_short(transaction) && !file_would_fit(transaction)) {
			return refuse(ret_why, SMTP_REPLY_NO_STORAGE, "");
		}
		if (!open_file(transaction, ret_why)) {
			return false;
		}
	}
	if (transaction->file && feed_file(transaction) != OK) {
		return refuse(ret_why, SMTP_REPLY_NO_STORAGE, "");
	}
	return true;
}

void transaction_discard_body(struct transaction *transaction)
{
	buffer_done(&transaction->body);
	spool_body_free(transaction->file, false);
	transaction->file = NULL;
	transaction_account(transaction);
}

bool transaction_is_full(const struct transaction *transaction)
{
	return transaction->file && spool_body_is_full(transaction->file);
}

void transaction_on_ready(struct transaction *transaction, void (*ready)(void *context),
			  void *context)
{
	transaction->ready = ready;
	transaction->ready_context = context;
}

// ---- the end

static void answer(struct transaction *transaction, struct smtp_reply reply)
{
	transaction_done_fn *done = transaction->done;

	transaction->done = NULL;
	done(transaction->context, reply);
}

static void on_appended(void *context, struct spool_append *append, enum error error)
{
	struct transaction *transaction = context;
	struct receiver *receiver = transaction->place.receiver;
	char id[SPOOL_ID_TEXT_LEN + 1];

	(void)append;
	set_appending(transaction, false);
	if (error == OK) {
		receiver->counters.messages++;
		receiver->counters.bytes += transaction->envelope.body_bytes;
	} else {
		receiver->counters.failed_messages++;
	}
	// Also where it failed: a crash may bring the record back, and it names the file. One that
	// nobody names is removed by a later start.
	spool_body_free(transaction->file, true);
	transaction->file = NULL;
	receive_trace_stored(transaction, error, os_clock_mono_us() - transaction->append_us);
	if (!transaction->done) {
		free_left(transaction);
		return;
	}
	spool_id_format(transaction->envelope.id, id);
	answer(transaction, error == OK ? smtp_reply_with(SMTP_REPLY_QUEUED, view_from_text(id))
					: smtp_reply(SMTP_REPLY_NO_STORAGE));
}

static void append_record(struct transaction *transaction)
{
	struct spool_envelope *envelope = &transaction->envelope;
	enum error error;

	transaction->body_part = buffer_view(&transaction->body);
	transaction->append_us = os_clock_mono_us();
	set_appending(transaction, true);
	error = spool_writer_append(transaction->place.receiver->port, &transaction->append,
				    envelope, &transaction->body_part, transaction->file ? 0 : 1,
				    on_appended, transaction);
	if (error != OK) {
		set_appending(transaction, false);
		receive_trace_stored(transaction, error, 0);
		transaction->place.receiver->counters.failed_messages++;
		answer(transaction, smtp_reply(SMTP_REPLY_NO_STORAGE));
	}
}

static struct view tls_text(struct transaction *transaction,
			    const struct transaction_origin *origin)
{
	if (origin->tls_version.len == 0) {
		return (struct view){ 0 };
	}
	return arena_printf(&transaction->arena, "%.*s %.*s", VIEW_ARG(origin->tls_version),
			    VIEW_ARG(origin->tls_cipher));
}

// Everything in the envelope that is known only now.
static enum error complete_envelope(struct transaction *transaction)
{
	const struct transaction_origin *origin = &transaction->origin;
	const struct receive_listener *listener = transaction->place.listener;
	struct spool_envelope *envelope = &transaction->envelope;
	struct buffer fields = buffer_with_max(ADDED_FIELDS_BYTES_MAX);
	struct buffer ip = buffer_with_max(64);
	char id[SPOOL_ID_TEXT_LEN + 1];
	struct trace_received received = {
		.helo = origin->helo,
		.hostname = listener->settings.hostname,
		.protocol = { origin->extended, origin->tls_version.len != 0, origin->login != NULL,
			      (envelope->flags & SPOOL_SMTPUTF8) != 0 },
		.tls_version = origin->tls_version,
		.tls_cipher = origin->tls_cipher,
		.unix_ms = (int64_t)os_clock_wall_ms(),
	};

	spool_id_format(envelope->id, id);
	received.queue_id = view_from_text(id);
	if (envelope->recipient_count == 1) {
		received.recipient = envelope->recipients[0].original;
	}
	ip_address_add_text(&ip, &origin->peer);
	envelope->client = arena_copy(&transaction->arena, buffer_view(&ip));
	buffer_done(&ip);
	received.peer_ip = envelope->client;
	envelope->arrival_ms = (uint64_t)received.unix_ms;
	examine_add_fields(&fields, &transaction->verdict, &received);
	envelope->added_fields = arena_copy(&transaction->arena, buffer_view(&fields));
	buffer_done(&fields);
	envelope->helo = origin->helo;
	envelope->listener = listener->config->name;
	envelope->role = (uint8_t)listener->config->role;
	envelope->login = origin->login ? origin->login->text : (struct view){ 0 };
	envelope->tls = tls_text(transaction, origin);
	return envelope->added_fields.data ? OK : ERROR_NO_MEMORY;
}

// A body that never showed the end of its header may be too long for the log all the same.
static bool prepare(struct transaction *transaction, struct smtp_reply *ret_why)
{
	if (!transaction->file && transaction->body.len > SPOOL_BODY_INLINE_BYTES &&
	    !open_file(transaction, ret_why)) {
		return false;
	}
	if (!transaction->examined && examine(transaction) != OK) {
		return refuse(ret_why, SMTP_REPLY_NO_MEMORY, "");
	}
	if (!transaction->verdict.accepted) {
		*ret_why = transaction->verdict.reply;
		return false;
	}
	return complete_envelope(transaction) == OK || refuse(ret_why, SMTP_REPLY_NO_MEMORY, "");
}

void transaction_finish(struct transaction *transaction, transaction_done_fn *done, void *context)
{
	struct spool_envelope *envelope = &transaction->envelope;
	struct smtp_reply why;

	transaction->done = done;
	transaction->context = context;
	envelope->body_bytes = transaction->file_bytes + transaction->body.len;
	if (!prepare(transaction, &why)) {
		answer(transaction, why);
	} else if (transaction->file) {
		finish_file(transaction);
	} else {
		append_record(transaction);
	}
}

// ---- for the log

uint64_t transaction_id(const struct transaction *transaction)
{
	return transaction->envelope.id;
}

uint64_t transaction_bytes(const struct transaction *transaction)
{
	return transaction->envelope.body_bytes;
}

unsigned transaction_recipient_count(const struct transaction *transaction)
{
	return transaction->envelope.recipient_count;
}

struct view transaction_first_recipient(const struct transaction *transaction)
{
	return transaction->envelope.recipient_count ? transaction->envelope.recipients[0].address
						     : (struct view){ 0 };
}
