#include "os/loop.h"

#include <stdlib.h>
#include <uv.h>

#include "os/real/wheel.h"

// libuv's handle of a descriptor costs three system calls to make. So handles are kept by
// descriptor number when their watch is freed, and serve the next watch on the same number: the
// system gives the lowest free numbers again and again.
struct os_watch {
	uv_poll_t poll;
	os_watch_fn *fn;
	void *context;
	uint8_t wanted;   // what the caller waits for
	uint8_t armed;    // what libuv waits for: at least that
	bool is_used;     // false: kept for the next watch on this number
	uint32_t changes; // settings so far, to see one made inside the callback
};

struct os_loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_timer_t timer; // set for the wheel's next due time
	uint64_t timer_due_ms;
	struct wheel wheel;
	struct os_hook *hooks;
	struct os_hook *hook_next; // of the walk in progress, so that any hook may be removed
	struct os_watch **watches; // by descriptor
	size_t watches_capacity;
};

struct os_wake {
	uv_async_t async;
	void (*fn)(void *context);
	void *context;
};

struct os_signal {
	uv_signal_t signal;
	void (*fn)(void *context, int number);
	void *context;
};

enum { WATCHES_FIRST = 64 };

static enum error error_from_uv(int status)
{
	return error_from_errno(-status);
}

// Timers

static void timers_due(uv_timer_t *timer)
{
	struct os_loop *loop = timer->data;

	loop->timer_due_ms = WHEEL_NEVER;
	wheel_run(&loop->wheel, uv_now(&loop->uv));
}

static void arm_timer(struct os_loop *loop)
{
	uint64_t due_ms = wheel_next_ms(&loop->wheel);
	uint64_t now_ms = uv_now(&loop->uv);

	if (due_ms == loop->timer_due_ms) {
		return;
	}
	loop->timer_due_ms = due_ms;
	if (due_ms == WHEEL_NEVER) {
		uv_timer_stop(&loop->timer);
	} else {
		uv_timer_start(&loop->timer, timers_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
	}
}

void os_timer_init(struct os_timer *timer, struct os_loop *loop, os_timer_fn *fn, void *context)
{
	*timer = (struct os_timer){ .loop = loop, .fn = fn, .context = context };
	list_init(&timer->link);
}

void os_timer_set(struct os_timer *timer, uint64_t delay_ms)
{
	struct os_loop *loop = timer->loop;

	wheel_remove(&loop->wheel, timer);
	timer->due_ms = uv_now(&loop->uv);
	timer->due_ms += delay_ms < WHEEL_DELAY_MAX_MS ? delay_ms : WHEEL_DELAY_MAX_MS;
	wheel_add(&loop->wheel, timer);
}

void os_timer_stop(struct os_timer *timer)
{
	if (os_timer_is_set(timer)) {
		wheel_remove(&timer->loop->wheel, timer);
	}
}

bool os_timer_is_set(const struct os_timer *timer)
{
	return !list_empty(&timer->link);
}

// The loop

static void before_sleep(uv_prepare_t *prepare)
{
	struct os_loop *loop = prepare->data;
	struct os_hook *hook;

	for (hook = loop->hooks; hook; hook = loop->hook_next) {
		loop->hook_next = hook->next;
		hook->fn(hook->context);
	}
	arm_timer(loop);
}

enum error os_loop_new(struct os_loop **ret_loop)
{
	struct os_loop *loop = calloc(1, sizeof *loop);
	int status;

	if (!loop) {
		return ERROR_NO_MEMORY;
	}
	status = uv_loop_init(&loop->uv);
	if (status < 0) {
		free(loop);
		return error_from_uv(status);
	}
	uv_timer_init(&loop->uv, &loop->timer);
	loop->timer.data = loop;
	loop->timer_due_ms = WHEEL_NEVER;
	wheel_init(&loop->wheel, uv_now(&loop->uv));
	uv_prepare_init(&loop->uv, &loop->prepare);
	loop->prepare.data = loop;
	uv_prepare_start(&loop->prepare, before_sleep);
	*ret_loop = loop;
	return OK;
}

static void watch_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF((uv_poll_t *)handle, struct os_watch, poll));
}

