// Work off the loop's thread. In the simulation both run as scheduled events on the one thread,
// each at a seeded moment. Threads take no signals; a name stays its owner's, for as long as they
// run.
#pragma once

#include "os/loop.h"

// One thread with one task: after os_worker_kick, run is called at least once on that thread;
// kicks while it runs make it run once more. A kick that finds it busy costs no system call.
struct os_worker;

enum error os_worker_new(struct os_loop *loop, const char *name, void (*run)(void *context),
			 void *context, struct os_worker **ret_worker) must_check;
void os_worker_kick(struct os_worker *worker); // any thread
void os_worker_free(struct os_worker *worker); // waits for a run in progress; accepts NULL

// A pool of threads for jobs that block or compute: hashing, signing, Maildir writes. work runs on
// a pool thread, then done on the loop's thread. Jobs are embedded in their owners, and belong to
// the pool from submit until done is called.
struct os_pool;

struct os_job {
	struct os_job *next;
	void (*work)(struct os_job *job);
	void (*done)(struct os_job *job);
};

enum error os_pool_new(struct os_loop *loop, const char *name, unsigned threads, unsigned jobs_max,
		       struct os_pool **ret_pool) must_check;
// ERROR_LIMIT when jobs_max jobs wait already.
enum error os_pool_submit(struct os_pool *pool, struct os_job *job) must_check;
// Finishes running jobs and calls their done; drops waiting ones without it. On the loop's thread,
// not from a done; accepts NULL.
void os_pool_free(struct os_pool *pool);
