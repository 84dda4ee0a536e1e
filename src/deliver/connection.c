// Moves bytes between the socket and the client machine, and ways in turn until a session stands.
// What the machine tells is handled in dialogue.c.
#include "deliver/connection.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/connection_private.h"

enum {
	READ_BYTES = 16 * 1024,
	READS_PER_TURN = 8,
	HANDSHAKE_MS = 60000,
	RELAY_MAX = 512,
	REASON_MAX = 600,
	OUTPUT_BYTES = 256 * 1024,
};

static void on_ready(void *context, int events);
static void on_timer(void *context);

static uint64_t now_of(const struct connection *connection)
{
	return deliverer_now_ms(connection->lane->deliverer);
}

// So much of it as there is until the session must stand.
static uint64_t time_left_ms(const struct connection *connection, uint64_t time_ms)
{
	uint64_t end_ms =
		connection->began_ms + connection->generation->config->outbound.session_time_ms;
	uint64_t now_ms = now_of(connection), left_ms = end_ms > now_ms ? end_ms - now_ms : 0;

	return left_ms < time_ms ? left_ms : time_ms;
}

// ---- life

static void close_socket(struct connection *connection)
{
	os_timer_stop(&connection->timer);
	os_watch_free(connection->watch);
	connection->watch = NULL;
	stream_close(&connection->stream);
	smtp_client_done(&connection->client);
	connection->client = (struct smtp_client){ 0 };
	buffer_clear(&connection->pending);
}

void connection_end(struct connection *connection)
{
	struct lane *lane = connection->lane;

	if (connection->phase == CONNECTION_GONE) {
		return;
	}
	connection->phase = CONNECTION_GONE;
	connection_abandon(connection);
	close_socket(connection);
	list_remove(&connection->link);
	list_add_last(&lane->deliverer->gone, &connection->link);
	site_closed(&lane->site);
	connection_prove(connection);
	lane->deliverer->counters.open--;
	lane_kick(lane);
}

void connection_bury(struct connection *connection)
{
	list_remove(&connection->link);
	buffer_done(&connection->pending);
	buffer_done(&connection->relay);
	buffer_done(&connection->host);
	buffer_done(&connection->reason);
	buffer_done(&connection->ways_failed);
	deliver_generation_unref(connection->generation);
	free(connection);
}

void connection_prove(struct connection *connection)
{
	if (connection->unproven) {
		share_give_back(&connection->lane->deliverer->unproven, connection->group);
		connection->unproven = false;
	}
}

bool connection_start(struct lane *lane, unsigned group)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection) {
		return false;
	}
	connection->lane = lane;
	connection->generation = deliver_generation_ref(lane->generation);
	connection->stream = stream_of(-1);
	connection->pending = buffer_with_max(CONNECTION_INPUT_MAX);
	connection->relay = buffer_with_max(RELAY_MAX);
	connection->host = buffer_with_max(RELAY_MAX);
	connection->reason = buffer_with_max(REASON_MAX);
	connection->began_ms = now_of(connection);
	connection->ways_failed = buffer_with_max(LANE_TRIED_MAX);
	os_timer_init(&connection->timer, lane->deliverer->loop, on_timer, connection);
	list_add_last(&lane->connections, &connection->link);
	connection->ways_version = lane->ways_version;
	connection->unproven = !site_is_proven(&lane->site, now_of(connection));
	connection->group = group;
	if (connection->unproven) {
		share_take(&lane->deliverer->unproven, group);
	}
	site_opened(&lane->site);
	lane->deliverer->counters.open++;
	connection_try_next(connection);
	return true;
}

// ---- ways

static const struct config_source *source_of(const struct connection *connection)
{
	return origin_configured(&connection->generation->config->outbound,
				 connection->address.family);
}

static enum smtp_client_tls tls_of(const struct connection *connection)
{
	const struct smarthost *smarthost = connection->lane->smarthost;

	if (smarthost && port_is_implicit_tls(connection->address.port)) {
		return SMTP_CLIENT_TLS_IMPLICIT;
	}
	if (smarthost && (smarthost->tls != ROUTE_TLS_OPPORTUNISTIC || smarthost->username.len)) {
		return SMTP_CLIENT_TLS_MUST;
	}
	return connection->plain_only ? SMTP_CLIENT_TLS_NEVER : SMTP_CLIENT_TLS_MAY;
}

