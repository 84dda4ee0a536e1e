// What the trace is told of a message on its way out: each verdict with its reason, each way that
// was tried, each reply. Steps of one message in one turn of the loop share a record; where tracing
// is off, nothing happens here.
#include "deliver/deliverer_private.h"
#include "os/clock.h"

// ---- records

void trace_flush(struct deliverer *deliverer)
{
	trace_ring_add(deliverer->trace, deliverer->steps_id, &deliverer->steps);
	deliverer->steps_id = 0;
	deliverer->steps_site = NULL;
}

void trace_configure(struct deliverer *deliverer)
{
	trace_flush(deliverer);
	trace_steps_done(&deliverer->steps);
	deliverer->steps = trace_ring_steps(deliverer->trace);
}

static void turn_to(struct deliverer *deliverer, uint64_t id)
{
	if (deliverer->steps_id != id) {
		trace_flush(deliverer);
		deliverer->steps_id = id;
	}
}

// NULL: tracing is off.
static struct trace_steps *begin(struct deliverer *deliverer, uint64_t id, const char *event)
{
	if (!trace_steps_is_on(&deliverer->steps)) {
		return NULL;
	}
	turn_to(deliverer, id);
	trace_steps_begin(&deliverer->steps, os_clock_wall_ms(), event);
	return &deliverer->steps;
}

static struct trace_steps *begin_of(const struct entry *entry, const char *event)
{
	return begin(entry->deliverer, entry->message->id, event);
}

static void add_sender(struct trace_steps *steps, const struct entry *entry, const char *name)
{
	trace_steps_text(steps, name,
			 entry->reverse_path_len ? entry_reverse_path(entry) : VIEW("<>"));
}

