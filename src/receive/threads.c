#include "receive/threads.h"

#include <stdlib.h>

#include "os/socket.h"
#include "os/worker.h"

enum {
	POOL_THREADS = 2, // that write large bodies of one loop
	POOL_JOBS_MAX = 100000,
};

struct receive_thread {
	struct receive_threads *all;
	unsigned number;
	struct os_thread *own; // NULL: the caller's
	struct os_loop *loop;
	struct os_pool *pool;
	struct keeper_client *keeper;
	struct receiver *receiver;
	struct os_wake *ping;
	atomic_bool is_asked; // by ping, and has not answered
	// The results of a call.
	enum error error;
	struct receiver_counters counters;
};

// What a call into the threads is about; written only while none is under way.
struct order {
	struct receive_generation *generation;
	const struct receive_socket *sockets;
	unsigned socket_count;
	struct directory directory;
	int keeper;
};

// Called once, on the main loop, when left has come down to 0.
struct awaited {
	atomic_uint left; // threads
	void (*fn)(void *context);
	void *context;
};

struct receive_threads {
	struct receive_threads_parts parts;
	struct order order;
	struct os_wake *news; // to the main loop: of one of these two, left is 0
	struct awaited stop, ping;
	unsigned count; // of those that have a loop
	struct receive_thread threads[];
};

// ---- calls

static void call(struct receive_thread *thread, void (*fn)(void *context))
{
	if (thread->own) {
		os_thread_call(thread->own, fn, thread);
	} else {
		fn(thread);
	}
}

static void call_all(struct receive_threads *threads, void (*fn)(void *context))
{
	for (unsigned i = 1; i < threads->count; i++) {
		os_thread_begin(threads->threads[i].own, fn, &threads->threads[i]);
	}
	fn(&threads->threads[0]);
	for (unsigned i = 1; i < threads->count; i++) {
		os_thread_end(threads->threads[i].own);
	}
}

static enum error first_error(const struct receive_threads *threads)
{
	enum error error = OK;

	for (unsigned i = 0; i < threads->count && error == OK; i++) {
		error = threads->threads[i].error;
	}
	return error;
}

// ---- what the main loop waits for

static void await(struct awaited *awaited, unsigned count, void (*fn)(void *context), void *context)
{
	awaited->fn = fn;
	awaited->context = context;
	atomic_store(&awaited->left, count);
}

static void one_less(struct receive_threads *threads, struct awaited *awaited)
{
	if (atomic_fetch_sub(&awaited->left, 1) == 1) {
		os_wake_send(threads->news);
	}
}

static void tell(struct awaited *awaited)
{
	void (*fn)(void *context) = awaited->fn;

	if (fn && atomic_load(&awaited->left) == 0) {
		awaited->fn = NULL;
		fn(awaited->context);
	}
}

static void on_news(void *context)
{
	struct receive_threads *threads = context;

	tell(&threads->ping);
	tell(&threads->stop);
}

static void on_ping(void *context)
{
	struct receive_thread *thread = context;

	if (atomic_exchange(&thread->is_asked, false)) { // a wake-up may come twice
		one_less(thread->all, &thread->all->ping);
	}
}

void receive_threads_ping(struct receive_threads *threads, void (*answered)(void *context),
			  void *context)
{
	if (threads->ping.fn) {
		return;
	}
	await(&threads->ping, threads->count, answered, context);
	for (unsigned i = 0; i < threads->count; i++) {
		atomic_store(&threads->threads[i].is_asked, true);
		if (i) {
			os_wake_send(threads->threads[i].ping);
		}
	}
	on_ping(&threads->threads[0]);
}

// ---- life

static void open_thread(void *context)
{
	struct receive_thread *thread = context;
	const struct receive_threads_parts *shared = &thread->all->parts;
	struct receiver_parts parts = {
		.loop = thread->loop,
		.common = shared->common,
		.writer = shared->writer,
		.trace = shared->trace,
		.node = (uint8_t)(shared->family * CONFIG_THREADS_MAX + thread->number),
	};

	thread->error = os_pool_new(thread->loop, "receive-bodies", POOL_THREADS, POOL_JOBS_MAX,
				    &thread->pool);
	if (thread->error == OK) {
		thread->error = keeper_client_new(thread->loop, -1, &thread->keeper);
	}
	if (thread->error == OK) {
		thread->error = os_wake_new(thread->loop, on_ping, thread, &thread->ping);
	}
	if (thread->error == OK) {
		parts.pool = thread->pool;
		parts.keeper = thread->keeper;
		thread->error = receiver_new(&parts, &thread->receiver);
	}
}

static void close_thread(void *context)
{
	struct receive_thread *thread = context;

	receiver_free(thread->receiver);
	os_pool_free(thread->pool);
	keeper_client_free(thread->keeper);
	os_wake_free(thread->ping);
}

static enum error start_threads(struct receive_threads *threads)
{
	enum error error = os_wake_new(threads->parts.loop, on_news, threads, &threads->news);

