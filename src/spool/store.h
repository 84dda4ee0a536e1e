// The reading end: deliver's view of the spool. It recovers the live queue, follows new commits of
// all families, keeps each message's durable state, journals what happens to it, frees segments,
// copies long-lived messages forward and writes checkpoints. One store per spool (locked), one loop
// thread; only spool_source_* may run elsewhere.
//
// Life: open (blocking; on_message for each live message) -> spool_store_follow whenever woken ->
// note / submit -> close. A struct spool_message belongs to the store; deliver keeps the pointer
// from on_message until it makes the last recipient final.
#pragma once

#include "base/list.h"
#include "os/loop.h"
#include "spool/envelope.h"
#include "spool/layout.h"
#include "spool/pages.h"
#include "spool/ref.h"
#include "spool/writer.h"

enum {
	SPOOL_REASON_BYTES_MAX = 512,
	SPOOL_CRASHES_MAX = 2, // in hand at so many crashes: held
};

enum spool_status {
	SPOOL_PENDING,
	SPOOL_DELIVERED,
	SPOOL_FAILED,
	SPOOL_EXPIRED,
	SPOOL_REMOVED, // by the operator
	SPOOL_STATUS_COUNT,
};

struct spool_recipient_state {
	uint8_t status; // enum spool_status; all but SPOOL_PENDING are final
	bool trying;    // an attempt is in hand
	uint16_t attempts;
	uint32_t next_attempt_s; // Unix time; 0: at once
};

enum {
	SPOOL_HELD = 1,   // by the operator, or as poisonous (crashes == SPOOL_CRASHES_MAX)
	SPOOL_WARNED = 2, // the delay warning was sent
};

// All fields are read-only for deliver, but user.
struct spool_message {
	struct list link; // the store's
	uint64_t id;
	struct spool_ref ref; // where it is now
	void *user;           // deliver's own entry for it
	char *reason;         // the last one noted, NUL-terminated; NULL: none
	uint32_t recipient_count;
	uint32_t pending; // recipients not yet final
	uint8_t flags;
	uint8_t crashes;
	uint8_t internal;
	bool has_body_file;
	struct spool_recipient_state recipients[];
};

struct spool_store_calls {
	// A live message: at recovery, and for each new one. The envelope's views and recipients
	// are valid during the call only. ERROR_NO_MEMORY and the like: spool_store_open fails with
	// it; while following, the message is offered again by a later spool_store_follow.
	enum error (*on_message)(void *context, struct spool_message *message,
				 const struct spool_envelope *envelope);
	// Something on disk is wrong; the rest goes on. what is a fixed phrase; where: its place.
	void (*on_fault)(void *context, const char *what, struct spool_ref where);
	void *context;
};

struct spool_store_settings {
	uint64_t journal_ms;    // outcomes gather so long at the most (0: 20 ms; at most 100 ms)
	uint32_t segment_bytes; // of family 0; 0: SPOOL_SEGMENT_BYTES
	uint32_t checkpoint_segments;   // journal segments after which one is written; 0: 8
	uint32_t copy_forward_segments; // segments in use above which sparse old ones are emptied;
					// 0: 64
	uint64_t reason_bytes_max; // of all reasons in memory; 0: 64 MiB; above it they are dropped
	struct spool_queue_page *queue; // written by the store; outlives it
	// The commit pages of receive's families; NULL where a family has none now. [0] is not
	// used.
	const struct spool_commit_page *commits[SPOOL_FAMILIES_MAX];
};

struct spool_store;

// Blocking: for start-up. parts are the folders of the spool's two parts, and outlive the store,
// which writes into deliver's; of receive's it reads the log, and removes bodies. ERROR_BUSY:
// another deliver has the lock.
enum error spool_store_open(const int parts[SPOOL_PARTS], struct os_loop *loop,
			    const struct spool_store_settings *settings,
			    struct spool_store_calls calls,
			    struct spool_store **ret_store) must_check;
// Commits what was noted, writes a checkpoint, marks the end as clean. Blocking. Accepts NULL.
// Messages are freed; user pointers are deliver's to free before.
void spool_store_close(struct spool_store *store);

// Reads up to messages_max new messages that are committed. True: there may be more, call again.
bool spool_store_follow(struct spool_store *store, unsigned messages_max);
// Something committed could not be taken in, for want of memory or descriptors say: follow again
// after a while, even if nothing new comes.
bool spool_store_is_behind(const struct spool_store *store);
// Before sleeping: raises the sleep mark, so that writers wake us, and looks once more. True: there
// is something new after all (the mark is down again). spool_store_awake lowers the mark.
bool spool_store_sleep(struct spool_store *store);
void spool_store_awake(struct spool_store *store);
void spool_store_set_pressure(struct spool_store *store, uint32_t percent);