void os_loop_free(struct os_loop *loop)
{
	if (!loop) {
		return;
	}
	for (size_t fd = 0; fd < loop->watches_capacity; fd++) {
		if (loop->watches[fd]) {
			uv_close((uv_handle_t *)&loop->watches[fd]->poll, watch_closed);
		}
	}
	uv_close((uv_handle_t *)&loop->timer, NULL);
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	// Closed handles are given back by a turn; one may be spent on a stop that came after the
	// run.
	for (unsigned turn = 0; turn < 2; turn++) {
		uv_run(&loop->uv, UV_RUN_NOWAIT);
	}
	if (uv_loop_close(&loop->uv) != 0) {
		abort(); // a wake or a signal of this loop was not freed before it
	}
	free(loop->watches);
	free(loop);
}

void os_loop_run(struct os_loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT); // the prepare handle keeps it alive
}

void os_loop_stop(struct os_loop *loop)
{
	uv_stop(&loop->uv);
}

uint64_t os_loop_now_ms(const struct os_loop *loop)
{
	return uv_now(&loop->uv);
}

void os_hook_add_before_sleep(struct os_loop *loop, struct os_hook *hook)
{
	hook->next = loop->hooks;
	loop->hooks = hook;
}

void os_hook_remove(struct os_loop *loop, struct os_hook *hook)
{
	for (struct os_hook **place = &loop->hooks; *place; place = &(*place)->next) {
		if (*place == hook) {
			*place = hook->next;
			break;
		}
	}
	if (loop->hook_next == hook) {
		loop->hook_next = hook->next;
	}
}

// Descriptors

static void watch_ready(uv_poll_t *poll, int status, int uv_events);

static enum error arm(struct os_watch *watch, int events)
{
	int uv_events =
		(events & OS_READABLE ? UV_READABLE : 0) | (events & OS_WRITABLE ? UV_WRITABLE : 0);
	int status = events ? uv_poll_start(&watch->poll, uv_events, watch_ready)
			    : uv_poll_stop(&watch->poll);

	watch->armed = status < 0 ? 0 : (uint8_t)events;
	return error_from_uv(status);
}

// libuv stops a handle whose descriptor is in error, which here is for the reader to find out.
static void watch_ready(uv_poll_t *poll, int status, int uv_events)
{
	struct os_watch *watch = CONTAINER_OF(poll, struct os_watch, poll);
	int events = (uv_events & UV_READABLE ? OS_READABLE : 0) |
		     (uv_events & UV_WRITABLE ? OS_WRITABLE : 0);
	uint32_t changes = watch->changes;

	if (status < 0) {
		watch->armed = 0;
		events = watch->wanted;
	}
	if (events & watch->wanted) {
		watch->fn(watch->context, events & watch->wanted);
	}
	if (watch->changes == changes && watch->armed != watch->wanted &&
	    arm(watch, watch->wanted) != OK) {
		abort(); // it was armed before: nothing is left to fail but a closed descriptor
	}
}

static enum error make_room(struct os_loop *loop, size_t fd)
{
	size_t capacity = loop->watches_capacity ? loop->watches_capacity : WATCHES_FIRST;
	struct os_watch **watches;

	if (fd < loop->watches_capacity) {
		return OK;
	}
	while (capacity <= fd) {
		capacity *= 2;
	}
	watches = reallocarray(loop->watches, capacity, sizeof *watches);
	if (!watches) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = loop->watches_capacity; i < capacity; i++) {
		watches[i] = NULL;
	}
	loop->watches = watches;
	loop->watches_capacity = capacity;
	return OK;
}

static enum error add_watch(struct os_loop *loop, int fd)
{
	struct os_watch *watch = calloc(1, sizeof *watch);
	int status;

