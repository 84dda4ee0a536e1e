// What the parts of the simulation know of each other. See sim.h for how it runs.
//
// os/*.h has no argument that could carry the simulation, so there is one pointer to the current
// one: the only global, and the stand-in for "the kernel below".
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "os/loop.h"
#include "os/sim/sim.h"
#include "os/sim/thread.h"

// ---- events -------------------------------------------------------------------------------

struct sim_event {
	struct heap_entry entry; // key: due time in µs, 16 seeded bits below that break ties
	void (*fn)(struct sim_event *event);
	const char *what;            // for the trace; NULL: not worth a line
	struct sim_process *process; // whose it is; NULL: the network's
	bool is_idle;                // a timer: does not keep the simulation from being quiet
};

void sim_event_set(struct sim_event *event, uint64_t delay_us); // again: replaces
void sim_event_cancel(struct sim_event *event);

// ---- descriptors --------------------------------------------------------------------------

enum sim_object_kind {
	SIM_STREAM,
	SIM_LISTENER,
	SIM_CHANNEL,
	SIM_FILE,
	SIM_DIR,
	SIM_PAGE,
};

// What a descriptor stands for. Counted: descriptors, messages and arrivals in flight hold it.
struct sim_object {
	enum sim_object_kind kind;
	unsigned references;
	unsigned descriptors; // of the references; at 0 it is closed
	struct list watches;
	int (*events)(struct sim_object *object);                // what it is ready for
	void (*close)(struct sim_object *object, bool by_crash); // the last descriptor is gone
	void (*free)(struct sim_object *object);
};

void sim_object_init(struct sim_object *object, enum sim_object_kind kind);
void *sim_object_keep(struct sim_object *object);
void sim_object_drop(struct sim_object *object);
void sim_object_hold(struct sim_object *object); // as a descriptor would: in a message
void sim_object_release(struct sim_object *object, bool by_crash);
void sim_object_changed(struct sim_object *object); // looks whether watches are ready
// Of the current process. On failure an object without any other reference is freed.
enum error sim_fd_new(struct sim_object *object, int *ret_fd) must_check;
void sim_fd_close(int fd); // -1 is accepted
// A descriptor that the current process does not have, or one of another kind, aborts: it is a bug
// of the caller that a kernel might hide.
void *sim_fd_object(int fd, enum sim_object_kind kind);
struct sim_object *sim_fd_any(int fd);

enum { SIM_FDS_MAX = 16384, SIM_FD_FIRST = 10000 };

struct sim_fd {
	struct sim_object *object;
	struct sim_process *process;
};

// ---- machines and processes -----------------------------------------------------------------

struct sim_plan {
	bool is_set;
	enum sim_call kind;
	uint64_t left;
	enum error error;
};

struct sim_process {
	struct list link; // of its machine
	struct sim_machine *machine;
	const char *name;
	int id;
	bool is_dead;
	struct list threads, loops, blocks;
	uint64_t calls[SIM_CALL_COUNT + 1];
	struct sim_plan fail, crash;
	const char *log_name;
	bool log_json;
	int log_level;
};

struct sim_disk;

enum {
	SIM_LOG_BYTES_MAX = 1024 * 1024,
	SIM_LOG_BUFFER_MAX = 2 * SIM_LOG_BYTES_MAX + 128 * 1024,
};

struct sim_machine {
	struct list link;
	struct sim *sim;
	const char *name;
	struct list processes;
	struct sim_disk *disk;
	struct buffer log;
};

struct sim {
	uint64_t random;
	uint64_t now_us;
	int64_t wall_offset_ms;
	uint64_t steps;
	struct heap events;
	size_t busy; // events that are not idle
	struct list machines;
	struct sim_process *harness;
	struct sim_process *process; // whose code runs
	struct sim_thread *thread;   // that runs; NULL: the harness, or the scheduler itself
	struct sim_scheduler_stack stack;
	struct sim_fd *fds;
	int fd_next;
	struct list listeners; // of the network
	bool power_fails;      // while a machine loses it: nobody is told of closed connections
	struct list pages;
	uint16_t port_next;
	int process_next;
	struct sim_faults faults, struck;
	uint64_t fault_count;
	struct buffer trace;
	size_t trace_max;
	uint64_t trace_hash;
	FILE *trace_out;
	void (*watch)(void *context, const char *who, struct view what); // NULL: nobody
	void *watch_context;
};

extern struct sim *sim_current;

#define SIM_NEW(type) ((type *)sim_alloc(sizeof(type)))
void *sim_alloc(size_t size); // zeroed; aborts without memory
// The same, given back at the latest when the current process is gone.
#define SIM_OWN(type) ((type *)sim_own(sizeof(type)))
void *sim_own(size_t size);
void sim_disown(void *memory); // accepts NULL
_Noreturn void sim_bug(const char *text);

uint64_t sim_random(void);
uint64_t sim_below(uint64_t bound); // 0 when bound is 0
bool sim_chance(uint32_t per_million);
bool sim_strikes(const uint32_t *chance); // the same for one of sim->faults, which is counted
void sim_trace(const char *format, ...) printf_like(1, 2);
void sim_tell(const char *format, ...) printf_like(1, 2);      // the same, to whoever watches too
void sim_buffer_trim(struct buffer *buffer, size_t bytes_max); // drops the oldest lines

// Every call of os/*.h that can fail begins here: it is counted, may take time (others run
// meanwhile), may be planned to fail, or to end the process.
enum error sim_call_begin(enum sim_call kind, uint64_t cost_us_max) must_check;
// True when the call now begun is the one that the process crashes in; the caller may do half of
// its work before sim_crash_now. For calls that are begun with sim_call_begin_half.
enum error sim_call_begin_half(enum sim_call kind, uint64_t cost_us_max,
			       bool *ret_is_last) must_check;
_Noreturn void sim_crash_now(void);

// The parts of a process that its crash stops.
void sim_loops_abandon(struct sim_process *process);
void sim_fds_abandon(struct sim_process *process);

struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *disk);
// The fates are those of each change of names, then of each file's each write; NULL: by chance.
struct sim_fate;
void sim_disk_lose_power(struct sim_disk *disk, const struct sim_fate *fates);
void sim_disk_set_size(struct sim_disk *disk, uint64_t bytes);
void sim_pages_free(struct sim *sim);

// ---- loops ----------------------------------------------------------------------------------

// Runs fn in the next turn of the loop: what wakes, finished jobs and posted calls are made of.
struct sim_post {
	struct list link;
	void (*fn)(struct sim_post *post);
};

void sim_loop_post(struct os_loop *loop, struct sim_post *post); // once until it has run
void sim_post_cancel(struct sim_post *post);
// A turn of it has begun, and has not ended.
bool sim_loop_turns(const struct os_loop *loop);
// The watch whose object_link this is: kicks its loop when it is ready.
void sim_watch_look(struct list *object_link);
