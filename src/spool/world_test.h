// For tests of this room: a spool in a fresh folder, a loop, one writer of family 1 and a store.
#pragma once

#include "base/check.h"
#include "os/test_folder.h"
#include "spool/inspect.h"
#include "spool/store.h"
#include "spool/writer.h"

enum { WORLD_APPENDS_MAX = 4096, WORLD_SEEN_MAX = 8192 };

struct world {
	char path[TEST_FOLDER_PATH_SIZE];
	int dir, parts[SPOOL_PARTS];
	struct os_loop *loop;
	struct os_timer deadline;
	struct spool_commit_page commits[3]; // of families 1 and 2
	struct spool_queue_page queue;
	struct spool_writer *writer;
	struct spool_port *port;
	struct spool_store *store;
	uint32_t segment_bytes;

	struct spool_append appends[WORLD_APPENDS_MAX];
	unsigned append_count, append_ok, append_failed;
	unsigned waiting; // for completions
	uint64_t seen[WORLD_SEEN_MAX];
	unsigned seen_count, faults;
	const char *last_fault;
	struct spool_message *last;
};

void world_open(struct world *world); // the folders and the loop
void world_done(struct world *world); // removes the folder
void world_start_writer(struct world *world);
void world_stop_writer(struct world *world);
enum error world_start_store(struct world *world);
void world_stop_store(struct world *world);
// As after kill -9: what was noted and not yet committed is lost, no checkpoint is written.
void world_kill_store(struct world *world);

// A message with this id, body and count of recipients (0@x.example, 1@x.example, ...).
void world_append(struct world *world, uint64_t id, struct view body, unsigned recipients);
void world_append_many(struct world *world, uint64_t first_id, unsigned count);
void world_wait(struct world *world);              // until all appends are told
void world_turn(struct world *world, uint64_t ms); // lets the loop run so long
void world_follow(struct world *world);
void world_commit(struct world *world); // what was noted is durable
enum error world_note(struct world *world, uint64_t id, uint32_t recipient,
		      struct spool_recipient_state state);
bool world_saw(const struct world *world, uint64_t id);
// The offset of text in the segment file of that name.
long world_find(struct world *world, const char *segment, const char *text);
void world_overwrite(struct world *world, const char *segment, long offset, const char *bytes,
		     size_t len);
