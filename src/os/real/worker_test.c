#include "base/check.h"
#include "os/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

struct gate {
	sem_t entered, leave;
	atomic_uint runs;
};

static void pass_gate(void *context)
{
	struct gate *gate = context;

	atomic_fetch_add(&gate->runs, 1);
	sem_post(&gate->entered);
	sem_wait(&gate->leave);
}

static void kicks_while_running_make_one_more_run(void **state)
{
	struct gate gate = { 0 };
	struct os_worker *worker;
	struct os_loop *loop;

	(void)state;
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.leave, 0, 0);
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(os_worker_new(loop, "committer", pass_gate, &gate, &worker), OK);
	os_worker_kick(worker);
	sem_wait(&gate.entered);
	os_worker_kick(worker);
	os_worker_kick(worker);
	sem_post(&gate.leave);
	sem_wait(&gate.entered);
	sem_post(&gate.leave);
	usleep(20000);
	assert_int_equal(atomic_load(&gate.runs), 2);
	os_worker_kick(worker); // asleep again: one more
	sem_wait(&gate.entered);
	sem_post(&gate.leave);
	os_worker_free(worker);
	assert_int_equal(atomic_load(&gate.runs), 3);
	os_loop_free(loop);
}

static void no_kick_is_lost(void **state)
{
	struct gate gate = { 0 };
	struct os_worker *worker;
	struct os_loop *loop;

	(void)state;
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.leave, 0, 1 << 20);
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(os_worker_new(loop, "committer", pass_gate, &gate, &worker), OK);
	for (unsigned i = 0; i < 10000; i++) {
		os_worker_kick(worker);
		sem_wait(&gate.entered); // every kick that waits for its run gets one
	}
	os_worker_free(worker);
	os_loop_free(loop);
}

struct task {
	struct os_job job;
	struct os_loop *loop;
	pthread_t worked_on;
	unsigned *done_count;
	sem_t *leave;
};

static void work(struct os_job *job)
{
	struct task *task = (struct task *)job;

	task->worked_on = pthread_self();
	if (task->leave) {
		sem_wait(task->leave);
	}
}

static void done(struct os_job *job)
{
	struct task *task = (struct task *)job;

	assert_false(pthread_equal(task->worked_on, pthread_self()));
	if (++*task->done_count == 50) {
		os_loop_stop(task->loop);
	}
}

static void jobs_work_on_threads_and_are_done_on_the_loop(void **state)
{
	unsigned done_count = 0;
	struct task tasks[50];
	struct os_pool *pool;
	struct os_loop *loop;

	(void)state;
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(os_pool_new(loop, "hash", 3, 50, &pool), OK);
	for (unsigned i = 0; i < COUNT_OF(tasks); i++) {
		tasks[i] = (struct task){ .job = { .work = work, .done = done },
					  .loop = loop,
					  .done_count = &done_count };
		assert_int_equal(os_pool_submit(pool, &tasks[i].job), OK);
	}
	os_loop_run(loop);
	assert_int_equal(done_count, 50);
	os_pool_free(pool);
	os_loop_free(loop);
}

static void waiting_jobs_are_bounded_and_dropped_at_the_end(void **state)
{
	unsigned done_count = 0, accepted = 0;
	struct task tasks[8];
	struct os_pool *pool;
	struct os_loop *loop;
	sem_t leave;

	(void)state;
	sem_init(&leave, 0, 0);
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(os_pool_new(loop, "hash", 1, 2, &pool), OK);
	for (unsigned i = 0; i < COUNT_OF(tasks); i++) {
		tasks[i] = (struct task){ .job = { .work = work, .done = done },
					  .loop = loop,
					  .done_count = &done_count,
					  .leave = &leave };
		accepted += os_pool_submit(pool, &tasks[i].job) == OK;
	}
	assert_in_range(accepted, 2, 3); // one may be in work by then
	for (unsigned i = 0; i < accepted; i++) {
		sem_post(&leave);
	}
	os_pool_free(pool);
	assert_in_range(done_count, 0, accepted);
	os_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kicks_while_running_make_one_more_run),
		cmocka_unit_test(no_kick_is_lost),
		cmocka_unit_test(jobs_work_on_threads_and_are_done_on_the_loop),
		cmocka_unit_test(waiting_jobs_are_bounded_and_dropped_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
