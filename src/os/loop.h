// The event loop: one per thread. It waits for sockets, timers, posted calls and workers, and calls
// back on its own thread. Real: libuv. Simulation: the seeded scheduler.
//
// A callback may stop or free any watch, timer or hook, its own included. Nothing is called after
// its stop or free has returned.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct os_loop;

enum error os_loop_new(struct os_loop **ret_loop) must_check;
void os_loop_free(struct os_loop *loop);             // after its run has returned; accepts NULL
void os_loop_run(struct os_loop *loop);              // until os_loop_stop; one before it counts
void os_loop_stop(struct os_loop *loop);             // on the loop's thread
uint64_t os_loop_now_ms(const struct os_loop *loop); // os_clock_mono_ms as of this turn of the loop

// Descriptors. Non-blocking ones. One watch per descriptor (a second is ERROR_EXISTS);
// level-triggered. The descriptor stays the caller's, and must be closed only after os_watch_free.
// A broken connection is reported as whatever is waited for; receiving or sending then tells.
// Pausing reading and going on costs no system call unless something arrived meanwhile; waiting for
// writable costs two.
enum { OS_READABLE = 1, OS_WRITABLE = 2 };

struct os_watch;
typedef void os_watch_fn(void *context, int events);

enum error os_watch_new(struct os_loop *loop, int fd, os_watch_fn *fn, void *context,
			struct os_watch **ret_watch) must_check;        // waits for nothing yet
enum error os_watch_set(struct os_watch *watch, int events) must_check; // 0 pauses it
void os_watch_free(struct os_watch *watch);                             // accepts NULL

// Timers live in a wheel inside the loop (resolution 1 ms, at most 34 years): setting one again and
// again costs a few stores. They are called in the order of their due times, equal ones in the
// order of their setting; delay 0 means the loop's next turn. os_timer_init, then set; a zeroed
// timer may be stopped and asked.
typedef void os_timer_fn(void *context);

struct os_timer {
	struct list link; // the wheel's; of a timer that is not set, points to itself
	struct os_loop *loop;
	os_timer_fn *fn;
	void *context;
	uint64_t due_ms;
};

void os_timer_init(struct os_timer *timer, struct os_loop *loop, os_timer_fn *fn, void *context);
void os_timer_set(struct os_timer *timer, uint64_t delay_ms); // once; replaces an earlier setting
void os_timer_stop(struct os_timer *timer);
bool os_timer_is_set(const struct os_timer *timer);

// Called on the loop's thread each time before it would sleep, in no order: to flush what this turn
// gathered.
struct os_hook {
	struct os_hook *next;
	void (*fn)(void *context);
	void *context;
};

void os_hook_add_before_sleep(struct os_loop *loop, struct os_hook *hook);
void os_hook_remove(struct os_loop *loop, struct os_hook *hook);

// A wake-up from any thread: after os_wake_send, fn is called at least once on the loop's thread;
// several sends before it runs may merge into one call.
struct os_wake;

enum error os_wake_new(struct os_loop *loop, void (*fn)(void *context), void *context,
		       struct os_wake **ret_wake) must_check;
void os_wake_send(struct os_wake *wake);
void os_wake_free(struct os_wake *wake); // on the loop's thread; accepts NULL

// Signals (real build; the simulation never sends one). SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD.
struct os_signal;

enum error os_signal_new(struct os_loop *loop, int number, void (*fn)(void *context, int number),
			 void *context, struct os_signal **ret_signal) must_check;
void os_signal_free(struct os_signal *signal); // accepts NULL
