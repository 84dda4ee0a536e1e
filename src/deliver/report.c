// Bounces and delay warnings: the report and the outcome that it tells are one record in the spool,
// so that neither exists without the other.
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "deliver/deliverer_private.h"
#include "mail/report.h"
#include "os/clock.h"
#include "os/log.h"

enum {
	REPORT_RECIPIENTS_MAX = 100, // told of in one
	REPORT_MEMORY_MAX = 4 * 1024 * 1024,
	PARSE = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER,
};

// One report on its way.
struct sending {
	struct entry *entry;
	struct deliverer *deliverer;
	uint64_t message_id;
	struct arena arena;
	struct buffer body;
	struct view part;
	struct spool_submission submission;
	struct spool_outcome outcomes[REPORT_RECIPIENTS_MAX];
	struct report_recipient told[REPORT_RECIPIENTS_MAX];
	uint32_t count;
	bool is_warning;
};

// ---- to whom

// The reverse-path as recipients: what is ours is looked up as at RCPT. ERROR_NOT_FOUND: nobody is
// there to be told; another error says nothing about that.
static enum error resolve_sender(const struct entry *entry, struct arena *arena,
				 const struct view **ret_recipients, size_t *ret_count)
{
	struct deliverer *deliverer = entry->deliverer;
	struct directory_answer answer;
	struct address *address = ARENA_NEW(arena, struct address);
	enum error error;

	if (!address) {
		return ERROR_NO_MEMORY;
	}
	if (entry->reverse_path_len == 0 ||
	    address_parse(arena, entry_reverse_path(entry), PARSE, address) != ADDRESS_OK) {
		return ERROR_NOT_FOUND;
	}
	error = directory_resolve(&deliverer->directory, arena, address, &answer);
	if (error != OK) {
		return error;
	}
	if (answer.status == DIRECTORY_NOT_OURS) {
		*ret_recipients = &address->text;
		*ret_count = 1;
		return OK;
	}
	*ret_recipients = answer.recipients;
	*ret_count = answer.recipient_count;
	return answer.status == DIRECTORY_FOUND ? OK : ERROR_NOT_FOUND;
}

bool report_can_tell(const struct entry *entry)
{
	struct arena arena = arena_with_max(REPORT_MEMORY_MAX);
	const struct view *recipients;
	size_t count;
	bool can = resolve_sender(entry, &arena, &recipients, &count) != ERROR_NOT_FOUND;

	if (!can && entry->reverse_path_len) {
		LOG(LOG_WARNING, "bounce_impossible", LOG_TEXT("to", entry_reverse_path(entry)),
		    LOG_TEXT("reason", VIEW("the sender does not exist here")));
	}
	arena_done(&arena);
	return can;
}

// ---- the original

static struct view read_start(const struct entry *entry, struct arena *arena)
{
	struct buffer record = buffer_with_max(entry->message->ref.bytes);
	struct buffer start = buffer_with_max(REPORT_HEADER_MAX);
	struct spool_source source = { 0 };
	struct spool_envelope envelope;
	struct view body, original = { 0 };

	if (spool_source_open(entry->deliverer->store, entry->message, &source) == OK &&
	    spool_source_read_envelope(&source, &record, arena, &envelope, &body) == OK) {
		size_t room = REPORT_HEADER_MAX, len;
		char *bytes;

		buffer_add(&start, view_first(envelope.added_fields, room));
		room -= start.len;
		len = source.body_bytes < room ? (size_t)source.body_bytes : room;
		bytes = buffer_reserve(&start, len ? len : 1);
		if (bytes && source.body_file < 0) {
			memcpy(bytes, body.data, len);
			start.len += len;
		} else if (bytes && spool_source_read_body(&source, 0, bytes, len) == OK) {
			start.len += len;
		}
		original = arena_copy(arena, buffer_view(&start));
	}
	spool_source_close(&source);
	buffer_done(&record);
	buffer_done(&start);
	return original.data ? original : (struct view){ 0 };
}

