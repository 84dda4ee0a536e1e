#include "spool/trace_ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "os/clock.h"
#include "spool/trace_store.h"

enum { KEPT_BYTES = 2 * TRACE_WRITE_BYTES, TIDY_MS = 3600 * 1000 };

struct trace_ring {
	// the loop's
	struct os_timer timer;
	struct trace_ring_settings settings;
	enum error told;

	struct os_worker *worker;
	struct os_wake *soon; // sets the timer to write, not to tidy

	pthread_mutex_t lock; // never held across I/O
	struct buffer gathered;
	struct trace_limits limits; // for the thread

	// the thread's
	struct buffer writing;
	struct trace_store store;
	uint64_t paused_until_ms; // monotonic

	atomic_bool is_on;
	atomic_bool is_soon; // soon was sent
	_Atomic int error;   // enum error
	_Atomic uint64_t records, dropped, lost, bytes, segments;
};

// ---- the thread

static unsigned count_records(struct view bytes)
{
	unsigned count = 0;

	while (bytes.len) {
		bytes = view_from(bytes, trace_record_bytes(trace_record_steps_len(bytes.data)));
		count++;
	}
	return count;
}

static void write_gathered(struct trace_ring *ring, struct trace_limits limits)
{
	struct view rest = buffer_view(&ring->writing);
	unsigned count = count_records(rest);
	enum error error = OK;

	if (count && os_clock_mono_ms() < ring->paused_until_ms) {
		atomic_fetch_add(&ring->lost, count);
		return;
	}
	if (count) {
		error = trace_store_write(&ring->store, &limits, &rest);
		atomic_store(&ring->error, (int)error);
	}
	if (error != OK) {
		unsigned lost = count_records(rest);

		ring->paused_until_ms = os_clock_mono_ms() + TRACE_PAUSE_MS;
		atomic_fetch_add(&ring->lost, lost);
		count -= lost;
	}
	atomic_fetch_add(&ring->records, count);
}

static void run(void *context)
{
	struct trace_ring *ring = context;
	struct trace_limits limits;
	struct buffer taken;

	pthread_mutex_lock(&ring->lock);
	taken = ring->gathered;
	ring->gathered = ring->writing;
	ring->writing = taken;
	limits = ring->limits;
	pthread_mutex_unlock(&ring->lock);

	write_gathered(ring, limits);
	trace_store_tidy(&ring->store, &limits);
	atomic_store(&ring->bytes, ring->store.bytes);
	atomic_store(&ring->segments, ring->store.count);
	if (ring->writing.capacity > KEPT_BYTES) {
		buffer_done(&ring->writing);
	}
	buffer_clear(&ring->writing);
}

// ---- the loop

static void tell(struct trace_ring *ring)
{
	enum error error = (enum error)atomic_load(&ring->error);

	if (error != ring->told && ring->settings.changed) {
		ring->settings.changed(ring->settings.context, error);
	}
	ring->told = error;
}

static void on_timer(void *context)
{
	struct trace_ring *ring = context;

	tell(ring); // of the write before
	atomic_store(&ring->is_soon, false);
	os_timer_set(&ring->timer, TIDY_MS);
	os_worker_kick(ring->worker);
}

static void on_soon(void *context)
{
	struct trace_ring *ring = context;

	os_timer_set(&ring->timer, TRACE_WRITE_MS);
}

enum error trace_ring_new(int dir, struct os_loop *loop, const struct trace_ring_settings *settings,
			  struct trace_ring **ret_ring)
{
	struct trace_ring *ring = calloc(1, sizeof *ring);
	enum error error;

	if (!ring) {
		return ERROR_NO_MEMORY;
	}
	ring->settings = *settings;
	ring->limits = settings->limits;
	ring->is_on = settings->limits.size_bytes != 0;
	ring->gathered = ring->writing = buffer_with_max(TRACE_BUFFER_BYTES_MAX);
	trace_store_init(&ring->store, dir, settings);
	pthread_mutex_init(&ring->lock, NULL);
	error = os_wake_new(loop, on_soon, ring, &ring->soon);
	if (error == OK) {
		error = os_worker_new(loop, "trace", run, ring, &ring->worker);
	}
	if (error != OK) {
		os_wake_free(ring->soon);
		pthread_mutex_destroy(&ring->lock);
		free(ring);
		return error;
	}
	os_timer_init(&ring->timer, loop, on_timer, ring);
	os_timer_set(&ring->timer, TRACE_WRITE_MS); // what an earlier life left is tidied
	*ret_ring = ring;
	return OK;
}

void trace_ring_free(struct trace_ring *ring)
{
	if (!ring) {
		return;
	}
	os_timer_stop(&ring->timer);
	os_wake_free(ring->soon);
	os_worker_free(ring->worker);
	run(ring);
	tell(ring);
	trace_store_done(&ring->store);
	buffer_done(&ring->gathered);
	buffer_done(&ring->writing);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

void trace_ring_set_limits(struct trace_ring *ring, struct trace_limits limits)
{
	atomic_store(&ring->is_on, limits.size_bytes != 0);
	pthread_mutex_lock(&ring->lock);
	ring->limits = limits;
	pthread_mutex_unlock(&ring->lock);
	os_worker_kick(ring->worker);
}

struct trace_steps trace_ring_steps(const struct trace_ring *ring)
{
	struct trace_steps steps = { 0 };

	if (ring && atomic_load(&ring->is_on)) {
		trace_steps_init(&steps);
	}
	return steps;
}

static bool gather(struct trace_ring *ring, const struct trace_record *record, size_t *ret_gathered)
{
	size_t bytes = trace_record_bytes(record->steps.len);
	char *room;

	pthread_mutex_lock(&ring->lock);
	room = buffer_reserve(&ring->gathered, bytes);
	if (room) {
		trace_record_encode(room, record);
		ring->gathered.len += bytes;
	}
	ring->gathered.error = OK; // there will be room again
	*ret_gathered = ring->gathered.len;
	pthread_mutex_unlock(&ring->lock);
	return room != NULL;
}

void trace_ring_add(struct trace_ring *ring, uint64_t id, struct trace_steps *steps)
{
	uint64_t now_ms = os_clock_wall_ms();
	struct trace_record record = { id, now_ms, trace_steps_finish(steps, now_ms) };
	size_t gathered;

	if (ring && record.steps.len) {
		if (!gather(ring, &record, &gathered)) {
			atomic_fetch_add(&ring->dropped, 1);
		}
		if (gathered >= TRACE_WRITE_BYTES) {
			os_worker_kick(ring->worker);
		} else if (!atomic_exchange(&ring->is_soon, true)) {
			os_wake_send(ring->soon);
		}
	}
	trace_steps_clear(steps);
}

struct trace_ring_status trace_ring_status(const struct trace_ring *ring)
{
	if (!ring) {
		return (struct trace_ring_status){ 0 };
	}
	return (struct trace_ring_status){
		.error = (enum error)atomic_load(&ring->error),
		.records = atomic_load(&ring->records),
		.dropped = atomic_load(&ring->dropped),
		.lost = atomic_load(&ring->lost),
		.bytes = atomic_load(&ring->bytes),
		.segments = atomic_load(&ring->segments),
	};
}
