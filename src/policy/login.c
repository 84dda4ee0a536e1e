#include "policy/login.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

struct login_limits login_limits_default(void)
{
	return (struct login_limits){
		.per_address = { .burst = 10, .period_ms = 10 * MINUTE_MS },
		.per_account = { .burst = 20, .period_ms = 10 * MINUTE_MS },
		.known_ms = UINT64_C(30) * 24 * HOUR_MS,
		.repeat_ms = 24 * HOUR_MS,
	};
}

// What the same wrong password may cost us in hashing, of one account from one address.
static const struct rate_limit repeats = { .burst = 60, .period_ms = 10 * MINUTE_MS };

static struct rate_key address_key(const struct login_facts *facts)
{
	return rate_key_of_address(facts->secret, RATE_LOGIN_ADDRESS, &facts->client);
}

static struct rate_key account_key(const struct login_facts *facts)
{
	return rate_key_of_text(facts->secret, RATE_LOGIN_ACCOUNT, facts->account);
}

// This account from this address.
static struct rate_key pair_key(const struct login_facts *facts, enum rate_kind kind)
{
	struct rate_key client = rate_key_of_address(facts->secret, kind, &facts->client);

	return rate_key_with(facts->secret, client, facts->account);
}

static struct rate_key repeat_key(const struct login_facts *facts)
{
	return rate_key_with(facts->secret, pair_key(facts, RATE_LOGIN_REPEAT), facts->password);
}

// A mark is a bucket of one token: set means taken.
static bool is_marked(const struct rate_table *table, struct rate_key key, uint64_t ms,
		      uint64_t now_ms)
{
	return ms && !rate_has(table, key, (struct rate_limit){ 1, ms }, now_ms);
}

static void mark(struct rate_table *table, struct rate_key key, uint64_t ms, uint64_t now_ms)
{
	rate_forget(table, key);
	if (ms) {
		(void)rate_take(table, key, (struct rate_limit){ 1, ms }, 1, now_ms);
	}
}

bool login_may_try(const struct rate_table *table, const struct login_limits *limits,
		   const struct login_facts *facts)
{
	uint64_t now_ms = facts->now_ms;

	if (!rate_has(table, pair_key(facts, RATE_LOGIN_PAIR), repeats, now_ms)) {
		return false;
	}
	if (facts->client.family &&
	    !rate_has(table, address_key(facts), limits->per_address, now_ms)) {
		return false;
	}
	return is_marked(table, pair_key(facts, RATE_LOGIN_KNOWN), limits->known_ms, now_ms) ||
	       rate_has(table, account_key(facts), limits->per_account, now_ms);
}

void login_failed(struct rate_table *table, const struct login_limits *limits,
		  const struct login_facts *facts)
{
	uint64_t now_ms = facts->now_ms;

	rate_charge(table, pair_key(facts, RATE_LOGIN_PAIR), repeats, 1, now_ms);
	if (is_marked(table, repeat_key(facts), limits->repeat_ms, now_ms)) {
		return;
	}
	mark(table, repeat_key(facts), limits->repeat_ms, now_ms);
	if (facts->client.family) {
		rate_charge(table, address_key(facts), limits->per_address, 1, now_ms);
	}
	rate_charge(table, account_key(facts), limits->per_account, 1, now_ms);
}

void login_succeeded(struct rate_table *table, const struct login_limits *limits,
		     const struct login_facts *facts)
{
	mark(table, pair_key(facts, RATE_LOGIN_KNOWN), limits->known_ms, facts->now_ms);
}
