// What both builds of os promise: loops, timers, hooks, wake-ups, workers and pools.
#include "os/contract.h"

#include <string.h>

#include "base/check.h"
#include "os/clock.h"
#include "os/worker.h"

static void timers_fire_in_order_of_due_time(void **state)
{
	static const struct {
		char letter;
		uint64_t delay_ms;
	} cases[] = { { 'd', 30 }, { 'a', 0 }, { 'c', 15 }, { 'b', 5 }, { 'z', 45 }, { 'e', 30 } };
	struct contract *contract = *state;
	struct contract_timer timers[COUNT_OF(cases)];
	uint64_t start_ms = os_loop_now_ms(contract->loop);

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		contract_timer_set(&timers[i], contract, cases[i].letter, cases[i].delay_ms);
	}
	os_loop_run(contract->loop);
	assert_string_equal(contract->order, "abcdez");
	assert_true(os_clock_mono_ms() >= start_ms + 44);
	assert_true(os_loop_now_ms(contract->loop) <= os_clock_mono_ms());
}

static void stopped_timer_does_not_fire_and_one_set_again_fires_once(void **state)
{
	struct contract *contract = *state;
	struct contract_timer stopped, again, last;

	contract_timer_set(&stopped, contract, 's', 5);
	contract_timer_set(&again, contract, 'a', 5);
	contract_timer_set(&last, contract, 'z', 40);
	os_timer_stop(&stopped.timer);
	os_timer_set(&again.timer, 20);
	assert_false(os_timer_is_set(&stopped.timer));
	assert_true(os_timer_is_set(&again.timer));
	os_loop_run(contract->loop);
	assert_string_equal(contract->order, "az");
	assert_false(os_timer_is_set(&again.timer));
}

static struct contract_timer *victim;

static void stop_victim(void *context)
{
	contract_happened(context, 'k');
	os_timer_stop(&victim->timer);
}

static void timer_stopped_by_one_due_at_the_same_time_does_not_fire(void **state)
{
	struct contract *contract = *state;
	struct contract_timer other, last;
	struct os_timer killer;

	os_timer_init(&killer, contract->loop, stop_victim, contract);
	os_timer_set(&killer, 5);
	contract_timer_set(&other, contract, 'v', 5);
	contract_timer_set(&last, contract, 'z', 20);
	victim = &other;
	os_loop_run(contract->loop);
	assert_string_equal(contract->order, "kz");
}

static void hook_run(void *context)
{
	contract_happened(context, 'h');
}

static void hook_runs_after_the_callbacks_of_a_turn(void **state)
{
	struct contract *contract = *state;
	struct os_hook hook = { .fn = hook_run, .context = contract };
	struct contract_timer first, last;
	const char *a;

	os_hook_add_before_sleep(contract->loop, &hook);
	contract_timer_set(&first, contract, 'a', 5);
	contract_timer_set(&last, contract, 'z', 20);
	os_loop_run(contract->loop);
	os_hook_remove(contract->loop, &hook);
	a = strchr(contract->order, 'a');
	assert_non_null(a);
	assert_int_equal(a[1], 'h');
}

static void wake_run(void *context)
{
	struct contract *contract = context;

	contract_happened(contract, 'w');
	os_loop_stop(contract->loop);
}

static void several_wakes_before_the_loop_runs_call_once(void **state)
{
	struct contract *contract = *state;
	struct os_wake *wake;

	assert_int_equal(os_wake_new(contract->loop, wake_run, contract, &wake), OK);
	os_wake_send(wake);
	os_wake_send(wake);
	os_loop_run(contract->loop);
	os_wake_free(wake);
	assert_string_equal(contract->order, "w");
}

struct work {
	struct contract *contract;
	struct os_wake *wake;
	struct os_worker *worker;
	int runs;
};

static void work_run(void *context)
{
	struct work *work = context;

	work->runs++;
	os_wake_send(work->wake);
}

static void wake_from_a_worker_arrives(void **state)
{
	struct work work = { .contract = *state };

	assert_int_equal(os_wake_new(work.contract->loop, wake_run, work.contract, &work.wake), OK);
	assert_int_equal(
		os_worker_new(work.contract->loop, "worker", work_run, &work, &work.worker), OK);
	os_worker_kick(work.worker);
	os_loop_run(work.contract->loop);
	os_worker_free(work.worker);
	os_wake_free(work.wake);
	assert_true(work.runs >= 1);
}

