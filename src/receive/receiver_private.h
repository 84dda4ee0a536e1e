// The inside of a receiver, for the files of this room: receiver.c, session.c, transaction.c.
#pragma once

#include "base/list.h"
#include "os/loop.h"
#include "receive/receiver.h"
#include "spool/id.h"

struct receiver_accept {
	struct receiver *receiver;
	const struct receive_listener *listener; // of the current generation
	int fd;
	struct os_watch *watch;
	struct os_timer pause; // after descriptors ran out
};

struct receiver {
	struct receiver_parts parts;
	struct os_loop *loop;
	struct spool_port *port;
	struct spool_id_source ids;
	struct receive_generation *generation;
	struct directory directory;
	struct receiver_accept *accepts;
	unsigned accept_count;
	struct list sessions;
	struct list gone; // sessions to bury when the turn ends
	struct os_hook bury;
	struct receiver_counters counters;
	unsigned committing; // transactions in the hands of the pool or the committer
	char *scratch;       // input of whichever session runs; nothing survives in it
	bool stopping;
	void (*stopped)(void *context);
	void *stopped_context;
};

enum { RECEIVER_SCRATCH_BYTES = 64 * 1024 };

// Sessions call this when they are gone, and so do transactions that outlived theirs.
void receiver_left(struct receiver *receiver);
