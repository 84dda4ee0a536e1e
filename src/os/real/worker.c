#include "os/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "os/process.h"
#include "os/real/thread.h"

// Only a kick that finds the thread asleep needs the semaphore.
enum { ASLEEP, KICKED, RUNNING };

struct os_worker {
	pthread_t thread;
	sem_t kicked;
	atomic_int state;
	atomic_bool is_ending;
	const char *name;
	void (*run)(void *context);
	void *context;
};

static void *work(void *context)
{
	struct os_worker *worker = context;
	int running;

	os_process_name(worker->name);
	for (;;) {
		while (sem_wait(&worker->kicked) < 0) {
			// interrupted
		}
		do {
			atomic_store(&worker->state, RUNNING);
			if (atomic_load(&worker->is_ending)) {
				return NULL;
			}
			worker->run(worker->context);
			running = RUNNING;
		} while (!atomic_compare_exchange_strong(&worker->state, &running, ASLEEP));
	}
}

enum error os_worker_new(struct os_loop *loop, const char *name, void (*run)(void *context),
			 void *context, struct os_worker **ret_worker)
{
	struct os_worker *worker = calloc(1, sizeof *worker);
	enum error error;

	(void)loop; // the simulation schedules the thread on it
	if (!worker) {
		return ERROR_NO_MEMORY;
	}
	worker->name = name;
	worker->run = run;
	worker->context = context;
	sem_init(&worker->kicked, 0, 0);
	error = os_thread_start(&worker->thread, work, worker);
	if (error != OK) {
		sem_destroy(&worker->kicked);
		free(worker);
		return error;
	}
	*ret_worker = worker;
	return OK;
}

void os_worker_kick(struct os_worker *worker)
{
	if (atomic_exchange(&worker->state, KICKED) == ASLEEP) {
		sem_post(&worker->kicked);
	}
}

void os_worker_free(struct os_worker *worker)
{
	if (!worker) {
		return;
	}
	atomic_store(&worker->is_ending, true);
	os_worker_kick(worker);
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->kicked);
	free(worker);
}
