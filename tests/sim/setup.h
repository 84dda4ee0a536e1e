// The configuration and the directory that every seed begins with, made as the supervisor and
// keeper make them.
#pragma once

#include "sim/box.h"

void setup_make(struct box_setup *ret_setup); // its bytes are never freed
