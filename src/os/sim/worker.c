#include "os/worker.h"

#include "os/sim/private.h"

enum { START_US_MAX = 100 };

struct os_worker {
	struct sim_thread *thread;
};

enum error os_worker_new(struct os_loop *loop, const char *name, void (*run)(void *context),
			 void *context, struct os_worker **ret_worker)
{
	struct os_worker *worker = SIM_OWN(struct os_worker);

	(void)loop;
	worker->thread = sim_thread_new(sim_current->process, name, run, context);
	*ret_worker = worker;
	return OK;
}

void os_worker_kick(struct os_worker *worker)
{
	sim_thread_kick(worker->thread, sim_below(START_US_MAX));
}

static bool thread_is_outside(void *context)
{
	return !sim_thread_is_inside(context);
}

void os_worker_free(struct os_worker *worker)
{
	if (worker) {
		sim_wait_until(thread_is_outside, worker->thread, 0);
		sim_thread_free(worker->thread);
		sim_disown(worker);
	}
}

// ---- threads with a loop ---------------------------------------------------------------------

// Every loop turns by itself here; what is to be added are the calls.
struct os_thread {
	struct os_loop *loop;
	struct os_wake *wake;
	void (*fn)(void *context); // NULL: none is under way
	void *context;
};

static void thread_call(void *context)
{
	struct os_thread *thread = context;

	if (thread->fn) {
		thread->fn(thread->context);
		thread->fn = NULL;
	}
}

enum error os_thread_new(const char *name, struct os_thread **ret_thread)
{
	struct os_thread *thread = SIM_OWN(struct os_thread);
	enum error error = os_loop_new(&thread->loop);

	(void)name;
	if (error == OK) {
		error = os_wake_new(thread->loop, thread_call, thread, &thread->wake);
	}
	if (error != OK) {
		os_loop_free(thread->loop);
		sim_disown(thread);
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
	thread->fn = fn;
	thread->context = context;
	os_wake_send(thread->wake);
}

static bool call_is_over(void *context)
{
	const struct os_thread *thread = context;

	return !thread->fn;
}

void os_thread_end(struct os_thread *thread)
{
	sim_wait_until(call_is_over, thread, 0);
}

static void stop_loop(void *context)
{
	struct os_thread *thread = context;

	os_loop_stop(thread->loop);
}

static bool loop_rests(void *context)
{
	const struct os_thread *thread = context;

	return !sim_loop_turns(thread->loop);
}

void os_thread_free(struct os_thread *thread)
{
	if (thread) {
		os_thread_call(thread, stop_loop, thread);
		sim_wait_until(loop_rests, thread, 0);
		os_wake_free(thread->wake);
		os_loop_free(thread->loop);
		sim_disown(thread);
	}
}

// ---- pools ----------------------------------------------------------------------------------

enum { POOL_THREADS_MAX = 16 };

struct os_pool {
	struct os_loop *loop;
	struct sim_thread *threads[POOL_THREADS_MAX];
	unsigned thread_count, jobs_max, waiting;
	struct os_job *jobs, **jobs_end;
	struct os_job *finished, **finished_end;
	struct sim_post post;
};

static struct os_job *pool_take_job(struct os_pool *pool)
{
	struct os_job *job = pool->jobs;

	if (job) {
		pool->jobs = job->next;
		pool->waiting--;
		if (!pool->jobs) {
			pool->jobs_end = &pool->jobs;
		}
	}
	return job;
}

static void pool_work(void *context)
{
	struct os_pool *pool = context;
	struct os_job *job;

	while ((job = pool_take_job(pool))) {
		job->work(job);
		job->next = NULL;
		*pool->finished_end = job;
		pool->finished_end = &job->next;
		sim_loop_post(pool->loop, &pool->post);
	}
}

static struct os_job *pool_take_finished(struct os_pool *pool)
{
	struct os_job *job = pool->finished;

	if (job) {
		pool->finished = job->next;
		if (!pool->finished) {
			pool->finished_end = &pool->finished;
		}
	}
	return job;
}

static void pool_done(struct sim_post *post)
{
	struct os_pool *pool = CONTAINER_OF(post, struct os_pool, post);
	struct os_job *job;

	while ((job = pool_take_finished(pool))) {
		job->done(job);
	}
}

enum error os_pool_new(struct os_loop *loop, const char *name, unsigned threads, unsigned jobs_max,
		       struct os_pool **ret_pool)
{
	struct os_pool *pool = SIM_OWN(struct os_pool);

	pool->loop = loop;
	pool->jobs_max = jobs_max;
	pool->jobs_end = &pool->jobs;
	pool->finished_end = &pool->finished;
	pool->post.fn = pool_done;
	pool->thread_count = threads < POOL_THREADS_MAX ? threads : POOL_THREADS_MAX;
	for (unsigned i = 0; i < pool->thread_count; i++) {
		pool->threads[i] = sim_thread_new(sim_current->process, name, pool_work, pool);
	}
	*ret_pool = pool;
	return OK;
}

enum error os_pool_submit(struct os_pool *pool, struct os_job *job)
{
	uint64_t first = sim_below(pool->thread_count);

	if (pool->waiting >= pool->jobs_max) {
		return ERROR_LIMIT;
	}
	job->next = NULL;
	*pool->jobs_end = job;
	pool->jobs_end = &job->next;
	pool->waiting++;
	for (unsigned i = 0; i < pool->thread_count; i++) {
		struct sim_thread *thread = pool->threads[(first + i) % pool->thread_count];

		if (sim_thread_is_idle(thread)) {
			sim_thread_kick(thread, sim_below(START_US_MAX));
			break;
		}
	}
	return OK;
}

void os_pool_free(struct os_pool *pool)
{
	if (!pool) {
		return;
	}
	while (pool_take_job(pool)) {
	}
	for (unsigned i = 0; i < pool->thread_count; i++) {
		sim_wait_until(thread_is_outside, pool->threads[i], 0);
		sim_thread_free(pool->threads[i]);
	}
	sim_post_cancel(&pool->post);
	pool_done(&pool->post);
	sim_disown(pool);
}
