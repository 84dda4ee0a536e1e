// The queue as it lies on disk, for list and show while the server is down: read as the folder's
// owner, without touching anything.
#pragma once

#include "cli/call.h"

// Appends to call->data what deliver would answer. The exit status; failures are said.
int spool_look(struct call *call, const struct control_request *request) must_check;
