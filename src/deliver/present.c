// Where a message stands that still waits: what its record and its state say. What it went
// through is in the trace (trace.c).
#include "deliver/deliverer_private.h"
#include "os/clock.h"

enum { PRESENT_MEMORY_MAX = 8 * 1024 * 1024 };

static void add_text(struct buffer *out, const char *name, struct view text)
{
	if (text.len) {
		buffer_printf(out, ",\"%s\":", name);
		control_add_json_text(out, text);
	}
}

static void begin(struct buffer *out, uint64_t time_ms, const char *event)
{
	buffer_printf(out, "{\"time_ms\":%llu,\"event\":\"%s\"", (unsigned long long)time_ms,
		      event);
}

static void add_arrival(struct buffer *out, const struct entry *entry)
{
	struct arena arena = arena_with_max(PRESENT_MEMORY_MAX);
	struct buffer record = buffer_with_max(entry->message->ref.bytes);
	struct spool_source source = { 0 };
	struct spool_envelope envelope = { 0 };
	struct view body;

	begin(out, entry->arrival_ms, "arrived");
	add_text(out, "from", entry->reverse_path_len ? entry_reverse_path(entry) : VIEW("<>"));
	if (spool_source_open(entry->deliverer->store, entry->message, &source) == OK &&
	    spool_source_read_envelope(&source, &record, &arena, &envelope, &body) == OK) {
		add_text(out, "client", envelope.client);
		add_text(out, "helo", envelope.helo);
		add_text(out, "listener", envelope.listener);
		add_text(out, "login", envelope.login);
		add_text(out, "tls", envelope.tls);
	}
	buffer_printf(out, ",\"size_bytes\":%llu}", (unsigned long long)entry->size_bytes);
	spool_source_close(&source);
	buffer_done(&record);
	arena_done(&arena);
}

static const char *event_of(const struct recipient *recipient)
{
	const struct spool_recipient_state *state = recipient_state(recipient);

	if (state->status != SPOOL_PENDING) {
		return outcome_word(state->status);
	}
	switch ((enum recipient_place)recipient->place) {
	case RECIPIENT_RESOLVING: return "asking_dns";
	case RECIPIENT_WAITING: return "waiting_for_site";
	case RECIPIENT_IN_HAND: return "in_hand";
	case RECIPIENT_FAILED: return "failed";
	case RECIPIENT_IDLE: break;
	}
	return recipient->entry->message->flags & SPOOL_HELD ? "held" : "waiting";
}

static void add_recipient(struct buffer *out, const struct recipient *recipient)
{
	const struct spool_recipient_state *state = recipient_state(recipient);

	begin(out, os_clock_wall_ms(), event_of(recipient));
	add_text(out, "to", recipient_address(recipient));
	if (recipient->place == RECIPIENT_WAITING) {
		add_text(out, "site", recipient->queue->lane->name);
	}
	buffer_printf(out, ",\"attempts\":%u", state->attempts);
	if (state->status == SPOOL_PENDING && state->next_attempt_s) {
		buffer_printf(out, ",\"next_attempt_s\":%u", state->next_attempt_s);
	}
	if (state->attempts || recipient->entry->message->flags & SPOOL_HELD) {
		add_text(out, "reason", view_from_text(recipient->entry->message->reason));
	}
	buffer_add_byte(out, '}');
}

void present_add_json(struct buffer *out, const struct entry *entry)
{
	buffer_add_byte(out, '[');
	add_arrival(out, entry);
	for (uint32_t i = 0; i < entry->message->recipient_count; i++) {
		buffer_add_byte(out, ',');
		add_recipient(out, &entry->recipients[i]);
	}
	buffer_add_byte(out, ']');
}
