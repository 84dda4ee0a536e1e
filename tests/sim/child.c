#include "sim/child.h"

#include <stdlib.h>

#include "os/socket.h"

void *child_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory) {
		abort();
	}
	return memory;
}

const struct child_calls *child_calls_of(enum child_kind kind)
{
	static const struct child_calls *const calls[CHILD_COUNT] = {
		[CHILD_RECEIVE] = &child_receive, [CHILD_RECEIVE_2] = &child_receive_2,
		[CHILD_DELIVER] = &child_deliver, [CHILD_FACTS] = &child_facts,
		[CHILD_KEEPER] = &child_keeper,
	};

	return calls[kind];
}

static void attach_pending(struct child *child)
{
	for (int wire = 0; wire < WIRE_COUNT && !child->over; wire++) {
		int fd = child->pending[wire];

		if (fd >= 0) {
			child->pending[wire] = -1;
			child->calls->attach(child, wire, fd);
		}
	}
}

static void on_poke(void *context)
{
	struct child *child = context;
	const struct child_calls *calls = child->calls;

	attach_pending(child);
	if (calls->command && !child->stopping && (child->release_asked || child->flush_asked)) {
		calls->command(child, child->release_asked, child->flush_asked);
		child->release_asked = child->flush_asked = false;
	}
	if (calls->reload && !child->stopping && child->reload_asked) {
		calls->reload(child);
	}
	child->reload_asked = false;
	if (child->stop_asked && !child->stopping) {
		child->stopping = true;
		calls->stop(child);
	} else if (child->over && !child->finished) {
		calls->finish(child);
		child->finished = true;
	}
}

enum error child_start_loop(struct child *child)
{
	enum error error = os_loop_new(&child->loop);

	if (error == OK) {
		error = os_wake_new(child->loop, on_poke, child, &child->poke);
	}
	return error;
}

void child_left(void *context)
{
	struct child *child = context;

	child->over = true;
	os_wake_send(child->poke);
}

void child_poke(struct child *child)
{
	os_wake_send(child->poke);
}

void child_check_bound(struct child *child, const char *what, uint64_t value, uint64_t bound)
{
	if (value > bound) {
		ledger_violation(child->given.ledger, PROMISE_BOUNDS, LEDGER_ALL,
				 "%s has %llu %s, %llu are allowed", child->calls->name,
				 (unsigned long long)value, what, (unsigned long long)bound);
	}
}
