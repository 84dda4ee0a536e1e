// The threads of the process, each with a loop, a receiver, a pool for bodies and a channel to
// keeper. The first is the caller's, on the process's main loop; the others are started here. A
// connection stays with the thread that accepted it; what they share is in common.h, the writer and
// the trace.
//
// Every function is called on the main loop's thread. What is said to all of them has been done by
// all when the call returns, so it lasts as long as the slowest needs for the turn that it is in.
#pragma once

#include "receive/receiver.h"

struct receive_threads;

struct receive_threads_parts {
	struct os_loop *loop; // the main one
	unsigned count;       // of threads; 1 to CONFIG_THREADS_MAX
	unsigned family;      // of the log, for queue ids
	struct receive_common *common;
	struct spool_writer *writer;
	struct trace_ring *trace; // NULL: no trace
};

enum error receive_threads_new(const struct receive_threads_parts *parts,
			       struct receive_threads **ret_threads) must_check;
// As receiver_free, for each. Accepts NULL.
void receive_threads_free(struct receive_threads *threads);

struct receive_socket {
	unsigned thread; // whose it is; one that is not there: closed
	struct receiver_socket socket;
};

// As receiver_configure. The sockets are taken, at an error too; it is the first thread's that had
// one.
enum error receive_threads_configure(struct receive_threads *threads,
				     struct receive_generation *generation,
				     const struct receive_socket *sockets,
				     unsigned socket_count) must_check;
// As receiver_set_directory: when it returns, nobody looks into the earlier one any more.
void receive_threads_set_directory(struct receive_threads *threads, struct directory directory);
// As keeper_client_attach, of this thread.
enum error receive_threads_attach_keeper(struct receive_threads *threads, unsigned thread,
					 int fd) must_check;
// As receiver_stop: stopped is called on the main loop, once all have stopped.
void receive_threads_stop(struct receive_threads *threads, void (*stopped)(void *context),
			  void *context);

// Asks whether all loops turn: answered is called once each has, never if one hangs. Nothing
// happens while an earlier question waits.
void receive_threads_ping(struct receive_threads *threads, void (*answered)(void *context),
			  void *context);

// The sum; and of each thread the connections that it has accepted, count numbers.
struct receiver_counters receive_threads_counters(struct receive_threads *threads,
						  uint64_t *ret_connections);
