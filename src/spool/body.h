// A large body on its way in: bytes are added on the loop's thread, a pool writes them into
// body/ID, and the file with its name is synced before the record that names it is appended.
// Each body holds two buffers, of SPOOL_BODY_BUFFER_BYTES or what its owner can spare. One loop
// thread. The pool is freed before the writer is closed.
//
//	spool_body_new -> spool_body_add ... -> spool_body_finish -> (finished: OK) ->
//	spool_body_describe -> spool_writer_append -> spool_body_free(body, true)
#pragma once

#include <stdatomic.h>

#include "base/view.h"
#include "os/worker.h"
#include "spool/writer.h"

enum { SPOOL_BODY_BUFFER_BYTES = 256 * 1024, SPOOL_BODY_BUFFER_BYTES_MIN = 4 * 1024 };

struct spool_body;

struct spool_body_calls {
	void (*ready)(void *context); // after spool_body_is_full: there is room again
	// Once after spool_body_finish: OK when all is durable.
	void (*finished)(void *context, enum error error);
	void *context;
	size_t buffer_bytes; // of each of the two; 0: SPOOL_BODY_BUFFER_BYTES
	// What the buffers take is counted here until they are given back, which may be after
	// spool_body_free, and at the latest when the pool is freed. May be NULL.
	atomic_ullong *memory;
};

// ERROR_NO_SPACE when the reserve would be touched (as last measured); no I/O yet.
enum error spool_body_new(struct spool_writer *writer, struct os_pool *pool, uint64_t id,
			  struct spool_body_calls calls, struct spool_body **ret_body) must_check;
// Copies the bytes. The error of an earlier write is told here too; ERROR_LIMIT: more than there is
// room for.
enum error spool_body_add(struct spool_body *body, struct view bytes) must_check;
bool spool_body_is_full(const struct spool_body *body); // stop reading until ready is called
size_t spool_body_room(const struct spool_body *body);  // bytes; some, when it is not full
void spool_body_finish(struct spool_body *body);
// Of a finished one: what the record that names it says of the file (flag, size, checksum).
void spool_body_describe(const struct spool_body *body, struct spool_envelope *envelope);
// At any moment; no call comes after it. keep false removes the file. Accepts NULL.
void spool_body_free(struct spool_body *body, bool keep);
