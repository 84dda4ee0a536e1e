// The writing end of one family of the log: records go in from any loop thread, come back as done
// after the sync that covers them. One committer thread per family writes and syncs; while one
// batch is in its sync the next gathers; an idle writer commits a lone record at once. A second
// thread zeroes segments ahead. Used by receive, and inside the store for deliver's own family.
//
// Order of life: open; one port per loop thread; append; free the ports; close (last).
#pragma once

#include "base/view.h"
#include "os/loop.h"
#include "spool/envelope.h"
#include "spool/pages.h"
#include "spool/ref.h"

struct spool_writer;
struct spool_port;

enum {
	SPOOL_SEGMENT_BYTES = 16 * 1024 * 1024,
	SPOOL_SEGMENT_BYTES_MIN = 64 * 1024, // for tests
	SPOOL_SEGMENT_BYTES_MAX = 256 * 1024 * 1024,
	SPOOL_BATCH_BYTES = 4 * 1024 * 1024,  // a batch ends at the first record past this
	SPOOL_BODY_INLINE_BYTES = 256 * 1024, // a larger body goes into a file (body.h)
	SPOOL_RECORD_PARTS_MAX = 16,
};

struct spool_writer_settings {
	uint16_t family;
	uint32_t segment_bytes; // a multiple of 4096; 0: SPOOL_SEGMENT_BYTES
	uint64_t log_bytes_max; // of all segments of this family; 0: SPOOL_SEGMENTS_MAX segments
	uint64_t reserve_bytes; // kept free on the disk; refuse before touching them
	uint64_t reserve_inodes;
	bool shared_group;                // receive's files 0660 instead of 0600
	uint64_t retry_ms;                // how long to refuse after 3 failures in a row; 0: 10 s
	struct spool_commit_page *commit; // written by this writer; outlives it
	const struct spool_queue_page *queue; // read; outlives it; NULL: nothing is ever freed
	// Deliver sleeps and there is something new. Called on the committer's thread: typically
	// os_wake_send to a loop that has the channel to deliver. May be NULL.
	void (*wake)(void *context);
	void *wake_context;
};

// The defaults of DESIGN for a family of receive: reserve 256 MiB and 1,000 inodes.
struct spool_writer_settings spool_writer_defaults(uint16_t family);

// Blocking: for start-up. dir is the folder of the family's part of the spool (layout.h); the
// writer keeps its own handles. loop hosts the threads in the simulation, and must outlive the
// writer.
// ERROR_BUSY: another writer has this family (during an upgrade: take the next one).
// On a full disk it opens, and spool_writer_admit says so.
enum error spool_writer_open(int dir, struct os_loop *loop,
			     const struct spool_writer_settings *settings,
			     struct spool_writer **ret_writer) must_check;
// Commits what was appended, then stops the threads. Ports are freed before. Accepts NULL.
void spool_writer_close(struct spool_writer *writer);

// The highest queue id found in this family at its opening; 0 for none.
uint64_t spool_writer_last_id(const struct spool_writer *writer);

struct spool_writer_status {
	enum error error;      // OK: takes records. Otherwise why it refuses everything now
	enum error last_error; // of the last failed write, sync or preparation; OK: none so far
	uint32_t failures;     // failed batches and segments since the opening
	uint32_t abandoned;    // ranges on record
	uint32_t segments;     // files of this family
	uint64_t records, batches, bytes; // committed since the opening
};
struct spool_writer_status spool_writer_status(const struct spool_writer *writer); // any thread
// OK, or why a new message should be refused before its body is read (452): the writer's own state,
// or ERROR_LIMIT when deliver asks for relief (pressure 100). Cheap; any thread.
enum error spool_writer_admit(const struct spool_writer *writer) must_check;

// A loop thread's way in: completions come back on its loop, one wake-up per loop and batch.
enum error spool_port_new(struct spool_writer *writer, struct os_loop *loop,
			  struct spool_port **ret_port) must_check;
// On its loop's thread, with no append under way. Accepts NULL.
void spool_port_free(struct spool_port *port);

struct spool_append;
// error is OK after the sync that covers the record; otherwise the message is not accepted (4xx).
typedef void spool_append_fn(void *context, struct spool_append *append, enum error error);

// Embedded in its owner; belongs to the writer from spool_append_* until done is called. No field
// is for the caller but ref and bytes, which are set when done is called with OK.
struct spool_append {
	struct spool_append *next;
	struct spool_port *port;
	spool_append_fn *done;
	void *context;
	struct buffer head; // outcomes and envelope, encoded
	uint32_t outcomes_bytes;
	const struct view *body;
	unsigned body_count;
	uint32_t body_bytes;
	enum error error;
	uint64_t id;
	struct spool_ref ref;
	uint32_t bytes; // of the whole record
};

// A message. On the port's thread. The envelope is encoded at once and needs to live no longer;
// body (the array and the bytes) must stay until done. With SPOOL_BODY_FILE in envelope->flags,
// body is empty and the file is finished (body.h); otherwise the parts add up to
// envelope->body_bytes, at most SPOOL_BODY_INLINE_BYTES in at most SPOOL_RECORD_PARTS_MAX parts. An
// error other than OK: nothing was taken and done will not be called. ERROR_NO_SPACE, ERROR_IO and
// others of spool_writer_status: the writer refuses; ERROR_INVALID: a bound is broken.
enum error spool_writer_append(struct spool_port *port, struct spool_append *append,
			       const struct spool_envelope *envelope, const struct view *body,
			       unsigned body_count, spool_append_fn *done,
			       void *context) must_check;
// A record from encoded parts (the store's journal): takes the buffer head, of which the first
// outcomes_bytes are outcomes and the rest an envelope. id: of the message in it, or 0.
enum error spool_writer_append_record(struct spool_port *port, struct spool_append *append,
				      struct buffer head, uint32_t outcomes_bytes, uint64_t id,
				      const struct view *body, unsigned body_count,
				      spool_append_fn *done, void *context) must_check;
