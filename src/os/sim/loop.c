#include "os/loop.h"

#include "os/clock.h"
#include "os/sim/private.h"

enum { TURN_DELAY_US_MAX = 60 };

struct os_loop {
	struct list link; // of its process
	struct sim_process *process;
	struct sim_thread *thread; // its body is one turn
	struct list timers;        // by due time
	struct sim_event timer_event;
	struct list watches, posts;
	struct os_hook *hooks;
	uint64_t now_ms;
	bool is_stopped;
};

struct os_watch {
	struct list loop_link, object_link, ready_link;
	struct os_loop *loop;
	struct sim_object *object;
	os_watch_fn *fn;
	void *context;
	int events;
};

// ---- timers ---------------------------------------------------------------------------------

static struct os_timer *timer_of(struct list *link)
{
	return CONTAINER_OF(link, struct os_timer, link);
}

static void loop_arm(struct os_loop *loop)
{
	uint64_t now_us = sim_current->now_us, due_us;

	if (list_empty(&loop->timers)) {
		sim_event_cancel(&loop->timer_event);
	} else {
		due_us = timer_of(loop->timers.next)->due_ms * 1000;
		sim_event_set(&loop->timer_event, due_us > now_us ? due_us - now_us : 0);
	}
}

static void timers_due(struct sim_event *event)
{
	struct os_loop *loop = CONTAINER_OF(event, struct os_loop, timer_event);

	sim_thread_kick(loop->thread, 0);
}

void os_timer_init(struct os_timer *timer, struct os_loop *loop, os_timer_fn *fn, void *context)
{
	*timer = (struct os_timer){ .loop = loop, .fn = fn, .context = context };
	list_init(&timer->link);
}

void os_timer_set(struct os_timer *timer, uint64_t delay_ms)
{
	struct list *timers = &timer->loop->timers, *place = timers;

	os_timer_stop(timer);
	timer->due_ms = os_clock_mono_ms() + delay_ms;
	while (place->previous != timers && timer_of(place->previous)->due_ms > timer->due_ms) {
		place = place->previous;
	}
	list_add_last(place, &timer->link);
	if (timers->next == &timer->link) {
		loop_arm(timer->loop);
	}
}

void os_timer_stop(struct os_timer *timer)
{
	bool was_first;

	if (os_timer_is_set(timer)) {
		was_first = timer->loop->timers.next == &timer->link;
		list_remove(&timer->link);
		if (was_first) {
			loop_arm(timer->loop);
		}
	}
}

bool os_timer_is_set(const struct os_timer *timer)
{
	return !list_empty(&timer->link);
}

static void run_timers(struct os_loop *loop)
{
	struct list due, *link;

	list_init(&due);
	while (!list_empty(&loop->timers) && timer_of(loop->timers.next)->due_ms <= loop->now_ms) {
		list_add_last(&due, list_take_first(&loop->timers));
	}
	while ((link = list_take_first(&due))) {
		timer_of(link)->fn(timer_of(link)->context);
	}
}

// ---- watches --------------------------------------------------------------------------------

static int watch_ready(const struct os_watch *watch)
{
	return watch->events ? watch->object->events(watch->object) & watch->events : 0;
}

void sim_watch_look(struct list *object_link)
{
	struct os_watch *watch = CONTAINER_OF(object_link, struct os_watch, object_link);

	if (watch_ready(watch)) {
		sim_thread_kick(watch->loop->thread, sim_below(TURN_DELAY_US_MAX));
	}
}

enum error os_watch_new(struct os_loop *loop, int fd, os_watch_fn *fn, void *context,
			struct os_watch **ret_watch)
{
	struct sim_object *object = sim_fd_any(fd);
	struct os_watch *watch;

	for (struct list *link = loop->watches.next; link != &loop->watches; link = link->next) {
		if (CONTAINER_OF(link, struct os_watch, loop_link)->object == object) {
			return ERROR_EXISTS;
		}
	}
	watch = SIM_OWN(struct os_watch);
	watch->loop = loop;
	watch->object = sim_object_keep(object);
	watch->fn = fn;
	watch->context = context;
	list_add_last(&loop->watches, &watch->loop_link);
	list_add_last(&watch->object->watches, &watch->object_link);
	*ret_watch = watch;
	return OK;
}

