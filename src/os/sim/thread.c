#include "os/sim/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "os/sim/private.h"

#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(shadow, bottom, size) ((void)(shadow), (void)(bottom))
#define __sanitizer_finish_switch_fiber(shadow, bottom, size) ((void)(shadow), (void)(bottom))
#define __asan_unpoison_memory_region(memory, size) ((void)0)
#endif

enum {
	// Touched pages only. Below half a MiB: at every switch the address sanitizer clears the
	// shadow of the stack, an eighth of it, and from 64 KiB on it maps it anew each time.
	STACK_SIZE = 448 * 1024,
	STACKS_SPARE_MAX = 32,
	KICK_US_MAX = 60,
	POLL_US_MAX = 200,
};

enum state { IDLE, KICKED, RUNNING, WAITING };

struct sim_thread {
	struct list link; // of its process
	struct sim_process *process;
	const char *name;
	void (*body)(void *context);
	void *body_context;
	struct sim_event event; // starts it, or ends its wait
	enum state state;
	bool kicked_again;
	ucontext_t context;
	void *stack; // NULL until it first runs
	void *shadow;
};

static void leave(struct sim_thread *thread, void **shadow)
{
	struct sim_scheduler_stack *scheduler = &sim_current->stack;

	__sanitizer_start_switch_fiber(shadow, scheduler->bottom, scheduler->size);
	swapcontext(&thread->context, &scheduler->context);
	__sanitizer_finish_switch_fiber(thread->shadow, &scheduler->bottom, &scheduler->size);
}

void sim_thread_leave(void)
{
	struct sim_scheduler_stack *scheduler = &sim_current->stack;

	__sanitizer_start_switch_fiber(NULL, scheduler->bottom, scheduler->size);
	setcontext(&scheduler->context);
	abort();
}

static void thread_main(void)
{
	struct sim_thread *thread = sim_current->thread;
	struct sim_scheduler_stack *scheduler = &sim_current->stack;

	__sanitizer_finish_switch_fiber(NULL, &scheduler->bottom, &scheduler->size);
	for (;;) {
		thread->body(thread->body_context);
		thread->state = IDLE;
		leave(thread, &thread->shadow);
	}
}

// Stacks that nobody has now: fresh ones cost a page fault for each page, every time.
static void *spare_stacks[STACKS_SPARE_MAX];
static unsigned spare_stack_count;

