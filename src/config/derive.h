// The members of struct config that no key sets but other members do; for a configuration just
// loaded and for one just decoded. Inside this room.
#pragma once

#include "config/config.h"

void config_derive(struct config *config);