struct counted_job {
	struct os_job job;
	struct contract *contract;
	bool worked;
	int *left;
};

static void job_work(struct os_job *job)
{
	CONTAINER_OF(job, struct counted_job, job)->worked = true;
}

static void job_done(struct os_job *job)
{
	struct counted_job *counted = CONTAINER_OF(job, struct counted_job, job);

	assert_true(counted->worked);
	if (!--*counted->left) {
		os_loop_stop(counted->contract->loop);
	}
}

static void every_job_of_a_pool_is_worked_on_then_done(void **state)
{
	struct counted_job jobs[9];
	struct os_pool *pool;
	int left = COUNT_OF(jobs);
	struct contract *contract = *state;

	assert_int_equal(os_pool_new(contract->loop, "pool", 3, COUNT_OF(jobs), &pool), OK);
	for (size_t i = 0; i < COUNT_OF(jobs); i++) {
		jobs[i] = (struct counted_job){ .job = { .work = job_work, .done = job_done },
						.contract = contract,
						.left = &left };
		assert_int_equal(os_pool_submit(pool, &jobs[i].job), OK);
	}
	os_loop_run(contract->loop);
	os_pool_free(pool);
	assert_int_equal(left, 0);
}

// A thread with a loop: what is called into it runs there, while its own timers go on.
struct guest {
	struct contract *contract;
	struct os_thread *thread;
	struct os_timer timer;
	struct os_wake *wake;
	char letter;
};

static void guest_timer(void *context)
{
	struct guest *guest = context;

	os_wake_send(guest->wake);
}

static void guest_moves_in(void *context)
{
	struct guest *guest = context;

	contract_happened(guest->contract, guest->letter);
	os_timer_init(&guest->timer, os_thread_loop(guest->thread), guest_timer, guest);
	os_timer_set(&guest->timer, 5);
}

static void guest_moves_out(void *context)
{
	struct guest *guest = context;

	os_timer_stop(&guest->timer);
	contract_happened(guest->contract, guest->letter);
}

static void a_thread_runs_its_loop_and_what_is_called_into_it(void **state)
{
	struct guest guest = { .contract = *state, .letter = 'i' };

	assert_int_equal(os_wake_new(guest.contract->loop, wake_run, guest.contract, &guest.wake),
			 OK);
	assert_int_equal(os_thread_new("guest", &guest.thread), OK);
	os_thread_call(guest.thread, guest_moves_in, &guest);
	os_loop_run(guest.contract->loop); // until its timer wakes us
	guest.letter = 'o';
	os_thread_call(guest.thread, guest_moves_out, &guest);
	os_thread_free(guest.thread);
	os_wake_free(guest.wake);
	assert_string_equal(guest.contract->order, "iwo");
}

static void answer(void *context)
{
	struct guest *guest = context;

	os_wake_send(guest->wake);
	guest->letter = 'a';
}

static void calls_into_several_threads_may_overlap(void **state)
{
	struct guest guests[3];

	for (size_t i = 0; i < COUNT_OF(guests); i++) {
		guests[i] = (struct guest){ .contract = *state };
		assert_int_equal(
			os_wake_new(guests[i].contract->loop, wake_run, *state, &guests[i].wake),
			OK);
		assert_int_equal(os_thread_new("guest", &guests[i].thread), OK);
		os_thread_begin(guests[i].thread, answer, &guests[i]);
	}
	for (size_t i = 0; i < COUNT_OF(guests); i++) {
		os_thread_end(guests[i].thread);
		assert_int_equal(guests[i].letter, 'a');
	}
	os_loop_run(guests[0].contract->loop);
	for (size_t i = 0; i < COUNT_OF(guests); i++) {
		os_thread_free(guests[i].thread);
		os_wake_free(guests[i].wake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(timers_fire_in_order_of_due_time),
		CONTRACT_TEST(stopped_timer_does_not_fire_and_one_set_again_fires_once),
		CONTRACT_TEST(timer_stopped_by_one_due_at_the_same_time_does_not_fire),
		CONTRACT_TEST(hook_runs_after_the_callbacks_of_a_turn),
		CONTRACT_TEST(several_wakes_before_the_loop_runs_call_once),
		CONTRACT_TEST(wake_from_a_worker_arrives),
		CONTRACT_TEST(every_job_of_a_pool_is_worked_on_then_done),
		CONTRACT_TEST(a_thread_runs_its_loop_and_what_is_called_into_it),
		CONTRACT_TEST(calls_into_several_threads_may_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
