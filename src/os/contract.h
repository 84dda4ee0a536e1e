// The tests of what both builds of os promise (contract_*_test.c) run in the kernel's world
// (real/contract_world.c) and in a simulated one (sim/contract_world.c), with the same assertions,
// so that the two cannot drift apart.
#pragma once

#include "os/loop.h"

struct contract {
	int dir;          // an empty folder
	const char *path; // its path
	struct os_loop *loop;
	char order[64]; // letters, as things happen
	size_t order_len;
};

void contract_world_begin(struct contract *contract);
void contract_world_end(struct contract *contract);

int contract_setup(void **state);
int contract_teardown(void **state);
#define CONTRACT_TEST(fn_) cmocka_unit_test_setup_teardown(fn_, contract_setup, contract_teardown)

void contract_happened(struct contract *contract, char letter);

// Happens as its letter; 'z' stops the loop.
struct contract_timer {
	struct os_timer timer;
	struct contract *contract;
	char letter;
};

void contract_timer_set(struct contract_timer *each, struct contract *contract, char letter,
			uint64_t delay_ms);
