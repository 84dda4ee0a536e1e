// What the client machine of a connection tells: sessions that stand or fail, and what becomes of
// the messages in it.
#include <stdio.h>
#include <string.h>

#include "deliver/connection_private.h"

enum { REASON_MAX = 600 };

static void on_delivery_ready(void *context);

static struct delivery *delivery_of(struct smtp_client_transaction *transaction)
{
	return CONTAINER_OF(transaction, struct delivery, transaction);
}

static void add_status(char *out, size_t size, struct smtp_status status)
{
	(void)snprintf(out, size, "%u.%u.%u", status.class, status.subject, status.detail);
}

static void add_reason(struct buffer *out, const struct smtp_outcome *outcome)
{
	if (outcome->by_peer) {
		buffer_printf(out, "%u ", outcome->code);
		if (outcome->status.subject || outcome->status.detail) {
			buffer_printf(out, "%u.%u.%u ", outcome->status.class,
				      outcome->status.subject, outcome->status.detail);
		}
	}
	buffer_add(out, view_first(view_from_text(outcome->text), REASON_MAX / 2));
}

// ---- messages in

// A record that is read goes into the machine.
static void hand_over(struct connection *connection)
{
	struct delivery *delivery = connection->opening;

	connection->opening = NULL;
	if (delivery->state == DELIVERY_BROKEN) {
		delivery_done(delivery, (struct view){ 0 });
		return;
	}
	connection->messages++;
	connection->in_machine++;
	smtp_client_send(&connection->client, &delivery->transaction,
			 deliverer_now_ms(connection->lane->deliverer));
}

static bool is_spent(const struct connection *connection)
{
	uint64_t now_ms = deliverer_now_ms(connection->lane->deliverer);

	return !site_may_reuse(&connection->generation->config->outbound.site, connection->messages,
			       now_ms - connection->began_ms);
}

static bool may_take(const struct connection *connection)
{
	return !connection->opening && !connection->lane->retired &&
	       !connection->lane->deliverer->stopping && !is_spent(connection) &&
	       smtp_client_can_send(&connection->client);
}

static void fill(struct connection *connection)
{
	struct lane *lane = connection->lane;

	while (may_take(connection)) {
		connection->opening = delivery_take(lane);
		if (!connection->opening) {
			break;
		}
		connection->idle = false;
		delivery_open(connection->opening, on_delivery_ready, connection);
		if (!connection->opening || connection->opening->state == DELIVERY_OPENING) {
			break;
		}
		hand_over(connection);
	}
	connection->idle = connection->ready && !connection->opening && !connection->in_machine &&
			   connection->client.state == SMTP_CLIENT_STATE_READY;
	if (connection->idle && (lane->retired || lane->deliverer->stopping ||
				 deliverer_is_short(lane->deliverer) || is_spent(connection))) {
		connection_quit(connection);
	}
}

static void on_delivery_ready(void *context)
{
	struct connection *connection = context;

	if (connection->opening && connection->opening->state != DELIVERY_OPENING) {
		hand_over(connection);
		fill(connection);
	}
	connection_resume(connection);
}

void connection_feed(struct connection *connection)
{
	fill(connection);
	connection_resume(connection);
}

void connection_quit(struct connection *connection)
{
	if (connection->idle && connection->phase == CONNECTION_TALKING) {
		connection->idle = false;
		smtp_client_quit(&connection->client,
				 deliverer_now_ms(connection->lane->deliverer));
		connection_resume(connection);
	} else if (!connection->ready && connection->phase != CONNECTION_TALKING) {
		connection_end(connection);
	}
}

// ---- outcomes out

// The connection went before the message was heard, as kept ones do: nobody has refused it.
static bool is_worth_again(const struct connection *connection, const struct smtp_outcome *outcome)
{
	return connection->completed && !outcome->body_sent &&
	       (outcome->kind == SMTP_OUTCOME_LOST || outcome->code == 421);
}

// "452 too many recipients", or 552 by old servers: the others go on at once (RFC 5321 section
// 4.5.3.1.10). Where there was no other, it was meant as it was said.
static bool is_one_too_many(const struct smtp_client_event *event)
{
	const struct smtp_outcome *outcome = event->outcome;

	return outcome->by_peer && (outcome->code == 452 || outcome->code == 552) &&
	       event->transaction->accepted_count && !event->transaction->outcome_known;
}

static enum retry_class class_of(const struct smtp_outcome *outcome)
{
	if (!outcome->by_peer) {
		return RETRY_CONNECT;
	}
	return outcome->code == 421 ? RETRY_SERVER : RETRY_RECIPIENT;
}

static void take_outcome(struct connection *connection, const struct smtp_client_event *event)
{
	const struct smtp_outcome *outcome = event->outcome;
	struct delivery *delivery = delivery_of(event->transaction);
	uint32_t index = (uint32_t)event->recipient;
	struct buffer reason = buffer_with_max(REASON_MAX);
	enum spool_status status = outcome->kind == SMTP_OUTCOME_ACCEPTED    ? SPOOL_DELIVERED
				   : outcome->kind == SMTP_OUTCOME_PERMANENT ? SPOOL_FAILED
									     : SPOOL_PENDING;
	char dsn[16];

	if (delivery->state == DELIVERY_BROKEN || is_worth_again(connection, outcome) ||
	    is_one_too_many(event)) {
		buffer_done(&reason);
		return; // untold
	}
	add_status(dsn, sizeof dsn, outcome->status);
	add_reason(&reason, outcome);
	delivery_tell(delivery, index, status, class_of(outcome), dsn, buffer_view(&reason));
	buffer_done(&reason);
}

