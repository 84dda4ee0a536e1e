// The configurations, the directory and the certificate that every seed begins with, made as the
// supervisor and keeper make them.
#pragma once

#include "sim/box.h"

void setup_make(struct box_setup *ret_setup); // its bytes are never freed
// From now on all that TLS does follows from the seed.
void setup_seed_tls(uint64_t seed);