enum error os_watch_set(struct os_watch *watch, int events)
{
	watch->events = events;
	sim_watch_look(&watch->object_link);
	return OK;
}

void os_watch_free(struct os_watch *watch)
{
	if (watch) {
		list_remove(&watch->loop_link);
		list_remove(&watch->object_link);
		list_remove(&watch->ready_link);
		sim_object_drop(watch->object);
		sim_disown(watch);
	}
}

// Takes one of the list by chance.
static struct os_watch *take_any(struct list *ready, size_t count)
{
	struct list *link = ready->next;

	for (uint64_t skip = sim_below(count); skip && link->next != ready; skip--) {
		link = link->next;
	}
	list_remove(link);
	return CONTAINER_OF(link, struct os_watch, ready_link);
}

static void run_watches(struct os_loop *loop)
{
	struct list ready;
	size_t count = 0;

	list_init(&ready);
	for (struct list *link = loop->watches.next; link != &loop->watches; link = link->next) {
		struct os_watch *watch = CONTAINER_OF(link, struct os_watch, loop_link);

		if (watch_ready(watch)) {
			list_add_last(&ready, &watch->ready_link);
			count++;
		}
	}
	while (!list_empty(&ready)) {
		struct os_watch *watch = take_any(&ready, count--);
		int events = watch_ready(watch);

		if (events) {
			watch->fn(watch->context, events);
		}
	}
}

static bool any_watch_ready(const struct os_loop *loop)
{
	for (const struct list *link = loop->watches.next; link != &loop->watches;
	     link = link->next) {
		if (watch_ready(CONTAINER_OF(link, struct os_watch, loop_link))) {
			return true;
		}
	}
	return false;
}

// ---- posted calls ---------------------------------------------------------------------------

void sim_loop_post(struct os_loop *loop, struct sim_post *post)
{
	if (list_empty(&post->link)) {
		list_add_last(&loop->posts, &post->link);
		sim_thread_kick(loop->thread, sim_below(TURN_DELAY_US_MAX));
	}
}

void sim_post_cancel(struct sim_post *post)
{
	list_remove(&post->link);
}

static void run_posts(struct os_loop *loop)
{
	struct list now, *link;

	list_init(&now);
	while ((link = list_take_first(&loop->posts))) {
		list_add_last(&now, link);
	}
	while ((link = list_take_first(&now))) {
		struct sim_post *post = CONTAINER_OF(link, struct sim_post, link);

		post->fn(post);
	}
}

struct os_wake {
	struct sim_post post;
	struct os_loop *loop;
	void (*fn)(void *context);
	void *context;
};

static void wake_run(struct sim_post *post)
{
	struct os_wake *wake = CONTAINER_OF(post, struct os_wake, post);

	wake->fn(wake->context);
}

enum error os_wake_new(struct os_loop *loop, void (*fn)(void *context), void *context,
		       struct os_wake **ret_wake)
{
	struct os_wake *wake = SIM_OWN(struct os_wake);

	*wake = (struct os_wake){ .post.fn = wake_run, .loop = loop, .fn = fn, .context = context };
	*ret_wake = wake;
	return OK;
}

void os_wake_send(struct os_wake *wake)
{
	sim_loop_post(wake->loop, &wake->post);
}

void os_wake_free(struct os_wake *wake)
{
	if (wake) {
		sim_post_cancel(&wake->post);
		sim_disown(wake);
	}
}

// ---- hooks and signals ----------------------------------------------------------------------

void os_hook_add_before_sleep(struct os_loop *loop, struct os_hook *hook)
{
	struct os_hook **end = &loop->hooks;

	while (*end) {
		end = &(*end)->next;
	}
	hook->next = NULL;
	*end = hook;
}

