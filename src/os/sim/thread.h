// The threads of simulated processes: each has a stack of its own, and runs until it returns or
// waits. Part of the simulation only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#endif

// The stack that the scheduler runs on, as the address sanitizer wants to know it.
struct sim_scheduler_stack {
	ucontext_t context;
	void *shadow;
	const void *bottom;
	size_t size;
};

struct sim_process;
struct sim_thread;

// A thread that calls body each time it was kicked; kicks while it runs make it run once more.
struct sim_thread *sim_thread_new(struct sim_process *process, const char *name,
				  void (*body)(void *context), void *context);
void sim_thread_free(struct sim_thread *thread); // accepts NULL; not while it runs or waits
void sim_thread_kick(struct sim_thread *thread, uint64_t delay_us);
bool sim_thread_is_idle(const struct sim_thread *thread);   // neither runs, waits, nor was kicked
bool sim_thread_is_inside(const struct sim_thread *thread); // runs or waits
void sim_threads_abandon(struct sim_process *process);
_Noreturn void sim_thread_leave(void); // from an abandoned thread: back to the scheduler for good

// Lets others run for a time. The harness has no others: its time passes.
void sim_wait_us(uint64_t delay_us);
// Until ready says so. The harness steps the simulation. False after timeout_us (0: no timeout).
bool sim_wait_until(bool (*ready)(void *context), void *context, uint64_t timeout_us);