// ---- life of one

static void free_sending(struct sending *sending)
{
	arena_done(&sending->arena);
	buffer_done(&sending->body);
	free(sending);
}

static struct sending *sending_new(struct entry *entry)
{
	struct sending *sending = calloc(1, sizeof *sending);

	if (sending) {
		sending->entry = entry;
		sending->deliverer = entry->deliverer;
		sending->message_id = entry->message->id;
		sending->arena = arena_with_max(REPORT_MEMORY_MAX);
		sending->body = buffer_with_max(SPOOL_BODY_INLINE_BYTES);
	}
	return sending;
}

static void forget_failures(struct sending *sending)
{
	struct entry *entry = sending->entry;

	for (uint32_t i = 0; i < sending->count && entry->failures; i++) {
		struct failure *failure = entry->failures;

		entry->recipients[failure->recipient].place = RECIPIENT_IDLE;
		entry->failures = failure->next;
		free(failure);
	}
}

static void on_submitted(void *context, enum error error)
{
	struct sending *sending = context;
	struct deliverer *deliverer = sending->deliverer;
	struct entry *entry = sending->entry;

	if (deliverer->closing) {
		free_sending(sending);
		return;
	}
	entry->reporting = false;
	entry->in_hand--;
	if (error != OK) {
		LOG(LOG_ERROR, "bounce_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		trace_event(entry, "report_failed", (struct view){ 0 });
		queue_schedule(entry); // tried again from there
	} else {
		deliverer->counters.bounces += !sending->is_warning;
		deliverer->counters.warnings += sending->is_warning;
		if (!spool_store_find(deliverer->store, sending->message_id)) {
			queue_remove(entry);
			entry_free(entry);
			trace_gone(deliverer, sending->message_id);
		} else {
			if (!sending->is_warning) {
				forget_failures(sending);
			}
			outcome_settle(entry);
		}
		deliverer_follow(deliverer);
	}
	free_sending(sending);
	deliverer_attempt_ended(deliverer);
}

static void log_report(const struct sending *sending, const char *id)
{
	char original[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(sending->message_id, original);
	LOG(LOG_INFO, sending->is_warning ? "delay_warning" : "bounce",
	    LOG_TEXT("id", view_from_text(id)), LOG_TEXT("original", view_from_text(original)),
	    LOG_TEXT("to", entry_reverse_path(sending->entry)),
	    LOG_NUMBER("recipients", sending->count));
}

static void write_report(struct sending *sending, struct view original, const char *id,
			 const char *original_id)
{
	const struct entry *entry = sending->entry;
	const struct config *config = sending->deliverer->generation->config;
	struct report report = {
		.action = sending->is_warning ? REPORT_DELAYED : REPORT_FAILED,
		.hostname = config->hostname,
		.from = config->postmaster,
		.to = entry_reverse_path(entry),
		.unique = view_from_text(id),
		.queue_id = view_from_text(original_id),
		.original = original,
		.unix_ms = (int64_t)os_clock_wall_ms(),
		.arrival_unix_ms = (int64_t)entry->arrival_ms,
		.retry_until_unix_ms = (int64_t)(entry->arrival_ms + config->queue.retry.expire_ms),
		.recipients = sending->told,
		.recipient_count = sending->count,
	};

	report_add(&sending->body, &report);
	// What does not fit is told in a report of its own, later.
	while (sending->body.error != OK && sending->count > 1) {
		buffer_clear(&sending->body);
		sending->count /= 2;
		report.recipient_count = sending->count;
		report_add(&sending->body, &report);
	}
}

static enum error submit(struct sending *sending, const struct spool_change *change, uint64_t id)
{
	struct entry *entry = sending->entry;
	struct spool_envelope envelope = { .id = id, .arrival_ms = os_clock_wall_ms() };
	const struct view *to;
	size_t count;
	enum error error = resolve_sender(entry, &sending->arena, &to, &count);

	if (error != OK) {
		return error;
	}
	envelope.recipients =
		arena_alloc_array(&sending->arena, count, sizeof *envelope.recipients);
	if (!envelope.recipients) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		envelope.recipients[i].address = to[i];
	}
	envelope.recipient_count = (uint32_t)count;
	envelope.body_bytes = sending->body.len;
	envelope.flags = text_is_ascii(buffer_view(&sending->body)) ? 0 : SPOOL_BODY_8BIT;
	sending->part = buffer_view(&sending->body);
	return spool_store_submit(sending->deliverer->store, &sending->submission, change,
				  &envelope, &sending->part, 1, on_submitted, sending);
}

static bool send_report(struct sending *sending, uint8_t flags_set)
{
	struct entry *entry = sending->entry;
	struct deliverer *deliverer = entry->deliverer;
	uint64_t id = spool_id_next(&deliverer->ids, os_clock_wall_ms());
	char id_text[SPOOL_ID_TEXT_LEN + 1], original_text[SPOOL_ID_TEXT_LEN + 1];
	struct spool_change change = { .message = entry->message, .flags_set = flags_set };
	enum error error;

	spool_id_format(id, id_text);
	spool_id_format(sending->message_id, original_text);
	write_report(sending, read_start(entry, &sending->arena), id_text, original_text);
	change.outcomes = sending->outcomes;
	change.outcome_count = sending->is_warning ? 0 : sending->count;
	error = buffer_error(&sending->body);
	if (error == OK) {
		error = submit(sending, &change, id);
	}
	if (error != OK) {
		LOG(LOG_ERROR, "bounce_failed",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
		free_sending(sending);
		return false;
	}
	log_report(sending, id_text);
	trace_report(entry, id, sending->is_warning);
	entry_withdraw(entry); // nothing else may end a recipient meanwhile
	queue_remove(entry);
	entry->reporting = true;
	entry->in_hand++;
	deliverer->counters.in_hand++;
	return true;
}

bool report_failures(struct entry *entry)
{
	struct sending *sending = sending_new(entry);

	if (!sending) {
		return false;
	}
	for (const struct failure *failure = entry->failures;
	     failure && sending->count < REPORT_RECIPIENTS_MAX; failure = failure->next) {
		struct spool_recipient_state state = entry->message->recipients[failure->recipient];
		uint32_t place = sending->count++;

		state.status = failure->expired ? SPOOL_EXPIRED : SPOOL_FAILED;
		sending->outcomes[place] = (struct spool_outcome){ failure->recipient, state };
		sending->told[place] = (struct report_recipient){
			.address = recipient_address(&entry->recipients[failure->recipient]),
			.status = view_from_text(failure->status),
			.remote_mta = view_of(failure->text, failure->remote_len),
			.diagnostic =
				view_of(failure->text + failure->remote_len, failure->text_len),
			.last_attempt_unix_ms = (int64_t)os_clock_wall_ms(),
		};
	}
	return send_report(sending, 0);
}

bool report_delay(struct entry *entry)
{
	struct sending *sending = report_can_tell(entry) ? sending_new(entry) : NULL;

	if (!sending) {
		return false;
	}
	sending->is_warning = true;
	for (uint32_t i = 0;
	     i < entry->message->recipient_count && sending->count < REPORT_RECIPIENTS_MAX; i++) {
		if (entry->message->recipients[i].status == SPOOL_PENDING &&
		    entry->message->recipients[i].attempts) {
			sending->told[sending->count++] = (struct report_recipient){
				.address = recipient_address(&entry->recipients[i]),
				.status = VIEW("4.0.0"),
				.diagnostic = view_from_text(entry->message->reason),
			};
		}
	}
	return send_report(sending, SPOOL_WARNED);
}