void os_hook_remove(struct os_loop *loop, struct os_hook *hook)
{
	for (struct os_hook **place = &loop->hooks; *place; place = &(*place)->next) {
		if (*place == hook) {
			*place = hook->next;
			return;
		}
	}
}

static bool hook_is_there(const struct os_loop *loop, const struct os_hook *hook)
{
	const struct os_hook *each = loop->hooks;

	while (each && each != hook) {
		each = each->next;
	}
	return each != NULL;
}

static void run_hooks(struct os_loop *loop)
{
	struct os_hook *hooks[16], *hook = loop->hooks;
	unsigned count = 0;

	for (; hook; hook = hook->next) {
		if (count == sizeof hooks / sizeof *hooks) {
			sim_bug("too many hooks");
		}
		hooks[count++] = hook;
	}
	for (unsigned i = 0; i < count; i++) {
		if (hook_is_there(loop, hooks[i])) { // an earlier one may have removed it
			hooks[i]->fn(hooks[i]->context);
		}
	}
}

struct os_signal {
	int number;
};

enum error os_signal_new(struct os_loop *loop, int number, void (*fn)(void *context, int number),
			 void *context, struct os_signal **ret_signal)
{
	struct os_signal *sig = SIM_OWN(struct os_signal);

	(void)loop;
	(void)fn;
	(void)context;
	sig->number = number;
	*ret_signal = sig;
	return OK;
}

void os_signal_free(struct os_signal *signal)
{
	sim_disown(signal);
}

// ---- the loop -------------------------------------------------------------------------------

static void loop_turn(void *context)
{
	struct os_loop *loop = context;

	if (loop->is_stopped) {
		return;
	}
	loop->now_ms = os_clock_mono_ms();
	run_timers(loop);
	run_posts(loop);
	run_watches(loop);
	run_hooks(loop);
	loop_arm(loop);
	if (!list_empty(&loop->posts) || any_watch_ready(loop)) {
		sim_thread_kick(loop->thread, 0);
	}
}

enum error os_loop_new(struct os_loop **ret_loop)
{
	struct os_loop *loop = SIM_OWN(struct os_loop);

	loop->process = sim_current->process;
	loop->thread = sim_thread_new(loop->process, loop->process->name, loop_turn, loop);
	loop->timer_event =
		(struct sim_event){ .fn = timers_due, .process = loop->process, .is_idle = true };
	loop->now_ms = os_clock_mono_ms();
	list_init(&loop->timers);
	list_init(&loop->watches);
	list_init(&loop->posts);
	list_add_last(&loop->process->loops, &loop->link);
	*ret_loop = loop;
	return OK;
}

void os_loop_free(struct os_loop *loop)
{
	if (loop) {
		if (!list_empty(&loop->watches)) {
			sim_bug("a loop is freed before its watches");
		}
		sim_event_cancel(&loop->timer_event);
		sim_thread_free(loop->thread);
		list_remove(&loop->link);
		sim_disown(loop);
	}
}

bool sim_loop_turns(const struct os_loop *loop)
{
	return sim_thread_is_inside(loop->thread);
}

static bool loop_is_stopped(void *context)
{
	const struct os_loop *loop = context;

	return loop->is_stopped;
}

void os_loop_run(struct os_loop *loop)
{
	loop->is_stopped = false;
	sim_thread_kick(loop->thread, 0);
	sim_wait_until(loop_is_stopped, loop, 0);
}

void os_loop_stop(struct os_loop *loop)
{
	loop->is_stopped = true;
}

uint64_t os_loop_now_ms(const struct os_loop *loop)
{
	return loop->now_ms;
}

void sim_loops_abandon(struct sim_process *process)
{
	struct list *link;

	while ((link = list_take_first(&process->loops))) {
		struct os_loop *loop = CONTAINER_OF(link, struct os_loop, link);

		sim_event_cancel(&loop->timer_event);
		while ((link = list_take_first(&loop->watches))) {
			struct os_watch *watch = CONTAINER_OF(link, struct os_watch, loop_link);

			list_remove(&watch->object_link);
			sim_object_drop(watch->object);
		}
	}
}
