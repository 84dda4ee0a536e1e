#include "os/real/thread.h"

#include <signal.h>
#include <stdlib.h>

#include "os/process.h"
#include "os/worker.h"

struct os_thread {
	const char *name;
	struct os_loop *loop;
	struct os_wake *wake;
	pthread_t id;
	pthread_mutex_t lock; // for all below
	pthread_cond_t over;
	void (*fn)(void *context); // NULL: none is under way
	void *context;
};

enum error os_thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
	sigset_t all, before;
	int status;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(ret_thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status == EAGAIN ? ERROR_LIMIT : error_from_errno(status);
}

static void *run_loop(void *context)
{
	struct os_thread *thread = context;

	os_process_name(thread->name);
	os_loop_run(thread->loop);
	return NULL;
}

static void run_call(void *context)
{
	struct os_thread *thread = context;
	void (*fn)(void *context);

	pthread_mutex_lock(&thread->lock);
	fn = thread->fn;
	context = thread->context;
	pthread_mutex_unlock(&thread->lock);
	if (!fn) {
		return; // a wake-up may come twice
	}
	fn(context);
	pthread_mutex_lock(&thread->lock);
	thread->fn = NULL;
	pthread_cond_signal(&thread->over);
	pthread_mutex_unlock(&thread->lock);
}

static void thread_free(struct os_thread *thread)
{
	os_wake_free(thread->wake);
	os_loop_free(thread->loop);
	pthread_cond_destroy(&thread->over);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}

enum error os_thread_new(const char *name, struct os_thread **ret_thread)
{
	struct os_thread *thread = calloc(1, sizeof *thread);
	enum error error;

	if (!thread) {
		return ERROR_NO_MEMORY;
	}
	thread->name = name;
	pthread_mutex_init(&thread->lock, NULL);
	pthread_cond_init(&thread->over, NULL);
	error = os_loop_new(&thread->loop);
	if (error == OK) {
		error = os_wake_new(thread->loop, run_call, thread, &thread->wake);
	}
	if (error == OK) {
		error = os_thread_start(&thread->id, run_loop, thread);
	}
	if (error != OK) {
		thread_free(thread);
		return error;
	}
	*ret_thread = thread;
	return OK;
}

struct os_loop *os_thread_loop(const struct os_thread *thread)
{
	return thread->loop;
}

void os_thread_begin(struct os_thread *thread, void (*fn)(void *context), void *context)
{
	pthread_mutex_lock(&thread->lock);
	thread->fn = fn;
	thread->context = context;
	pthread_mutex_unlock(&thread->lock);
	os_wake_send(thread->wake);
}

void os_thread_end(struct os_thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	while (thread->fn) {
		pthread_cond_wait(&thread->over, &thread->lock);
	}
	pthread_mutex_unlock(&thread->lock);
}

static void stop_loop(void *context)
{
	struct os_thread *thread = context;

	os_loop_stop(thread->loop);
}

void os_thread_free(struct os_thread *thread)
{
	if (thread) {
		os_thread_call(thread, stop_loop, thread);
		pthread_join(thread->id, NULL);
		thread_free(thread);
	}
}
