#include <stdlib.h>

#include "os/sim/private.h"

void sim_object_init(struct sim_object *object, enum sim_object_kind kind)
{
	object->kind = kind;
	list_init(&object->watches);
}

void *sim_object_keep(struct sim_object *object)
{
	object->references++;
	return object;
}

void sim_object_drop(struct sim_object *object)
{
	if (--object->references == 0) {
		object->free(object);
	}
}

void sim_object_hold(struct sim_object *object)
{
	sim_object_keep(object);
	object->descriptors++;
}

void sim_object_release(struct sim_object *object, bool by_crash)
{
	if (--object->descriptors == 0 && object->close) {
		object->close(object, by_crash);
	}
	sim_object_drop(object);
}

void sim_object_changed(struct sim_object *object)
{
	for (struct list *link = object->watches.next; link != &object->watches;
	     link = link->next) {
		sim_watch_look(link);
	}
}

static struct sim_fd *fd_find_free(struct sim *sim)
{
	for (int tries = 0; tries < SIM_FDS_MAX; tries++) {
		struct sim_fd *fd = &sim->fds[sim->fd_next++ % SIM_FDS_MAX];

		if (!fd->object) {
			return fd;
		}
	}
	return NULL;
}

enum error sim_fd_new(struct sim_object *object, int *ret_fd)
{
	struct sim *sim = sim_current;
	struct sim_fd *fd = sim_strikes(&sim->faults.open_limit) ? NULL : fd_find_free(sim);

	if (!fd) {
		sim_trace("descriptors run out");
		if (!object->references) {
			object->free(object);
		}
		return ERROR_LIMIT;
	}
	*fd = (struct sim_fd){ object, sim->process };
	sim_object_hold(object);
	*ret_fd = SIM_FD_FIRST + (int)(fd - sim->fds);
	return OK;
}

int sim_process_give(struct sim_process *process, int number)
{
	struct sim_object *object = sim_fd_any(number);
	struct sim_process *own = sim_current->process;
	int given = -1;

	sim_current->process = process;
	if (sim_fd_new(object, &given)) {
		sim_bug("no descriptor left to give");
	}
	sim_current->process = own;
	return given;
}

static struct sim_fd *fd_get(int number)
{
	struct sim_fd *fd;

	if (number < SIM_FD_FIRST || number >= SIM_FD_FIRST + SIM_FDS_MAX) {
		sim_bug("not a descriptor of the simulation");
	}
	fd = &sim_current->fds[number - SIM_FD_FIRST];
	if (!fd->object || fd->process != sim_current->process) {
		sim_bug("a descriptor that this process does not have (closed twice?)");
	}
	return fd;
}

struct sim_object *sim_fd_any(int number)
{
	return fd_get(number)->object;
}

void *sim_fd_object(int number, enum sim_object_kind kind)
{
	struct sim_object *object = sim_fd_any(number);

	if (object->kind != kind) {
		sim_bug("a descriptor of another kind");
	}
	return object;
}

void sim_fd_close(int number)
{
	struct sim_object *object;
	struct sim_fd *fd;

	if (number == -1) {
		return;
	}
	fd = fd_get(number);
	object = fd->object;
	if (object->descriptors == 1 && !list_empty(&object->watches)) {
		sim_bug("a descriptor is closed before its watch is freed");
	}
	fd->object = NULL;
	sim_object_release(object, false);
}

void sim_fds_abandon(struct sim_process *process)
{
	for (struct sim_fd *fd = sim_current->fds; fd < sim_current->fds + SIM_FDS_MAX; fd++) {
		struct sim_object *object = fd->object;

		if (object && fd->process == process) {
			fd->object = NULL;
			sim_object_release(object, true);
		}
	}
}
