// A password from whoever types: on a terminal asked for twice, without echo; else one line of
// standard input. Blocking; one thread.
#pragma once

#include "base/buffer.h"

// EX_OK; or EX_NOINPUT, EX_DATAERR with the reason said. The buffer's maximum bounds it; the caller
// wipes it.
int password_input(struct view address, struct buffer *ret_password) must_check;
