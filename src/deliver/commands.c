// Local commands: the queue shown and changed by hand.
#include <sysexits.h>

#include "deliver/deliverer_private.h"
#include "deliver/listing.h"
#include "os/clock.h"
#include "process/trace.h"

enum { FILTER_MEMORY_MAX = 256 * 1024 };

static struct view address_of(const void *context, uint32_t index)
{
	const struct entry *entry = context;

	return recipient_address(&entry->recipients[index]);
}

static struct listing listing_of(const struct entry *entry)
{
	return (struct listing){
		.message = entry->message,
		.arrival_ms = entry->arrival_ms,
		.size_bytes = entry->size_bytes,
		.reverse_path = entry_reverse_path(entry),
		.login = entry_login(entry),
		.address = address_of,
		.context = entry,
	};
}

// ---- changes; false: it is being sent right now and stays as it is

static bool set_held(struct entry *entry, bool held)
{
	struct spool_change change = { .message = entry->message };

	if (held) {
		change.flags_set = SPOOL_HELD;
	} else {
		change.flags_cleared = SPOOL_HELD;
	}
	if (spool_store_note(entry->deliverer->store, &change) != OK) {
		return false;
	}
	trace_event(entry, held ? "held_by_operator" : "released_by_operator", (struct view){ 0 });
	if (held) {
		entry_withdraw(entry);
	}
	entry->urgent = !held;
	queue_schedule(entry);
	return true;
}

static bool flush(struct entry *entry)
{
	trace_event(entry, "flushed_by_operator", (struct view){ 0 });
	entry->urgent = true;
	queue_schedule(entry);
	return true;
}

static bool remove_entry(struct entry *entry)
{
	if (entry->in_hand || entry->reporting) {
		return false;
	}
	entry_withdraw(entry);
	return outcome_remove(entry);
}

static bool change(struct entry *entry, enum control_command command)
{
	switch (command) {
	case CONTROL_QUEUE_FLUSH: return flush(entry);
	case CONTROL_QUEUE_HOLD: return set_held(entry, true);
	case CONTROL_QUEUE_RELEASE: return set_held(entry, false);
	default: return remove_entry(entry);
	}
}

// What a person wants now does not wait for the end of a back-off.
static void open_lanes(struct deliverer *deliverer)
{
	for (struct list *link = deliverer->all_lanes.next; link != &deliverer->all_lanes;
	     link = link->next) {
		struct lane *lane = CONTAINER_OF(link, struct lane, link);

		lane->site.closed_until_ms = 0;
		lane_kick(lane);
	}
}

static int change_queue(struct deliverer *deliverer, const struct control_request *request,
			const struct listing_filter *filter, struct buffer *out,
			struct buffer *words)
{
	uint64_t now_ms = os_clock_wall_ms(), changed = 0, busy = 0;
	struct list *link, *next;
	struct view all;

	if (!filter->narrows && !control_request_get(request, VIEW("all"), &all)) {
		buffer_add_text(words, "which messages? Give ids, a filter or --all");
		return EX_USAGE;
	}
	for (link = deliverer->entries.next; link != &deliverer->entries; link = next) {
		struct entry *entry = CONTAINER_OF(link, struct entry, link);
		struct listing listing = listing_of(entry);

		next = link->next;
		if (listing_matches(filter, &listing, now_ms)) {
			bool is_done = change(entry, request->command);

			changed += is_done;
			busy += !is_done;
		}
	}
	if (request->command == CONTROL_QUEUE_FLUSH) {
		open_lanes(deliverer);
	}
	buffer_printf(out, "{\"messages\":%llu}", (unsigned long long)changed);
	if (busy) {
		buffer_printf(words, "%llu being sent right now, left alone",
			      (unsigned long long)busy);
	}
	return EX_OK;
}

// ---- looking

static int list_queue(struct deliverer *deliverer, const struct listing_filter *filter,
		      struct buffer *out, struct buffer *words)
{
	uint64_t now_ms = os_clock_wall_ms();
	bool first = true;

