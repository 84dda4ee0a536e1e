// The world in which contract_test.c runs: the kernel's (real/contract_world.c) or a simulated one
// (sim/contract_world.c). The same assertions hold in both, so that the two builds cannot drift
// apart.
#pragma once

struct contract_world {
	int dir;          // an empty folder
	const char *path; // its path
};

void contract_world_begin(struct contract_world *world);
void contract_world_end(struct contract_world *world);
