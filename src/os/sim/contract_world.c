#include "os/contract.h"

#include <stdio.h>
#include <stdlib.h>

#include "os/file.h"
#include "os/sim/sim.h"

static struct sim *sim;

void contract_world_begin(struct contract *contract)
{
	const char *seed = getenv("SIM_SEED");

	sim = sim_new(seed ? strtoull(seed, NULL, 0) : 1);
	sim_faults(sim)->transfer_short = 300000;
	sim_machine_make_path(sim_machine_of_harness(sim), "/contract");
	contract->path = "/contract";
	if (os_dir_open(contract->path, &contract->dir)) {
		abort();
	}
}

void contract_world_end(struct contract *contract)
{
	os_dir_close(contract->dir);
	sim_free(sim);
}