	if (!watch) {
		return ERROR_NO_MEMORY;
	}
	status = uv_poll_init(&loop->uv, &watch->poll, fd);
	if (status < 0) {
		free(watch);
		return status == UV_EEXIST ? ERROR_EXISTS : error_from_uv(status);
	}
	loop->watches[fd] = watch;
	return OK;
}

enum error os_watch_new(struct os_loop *loop, int fd, os_watch_fn *fn, void *context,
			struct os_watch **ret_watch)
{
	struct os_watch *watch;
	enum error error;

	if (fd < 0) {
		return ERROR_INVALID;
	}
	error = make_room(loop, (size_t)fd);
	if (error == OK && !loop->watches[fd]) {
		error = add_watch(loop, fd);
	}
	if (error != OK) {
		return error;
	}
	watch = loop->watches[fd];
	if (watch->is_used) {
		return ERROR_EXISTS;
	}
	watch->is_used = true;
	watch->fn = fn;
	watch->context = context;
	*ret_watch = watch;
	return OK;
}

// Taking reading away is left for when something arrives: in a dialogue, seldom anything does.
enum error os_watch_set(struct os_watch *watch, int events)
{
	int excess = watch->armed & ~events;

	watch->changes++;
	watch->wanted = (uint8_t)events;
	if ((events & ~watch->armed) == 0 && !(excess & OS_WRITABLE)) {
		return OK;
	}
	return arm(watch, events);
}

void os_watch_free(struct os_watch *watch)
{
	if (!watch) {
		return;
	}
	uv_poll_stop(&watch->poll);
	watch->changes++;
	watch->wanted = watch->armed = 0;
	watch->is_used = false;
}

// Wakes and signals

static void wake_called(uv_async_t *async)
{
	struct os_wake *wake = CONTAINER_OF(async, struct os_wake, async);

	wake->fn(wake->context);
}

enum error os_wake_new(struct os_loop *loop, void (*fn)(void *context), void *context,
		       struct os_wake **ret_wake)
{
	struct os_wake *wake = calloc(1, sizeof *wake);
	int status;

	if (!wake) {
		return ERROR_NO_MEMORY;
	}
	wake->fn = fn;
	wake->context = context;
	status = uv_async_init(&loop->uv, &wake->async, wake_called);
	if (status < 0) {
		free(wake);
		return error_from_uv(status);
	}
	*ret_wake = wake;
	return OK;
}

void os_wake_send(struct os_wake *wake)
{
	uv_async_send(&wake->async);
}

static void wake_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF((uv_async_t *)handle, struct os_wake, async));
}

void os_wake_free(struct os_wake *wake)
{
	if (wake) {
		uv_close((uv_handle_t *)&wake->async, wake_closed);
	}
}

static void signal_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF((uv_signal_t *)handle, struct os_signal, signal));
}

void os_signal_free(struct os_signal *signal)
{
	if (signal) {
		uv_close((uv_handle_t *)&signal->signal, signal_closed);
	}
}

static void signal_came(uv_signal_t *handle, int number)
{
	struct os_signal *signal = CONTAINER_OF(handle, struct os_signal, signal);

	signal->fn(signal->context, number);
}

enum error os_signal_new(struct os_loop *loop, int number, void (*fn)(void *context, int number),
			 void *context, struct os_signal **ret_signal)
{
	struct os_signal *signal = calloc(1, sizeof *signal);
	int status;

	if (!signal) {
		return ERROR_NO_MEMORY;
	}
	signal->fn = fn;
	signal->context = context;
	status = uv_signal_init(&loop->uv, &signal->signal);
	if (status < 0) {
		free(signal);
		return error_from_uv(status);
	}
	status = uv_signal_start(&signal->signal, signal_came, number);
	if (status < 0) {
		os_signal_free(signal);
		return error_from_uv(status);
	}
	*ret_signal = signal;
	return OK;
}
