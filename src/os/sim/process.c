// Machines and processes, the calls that they make, plans for faults, and os/process.h and
// os/sandbox.h, which have little to do here.
#include "os/process.h"

#include <stdlib.h>

#include "os/sandbox.h"
#include "os/sim/private.h"
#include "os/sim/record.h"

#ifdef SIM_ASAN
#include <sanitizer/lsan_interface.h>

// The memory of crashed processes is nobody's, and no leak: seen by the leak checker at exit.
static bool any_crashed;

int __lsan_is_turned_off(void)
{
	return any_crashed;
}
#endif

struct sim_machine *sim_machine_new(struct sim *sim, const char *name)
{
	struct sim_machine *machine = SIM_NEW(struct sim_machine);

	machine->sim = sim;
	machine->name = name;
	machine->disk = sim_disk_new();
	machine->log = buffer_with_max(SIM_LOG_BUFFER_MAX);
	list_init(&machine->processes);
	list_add_last(&sim->machines, &machine->link);
	return machine;
}

struct sim_machine *sim_machine_of_harness(struct sim *sim)
{
	return sim->harness->machine;
}

struct sim_process *sim_process_new(struct sim_machine *machine, const char *name)
{
	struct sim_process *process = SIM_NEW(struct sim_process);

	process->machine = machine;
	process->name = name;
	process->id = ++machine->sim->process_next;
	process->log_name = name;
	process->log_level = INT32_MAX;
	list_init(&process->threads);
	list_init(&process->loops);
	list_init(&process->blocks);
	list_add_last(&machine->processes, &process->link);
	return process;
}

void *sim_own(size_t size)
{
	struct list *block = sim_alloc(sizeof *block + size);

	list_add_last(&sim_current->process->blocks, block);
	return block + 1;
}

void sim_disown(void *memory)
{
	if (memory) {
		list_remove((struct list *)memory - 1);
		free((struct list *)memory - 1);
	}
}

static void process_abandon(struct sim_process *process)
{
	process->is_dead = true;
	sim_threads_abandon(process);
	sim_loops_abandon(process);
	sim_fds_abandon(process);
	while (!list_empty(&process->blocks)) {
		free(list_take_first(&process->blocks));
	}
}

static void machine_free(struct sim_machine *machine)
{
	struct list *link;

	while ((link = list_take_first(&machine->processes))) {
		free(CONTAINER_OF(link, struct sim_process, link));
	}
	list_remove(&machine->link);
	sim_disk_free(machine->disk);
	buffer_done(&machine->log);
	free(machine);
}

void sim_free(struct sim *sim)
{
	if (!sim) {
		return;
	}
	for (struct list *m = sim->machines.next; m != &sim->machines; m = m->next) {
		struct sim_machine *machine = CONTAINER_OF(m, struct sim_machine, link);

		for (struct list *p = machine->processes.next; p != &machine->processes;
		     p = p->next) {
			process_abandon(CONTAINER_OF(p, struct sim_process, link));
		}
	}
	while (heap_first(&sim->events)) { // arrivals, by now for nobody
		sim_step(sim);
	}
	sim_pages_free(sim);
	while (!list_empty(&sim->machines)) {
		machine_free(CONTAINER_OF(sim->machines.next, struct sim_machine, link));
	}
	heap_done(&sim->events);
	buffer_done(&sim->trace);
	free(sim->fds);
	free(sim);
	sim_current = NULL;
}

void sim_machine_set_disk_size(struct sim_machine *machine, uint64_t bytes)
{
	sim_disk_set_size(machine->disk, bytes);
}

struct view sim_machine_log(const struct sim_machine *machine)
{
	return buffer_view(&machine->log);
}

// ---- inside a process -----------------------------------------------------------------------

void sim_process_enter(struct sim_process *process)
{
	if (sim_current->process != sim_current->harness || sim_current->thread) {
		sim_bug("a process is entered from outside of any");
	}
	sim_current->process = process;
}

void sim_process_leave(struct sim *sim)
{
	sim->process = sim->harness;
}

struct started {
	void (*fn)(void *context);
	void *context;
	struct sim_process *process;
	bool returned;
};

static void started_run(void *context)
{
	struct started *started = context;

	started->fn(started->context);
	started->returned = true;
}

static bool started_ended(void *context)
{
	const struct started *started = context;

	return started->returned || started->process->is_dead;
}

bool sim_process_run(struct sim_process *process, void (*fn)(void *context), void *context)
{
	struct started started = { .fn = fn, .context = context, .process = process };
	struct sim_thread *thread = sim_thread_new(process, process->name, started_run, &started);

	sim_thread_kick(thread, 0);
	sim_wait_until(started_ended, &started, 0);
	if (!process->is_dead) {
		sim_thread_free(thread);
	}
	return started.returned;
}

// ---- the ends of processes ------------------------------------------------------------------

void sim_process_crash(struct sim_process *process)
{
	bool is_own = sim_current->thread && sim_current->process == process;

	if (process->is_dead) {
		return;
	}
	if (process == sim_current->harness) {
		sim_bug("the harness cannot crash");
	}
	if (is_own) {
		sim_tell("%s crashes", process->name);
	} else { // the harness knows what it does
		sim_trace("%s is killed", process->name);
	}
#ifdef SIM_ASAN
	any_crashed = true;
#endif
	process_abandon(process);
	if (is_own) {
		sim_thread_leave();
	}
}

