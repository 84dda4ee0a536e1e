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

enum error child_start_loop(struct child *child, void (*poked)(void *child))
{
	enum error error = os_loop_new(&child->loop);

	if (error == OK) {
		error = os_wake_new(child->loop, poked, child, &child->poke);
	}
	return error;
}

void child_left(void *context)
{
	struct child *child = context;

	child->over = true;
	os_wake_send(child->poke);
}

void child_poked(struct child *child, const struct child_calls *calls)
{
	for (int wire = 0; wire < WIRE_COUNT && !child->over; wire++) {
		int fd = child->pending[wire];

		if (fd >= 0) {
			child->pending[wire] = -1;
			calls->attach(child, wire, fd);
		}
	}
	if (child->release_asked && calls->release && !child->stopping) {
		child->release_asked = false;
		calls->release(child);
	}
	if (child->stop_asked && !child->stopping) {
		child->stopping = true;
		calls->stop(child);
	} else if (child->over && !child->finished) {
		calls->finish(child);
		child->finished = true;
	}
}

void child_poke(struct child *child)
{
	os_wake_send(child->poke);
}
