#include "policy/site.h"

#include "base/wire.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, PROVEN_MS = 60 * MINUTE_MS };

struct site_settings site_settings_default(void)
{
	return (struct site_settings){
		.concurrency_first = 5,
		.concurrency_max = 20,
		.failures_max = 5,
		.backoff_first_ms = 30 * SECOND_MS,
		.backoff_max_ms = 30 * MINUTE_MS,
		.messages_per_connection_max = 100,
		.connection_ms = 60 * MINUTE_MS,
		.idle_ms = 5 * SECOND_MS,
	};
}

static unsigned concurrency_within(const struct site_settings *settings, unsigned wanted)
{
	unsigned most = settings->concurrency_max ? settings->concurrency_max : 1;

	return wanted < 1 ? 1 : wanted < most ? wanted : most;
}

void site_init(struct site *site, const struct site_settings *settings)
{
	*site = (struct site){
		.concurrency = concurrency_within(settings, settings->concurrency_first),
	};
}

unsigned site_room(const struct site *site, uint64_t now_ms)
{
	unsigned most = site->probing ? 1 : site->concurrency;

	return now_ms < site->closed_until_ms || site->open >= most ? 0 : most - site->open;
}

uint64_t site_next_ms(const struct site *site, uint64_t now_ms)
{
	return now_ms < site->closed_until_ms ? site->closed_until_ms : 0;
}

bool site_is_proven(const struct site *site, uint64_t now_ms)
{
	return site->has_delivered && now_ms - site->delivered_ms < PROVEN_MS;
}

void site_opened(struct site *site)
{
	site->open++;
}

void site_closed(struct site *site)
{
	if (site->open) {
		site->open--;
	}
}

// One step more after as many successes as connections are allowed: about one step in the time
// that a message takes.
static void succeeded(struct site *site, const struct site_settings *settings)
{
	site->failures = 0;
	site->backoffs = 0;
	site->probing = false;
	if (++site->successes >= site->concurrency) {
		site->successes = 0;
		site->concurrency = concurrency_within(settings, site->concurrency + 1);
	}
}

// Doubling, with jitter of a quarter to both sides.
static void back_off(struct site *site, const struct site_settings *settings, uint64_t now_ms,
		     uint64_t seed)
{
	uint64_t delay_ms = settings->backoff_first_ms;
	uint64_t span;

	for (unsigned i = 0; i < site->backoffs && delay_ms < settings->backoff_max_ms; i++) {
		delay_ms *= 2;
	}
	if (delay_ms > settings->backoff_max_ms) {
		delay_ms = settings->backoff_max_ms;
	}
	span = delay_ms / 2;
	site->backoffs++;
	site->failures = 0;
	site->probing = true;
	site->closed_until_ms = now_ms + delay_ms - span / 2 + (span ? seed % (span + 1) : 0);
}

void site_learn(struct site *site, const struct site_settings *settings, enum site_event event,
		uint64_t now_ms, uint64_t seed)
{
	if (event == SITE_DELIVERED) {
		site->has_delivered = true;
		site->delivered_ms = now_ms;
		succeeded(site, settings);
		return;
	}
	site->successes = 0;
	site->concurrency = concurrency_within(settings, site->concurrency / 2);
	if (event == SITE_TOO_MANY) {
		site->concurrency = concurrency_within(settings, site->open ? site->open - 1 : 1);
		return;
	}
	site->has_delivered = false;
	// Failures that come in while it is closed belong to the same trouble.
	if (now_ms < site->closed_until_ms) {
		return;
	}
	site->failures++;
	if (event == SITE_REFUSED || site->probing || site->failures >= settings->failures_max) {
		back_off(site, settings, now_ms, seed);
	}
}

void site_connection_key_add(struct buffer *out, const struct site_connection_key *key)
{
	wire_add_string(out, key->server);
	wire_add_u16(out, key->port);
	wire_add_u8(out, key->tls);
	wire_add_u8(out, key->source.family);
	buffer_add(out, view_of(key->source.bytes, sizeof key->source.bytes));
	wire_add_string(out, key->source_name);
	wire_add_string(out, key->login);
	wire_add_string(out, key->password_file);
	wire_add_string(out, key->tenant);
}

bool site_may_reuse(const struct site_settings *settings, unsigned messages_sent, uint64_t stood_ms)
{
	return messages_sent < settings->messages_per_connection_max &&
	       stood_ms < settings->connection_ms;
}
