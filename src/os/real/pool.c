#include <pthread.h>
#include <stdlib.h>

#include "os/process.h"
#include "os/real/thread.h"
#include "os/worker.h"

struct job_queue {
	struct os_job *first, **last_next;
};

struct os_pool {
	const char *name;
	struct os_wake *wake;
	pthread_mutex_t lock; // for all below
	pthread_cond_t changed;
	struct job_queue waiting, finished;
	unsigned waiting_count, waiting_max;
	bool is_ending;
	unsigned thread_count;
	pthread_t threads[];
};

static void queue_init(struct job_queue *queue)
{
	queue->first = NULL;
	queue->last_next = &queue->first;
}

static void queue_add(struct job_queue *queue, struct os_job *job)
{
	job->next = NULL;
	*queue->last_next = job;
	queue->last_next = &job->next;
}

static struct os_job *queue_take(struct job_queue *queue)
{
	struct os_job *job = queue->first;

	if (job) {
		queue->first = job->next;
		if (!queue->first) {
			queue->last_next = &queue->first;
		}
	}
	return job;
}

// Returns with the lock held.
static struct os_job *wait_for_job(struct os_pool *pool)
{
	while (!pool->is_ending && !pool->waiting.first) {
		pthread_cond_wait(&pool->changed, &pool->lock);
	}
	return pool->is_ending ? NULL : queue_take(&pool->waiting);
}

static void *serve(void *context)
{
	struct os_pool *pool = context;
	struct os_job *job;

	os_process_name(pool->name);
	pthread_mutex_lock(&pool->lock);
	while ((job = wait_for_job(pool))) {
		pool->waiting_count--;
		pthread_mutex_unlock(&pool->lock);
		job->work(job);
		pthread_mutex_lock(&pool->lock);
		queue_add(&pool->finished, job);
		os_wake_send(pool->wake);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void call_done(void *context)
{
	struct os_pool *pool = context;
	struct os_job *job, *next;

	pthread_mutex_lock(&pool->lock);
	job = pool->finished.first;
	queue_init(&pool->finished);
	pthread_mutex_unlock(&pool->lock);
	for (; job; job = next) {
		next = job->next;
		job->done(job);
	}
}

enum error os_pool_new(struct os_loop *loop, const char *name, unsigned threads, unsigned jobs_max,
		       struct os_pool **ret_pool)
{
	struct os_pool *pool = calloc(1, sizeof *pool + threads * sizeof(pthread_t));
	enum error error;

	if (!pool) {
		return ERROR_NO_MEMORY;
	}
	pool->name = name;
	pool->waiting_max = jobs_max;
	queue_init(&pool->waiting);
	queue_init(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	error = os_wake_new(loop, call_done, pool, &pool->wake);
	while (error == OK && pool->thread_count < threads) {
		error = os_thread_start(&pool->threads[pool->thread_count], serve, pool);
		pool->thread_count += error == OK;
	}
	if (error != OK) {
		os_pool_free(pool);
		return error;
	}
	*ret_pool = pool;
	return OK;
}

enum error os_pool_submit(struct os_pool *pool, struct os_job *job)
{
	enum error error = ERROR_LIMIT;

	pthread_mutex_lock(&pool->lock);
	if (pool->waiting_count < pool->waiting_max) {
		queue_add(&pool->waiting, job);
		pool->waiting_count++;
		pthread_cond_signal(&pool->changed);
		error = OK;
	}
	pthread_mutex_unlock(&pool->lock);
	return error;
}

void os_pool_free(struct os_pool *pool)
{
	if (!pool) {
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->is_ending = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++) {
		pthread_join(pool->threads[i], NULL);
	}
	call_done(pool);
	os_wake_free(pool->wake);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