static void *stack_take(void)
{
	if (spare_stack_count) {
		return spare_stacks[--spare_stack_count];
	}
	return mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void stack_give_back(void *stack)
{
	__asan_unpoison_memory_region(stack, STACK_SIZE);
	if (spare_stack_count < STACKS_SPARE_MAX) {
		spare_stacks[spare_stack_count++] = stack;
	} else {
		munmap(stack, STACK_SIZE);
	}
}

static void stack_new(struct sim_thread *thread)
{
	thread->stack = stack_take();
	if (thread->stack == MAP_FAILED || getcontext(&thread->context)) {
		sim_bug("no stack");
	}
	thread->context.uc_stack.ss_sp = thread->stack;
	thread->context.uc_stack.ss_size = STACK_SIZE;
	thread->context.uc_link = NULL;
	makecontext(&thread->context, thread_main, 0);
	// AddressSanitizer would clear what it knows of the whole stack at each switch to it.
	thread->context.uc_stack.ss_size = 0;
}

static void thread_destroy(struct sim_thread *thread)
{
	sim_event_cancel(&thread->event);
	list_remove(&thread->link);
	if (thread->stack) {
		stack_give_back(thread->stack);
	}
	free(thread);
}

static void thread_enter(struct sim_event *event)
{
	struct sim_thread *thread = CONTAINER_OF(event, struct sim_thread, event);
	struct sim *sim = sim_current;
	void *shadow;

	if (!thread->stack) {
		stack_new(thread);
	}
	thread->state = RUNNING;
	sim->thread = thread;
	__sanitizer_start_switch_fiber(&shadow, thread->stack, STACK_SIZE);
	swapcontext(&sim->stack.context, &thread->context);
	__sanitizer_finish_switch_fiber(shadow, NULL, NULL);
	sim->thread = NULL;
	if (thread->process->is_dead) {
		thread_destroy(thread);
	} else if (thread->state == IDLE && thread->kicked_again) {
		thread->kicked_again = false;
		sim_thread_kick(thread, sim_below(KICK_US_MAX));
	}
}

struct sim_thread *sim_thread_new(struct sim_process *process, const char *name,
				  void (*body)(void *context), void *context)
{
	struct sim_thread *thread = SIM_NEW(struct sim_thread);

	thread->process = process;
	thread->name = name;
	thread->body = body;
	thread->body_context = context;
	thread->event = (struct sim_event){ .fn = thread_enter, .process = process };
	list_add_last(&process->threads, &thread->link);
	return thread;
}

void sim_thread_free(struct sim_thread *thread)
{
	if (!thread) {
		return;
	}
	if (sim_thread_is_inside(thread)) {
		sim_bug("a thread was freed while it ran");
	}
	thread_destroy(thread);
}

void sim_thread_kick(struct sim_thread *thread, uint64_t delay_us)
{
	if (sim_thread_is_inside(thread)) {
		thread->kicked_again = true;
	} else if (thread->state == IDLE) {
		thread->state = KICKED;
		thread->event.what = thread->name;
		thread->event.is_idle = false;
		sim_event_set(&thread->event, delay_us);
	}
}

bool sim_thread_is_idle(const struct sim_thread *thread)
{
	return thread->state == IDLE;
}

bool sim_thread_is_inside(const struct sim_thread *thread)
{
	return thread->state == RUNNING || thread->state == WAITING;
}

void sim_threads_abandon(struct sim_process *process)
{
	for (struct list *link = process->threads.next, *next; link != &process->threads;
	     link = next) {
		struct sim_thread *thread = CONTAINER_OF(link, struct sim_thread, link);

		next = link->next;
		// The one that runs is destroyed once the scheduler is back on its own stack.
		if (thread != sim_current->thread) {
			thread_destroy(thread);
		}
	}
}

// ---- waiting --------------------------------------------------------------------------------

static void thread_wait(struct sim_thread *thread, uint64_t delay_us, bool is_idle)
{
	thread->state = WAITING;
	thread->event.what = NULL;
	thread->event.is_idle = is_idle;
	sim_event_set(&thread->event, delay_us);
	leave(thread, &thread->shadow);
	thread->state = RUNNING;
}

void sim_wait_us(uint64_t delay_us)
{
	if (sim_current->thread) {
		thread_wait(sim_current->thread, delay_us, false);
	} else {
		sim_current->now_us += delay_us;
	}
}

bool sim_wait_until(bool (*ready)(void *context), void *context, uint64_t timeout_us)
{
	struct sim *sim = sim_current;
	uint64_t end_us = timeout_us ? sim->now_us + timeout_us : UINT64_MAX;

	while (!ready(context)) {
		if (sim->now_us >= end_us) {
			return false;
		}
		if (sim->thread) {
			thread_wait(sim->thread, 1 + sim_below(POLL_US_MAX), true);
		} else if (!sim_step(sim)) {
			if (!timeout_us) {
				sim_bug("waits for what cannot happen: nothing is under way");
			}
			sim->now_us = end_us;
		}
	}
	return true;
}

// Takes the place of the C library's in programs that link the simulation: a simulated thread that
// finds a mutex taken gives way to the one that has it, where a real one would sleep.

static bool mutex_taken(void *context)
{
	return pthread_mutex_trylock(context) != EBUSY;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	int status = pthread_mutex_trylock(mutex);

	if (status == EBUSY && sim_current) {
		sim_wait_until(mutex_taken, mutex, 0);
		return 0;
	}
	while (status == EBUSY) {
		sched_yield();
		status = pthread_mutex_trylock(mutex);
	}
	return status;
}