	buffer_add_byte(out, '[');
	for (struct list *link = deliverer->entries.next; link != &deliverer->entries;
	     link = link->next) {
		struct listing listing = listing_of(CONTAINER_OF(link, struct entry, link));

		if (listing_matches(filter, &listing, now_ms)) {
			buffer_add_text(out, first ? "" : ",");
			listing_add_json(out, &listing);
			first = false;
		}
	}
	buffer_add_byte(out, ']');
	if (buffer_error(out) != OK) {
		buffer_clear(out);
		buffer_add_text(words, "too many messages for one answer: narrow it with a filter");
		return EX_TEMPFAIL;
	}
	return EX_OK;
}

static struct entry *find(const struct deliverer *deliverer, const struct control_request *request)
{
	struct spool_message *message = NULL;
	struct view text;
	uint64_t id;

	if (control_request_get(request, (struct view){ 0 }, &text) &&
	    spool_id_parse(text, &id) == OK) {
		message = spool_store_find(deliverer->store, id);
	}
	return message ? message->user : NULL;
}

static int show(const struct deliverer *deliverer, const struct control_request *request,
		struct buffer *out, struct buffer *words)
{
	const struct entry *entry = find(deliverer, request);

	if (!entry) {
		buffer_add_text(words, "no such message waits; `packetboat trace` tells what "
				       "became of those that are gone");
		return EX_NOINPUT;
	}
	if (request->command == CONTROL_TRACE) {
		present_add_json(out, entry);
	} else {
		struct listing listing = listing_of(entry);

		listing_add_json(out, &listing);
	}
	return EX_OK;
}

static void add_status(struct buffer *out, const struct deliverer *deliverer)
{
	struct deliverer_counters counters = deliverer_counters(deliverer);
	struct spool_store_status store = spool_store_status(deliverer->store);
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "queued_messages", store.messages },
		{ "queued_bytes", store.bytes },
		{ "delivered", counters.delivered },
		{ "deferred", counters.deferred },
		{ "failed", counters.failed },
		{ "bounces", counters.bounces },
		{ "delay_warnings", counters.warnings },
		{ "connections", counters.connections },
		{ "connections_open", counters.open },
		{ "in_hand", counters.in_hand },
		{ "reply_timeouts", counters.reply_timeouts },
		{ "deadlines", counters.deadlines },
		{ "reply_limits", counters.reply_limits },
		{ "ipv6_nameless", counters.ipv6_nameless },
		{ "damaged", counters.damaged },
		{ "dns_waits", counters.dns_waits },
		{ "connection_waits", counters.connection_waits },
		{ "sites", deliverer->lanes.count },
		{ "spool_segments", store.segments },
		{ "spool_faults", store.faults },
		{ "checkpoints", store.checkpoints },
		{ "copied_forward", store.copied_forward },
	};

	buffer_add_text(out, "{");
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buffer_printf(out, "\"%s\":%llu,", numbers[i].name,
			      (unsigned long long)numbers[i].value);
	}
	process_trace_add_status(out, deliverer->trace);
	buffer_printf(out, "\"hold\":%s,\"journal\":\"%s\"}",
		      deliverer->generation->config->queue.hold ? "true" : "false",
		      error_text(store.journal_error));
}

int deliverer_command(struct deliverer *deliverer, const struct control_request *request,
		      struct buffer *out, struct buffer *words)
{
	struct arena arena = arena_with_max(FILTER_MEMORY_MAX);
	struct listing_filter filter;
	int status = EX_OK;

	if (listing_filter_init(&filter, &arena, request) != OK) {
		buffer_add_text(words, "a filter or an id is malformed");
		arena_done(&arena);
		return EX_USAGE;
	}
	switch (request->command) {
	case CONTROL_STATUS: add_status(out, deliverer); break;
	case CONTROL_QUEUE_LIST: status = list_queue(deliverer, &filter, out, words); break;
	case CONTROL_QUEUE_SHOW:
	case CONTROL_TRACE: status = show(deliverer, request, out, words); break;
	case CONTROL_QUEUE_FLUSH:
	case CONTROL_QUEUE_HOLD:
	case CONTROL_QUEUE_RELEASE:
	case CONTROL_QUEUE_REMOVE:
		status = change_queue(deliverer, request, &filter, out, words);
		break;
	default: status = EX_UNAVAILABLE; break;
	}
	arena_done(&arena);
	return status;
}
