#include "spool/body.h"

#include "base/hash.h"
#include "spool/id.h"
#include "spool/writer_private.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 2 };

// Bytes go into one buffer while the pool writes the other.
struct spool_body {
	struct os_job job;
	struct os_pool *pool;
	struct spool_body_calls calls;
	char name[SPOOL_ID_TEXT_LEN + 1];
	int dir; // the writer's
	uint32_t mode;
	uint64_t reserve_bytes, reserve_inodes;
	char *bytes[BUFFERS];
	size_t len[BUFFERS];
	unsigned filling;
	bool is_busy;   // the job is with the pool
	bool is_ending; // finish was called
	bool is_done;   // and finished was told
	bool is_dropped, keep;

	// the pool's while is_busy
	int file;
	uint64_t written;
	uint32_t
		crc; // of what was written, from memory: what the disk makes of it is to be noticed
	bool is_last;
	bool is_removal; // the last job of one that is not kept
	enum error error;
};

static enum error open_file(struct spool_body *body)
{
	uint64_t bytes, inodes;
	enum error error = os_dir_free_bytes(body->dir, &bytes, &inodes);

	if (error) {
		return error;
	}
	if (bytes < body->reserve_bytes + body->calls.buffer_bytes ||
	    inodes < body->reserve_inodes) {
		return ERROR_NO_SPACE;
	}
	if (body->file >= 0) {
		return OK;
	}
	return os_file_open_at(body->dir, body->name, OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE,
			       body->mode, &body->file);
}

static enum error write_out(struct spool_body *body)
{
	unsigned full = 1 - body->filling;
	struct view bytes = view_of(body->bytes[full], body->len[full]);
	enum error error = open_file(body);

	if (!error) {
		error = os_file_write_at(body->file, body->written, bytes);
		body->written += bytes.len;
		body->crc = hash_crc32c(body->crc, bytes);
	}
	if (!error && body->is_last) {
		error = os_file_sync(body->file);
		if (!error) {
			error = os_dir_sync(body->dir);
		}
	}
	return error;
}

static void work(struct os_job *job)
{
	struct spool_body *body = CONTAINER_OF(job, struct spool_body, job);

	if (body->is_removal) {
		(void)!os_file_remove_at(body->dir, body->name);
	} else if (body->error == OK) {
		body->error = write_out(body);
	}
}

static void release(struct spool_body *body)
{
	if (body->calls.memory) {
		atomic_fetch_sub(body->calls.memory, BUFFERS * body->calls.buffer_bytes);
	}
	os_file_close(body->file);
	free(body->bytes[0]);
	free(body->bytes[1]);
	free(body);
}

static void submit(struct spool_body *body);

static void finished(struct spool_body *body)
{
	body->is_done = true;
	body->calls.finished(body->calls.context, body->error);
}

static void done(struct os_job *job)
{
	struct spool_body *body = CONTAINER_OF(job, struct spool_body, job);
	bool was_full = spool_body_is_full(body), was_last = body->is_last;

	body->is_busy = false;
	body->len[1 - body->filling] = 0;
	if (body->is_dropped) {
		spool_body_free(body, body->keep);
	} else if (was_last) {
		finished(body);
	} else if (body->is_ending) {
		submit(body);
	} else {
		if (body->len[body->filling] == body->calls.buffer_bytes) {
			submit(body);
		}
		if (was_full && body->calls.ready) {
			body->calls.ready(body->calls.context);
		}
	}
}

static void submit(struct spool_body *body)
{
	enum error error;

	body->filling = 1 - body->filling;
	body->is_last = body->is_ending;
	body->is_busy = true;
	body->job = (struct os_job){ .work = work, .done = done };
	error = os_pool_submit(body->pool, &body->job);
	if (error) {
		body->is_busy = false;
		if (body->error == OK) {
			body->error = error;
		}
		body->len[1 - body->filling] = 0;
		if (body->is_last) {
			finished(body);
		}
	}
}

enum error spool_body_new(struct spool_writer *writer, struct os_pool *pool, uint64_t id,
			  struct spool_body_calls calls, struct spool_body **ret_body)
{
	struct spool_body *body;
	enum error error = (enum error)atomic_load(&writer->supply_error);

	if (error) {
		return error;
	}
	body = calloc(1, sizeof *body);
	if (!body) {
		return ERROR_NO_MEMORY;
	}
	if (calls.buffer_bytes == 0) {
		calls.buffer_bytes = SPOOL_BODY_BUFFER_BYTES;
	}
	if (calls.memory) {
		atomic_fetch_add(calls.memory, BUFFERS * calls.buffer_bytes);
	}
	body->pool = pool;
	body->calls = calls;
	body->file = -1;
	body->dir = writer->folder.body;
	body->mode = writer->folder.file_mode;
	body->reserve_bytes = writer->settings.reserve_bytes;
	body->reserve_inodes = writer->settings.reserve_inodes;
	spool_id_format(id, body->name);
	body->bytes[0] = malloc(calls.buffer_bytes);
	body->bytes[1] = malloc(calls.buffer_bytes);
	if (!body->bytes[0] || !body->bytes[1]) {
		release(body);
		return ERROR_NO_MEMORY;
	}
	*ret_body = body;
	return OK;
}

size_t spool_body_room(const struct spool_body *body)
{
	size_t buffer = body->calls.buffer_bytes;

	return buffer - body->len[body->filling] + (body->is_busy ? 0 : buffer);
}

enum error spool_body_add(struct spool_body *body, struct view bytes)
{
	if (!body->is_busy && body->error) {
		return body->error;
	}
	if (bytes.len > spool_body_room(body)) {
		return ERROR_LIMIT;
	}
	while (bytes.len > 0) {
		size_t *len = &body->len[body->filling];
		struct view part = view_first(bytes, body->calls.buffer_bytes - *len);

		memcpy(body->bytes[body->filling] + *len, part.data, part.len);
		*len += part.len;
		bytes = view_from(bytes, part.len);
		if (*len == body->calls.buffer_bytes && !body->is_busy) {
			submit(body);
		}
	}
	return OK;
}

bool spool_body_is_full(const struct spool_body *body)
{
	return body->is_busy && body->len[body->filling] > body->calls.buffer_bytes / 2;
}

void spool_body_describe(const struct spool_body *body, struct spool_envelope *envelope)
{
	envelope->flags |= SPOOL_BODY_FILE;
	envelope->body_bytes = body->written;
	envelope->body_crc = body->crc;
	envelope->has_body_crc = true;
}

void spool_body_finish(struct spool_body *body)
{
	body->is_ending = true;
	if (!body->is_busy) {
		submit(body);
	}
}

void spool_body_free(struct spool_body *body, bool keep)
{
	if (!body) {
		return;
	}
	body->keep = keep;
	if (body->is_busy) {
		body->is_dropped = true;
		return;
	}
	if (!keep && body->file >= 0 && !body->is_removal) {
		body->is_dropped = body->is_removal = body->is_busy = true;
		body->job = (struct os_job){ .work = work, .done = done };
		if (os_pool_submit(body->pool, &body->job) == OK) {
			return;
		}
		(void)!os_file_remove_at(body->dir, body->name);
	}
	release(body);
}
