// The simulation behind os/*.h, for test harnesses: many processes on many machines in one address
// space and on one real thread, with virtual time, a simulated network and simulated disks. Every
// choice comes from one seeded generator, so that a seed gives the same run, event by event.
//
// How it runs. Each loop, worker and pool thread of a simulated process is a thread of the
// simulation with a stack of its own. One of them runs at a time, and gives way only inside calls
// of os/*.h that block (files, folders, blocking messages): there others run meanwhile, as they do
// while a real fdatasync lasts. A pthread mutex held meanwhile is
// waited for; condition variables, semaphores and threads of a process's own do not work.
//
// Who calls. What a harness does outside of any simulated process belongs to a process of its own
// ("harness", on a machine of that name): its loops and sockets are the test peers. Its blocking
// calls move time but let nothing else run.
//
// Crashes. A crashed process is abandoned where it stands: its descriptors are closed as a kernel
// would, its loops, timers, jobs and threads never run again, and its memory is never freed (the
// leak checker is told so at the first crash). So process code has no globals.
//
// Ownership: everything hangs below the simulation and is freed by sim_free. There is one
// simulation at a time; sim_new abandons one that a failed assertion has left behind. The harness's
// own mistakes (no memory, a wait that nothing can end) abort. An assertion that fails inside of a
// simulated thread leaves its stack for good: its own message counts, later ones in that program
// may be false.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"

struct sim;
struct sim_machine;
struct sim_process;

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim); // accepts NULL

// A machine has a disk and a network address of its own choosing (any may be listened on). Names
// must outlive it. Loss of power takes all of its processes.
struct sim_machine *sim_machine_new(struct sim *sim, const char *name);
struct sim_machine *sim_machine_of_harness(struct sim *sim);
// Each process that runs is killed; of what was not synced, a seeded part reaches the disk: writes
// sector by sector in any order, names entry by entry. A peer of its connections sees a reset, or
// hears nothing until it sends. Not to be called by a process of it.
void sim_machine_lose_power(struct sim_machine *machine);
void sim_machine_set_disk_size(struct sim_machine *machine, uint64_t bytes); // default: no bound
// Folders as deep as the path goes, durable at once. A disk begins with its root only.
void sim_machine_make_path(struct sim_machine *machine, const char *path);

struct sim_process *sim_process_new(struct sim_machine *machine, const char *name);
// Calls of os/*.h between the two belong to this process; they do not nest. Crash plans do not
// strike and blocking calls do not give way there: for setting up and for looking at things.
void sim_process_enter(struct sim_process *process);
void sim_process_leave(struct sim *sim);
// A second descriptor of what the current process has as fd, for that one: a listener, an end of a
// channel, a page. As a supervisor hands them to a child.
int sim_process_give(struct sim_process *process, int fd);
// Calls fn on a new thread of the process, and steps the simulation until it has returned. False
// when the process crashed before.
bool sim_process_run(struct sim_process *process, void (*fn)(void *context), void *context);
// As kill -9: data already handed to its kernel stays (sent bytes in flight, written files).
void sim_process_crash(struct sim_process *process); // from the harness or from within itself
bool sim_process_is_alive(const struct sim_process *process);
// A crashed process is started again by a new one of the same name; the harness calls its start.

// One event: a turn of a loop, a run of a worker, an arrival. False when there is none.
bool sim_step(struct sim *sim);
uint64_t sim_run_steps(struct sim *sim, uint64_t count); // the steps that were left to make
void sim_run_for(struct sim *sim, uint64_t duration_ms);
// Until nothing is under way and no timer is due within horizon_ms. False: not within steps_max.
bool sim_run_until_quiet(struct sim *sim, uint64_t horizon_ms, uint64_t steps_max);
bool sim_run_until(struct sim *sim, bool (*reached)(void *context), void *context,
		   uint64_t steps_max);
uint64_t sim_step_count(const struct sim *sim);
uint64_t sim_random_below(struct sim *sim, uint64_t bound); // for the harness's own choices
void sim_clock_jump_wall(struct sim *sim, int64_t ms);

// Faults by chance, in events per million; all 0 at first. The harness may change them at any time.
struct sim_faults {
	uint32_t write_no_space, write_io, read_io, sync_io, open_limit;
	uint32_t sync_slow;        // a sync takes up to sync_slow_us
	uint32_t connect_refused;  // a connection that would have been made
	uint32_t connect_lost;     // a connection that is never answered
	uint32_t send_reset;       // a send that breaks the connection
	uint32_t transfer_short;   // a send or receive of fewer bytes than it could
	uint32_t latency_us_max;   // of the network; default 2,000
	uint32_t sync_us_max;      // default 2,000
	uint32_t sync_slow_us_max; // default 500,000
};
struct sim_faults *sim_faults(struct sim *sim);
uint64_t sim_fault_count(const struct sim *sim); // those that have struck
// How often each of the chances has struck; the other fields are 0.
const struct sim_faults *sim_faults_struck(const struct sim *sim);

// Calls of os/*.h are counted by kind and process, so that a fault can be planned exactly.
enum sim_call {
	SIM_OPEN,
	SIM_READ,
	SIM_WRITE,
	SIM_SYNC,
	SIM_DIR_SYNC,
	SIM_NAME, // makes, renames, links, removes or lists a name
	SIM_INFO,
	SIM_ACCEPT,
	SIM_CONNECT,
	SIM_RECEIVE,
	SIM_SEND,
	SIM_MESSAGE_SEND,
	SIM_MESSAGE_RECEIVE,
	SIM_CALL_COUNT,
	SIM_ANY = SIM_CALL_COUNT, // in plans: whatever the kind
};
const char *sim_call_name(enum sim_call kind);
uint64_t sim_call_count(const struct sim_process *process, enum sim_call kind); // or SIM_ANY
// The nth call from now on (1: the next) fails once with this error, without effect; except
// ERROR_IO of a sync, after which a seeded part of the data is on disk and the rest never will be.
// One plan of each sort per process.
void sim_plan_fail(struct sim_process *process, enum sim_call kind, uint64_t nth, enum error error);
// The process crashes in the nth call: before its effect, or half-way through a write.
void sim_plan_crash(struct sim_process *process, enum sim_call kind, uint64_t nth);

// The trace: one line per event, call with an effect, fault and log line. Lines are kept in a
// buffer of at most bytes_max (the newest), or printed as they happen. The hash is always kept: of
// when each line came, from which process, and of the words of logs and notes. Whether anybody
// looks at the lines changes nothing.
void sim_trace_keep(struct sim *sim, size_t bytes_max);
void sim_trace_print(struct sim *sim, FILE *out); // NULL ends it
struct view sim_trace_text(const struct sim *sim);
uint64_t sim_trace_hash(const struct sim *sim);
void sim_trace_note(struct sim *sim, const char *format, ...) printf_like(2, 3);
// What the processes of a machine have logged, one line per event, at most 1 MiB (the newest).
struct view sim_machine_log(const struct sim_machine *machine);
// Called for each line of a log, with the name of its process and the event with its fields; and
// for what befell a process or a disk, with the name "". The views are valid during the call only.
void sim_watch(struct sim *sim, void (*fn)(void *context, const char *who, struct view what),
	       void *context);
