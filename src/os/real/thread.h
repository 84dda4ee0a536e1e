// How the threads of this room are started: workers, pools, and those with a loop.
#pragma once

#include <errno.h>
#include <pthread.h>

#include "base/error.h"

// With every signal blocked: they are for the thread of the loop. ERROR_LIMIT: no more threads.
enum error os_thread_start(pthread_t *ret_thread, void *(*run)(void *context),
			   void *context) must_check;
