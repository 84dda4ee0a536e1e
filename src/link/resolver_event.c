#include "link/resolver_event.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>

struct event_base {
	struct ub_event_base base; // first, so that either is the other
	struct ub_event_base_vmt calls;
	struct ub_event_vmt event_calls;
	struct os_loop *loop;
};

typedef void event_fn(int fd, short bits, void *context);

// It waits for its descriptor while it has a watch, for its time while its timer is set.
struct event {
	struct ub_event event; // first
	struct event_base *base;
	int fd;
	short bits;
	event_fn *fn;
	void *context;
	struct os_watch *watch;
	struct os_timer timer;
	uint64_t timeout_ms;
};

static struct event *event_of(struct ub_event *event)
{
	return (struct event *)event;
}

static void event_stop(struct event *event)
{
	os_watch_free(event->watch);
	event->watch = NULL;
	os_timer_stop(&event->timer);
}

// The call may free the event, so it comes last.
static void event_fire(struct event *event, short bits)
{
	if (!(event->bits & UB_EV_PERSIST)) {
		event_stop(event);
	} else if (os_timer_is_set(&event->timer) || (bits & UB_EV_TIMEOUT)) {
		os_timer_set(&event->timer, event->timeout_ms);
	}
	event->fn(event->fd, bits, event->context);
}

static void on_ready(void *context, int events)
{
	short bits = 0;

	bits |= events & OS_READABLE ? UB_EV_READ : 0;
	bits |= events & OS_WRITABLE ? UB_EV_WRITE : 0;
	event_fire(context, bits);
}

static void on_time(void *context)
{
	event_fire(context, UB_EV_TIMEOUT);
}

static void add_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits |= bits;
}

static void delete_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *event, int fd)
{
	event_of(event)->fd = fd;
}

static void event_free(struct ub_event *event)
{
	event_stop(event_of(event));
	free(event);
}

static uint64_t timeval_ms(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000 + (uint64_t)(time->tv_usec + 999) / 1000;
}

static int event_add(struct ub_event *ub_event, struct timeval *timeout)
{
	struct event *event = event_of(ub_event);
	int wanted = 0;

	event_stop(event);
	wanted |= event->bits & UB_EV_READ ? OS_READABLE : 0;
	wanted |= event->bits & UB_EV_WRITE ? OS_WRITABLE : 0;
	if (event->fd >= 0 && wanted) {
		if (os_watch_new(event->base->loop, event->fd, on_ready, event, &event->watch) !=
		    OK) {
			return -1;
		}
		if (os_watch_set(event->watch, wanted) != OK) {
			event_stop(event);
			return -1;
		}
	}
	if (timeout && (event->bits & UB_EV_TIMEOUT)) {
		event->timeout_ms = timeval_ms(timeout);
		os_timer_set(&event->timer, event->timeout_ms);
	}
	return 0;
}

static int event_delete(struct ub_event *event)
{
	event_stop(event_of(event));
	return 0;
}

static int timer_add(struct ub_event *ub_event, struct ub_event_base *base, event_fn *fn,
		     void *context, struct timeval *timeout)
{
	struct event *event = event_of(ub_event);

	(void)base;
	event->fn = fn;
	event->context = context;
	event->bits = UB_EV_TIMEOUT;
	return event_add(ub_event, timeout);
}

// Never called by libunbound.
static int signal_add(struct ub_event *event, struct timeval *timeout)
{
	(void)event;
	(void)timeout;
	return -1;
}

static struct ub_event *event_new(struct ub_event_base *ub_base, int fd, short bits, event_fn *fn,
				  void *context)
{
	struct event_base *base = (struct event_base *)ub_base;
	struct event *event = calloc(1, sizeof *event);

	if (!event) {
		return NULL;
	}
	event->event = (struct ub_event){ UB_EVENT_MAGIC, &base->event_calls };
	event->base = base;
	event->fd = fd;
	event->bits = bits;
	event->fn = fn;
	event->context = context;
	os_timer_init(&event->timer, base->loop, on_time, event);
	return &event->event;
}

static const struct ub_event_vmt EVENT_CALLS = {
	.add_bits = add_bits,
	.del_bits = delete_bits,
	.set_fd = set_fd,
	.free = event_free,
	.add = event_add,
	.del = event_delete,
	.add_timer = timer_add,
	.del_timer = event_delete,
	.add_signal = signal_add,
	.del_signal = event_delete,
};

struct ub_event_base *resolver_event_base_new(struct os_loop *loop)
{
	struct event_base *base = calloc(1, sizeof *base);

	if (!base) {
		return NULL;
	}
	base->loop = loop;
	base->calls.new_event = event_new;
	base->event_calls = EVENT_CALLS;
	base->base = (struct ub_event_base){ UB_EVENT_MAGIC, &base->calls };
	return &base->base;
}

void resolver_event_base_free(struct ub_event_base *base)
{
	free(base);
}