static void set_up_machine(struct connection *connection)
{
	const struct config *config = connection->generation->config;
	const struct config_source *source = source_of(connection);
	const struct smarthost *smarthost = connection->lane->smarthost;
	struct smtp_client_settings *settings = &connection->settings;
	const struct config_outbound *outbound = &config->outbound;
	uint32_t reply_ms = (uint32_t)outbound->reply_time_ms;

	*settings = smtp_client_settings_default(source && source->hostname.len ? source->hostname
										: config->hostname);
	settings->tls = tls_of(connection);
	settings->output_bytes_max = OUTPUT_BYTES;
	settings->times.banner_ms = settings->times.ehlo_ms = reply_ms;
	settings->times.command_ms = settings->times.data_ms = reply_ms;
	settings->times.body_end_ms = (uint32_t)outbound->data_time_ms;
	settings->times.session_ms = (uint32_t)time_left_ms(connection, outbound->session_time_ms);
	settings->times.transaction_ms = (uint32_t)outbound->transaction_time_ms;
	settings->times.rate_bytes_per_second_min = (uint32_t)outbound->data_rate_bytes;
	if (smarthost) {
		settings->username = smarthost->username;
		settings->password = smarthost->password;
	}
	smtp_client_init(&connection->client, settings, now_of(connection));
}

static enum error begin_connect(struct connection *connection)
{
	const struct config_source *source = source_of(connection);
	struct os_address from = { 0 };
	int socket;
	enum error error;

	if (source) {
		from.family = source->address.family;
		memcpy(from.ip6, source->address.bytes, sizeof from.ip6);
	}
	error = os_socket_connect(&connection->address, source ? &from : NULL, &socket);
	if (error != OK) {
		return error;
	}
	connection->stream = stream_of(socket);
	error = os_watch_new(connection->lane->deliverer->loop, socket, on_ready, connection,
			     &connection->watch);
	if (error == OK) {
		error = os_watch_set(connection->watch, OS_WRITABLE);
	}
	if (error == OK) {
		connection->phase = CONNECTION_CONNECTING;
		os_timer_set(
			&connection->timer,
			time_left_ms(connection,
				     connection->generation->config->outbound.connect_time_ms));
	}
	return error;
}

static void way_broke(struct connection *connection, enum error error)
{
	connection_way_failed(connection,
			      &(struct trouble){ .class = RETRY_CONNECT,
						 .status = "4.4.1",
						 .reason = view_from_text(error_text(error)) });
}

static void connect_way(struct connection *connection)
{
	enum error error = begin_connect(connection);

	if (error != OK) {
		way_broke(connection, error);
	}
}

void connection_try_next(struct connection *connection)
{
	bool may_try = connection->tries++ < CONNECTION_WAYS_TRIED_MAX &&
		       time_left_ms(connection, UINT64_MAX);
	struct lane *lane = connection->lane;
	struct way *way;

	if (connection->ways_version != lane->ways_version) { // others since, in another order
		memset(connection->tried, 0, sizeof connection->tried);
		connection->ways_version = lane->ways_version;
	}
	way = may_try ? lane_choose_way(lane, connection->tried) : NULL;
	if (!way) {
		connection_failed(connection);
		return;
	}
	connection->address = way->address;
	connection->plain_only = false;
	buffer_clear(&connection->host);
	buffer_add(&connection->host, way->host);
	buffer_clear(&connection->relay);
	buffer_add(&connection->relay, way->host);
	buffer_add_byte(&connection->relay, '[');
	os_address_add_text(&connection->relay, &way->address);
	buffer_printf(&connection->relay, "]:%u", way->address.port);
	connect_way(connection);
}

void connection_way_failed(struct connection *connection, const struct trouble *trouble)
{
	trace_way_failed(connection, trouble->reason);
	close_socket(connection);
	lane_way_failed(connection->lane, &connection->address);
	// For good only when every way is.
	if (!trouble->permanent || connection->trouble.permanent ||
	    !connection->trouble.status[0]) {
		connection->trouble = *trouble;
		buffer_clear(&connection->reason);
		buffer_add(&connection->reason, view_first(trouble->reason, REASON_MAX));
	}
	if (trouble->class == RETRY_LOGIN) {
		connection_failed(connection); // another port will not know another password
	} else {
		connection_try_next(connection);
	}
}

static bool others_stand(const struct connection *connection)
{
	const struct list *all = &connection->lane->connections;

	for (const struct list *link = all->next; link != all; link = link->next) {
		const struct connection *other = CONTAINER_OF(link, struct connection, link);

		if (other != connection && other->phase == CONNECTION_TALKING &&
		    (other->in_machine || !other->ready)) {
			return true;
		}
	}
	return false;
}

