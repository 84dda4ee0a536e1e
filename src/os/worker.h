// Work off the loop's thread. In the simulation both run as scheduled events on the one thread,
// each at a seeded moment. Threads take no signals; a name stays its owner's, for as long as they
// run.
#pragma once

#include "os/loop.h"

// A thread that runs a loop of its own. What lives on that loop is made, used and freed by calls
// into the thread.
struct os_thread;

enum error os_thread_new(const char *name, struct os_thread **ret_thread) must_check;
struct os_loop *os_thread_loop(const struct os_thread *thread);
// From the one thread that made it: fn runs once, on the loop, and os_thread_end waits until it has
// returned. Each begin has its end before the next one. Between the two the caller may begin calls
// into other threads, so that it waits for the slowest and not for the sum.
void os_thread_begin(struct os_thread *thread, void (*fn)(void *context), void *context);
void os_thread_end(struct os_thread *thread);
static inline void os_thread_call(struct os_thread *thread, void (*fn)(void *context),
				  void *context)
{
	os_thread_begin(thread, fn, context);
	os_thread_end(thread);
}
// Ends the loop after the turn that it is in, then the thread. Nothing is left on the loop but what
// may outlive its run (os_loop_free). Accepts NULL.
void os_thread_free(struct os_thread *thread);

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