	while (error == OK && threads->count < threads->parts.count) {
		struct receive_thread *thread = &threads->threads[threads->count];

		thread->all = threads;
		thread->number = threads->count;
		thread->loop = threads->parts.loop;
		if (thread->number) {
			error = os_thread_new("receive", &thread->own);
		}
		if (error == OK && thread->own) {
			thread->loop = os_thread_loop(thread->own);
		}
		threads->count += error == OK;
	}
	return error;
}

enum error receive_threads_new(const struct receive_threads_parts *parts,
			       struct receive_threads **ret_threads)
{
	struct receive_threads *threads;
	enum error error;

	if (parts->count == 0 || parts->count > CONFIG_THREADS_MAX) {
		return ERROR_INVALID;
	}
	threads = calloc(1, sizeof *threads + parts->count * sizeof *threads->threads);
	if (!threads) {
		return ERROR_NO_MEMORY;
	}
	threads->parts = *parts;
	error = start_threads(threads);
	if (error == OK) {
		call_all(threads, open_thread);
		error = first_error(threads);
	}
	if (error != OK) {
		receive_threads_free(threads);
		return error;
	}
	*ret_threads = threads;
	return OK;
}

void receive_threads_free(struct receive_threads *threads)
{
	if (!threads) {
		return;
	}
	if (threads->count) {
		call_all(threads, close_thread);
	}
	for (unsigned i = 0; i < threads->count; i++) {
		os_thread_free(threads->threads[i].own);
	}
	os_wake_free(threads->news);
	free(threads);
}

// ---- what is said to them

static void configure(void *context)
{
	struct receive_thread *thread = context;
	const struct order *order = &thread->all->order;
	struct receiver_socket sockets[RECEIVER_LISTENERS_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < order->socket_count; i++) {
		const struct receive_socket *each = &order->sockets[i];

		if (each->thread == thread->number && count < RECEIVER_LISTENERS_MAX) {
			sockets[count++] = each->socket;
		} else if (each->thread == thread->number ||
			   (thread->number == 0 && each->thread >= thread->all->count)) {
			os_socket_close(each->socket.fd);
		}
	}
	thread->error = receiver_configure(thread->receiver, order->generation, sockets, count);
}

enum error receive_threads_configure(struct receive_threads *threads,
				     struct receive_generation *generation,
				     const struct receive_socket *sockets, unsigned socket_count)
{
	threads->order = (struct order){
		.generation = generation,
		.sockets = sockets,
		.socket_count = socket_count,
	};
	call_all(threads, configure);
	return first_error(threads);
}

static void set_directory(void *context)
{
	struct receive_thread *thread = context;

	receiver_set_directory(thread->receiver, thread->all->order.directory);
}

void receive_threads_set_directory(struct receive_threads *threads, struct directory directory)
{
	threads->order = (struct order){ .directory = directory };
	call_all(threads, set_directory);
}

static void attach_keeper(void *context)
{
	struct receive_thread *thread = context;

	thread->error = keeper_client_attach(thread->keeper, thread->all->order.keeper);
}

enum error receive_threads_attach_keeper(struct receive_threads *threads, unsigned thread, int fd)
{
	if (thread >= threads->count) {
		os_socket_close(fd);
		return ERROR_INVALID;
	}
	threads->order = (struct order){ .keeper = fd };
	call(&threads->threads[thread], attach_keeper);
	return threads->threads[thread].error;
}

static void on_stopped(void *context)
{
	struct receive_thread *thread = context;

	one_less(thread->all, &thread->all->stop);
}

static void stop(void *context)
{
	struct receive_thread *thread = context;

	receiver_stop(thread->receiver, on_stopped, thread);
}

void receive_threads_stop(struct receive_threads *threads, void (*stopped)(void *context),
			  void *context)
{
	await(&threads->stop, threads->count, stopped, context);
	call_all(threads, stop);
}

// ---- counters

_Static_assert(sizeof(struct receiver_counters) % sizeof(uint64_t) == 0, "numbers only");

static void add(struct receiver_counters *sum, const struct receiver_counters *more)
{
	uint64_t *numbers = (uint64_t *)sum;
	const uint64_t *others = (const uint64_t *)more;

	for (size_t i = 0; i < sizeof *sum / sizeof *numbers; i++) {
		numbers[i] += others[i];
	}
}

static void count_thread(void *context)
{
	struct receive_thread *thread = context;

	thread->counters = receiver_counters(thread->receiver);
}

struct receiver_counters receive_threads_counters(struct receive_threads *threads,
						  uint64_t *ret_connections)
{
	struct receiver_counters sum = { 0 };

	call_all(threads, count_thread);
	for (unsigned i = 0; i < threads->count; i++) {
		add(&sum, &threads->threads[i].counters);
		ret_connections[i] = threads->threads[i].counters.connections;
	}
	return sum;
}
