// libunbound's pluggable events on our loop, for resolver.c alone.
#pragma once

#include "os/loop.h"

struct ub_event_base;

// NULL: no memory. Lives until after ub_ctx_delete.
struct ub_event_base *resolver_event_base_new(struct os_loop *loop);
void resolver_event_base_free(struct ub_event_base *base); // accepts NULL
