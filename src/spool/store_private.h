// Inside of the store: store.c (life, look-ups, segments in use), recover.c (rebuilding from disk),
// follow.c (new commits), note.c (the journal), checkpoint.c, release.c (freeing, copying forward)
// and source.c. All on the store's thread, but for what jobs do in their work.
#pragma once

#include "os/worker.h"
#include "spool/folder.h"
#include "spool/index.h"
#include "spool/state.h"
#include "spool/writer.h"

enum {
	SPOOL_JOURNAL_BYTES = 256 * 1024, // a group is appended at this size without waiting
	SPOOL_FOLLOW_BYTES = 1024 * 1024, // read at once from a segment
	SPOOL_CHECKPOINT_BYTES_MAX = 1024 * 1024 * 1024,
	SPOOL_JOBS_MAX = 1024,
};

// message->internal
enum {
	SPOOL_IS_GONE = 1,        // recovery: the journal says so
	SPOOL_IS_FOUND = 2,       // its record was seen and is good
	SPOOL_IS_CHANGED = 4,     // recovery: a crash was counted, to be noted
	SPOOL_IS_COPYING = 8,     // a copy forward is under way
	SPOOL_IS_SUBMITTING = 16, // an outcome with a message is under way
};

struct spool_place {
	uint32_t epoch, offset;
};

// One use of a segment that still matters: it holds live messages, or is being read.
struct spool_segment {
	struct list link; // in family->segments, by epoch
	struct spool_segment_header header;
	uint32_t limit;      // where it ends at the latest
	uint32_t live;       // messages in it, and those whose end is not durable yet
	uint64_t live_bytes; // of their records
	uint32_t pins;       // sources and copies that read it
	int file;            // -1 while nobody needs it
	bool is_unreadable;  // kept; no checkpoint is written while there is one
};

struct spool_family {
	struct list segments;
	const struct spool_commit_page *commits;
	struct spool_place position; // what is before was taken in; epoch 0: nothing yet
	uint64_t sequence;           // due at the position
	uint64_t stuck_mark;         // what is up to this mark could not be taken in: no news
};

// The place of a message that has ended, until that is durable.
struct spool_ended {
	struct list link;
	uint64_t id;
	struct spool_ref ref;
	bool has_body_file;
};

// A group of outcomes on its way.
struct spool_group {
	struct list link;
	struct spool_append append;
	struct spool_store *store;
	struct buffer states; // kept to be written again where the append fails
	struct list ended, waits;
};

struct spool_work {
	struct os_job job;
	struct list link;
	struct spool_store *store;
	uint64_t body_id;         // a file to remove, or 0
	struct buffer checkpoint; // to be written
	uint32_t covered_epoch;
	enum error error;
};

struct spool_store {
	int dir;                                  // of its own part
	struct spool_folder folders[SPOOL_PARTS]; // receive's is only read, but for bodies removed
	int lock_file;
	struct os_loop *loop;
	struct spool_store_settings settings;
	struct spool_store_calls calls;
	struct spool_family families[SPOOL_FAMILIES_MAX];
	struct list messages;
	struct spool_index index;
	struct buffer window; // of the segment that is read
	struct spool_store_status status;
	uint64_t reason_bytes;
	bool is_careful, is_inspecting, is_closing;
	bool is_partial; // a header could not be read now, or an envelope is of a later version

	struct spool_commit_page *own_commits; // of family 0
	struct spool_queue_page *own_queue;    // where none was given
	struct spool_writer *writer;           // of family 0
	struct spool_port *port;
	struct buffer states; // the group that gathers
	struct list ended, waits;
	struct list groups;  // under way
	struct list waiting; // submissions and copies under way, oldest first
	struct os_timer journal_timer, copy_timer;

	struct os_pool *pool; // removes body files, writes checkpoints
	struct list works;
	bool is_checkpointing;
	uint32_t covered_epoch;     // of family 0, by the last checkpoint
	uint32_t checkpoint_epochs; // uses of family 0 begun when it was written
};