static void add_id(struct trace_steps *steps, const char *name, uint64_t id)
{
	char text[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(id, text);
	trace_steps_text(steps, name, view_from_text(text));
}

// ---- in the queue

void trace_queued(const struct entry *entry)
{
	struct trace_steps *steps = begin_of(entry, "queued");

	if (steps) {
		add_sender(steps, entry, "from");
		trace_steps_number(steps, "recipients", entry->message->recipient_count);
		trace_steps_number(steps, "size_bytes", entry->size_bytes);
		trace_steps_end(steps);
	}
}

void trace_event(const struct entry *entry, const char *event, struct view reason)
{
	struct trace_steps *steps = begin_of(entry, event);

	if (steps) {
		trace_steps_text(steps, "reason", reason);
		trace_steps_end(steps);
	}
}

void trace_gone(struct deliverer *deliverer, uint64_t id)
{
	struct trace_steps *steps = begin(deliverer, id, "gone");

	if (steps) {
		trace_steps_text(steps, "reason", VIEW("nothing is left to do"));
		trace_steps_end(steps);
	}
}

// ---- where to

void trace_routed(const struct recipient *recipient, const struct route_choice *choice)
{
	static const char *const kinds[] = {
		[ROUTE_LOCAL] = "mailbox", [ROUTE_MX] = "mx", [ROUTE_SMARTHOST] = "smarthost"
	};
	struct trace_steps *steps = begin_of(recipient->entry, "routed");

	if (!steps) {
		return;
	}
	trace_steps_text(steps, "to", recipient_address(recipient));
	trace_steps_text(steps, "route", view_from_text(kinds[choice->kind]));
	if (choice->kind == ROUTE_LOCAL) {
		trace_steps_text(steps, "reason", VIEW("the domain is ours"));
	} else if (!choice->route) {
		trace_steps_text(steps, "reason", VIEW("no route matches"));
	} else {
		struct buffer reason = buffer_with_max(64);

		buffer_printf(&reason, "routes[%zu] matches", choice->index);
		trace_steps_text(steps, "reason", buffer_view(&reason));
		buffer_done(&reason);
	}
	if (choice->kind == ROUTE_SMARTHOST) {
		trace_steps_text(steps, "host", choice->route->smarthost.host);
	}
	trace_steps_end_of_many(steps);
}

// "10 mx.example.org 192.0.2.1 2001:db8::1, 20 ..."
void trace_add_hosts(struct buffer *out, const struct facts_answer *answer)
{
	for (unsigned i = 0; i < answer->host_count && buffer_error(out) == OK; i++) {
		const struct facts_host *host = &answer->hosts[i];
		size_t before = out->len;

		buffer_add_text(out, i ? ", " : "");
		if (answer->kind == FACTS_MAIL_ROUTE && !answer->implicit) {
			buffer_add_number(out, host->preference);
			buffer_add_byte(out, ' ');
		}
		buffer_add(out, host->name);
		for (unsigned a = 0; a < host->address_count; a++) {
			struct os_address address = facts_address_with_port(&host->addresses[a], 0);

			buffer_add_byte(out, ' ');
			os_address_add_text(out, &address);
		}
		if (buffer_error(out) != OK) { // only whole hosts
			out->len = before;
		}
	}
	out->error = OK;
}

void trace_site(const struct recipient *recipient, const struct destination *destination,
		struct view hosts, bool secure, uint64_t age_ms)
{
	struct deliverer *deliverer = recipient->entry->deliverer;
	uint64_t id = recipient->entry->message->id;
	struct trace_steps *steps;

	if (deliverer->steps_id == id && deliverer->steps_site == destination) {
		return; // told for the recipient before
	}
	steps = begin(deliverer, id, "site");
	if (!steps) {
		return;
	}
	deliverer->steps_site = destination;
	trace_steps_text(steps, "to", recipient_address(recipient));
	trace_steps_text(steps, "hosts", hosts);
	trace_steps_flag(steps, "dnssec", secure);
	trace_steps_text(steps, "source", age_ms ? VIEW("an earlier answer") : VIEW("the DNS"));
	if (age_ms) {
		trace_steps_number(steps, "age_ms", age_ms);
	}
	trace_steps_end_of_many(steps);
}

// ---- attempts

void trace_way_failed(struct connection *connection, struct view why)
{
	struct buffer *ways = &connection->ways_failed;
	size_t before = ways->len;

	buffer_add_text(ways, before ? "; " : "");
	buffer_add(ways, buffer_view(&connection->relay));
	buffer_add_text(ways, ": ");
	buffer_add(ways, why);
	if (buffer_error(ways) != OK) { // what does not fit any more is not told
		ways->len = before;
		ways->error = OK;
	}
}

void trace_attempt(const struct delivery *delivery, struct connection *connection)
{
	struct trace_steps *steps = begin_of(delivery->entry, "attempt");
	struct stream_tls_info tls;

	if (!steps) {
		return;
	}
	trace_steps_text(steps, "tried", buffer_view(&connection->ways_failed));
	trace_steps_text(steps, "relay", buffer_view(&connection->relay));
	if (stream_tls_info(&connection->stream, &tls)) {
		trace_steps_text(steps, "tls", view_from_text(tls.version));
		trace_steps_text(steps, "cipher", view_from_text(tls.cipher));
		trace_steps_flag(steps, "verified", tls.verified);
	} else {
		trace_steps_text(steps, "tls", VIEW("none"));
	}
	trace_steps_text(steps, "login", connection->settings.username);
	trace_steps_number(steps, "recipients", delivery->count);
	trace_steps_number(steps, "messages_before", connection->messages - 1);
	trace_steps_number(steps, "took_ms",
			   deliverer_now_ms(delivery->deliverer) - delivery->begun_ms);
	trace_steps_end(steps);
}

static const char *trouble_of(enum retry_class class)
{
	static const char *const words[RETRY_CLASS_COUNT] = {
		[RETRY_DNS] = "dns",       [RETRY_CONNECT] = "connect",
		[RETRY_SERVER] = "server", [RETRY_RECIPIENT] = "recipient",
		[RETRY_TLS] = "tls",       [RETRY_LOGIN] = "login",
		[RETRY_LOCAL] = "local",
	};

	return words[class];
}

void trace_outcome(const struct entry *entry, const struct attempt *attempt,
		   const struct trouble *trouble, const struct spool_recipient_state *state)
{
	struct trace_steps *steps = begin_of(entry, outcome_word(attempt->status));

	if (!steps) {
		return;
	}
	trace_steps_text(steps, "to", recipient_address(attempt->recipient));
	trace_steps_text(steps, "tried", trouble->tried);
	trace_steps_text(steps, "relay", trouble->relay);
	trace_steps_text(steps, "dsn", view_from_text(attempt->dsn));
	trace_steps_text(steps, "reason", attempt->reason);
	if (attempt->status == SPOOL_PENDING) {
		trace_steps_text(steps, "class", view_from_text(trouble_of(attempt->class)));
		trace_steps_number(steps, "attempts", state->attempts);
		trace_steps_number(steps, "next_attempt_s", state->next_attempt_s);
	}
	trace_steps_end_of_many(steps);
}

// ---- what the sender is told

// Each of the two points to the other.
void trace_report(const struct entry *entry, uint64_t report_id, bool is_warning)
{
	struct trace_steps *steps = begin_of(entry, is_warning ? "delay_warning" : "bounce");

	if (!steps) {
		return;
	}
	add_sender(steps, entry, "to");
	add_id(steps, "report", report_id);
	trace_steps_end(steps);
	steps = begin(entry->deliverer, report_id, is_warning ? "delay_warning_of" : "bounce_of");
	add_id(steps, "original", entry->message->id);
	trace_steps_end(steps);
}
