// The rest of the mail world: remote servers on their own addresses, and what the DNS says of them.
// Each session runs the project's own server machine, and misbehaves as the weather has it. Lives
// in the harness.
//
//     good.example     mx1 and mx2.good.example
//     pair.example     the same hosts: one site
//     far.example      no MX: the domain is its own host
//     senders.example  where reports go
//     dark.example     does not exist
#pragma once

#include "link/facts.h"
#include "link/tls.h"
#include "os/loop.h"
#include "sim/ledger.h"
#include "sim/weather.h"

struct remote;

// tls: offered as STARTTLS; NULL: not offered. It is counted again.
struct remote *remote_new(struct os_loop *loop, struct ledger *ledger,
			  const struct weather *weather, struct tls_server *tls);
void remote_free(struct remote *remote);

// The answer to a question of deliver; hosts and addresses are constants.
struct facts_answer remote_answer(const struct facts_question *question);