void connection_failed(struct connection *connection)
{
	struct lane *lane = connection->lane;
	struct trouble trouble = connection->trouble;
	enum site_event event = trouble.class == RETRY_SERVER ? SITE_REFUSED : SITE_UNREACHABLE;

	if (!trouble.status[0]) {
		trouble = (struct trouble){ .class = RETRY_CONNECT, .status = "4.4.1" };
	}
	trouble.reason = buffer_view(&connection->reason);
	trouble.relay = buffer_view(&connection->relay);
	trouble.tried = buffer_view(&connection->ways_failed);
	if (others_stand(connection)) { // this one was too many: what waits is theirs
		lane_learn(lane, SITE_TOO_MANY);
		connection_end(connection);
		return;
	}
	connection_end(connection);
	lane_failed(lane, &trouble, event);
}

// ---- bytes

// OK: all is sent. ERROR_AGAIN: the rest waits for the socket.
static enum error flush(struct connection *connection)
{
	struct buffer *output = &connection->client.output;
	enum error error = OK;

	while (output->len && error == OK) {
		size_t sent = 0;

		error = stream_send(&connection->stream, buffer_view(output), &sent);
		if (error == OK) {
			smtp_client_output_sent(&connection->client, sent);
		}
	}
	return error;
}

static void set_timer(struct connection *connection)
{
	uint64_t deadline = smtp_client_deadline_ms(&connection->client);
	uint64_t now = now_of(connection);

	if (connection->idle) {
		os_timer_set(&connection->timer,
			     connection->generation->config->outbound.site.idle_ms);
	} else if (deadline == UINT64_MAX) {
		os_timer_stop(&connection->timer);
	} else {
		os_timer_set(&connection->timer, deadline > now ? deadline - now : 0);
	}
}

static void sleep_until(struct connection *connection, struct view input, int events)
{
	buffer_clear(&connection->pending);
	buffer_add(&connection->pending, input);
	set_timer(connection);
	if (buffer_error(&connection->pending) != OK ||
	    os_watch_set(connection->watch, events) != OK) {
		connection_end(connection);
	}
}

static void start_tls(struct connection *connection)
{
	const struct smarthost *smarthost = connection->lane->smarthost;
	struct stream_client_wish wish = {
		.server_name = buffer_view(&connection->host),
		.must_verify = smarthost &&
			       (smarthost->tls == ROUTE_TLS_VERIFIED || smarthost->username.len),
	};
	enum error error = flush(connection);

	if (error == OK) {
		error = stream_start_tls_client(&connection->stream, connection->generation->tls,
						&wish);
	}
	if (error != OK) {
		way_broke(connection, error);
		return;
	}
	connection->phase = CONNECTION_HANDSHAKING;
	os_timer_set(&connection->timer, time_left_ms(connection, HANDSHAKE_MS));
	on_ready(connection, 0);
}

static bool give_body(struct connection *connection)
{
	struct delivery *delivery =
		CONTAINER_OF(connection->client.current, struct delivery, transaction);
	struct view chunk;

	if (delivery->state == DELIVERY_BROKEN) {
		smtp_client_lost(&connection->client);
		return true;
	}
	if (!delivery_next_chunk(delivery, &chunk)) {
		return delivery->state == DELIVERY_BROKEN;
	}
	if (chunk.len) {
		smtp_client_body(&connection->client, chunk, now_of(connection));
	}
	if (chunk.len == 0 || delivery->source.body_file < 0) {
		smtp_client_body_end(&connection->client, now_of(connection));
	}
	return true;
}

// Sends; true when that made room for more.
static bool send_output(struct connection *connection, struct view input)
{
	bool had_output = connection->client.output.len != 0;
	enum error error = flush(connection);

	if (error == OK && had_output) {
		return true;
	}
	if (error != OK && error != ERROR_AGAIN) {
		smtp_client_lost(&connection->client);
		return true;
	}
	sleep_until(connection, input,
		    OS_READABLE | (error == ERROR_AGAIN ? stream_wants(&connection->stream) : 0));
	return false;
}

static bool step(struct connection *connection, struct view *input)
{
	struct smtp_client_event event;

	switch (smtp_client_step(&connection->client, input, now_of(connection), &event)) {
	case SMTP_CLIENT_STEP_EVENT: return connection_event(connection, &event);
	case SMTP_CLIENT_STEP_BODY: return give_body(connection) || send_output(connection, *input);
	case SMTP_CLIENT_STEP_TLS: start_tls(connection); return false;
	case SMTP_CLIENT_STEP_INPUT: return send_output(connection, *input);
	case SMTP_CLIENT_STEP_CLOSE: break;
	}
	(void)!flush(connection);
	stream_shutdown(&connection->stream);
	connection_end(connection);
	return false;
}

static void run(struct connection *connection, struct view input)
{
	connection->running = true;
	while (connection->phase == CONNECTION_TALKING && step(connection, &input)) {
	}
	connection->running = false;
}