void sim_crash_now(void)
{
	sim_process_crash(sim_current->process);
	sim_bug("a crash from outside of a simulated thread");
}

bool sim_process_is_alive(const struct sim_process *process)
{
	return !process->is_dead;
}

void sim_machine_lose_power_as(struct sim_machine *machine, const struct sim_fate *fates)
{
	sim_trace("%s loses power", machine->name);
	sim_current->power_fails = true;
	for (struct list *p = machine->processes.next; p != &machine->processes; p = p->next) {
		sim_process_crash(CONTAINER_OF(p, struct sim_process, link));
	}
	sim_current->power_fails = false;
	sim_disk_lose_power(machine->disk, fates);
}

void sim_machine_lose_power(struct sim_machine *machine)
{
	sim_machine_lose_power_as(machine, NULL);
}

// ---- calls ----------------------------------------------------------------------------------

const char *sim_call_name(enum sim_call kind)
{
	static const char *const names[] = {
		[SIM_OPEN] = "open",
		[SIM_READ] = "read",
		[SIM_WRITE] = "write",
		[SIM_SYNC] = "sync",
		[SIM_DIR_SYNC] = "dir sync",
		[SIM_NAME] = "name",
		[SIM_INFO] = "info",
		[SIM_ACCEPT] = "accept",
		[SIM_CONNECT] = "connect",
		[SIM_RECEIVE] = "receive",
		[SIM_SEND] = "send",
		[SIM_ANY] = "any call",
		[SIM_MESSAGE_SEND] = "message send",
		[SIM_MESSAGE_RECEIVE] = "message receive",
	};

	return names[kind];
}

uint64_t sim_call_count(const struct sim_process *process, enum sim_call kind)
{
	return process->calls[kind];
}

void sim_plan_fail(struct sim_process *process, enum sim_call kind, uint64_t nth, enum error error)
{
	process->fail = (struct sim_plan){ true, kind, nth, error };
}

void sim_plan_crash(struct sim_process *process, enum sim_call kind, uint64_t nth)
{
	process->crash = (struct sim_plan){ .is_set = true, .kind = kind, .left = nth };
}

static bool plan_strikes(struct sim_plan *plan, enum sim_call kind)
{
	if (!plan->is_set || (plan->kind != kind && plan->kind != SIM_ANY) || --plan->left) {
		return false;
	}
	plan->is_set = false;
	return true;
}

enum error sim_call_begin_half(enum sim_call kind, uint64_t cost_us_max, bool *ret_is_last)
{
	struct sim *sim = sim_current;
	struct sim_process *process = sim->process;

	process->calls[kind]++;
	process->calls[SIM_ANY]++;
	*ret_is_last = sim->thread && plan_strikes(&process->crash, kind);
	if (cost_us_max) {
		sim_wait_us(sim_below(cost_us_max));
	}
	if (plan_strikes(&process->fail, kind)) {
		sim_trace("%s fails: %s", sim_call_name(kind), error_text(process->fail.error));
		return process->fail.error;
	}
	return OK;
}

enum error sim_call_begin(enum sim_call kind, uint64_t cost_us_max)
{
	bool is_last;
	enum error error = sim_call_begin_half(kind, cost_us_max, &is_last);

	if (is_last) {
		sim_tell("%s is in a call of the kind: %s", sim_current->process->name,
			 sim_call_name(kind));
		sim_crash_now();
	}
	return error;
}

// ---- os/process.h and os/sandbox.h ----------------------------------------------------------

enum error os_user_find(const char *name, struct os_user *ret_user)
{
	(void)name;
	*ret_user = (struct os_user){ 1000, 1000 };
	return OK;
}

bool os_process_is_root(void)
{
	return false;
}

enum error os_process_start_self(const char *const *arguments, const struct os_child_fd *fds,
				 unsigned fd_count, pid_t *ret_pid)
{
	(void)arguments;
	(void)fds;
	(void)fd_count;
	(void)ret_pid;
	return ERROR_UNSUPPORTED; // processes are started by the harness
}

enum error os_process_signal(pid_t pid, int number)
{
	(void)pid;
	(void)number;
	return ERROR_NOT_FOUND;
}

enum error os_process_cpu_us(pid_t pid, uint64_t *ret_us)
{
	(void)pid;
	(void)ret_us;
	return ERROR_NOT_FOUND;
}

void os_process_pause(uint64_t ms)
{
	(void)ms;
}

enum error os_process_reap(struct os_exit *ret_exit)
{
	(void)ret_exit;
	return ERROR_AGAIN;
}

enum error os_process_notify(struct view state)
{
	(void)state;
	return OK;
}

void os_process_name(const char *name)
{
	(void)name;
}

unsigned os_process_core_count(void)
{
	return 2;
}

pid_t os_process_id(void)
{
	return sim_current->process->id;
}

enum error os_process_become(struct os_user user)
{
	(void)user;
	return OK;
}

enum error os_sandbox_enter(const struct os_sandbox *sandbox, struct buffer *level,
			    struct buffer *warnings)
{
	(void)sandbox;
	(void)level;
	(void)warnings;
	return OK;
}
