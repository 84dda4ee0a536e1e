#include "policy/conduct.h"

// Bytes are counted in units, so that a budget of terabytes fits into a bucket; a body of no bytes
// costs one.
enum { UNIT_BYTES = 1024 };

struct budget {
	unsigned effect;
	enum rate_kind kind;
};

static const struct budget guesses = { EFFECT_CHARGE_UNKNOWN_RECIPIENT, RATE_UNKNOWN_RECIPIENT };
static const struct budget attempts = { EFFECT_CHARGE_RELAY_ATTEMPT, RATE_RELAY_ATTEMPT };
static const struct budget discards = { EFFECT_CHARGE_DISCARDED_BYTES, RATE_DISCARDED_BYTES };

static uint32_t units_of(uint64_t bytes)
{
	uint64_t units = bytes / UNIT_BYTES + 1;

	return units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
}

static struct rate_limit limit_of(const struct conduct_limits *limits, struct budget budget)
{
	uint32_t burst = budget.kind == RATE_UNKNOWN_RECIPIENT ? limits->unknown_recipients
			 : budget.kind == RATE_RELAY_ATTEMPT   ? limits->relay_attempts
							       : units_of(limits->discarded_bytes);

	return (struct rate_limit){ burst, limits->period_ms };
}

static struct rate_key key_of(const struct conduct_client *client, struct budget budget)
{
	return client->login.len
		       ? rate_key_of_text(client->secret, budget.kind, client->login)
		       : rate_key_of_address(client->secret, budget.kind, &client->address);
}

static unsigned effect_if_used_up(const struct rate_table *table,
				  const struct conduct_limits *limits,
				  const struct conduct_client *client, struct budget budget)
{
	bool has =
		rate_has(table, key_of(client, budget), limit_of(limits, budget), client->now_ms);

	return has ? 0 : budget.effect;
}

unsigned conduct_used_up(const struct rate_table *table, const struct conduct_limits *limits,
			 const struct conduct_client *client)
{
	return effect_if_used_up(table, limits, client, guesses) |
	       effect_if_used_up(table, limits, client, attempts) |
	       effect_if_used_up(table, limits, client, discards);
}

struct verdict conduct_decide(const struct conduct_facts *facts)
{
	struct verdict verdict = facts->verdict;

	if (facts->is_trusted) {
		verdict.effects = 0;
		return verdict;
	}
	if (verdict.effects & facts->used_up & EFFECT_CHARGE_RELAY_ATTEMPT) {
		return verdict_refuse(421, "4.7.0",
				      "Too many attempts to relay from where you are, closing",
				      "relay_attempts");
	}
	if (facts->is_postmaster) {
		return verdict;
	}
	if (facts->is_ours && facts->used_up & EFFECT_CHARGE_UNKNOWN_RECIPIENT) {
		return verdict_refuse(450, "4.7.1",
				      "Too many recipients that do not exist were asked for from "
				      "where you are, try again later",
				      "unknown_recipients");
	}
	if (verdict.kind == VERDICT_ACCEPT && facts->used_up & EFFECT_CHARGE_DISCARDED_BYTES) {
		return verdict_refuse(450, "4.7.0",
				      "Too much from where you are was broken off or refused, try "
				      "again later",
				      "discarded_bytes");
	}
	return verdict;
}

static void charge(struct rate_table *table, const struct conduct_limits *limits,
		   const struct conduct_client *client, struct budget budget, uint32_t tokens)
{
	rate_charge(table, key_of(client, budget), limit_of(limits, budget), tokens,
		    client->now_ms);
}

void conduct_charge(struct rate_table *table, const struct conduct_limits *limits,
		    const struct conduct_client *client, unsigned effects, uint64_t bytes)
{
	if (effects & EFFECT_CHARGE_UNKNOWN_RECIPIENT) {
		charge(table, limits, client, guesses, 1);
	}
	if (effects & EFFECT_CHARGE_RELAY_ATTEMPT) {
		charge(table, limits, client, attempts, 1);
	}
	if (effects & EFFECT_CHARGE_DISCARDED_BYTES) {
		charge(table, limits, client, discards, units_of(bytes));
	}
}

void conduct_credit(struct rate_table *table, const struct conduct_limits *limits,
		    const struct conduct_client *client, uint64_t bytes)
{
	rate_give(table, key_of(client, guesses), limit_of(limits, guesses), 1, client->now_ms);
	rate_give(table, key_of(client, discards), limit_of(limits, discards), units_of(bytes),
		  client->now_ms);
}