void connection_resume(struct connection *connection)
{
	char *scratch = connection->lane->deliverer->scratch;
	size_t len = connection->pending.len;

	if (connection->phase != CONNECTION_TALKING || connection->running) {
		return;
	}
	if (len) {
		memcpy(scratch, connection->pending.data, len);
	}
	run(connection, view_of(scratch, len));
}

static void read_on(struct connection *connection)
{
	char *scratch = connection->lane->deliverer->scratch;

	for (int turn = 0; turn < READS_PER_TURN && connection->phase == CONNECTION_TALKING;
	     turn++) {
		size_t old = connection->pending.len, len = 0;
		enum error error;

		if (old) {
			memcpy(scratch, connection->pending.data, old);
		}
		error = stream_receive(&connection->stream, scratch + old, READ_BYTES, &len);
		if (error == ERROR_AGAIN) {
			return;
		}
		if (error != OK) {
			smtp_client_lost(&connection->client);
			connection_resume(connection);
			return;
		}
		run(connection, view_of(scratch, old + len));
		if (len < READ_BYTES && !stream_has_pending(&connection->stream)) {
			return;
		}
	}
}

// ---- what happens

// A host that we reach from its own address is this one.
static bool is_ourselves(const struct connection *connection)
{
	struct os_address local, peer = connection->address;

	if (connection->lane->smarthost ||
	    connection->generation->config->outbound.allow_private_addresses ||
	    os_socket_local_address(connection->stream.socket, &local) != OK) {
		return false;
	}
	local.port = peer.port;
	return os_address_equal(&local, &peer);
}

static void connected(struct connection *connection)
{
	enum error error = os_socket_connect_result(connection->stream.socket);

	if (error == ERROR_AGAIN) {
		return;
	}
	if (error != OK) {
		way_broke(connection, error);
		return;
	}
	if (is_ourselves(connection)) {
		connection_way_failed(connection,
				      &(struct trouble){ .permanent = true,
							 .status = "5.4.6",
							 .reason = VIEW("the mail server is this "
									"one: a loop") });
		return;
	}
	set_up_machine(connection);
	if (connection->settings.tls == SMTP_CLIENT_TLS_IMPLICIT) {
		start_tls(connection);
		return;
	}
	connection->phase = CONNECTION_TALKING;
	run(connection, (struct view){ 0 });
}

static void tls_failed(struct connection *connection)
{
	const char *why = stream_failure(&connection->stream);

	// Opportunistic: a peer whose TLS is broken gets its mail as if it had none.
	if (connection->settings.tls == SMTP_CLIENT_TLS_MAY) {
		trace_way_failed(connection, view_from_text(why ? why : "TLS failed"));
		close_socket(connection);
		connection->plain_only = true;
		connect_way(connection);
		return;
	}
	connection_way_failed(connection, &(struct trouble){ .class = RETRY_TLS,
							     .status = "4.7.5",
							     .reason = view_from_text(
								     why ? why : "TLS failed") });
}

static void handshake(struct connection *connection)
{
	enum stream_handshake result = stream_handshake(&connection->stream);
	struct stream_tls_info info;

	switch (result) {
	case STREAM_HANDSHAKE_FAILED: tls_failed(connection); return;
	case STREAM_HANDSHAKE_WANTS_WRITE:
	case STREAM_HANDSHAKE_WANTS_READ:
		if (os_watch_set(connection->watch, result == STREAM_HANDSHAKE_WANTS_WRITE
							    ? OS_WRITABLE
							    : OS_READABLE) != OK) {
			way_broke(connection, ERROR_NO_MEMORY);
		}
		return;
	case STREAM_HANDSHAKE_DONE: break;
	}
	connection->phase = CONNECTION_TALKING;
	smtp_client_tls_started(&connection->client,
				stream_tls_info(&connection->stream, &info) && info.verified,
				now_of(connection));
	run(connection, (struct view){ 0 });
	if (connection->phase == CONNECTION_TALKING) {
		read_on(connection);
	}
}

static void on_ready(void *context, int events)
{
	struct connection *connection = context;

	switch ((enum connection_phase)connection->phase) {
	case CONNECTION_CONNECTING: connected(connection); break;
	case CONNECTION_HANDSHAKING: handshake(connection); break;
	case CONNECTION_TALKING:
		if (events & OS_READABLE) {
			read_on(connection);
		}
		if (events & OS_WRITABLE || connection->client.output.len) {
			connection_resume(connection);
		}
		break;
	case CONNECTION_GONE: break;
	}
}

static void on_timer(void *context)
{
	struct connection *connection = context;

	if (connection->phase != CONNECTION_TALKING) {
		connection->lane->deliverer->counters.reply_timeouts++;
		way_broke(connection, ERROR_TIMEOUT);
		return;
	}
	if (connection->idle) {
		connection_quit(connection);
	}
	connection_resume(connection);
}