// store.c
struct spool_store *spool_store_new(const struct spool_store_settings *settings,
				    struct spool_store_calls calls); // NULL: no memory
// Blocking. ERROR_NOT_FOUND.
enum error spool_store_open_folders(struct spool_store *store,
				    const int parts[SPOOL_PARTS]) must_check;
static inline const struct spool_folder *spool_store_folder(const struct spool_store *store,
							    uint16_t family)
{
	return &store->folders[spool_part_of(family)];
}
void spool_store_free(struct spool_store *store);
struct spool_segment *spool_store_segment(const struct spool_store *store, uint16_t family,
					  uint32_t epoch); // NULL: not known
enum error spool_store_add_segment(struct spool_store *store,
				   const struct spool_segment_header *header) must_check;
void spool_store_remove_segment(struct spool_store *store, struct spool_segment *segment);
enum error spool_store_pin(struct spool_store *store, struct spool_segment *segment) must_check;
// Something could not be read: then no checkpoint is written, and nothing is taken for a leftover.
bool spool_store_is_partial(const struct spool_store *store);
// A record whose envelope could not be decoded, with that error.
void spool_store_keep_record(struct spool_store *store, struct spool_segment *segment,
			     enum error error, bool is_covered);
void spool_store_unpin(struct spool_store *store, struct spool_segment *segment);
void spool_store_fault(struct spool_store *store, const char *what, struct spool_ref where);
// A message without a place; NULL: no memory. In the index, not in the list.
struct spool_message *spool_message_new(struct spool_store *store, uint64_t id,
					uint32_t recipient_count);
void spool_message_drop(struct spool_store *store, struct spool_message *message); // frees it
// Into the list, counted at its place.
void spool_message_place(struct spool_store *store, struct spool_message *message,
			 struct spool_ref ref);
void spool_message_set_reason(struct spool_store *store, struct spool_message *message,
			      struct view reason);
// Fills store->window from the segment's file; window.len is what could be had of len.
enum error spool_store_read(struct spool_store *store, struct spool_segment *segment,
			    uint32_t offset, uint32_t len) must_check;
static inline struct spool_ref spool_ref_of(const struct spool_segment *segment,
					    const struct spool_record *record)
{
	return (struct spool_ref){ segment->header.family, (uint16_t)segment->header.segment,
				   segment->header.epoch, record->offset, record->bytes };
}

// recover.c
enum error spool_store_recover(struct spool_store *store) must_check;
// The first sequence number of the family's next use where that is known, else 0.
uint64_t spool_store_sequence_after(const struct spool_store *store,
				    const struct spool_segment *segment);
// Reads the header of that use and adds it; the family's commit page says where it is.
enum error spool_store_learn_segment(struct spool_store *store, uint16_t family,
				     uint32_t segment) must_check;

// note.c
void spool_store_flush(struct spool_store *store);
void spool_store_group_timer(void *store);
enum error spool_store_note_whole(struct spool_store *store,
				  struct spool_message *message) must_check;

// checkpoint.c
// Fills the index and ret_covered[SPOOL_FAMILIES_MAX]. ERROR_NOT_FOUND; ERROR_CORRUPT: was told.
enum error spool_checkpoint_load(struct spool_store *store,
				 struct spool_place *ret_covered) must_check;
enum error spool_checkpoint_write(struct spool_store *store, bool is_clean) must_check; // blocking
void spool_checkpoint_when_due(struct spool_store *store);

void spool_store_wait_for(struct spool_store *store, struct spool_waiting *waiting);

// release.c
void spool_store_release(struct spool_store *store, const struct spool_ended *ended);
void spool_store_free_segments(struct spool_store *store, uint16_t family);
void spool_store_copy_timer(void *store);
void spool_store_remove_orphans(struct spool_store *store);
// Does work on the store's pool; it is freed in done. NULL: not to be had now.
struct spool_work *spool_work_submit(struct spool_store *store, struct spool_work work,
				     void (*fn)(struct os_job *job),
				     void (*done)(struct os_job *job));