struct spool_message *spool_store_find(const struct spool_store *store, uint64_t id); // or NULL
struct spool_message *spool_store_next(const struct spool_store *store,
				       const struct spool_message *message); // NULL starts, ends
// True after an unclean end: deliver then notes `trying` and waits for spool_store_commit before
// each attempt, so that a poisonous message is caught.
bool spool_store_is_careful(const struct spool_store *store);

struct spool_store_status {
	enum error journal_error; // OK, or why outcomes cannot be written: start no attempts now
	uint64_t messages, bytes; // live
	uint32_t segments;        // in use, all families
	uint32_t faults;          // told by on_fault
	uint64_t checkpoints, copied_forward, reasons_dropped;
};
struct spool_store_status spool_store_status(const struct spool_store *store);

// What happened to some recipients of a message. State is absolute: trying ends when an outcome
// says so, attempts is the new count.
struct spool_outcome {
	uint32_t recipient; // index
	struct spool_recipient_state state;
};
struct spool_change {
	struct spool_message *message;
	const struct spool_outcome *outcomes;
	uint32_t outcome_count;
	uint8_t flags_set, flags_cleared; // SPOOL_HELD, SPOOL_WARNED
	struct view reason;               // replaces the last one unless empty
};

// Takes effect at once in memory, on disk with the next group. When the last recipient is final the
// message is freed before this returns. ERROR_INVALID: an index or a status out of range (nothing
// done). ERROR_NO_MEMORY: nothing done.
enum error spool_store_note(struct spool_store *store,
			    const struct spool_change *change) must_check;

struct spool_wait {
	struct list link;
	void (*done)(void *context); // everything noted before is durable
	void *context;
};
// Starts the commit of the group now. Where nothing waits for one, done is called before this
// returns.
void spool_store_commit(struct spool_store *store, struct spool_wait *wait);
void spool_wait_cancel(struct spool_wait *wait);

// An outcome that causes a message (bounce, forward, delay warning, report): one atomic record.
// change may be NULL (a report on its own). The change takes effect when done says OK; until then
// the message must get no other change that makes a recipient final. With another error nothing has
// happened: try again later. The new message then comes through spool_store_follow.
// The body may be at most SPOOL_BODY_INLINE_BYTES.
struct spool_waiting { // the store's: a record under way that puts a message somewhere
	struct list link;
	uint32_t epoch, offset; // it lies behind this in the store's own family
};
struct spool_submission {
	struct spool_waiting waiting;
	struct spool_append append;
	struct spool_store *store;
	struct spool_message *message; // whose outcome it is; NULL: nobody's
	struct buffer state;           // that becomes true with it
	void (*done)(void *context, enum error error);
	void *context;
};
enum error spool_store_submit(struct spool_store *store, struct spool_submission *submission,
			      const struct spool_change *change,
			      const struct spool_envelope *envelope, const struct view *body,
			      unsigned body_count, void (*done)(void *context, enum error error),
			      void *context) must_check;
struct spool_writer *spool_store_writer(struct spool_store *store);

// Reading a message for an attempt. Opening is quick (no data is read) and pins its segment; the
// two reads may run on a pool thread.
struct spool_source {
	struct spool_store *store;
	struct spool_message *message;
	struct spool_ref ref;
	int segment_file;
	uint64_t tag;
	int body_file;                    // -1: the body is in the segment
	uint64_t body_offset, body_bytes; // known after spool_source_read_envelope
	// Of a file that is read from its begin on: the sum so far, and that of the record.
	uint64_t summed_bytes;
	uint32_t sum, body_crc;
	bool has_body_crc;
};
enum error spool_source_open(struct spool_store *store, struct spool_message *message,
			     struct spool_source *ret_source) must_check;
// Reads the record, checks it, decodes: the envelope's views point into bytes (cleared first; its
// max at least ref.bytes). A small body then lies in bytes too: *ret_body (empty for a file).
enum error spool_source_read_envelope(struct spool_source *source, struct buffer *bytes,
				      struct arena *arena, struct spool_envelope *ret_envelope,
				      struct view *ret_body) must_check;
// Part of the body, after spool_source_read_envelope; offset + len within body_bytes. Who reads a
// file from its begin to its end, part by part, gets ERROR_CORRUPT for the last part where the file
// is not what was written; also where it is too short.
enum error spool_source_read_body(struct spool_source *source, uint64_t offset, void *bytes,
				  size_t len) must_check;
void spool_source_close(struct spool_source *source); // on the store's thread; may be all zero
