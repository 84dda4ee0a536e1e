// The process that alone opens the database and judges logins. This is its working part, which the
// simulator can host too; main.h starts it under the supervisor.
//
// It answers logins of the processes that face the network (link/keeper.h) with hashes computed on
// its own pool: bounded, limited per address and account, and costing the same whether a user
// exists or not (attacks A33, A34). It publishes the directory, and serves the control socket: user
// commands itself, all others by way of its owner. One owner, the loop's thread.
#pragma once

#include "config/config.h"
#include "os/loop.h"

enum {
	KEEPER_CLIENTS_MAX = 64, // a thread of receive each; twice while one is started anew
	KEEPER_CONTROL_PEERS_MAX = 64,
	KEEPER_LOGINS_MAX = 10000, // in hand; limits.logins_waiting may be less
	KEEPER_RATES_MAX = 100000, // keys of the failure limits
};

struct keeper;

struct keeper_calls {
	// A new directory table on a sealed page; the descriptor stays keeper's and is closed
	// after.
	void (*publish)(void *context, int fd);
	// A control request (link/control.h) that others answer, with keeper_control_result.
	void (*forward)(void *context, uint32_t id, struct view request);
};

struct keeper_setup {
	struct os_loop *loop;
	const char *folder;          // where the database is (link/users.h)
	const struct config *config; // must outlive keeper, or its place in keeper_configure
	unsigned threads;            // that hash
	unsigned password_cost;
	const struct keeper_calls *calls;
	void *context;
};

// Opens the database and publishes the first directory before it returns.
enum error keeper_new(const struct keeper_setup *setup, struct keeper **ret_keeper) must_check;
void keeper_free(struct keeper *keeper); // accepts NULL; wipes what it held

// After a reload: takes the new configuration and publishes the directory.
enum error keeper_configure(struct keeper *keeper, const struct config *config) must_check;
// The other end of a channel that a process asks on; fd is taken.
enum error keeper_add_client(struct keeper *keeper, int fd) must_check;
// The listening control socket; replaces the earlier one. fd stays the caller's.
enum error keeper_set_control(struct keeper *keeper, int listener) must_check;
// No command is taken from this process, which reads what strangers send and may be in their hands:
// a server that runs as one user has nothing else to tell it from its owner by.
enum { KEEPER_SIBLINGS_MAX = 8 };
void keeper_set_sibling(struct keeper *keeper, uint8_t which, int32_t pid);
// A part (link/control.h) of the answer to a forwarded request.
void keeper_control_result(struct keeper *keeper, uint32_t id, struct view part);

struct keeper_counters {
	uint64_t logins, logins_failed, logins_limited, logins_refused_busy;
	uint64_t hashes;           // computed to judge a login
	uint64_t accounts_damaged; // found when the directory was last made
};
struct keeper_counters keeper_counters(const struct keeper *keeper);