static bool any_delivered(const struct delivery *delivery)
{
	for (uint32_t i = 0; i < delivery->count; i++) {
		if (delivery->attempts[i].told && delivery->attempts[i].status == SPOOL_DELIVERED) {
			return true;
		}
	}
	return false;
}

static void finish(struct connection *connection, struct delivery *delivery)
{
	connection->in_machine--;
	connection->completed++;
	if (any_delivered(delivery)) {
		connection_prove(connection);
		lane_learn(connection->lane, SITE_DELIVERED);
	}
	trace_attempt(delivery, connection);
	delivery_done(delivery, buffer_view(&connection->relay));
}

// ---- the end

static enum retry_class class_of_failure(enum smtp_client_failure failure)
{
	switch (failure) {
	case SMTP_CLIENT_NO_TLS:
	case SMTP_CLIENT_UNVERIFIED: // on another port it may be
	case SMTP_CLIENT_INJECTION: return RETRY_TLS;
	case SMTP_CLIENT_LOGIN_REFUSED: return RETRY_LOGIN;
	case SMTP_CLIENT_TIMEOUT:
	case SMTP_CLIENT_TOO_SLOW:
	case SMTP_CLIENT_LOST: return RETRY_CONNECT;
	default: return RETRY_SERVER;
	}
}

static void never_stood(struct connection *connection, const struct smtp_client_event *event)
{
	struct buffer reason = buffer_with_max(REASON_MAX);
	struct trouble trouble = { .class = class_of_failure(event->failure) };

	add_status(trouble.status, sizeof trouble.status, event->outcome->status);
	trouble.status[0] = '4'; // never final: another day the session may stand
	buffer_add_text(&reason, smtp_client_failure_text(event->failure));
	if (event->outcome->by_peer) {
		buffer_add_text(&reason, ": ");
		add_reason(&reason, event->outcome);
	}
	trouble.reason = buffer_view(&reason);
	connection_way_failed(connection, &trouble);
	buffer_done(&reason);
}

static void tell_failure(struct delivery *delivery, const struct smtp_client_event *event)
{
	struct buffer reason = buffer_with_max(REASON_MAX);
	struct trouble trouble = { .class = class_of_failure(event->failure) };

	add_status(trouble.status, sizeof trouble.status, event->outcome->status);
	trouble.status[0] = '4';
	add_reason(&reason, event->outcome);
	trouble.reason = buffer_view(&reason);
	delivery_tell_all(delivery, &trouble);
	buffer_done(&reason);
}

static void fell(struct connection *connection, const struct smtp_client_event *event)
{
	struct lane *lane = connection->lane;

	connection->idle = false;
	if (event->failure == SMTP_CLIENT_CLOSING) {
		lane_learn(lane, lane->site.open > 1 || connection->completed ? SITE_TOO_MANY
									      : SITE_REFUSED);
	} else if (connection->messages > connection->completed || connection->opening) {
		lane_learn(lane, SITE_UNREACHABLE);
	}
	if (connection->opening) {
		struct delivery *delivery = connection->opening;

		connection->opening = NULL;
		// A session that carried nothing counts as an attempt: else this had no end.
		if (!connection->completed) {
			tell_failure(delivery, event);
			trace_attempt(delivery, connection);
		}
		delivery_done(delivery, buffer_view(&connection->relay));
	}
}

static void count_failure(struct deliverer *deliverer, enum smtp_client_failure failure)
{
	deliverer->counters.reply_timeouts += failure == SMTP_CLIENT_TIMEOUT;
	deliverer->counters.deadlines += failure == SMTP_CLIENT_TOO_SLOW;
	deliverer->counters.reply_limits += failure == SMTP_CLIENT_REPLY_LIMIT;
}

bool connection_event(struct connection *connection, const struct smtp_client_event *event)
{
	switch (event->kind) {
	case SMTP_CLIENT_EVENT_READY:
		connection->ready = true;
		lane_way_worked(connection->lane, &connection->address);
		connection->began_ms = deliverer_now_ms(connection->lane->deliverer);
		connection->lane->deliverer->counters.connections++;
		fill(connection);
		return true;
	case SMTP_CLIENT_EVENT_OUTCOME: take_outcome(connection, event); return true;
	case SMTP_CLIENT_EVENT_NEXT: fill(connection); return true;
	case SMTP_CLIENT_EVENT_DONE:
		finish(connection, delivery_of(event->transaction));
		fill(connection);
		return true;
	case SMTP_CLIENT_EVENT_FAILED:
		count_failure(connection->lane->deliverer, event->failure);
		if (connection->ready) {
			fell(connection, event);
			return true;
		}
		never_stood(connection, event);
		return false;
	}
	return false;
}

void connection_abandon(struct connection *connection)
{
	struct smtp_client_transaction *held[] = { connection->client.current,
						   connection->client.next };

	for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
		if (held[i]) {
			delivery_done(delivery_of(held[i]), (struct view){ 0 });
		}
	}
	if (connection->opening) {
		struct delivery *delivery = connection->opening;

		connection->opening = NULL;
		delivery_done(delivery, (struct view){ 0 });
	}
}
