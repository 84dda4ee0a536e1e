// What the files of keeper share; inside this room only.
#pragma once

#include "base/list.h"
#include "keeper/keeper.h"
#include "link/keeper.h"
#include "link/password.h"
#include "link/users.h"
#include "os/worker.h"
#include "policy/login.h"

// A process that asks.
struct keeper_asker {
	struct list link; // in keeper->askers
	struct keeper *keeper;
	struct os_channel *channel;
};

// A login in hand: its own memory, since the message is gone when the hash is ready.
struct keeper_attempt {
	struct os_job job;
	struct list link; // in keeper->attempts
	struct keeper *keeper;
	struct keeper_asker *asker; // NULL: it went away
	uint32_t id;
	struct ip_address client;
	char account[KEEPER_USER_MAX]; // normalised where it is an address
	size_t account_len;
	char password[KEEPER_PASSWORD_MAX];
	size_t password_len;
	struct password_hash hash; // of the account, or of nobody
	bool may_succeed;          // the account exists and is not disabled
	bool matches;
};

struct keeper_control;

struct keeper {
	struct keeper_setup setup;
	struct user_store store;
	struct os_pool *pool;
	struct rate_table *rates;
	struct hash_key secret;
	struct password_hash nobody;
	struct list askers, attempts;
	unsigned asker_count, attempt_count;
	struct keeper_control *control;
	int32_t siblings[KEEPER_SIBLINGS_MAX]; // process ids
	struct keeper_counters counters;
};

enum error keeper_publish(struct keeper *keeper) must_check;
// Takes the question; the answer goes to the asker now or later.
void keeper_take_login(struct keeper_asker *asker, uint32_t id, const struct keeper_login *login);
void keeper_attempt_free(struct keeper_attempt *attempt);

enum error keeper_control_new(struct keeper *keeper,
			      struct keeper_control **ret_control) must_check;
void keeper_control_free(struct keeper_control *control); // accepts NULL
