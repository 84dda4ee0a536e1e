// The committer: takes what came in, writes it as one batch, syncs, publishes, tells.
#include "spool/writer_private.h"

#include "base/hash.h"
#include "os/clock.h"
#include "os/random.h"

#include <string.h>

enum {
	PARTS_MAX = 64,                  // of one write
	GATHERED_BODY_BYTES = 16 * 1024, // a larger body is written from where it lies
};

// What one write and one sync commit. Heads and small bodies are gathered in writer->batch_bytes;
// between them lie the large bodies, as their appenders keep them.
//
// Where all is gathered the write is a direct one, which costs less for small records. Large bodies
// go through the page cache: copied once, and still there when deliver sends them.
struct batch {
	struct spool_append *first, **end;
	struct os_file_part parts[PARTS_MAX];
	unsigned part_count;
	uint32_t start, bytes, gathered;
	uint64_t records, last_id;
};

void spool_writer_note_failure(struct spool_writer *writer, enum error error)
{
	atomic_store(&writer->last_error, (int)error);
	atomic_fetch_add(&writer->failures, 1);
}

static void take_incoming(struct spool_writer *writer)
{
	struct spool_append *append = atomic_exchange(&writer->incoming, NULL), *first = NULL;

	if (!append) {
		return;
	}
	while (append) {
		struct spool_append *next = append->next;

		append->next = first;
		first = append;
		append = next;
	}
	*writer->waiting_end = first;
	while (*writer->waiting_end) {
		writer->waiting_end = &(*writer->waiting_end)->next;
	}
}

static struct spool_append *take_waiting(struct spool_writer *writer)
{
	struct spool_append *append = writer->waiting_first;

	writer->waiting_first = append->next;
	if (!writer->waiting_first) {
		writer->waiting_end = &writer->waiting_first;
	}
	append->next = NULL;
	return append;
}

// Hands the batch back to its ports, one wake-up for each.
static void tell(struct spool_writer *writer, struct spool_append *append, enum error error)
{
	struct spool_port *told = NULL;

	pthread_mutex_lock(&writer->ports_lock);
	while (append) {
		struct spool_append *next = append->next;
		struct spool_port *port = append->port;

		append->error = error;
		append->next = atomic_load(&port->done);
		while (!atomic_compare_exchange_weak(&port->done, &append->next, append)) {
		}
		if (!port->is_told) {
			port->is_told = true;
			port->next_told = told;
			told = port;
		}
		append = next;
	}
	for (; told; told = told->next_told) {
		told->is_told = false;
		os_wake_send(told->wake);
	}
	pthread_mutex_unlock(&writer->ports_lock);
}

static void wake_deliver(struct spool_writer *writer)
{
	uint32_t sleep = writer->settings.queue ? atomic_load(&writer->settings.queue->sleep) : 0;

	if ((sleep & 1) && sleep != writer->woken && writer->settings.wake) {
		writer->woken = sleep;
		writer->settings.wake(writer->settings.wake_context);
	}
}

static void publish(struct spool_writer *writer)
{
	atomic_store(&writer->settings.commit->mark,
		     (uint64_t)writer->use.epoch << 32 | writer->offset);
	wake_deliver(writer);
}

static void close_use(struct spool_writer *writer)
{
	os_file_close(writer->file);
	writer->file = -1;
}

static void refuse_for_a_while(struct spool_writer *writer, enum error error)
{
	atomic_store(&writer->refuse_until_ms, os_clock_mono_ms() + writer->settings.retry_ms);
	atomic_store(&writer->refusing, (int)error);
}

static void count_failure(struct spool_writer *writer, enum error error)
{
	spool_writer_note_failure(writer, error);
	close_use(writer);
	if (++writer->failures_in_row >= SPOOL_FAILURES_MAX) {
		refuse_for_a_while(writer, error);
	}
}

// What was written at from is not to be trusted any more: the next header says so.
static void abandon(struct spool_writer *writer, uint32_t from, enum error error)
{
	spool_supply_abandon(
		writer, (struct spool_abandoned){ writer->use.segment, writer->use.epoch, from });
	count_failure(writer, error);
}

static enum error write_block(struct spool_writer *writer, int file, uint64_t offset)
{
	enum error error =
		os_file_write_at(file, offset, view_of(writer->batch_bytes, SPOOL_BLOCK_BYTES));

	return error ? error : os_file_sync_data(file);
}

static enum error write_header(struct spool_writer *writer, int file, uint32_t segment)
{
	enum error error;

	writer->use = (struct spool_segment_header){
		.family = writer->settings.family,
		.segment = segment,
		.epoch = ++writer->epoch,
		.tag = os_random_u64(),
		.sequence = writer->sequence,
		.begun_ms = os_clock_wall_ms(),
		.last_id = writer->last_id,
		.segment_bytes = writer->settings.segment_bytes,
		.abandoned_count = writer->abandoned_count,
	};
	memcpy(writer->use.abandoned, writer->abandoned,
	       writer->abandoned_count * sizeof *writer->abandoned);
	spool_segment_header_encode(&writer->use, writer->batch_bytes);
	// The copy first: whichever is torn by a crash, the other one tells.
	error = write_block(writer, file, SPOOL_BLOCK_BYTES);
	return error ? error : write_block(writer, file, 0);
}

static enum error open_use(struct spool_writer *writer)
{
	struct ready_segment ready;
	enum error error;

	error = writer->epoch < UINT32_MAX ? spool_supply_trim_abandoned(writer) : ERROR_LIMIT;
	if (error) {
		refuse_for_a_while(writer, error);
		return error;
	}
	error = spool_supply_take(writer, &ready);
	if (error) {
		return error;
	}
	error = write_header(writer, ready.file, ready.segment);
	writer->file = ready.file;
	writer->is_buffered = false;
	spool_supply_begun(writer, ready.segment, writer->use.epoch, error != OK);
	if (error) {
		count_failure(writer, error); // no record was begun: there is no range to name
		return error;
	}
	writer->offset = SPOOL_RECORDS_AT;
	publish(writer);
	return OK;
}

static void batch_add_part(struct batch *batch, const char *data, uint32_t len)
{
	struct os_file_part *last = batch->part_count ? &batch->parts[batch->part_count - 1] : NULL;

	if (last && (const char *)last->data + last->len == data) {
		last->len += len;
	} else {
		batch->parts[batch->part_count++] = (struct os_file_part){ data, len };
	}
	batch->bytes += len;
}

static void batch_add(struct spool_writer *writer, struct batch *batch, struct view bytes)
{
	char *to = writer->batch_bytes + batch->gathered;

	if (bytes.len > 0) {
		memcpy(to, bytes.data, bytes.len);
		batch->gathered += (uint32_t)bytes.len;
		batch_add_part(batch, to, (uint32_t)bytes.len);
	}
}

static void batch_add_zeros(struct spool_writer *writer, struct batch *batch, uint32_t to)
{
	char *room = writer->batch_bytes + batch->gathered;
	uint32_t count = (uint32_t)spool_pad(batch->bytes, to) - batch->bytes;

	if (count > 0) {
		memset(room, 0, count);
		batch->gathered += count;
		batch_add_part(batch, room, count);
	}
}

static void batch_add_body(struct spool_writer *writer, struct batch *batch, struct view bytes)
{
	if (bytes.len > GATHERED_BODY_BYTES) {
		batch_add_part(batch, bytes.data, (uint32_t)bytes.len);
	} else {
		batch_add(writer, batch, bytes);
	}
}

static uint32_t body_crc(const struct spool_append *append)
{
	uint32_t crc = 0;

	for (unsigned i = 0; i < append->body_count; i++) {
		crc = hash_crc32c(crc, append->body[i]);
	}
	return crc;
}

static void batch_add_record(struct spool_writer *writer, struct batch *batch,
			     struct spool_append *append)
{
	struct spool_record_lengths lengths = { append->outcomes_bytes,
						(uint32_t)append->head.len - append->outcomes_bytes,
						append->body_bytes };
	char header[SPOOL_RECORD_HEADER_BYTES], *head = writer->batch_bytes + batch->gathered;

	append->ref =
		(struct spool_ref){ writer->settings.family, (uint16_t)writer->use.segment,
				    writer->use.epoch, batch->start + batch->bytes, append->bytes };
	spool_record_header_encode(header, &writer->use, writer->sequence + batch->records,
				   batch->start, lengths, body_crc(append));
	batch_add(writer, batch, view_of(header, sizeof header));
	batch_add(writer, batch, buffer_view(&append->head));
	spool_record_seal(head, sizeof header + append->head.len);
	for (unsigned i = 0; i < append->body_count; i++) {
		batch_add_body(writer, batch, append->body[i]);
	}
	batch_add_zeros(writer, batch, 8);
	batch->records++;
	if (append->id > batch->last_id) {
		batch->last_id = append->id;
	}
	*batch->end = append;
	batch->end = &append->next;
}

static bool batch_has_room(const struct spool_writer *writer, const struct batch *batch,
			   const struct spool_append *append)
{
	uint64_t bytes = spool_pad(batch->bytes + (uint64_t)append->bytes, SPOOL_BLOCK_BYTES);

	// A body of several parts may take as many parts of the write, each with one behind it.
	return bytes <= SPOOL_BATCH_BYTES &&
	       batch->start + bytes <= writer->settings.segment_bytes &&
	       (!batch->first || batch->part_count + 2 * append->body_count + 2 <= PARTS_MAX);
}

static enum error set_buffered(struct spool_writer *writer, bool buffered)
{
	enum error error = OK;

	if (writer->is_buffered != buffered) {
		error = os_file_set_direct(writer->file, !buffered);
		writer->is_buffered = buffered;
	}
	return error;
}

static enum error write_batch(struct spool_writer *writer, struct batch *batch)
{
	enum error error;

	batch_add_zeros(writer, batch, SPOOL_BLOCK_BYTES);
	error = set_buffered(writer, batch->part_count > 1);
	if (!error) {
		error = os_file_write_parts_at(writer->file, batch->start, batch->parts,
					       batch->part_count);
	}
	return error ? error : os_file_sync_data(writer->file);
}

static void commit_batch(struct spool_writer *writer)
{
	struct batch batch = { .start = writer->offset };
	enum error error;

	batch.end = &batch.first;
	while (writer->waiting_first && batch_has_room(writer, &batch, writer->waiting_first)) {
		batch_add_record(writer, &batch, take_waiting(writer));
	}
	if (!batch.first) {
		close_use(writer); // no room: the next turn opens another segment
		return;
	}
	error = write_batch(writer, &batch);
	if (error) {
		abandon(writer, batch.start, error);
		writer->failed = batch.first;
		writer->failed_error = error;
	} else {
		writer->offset += batch.bytes;
		writer->sequence += batch.records;
		if (batch.last_id > writer->last_id) {
			writer->last_id = batch.last_id;
		}
		writer->failures_in_row = 0;
		atomic_store(&writer->refusing, OK);
		atomic_fetch_add(&writer->records, batch.records);
		atomic_fetch_add(&writer->batches, 1);
		atomic_fetch_add(&writer->bytes, batch.bytes);
		publish(writer);
		tell(writer, batch.first, OK);
	}
}

static void fail_waiting(struct spool_writer *writer, enum error error)
{
	struct spool_append *first = writer->waiting_first;

	writer->waiting_first = NULL;
	writer->waiting_end = &writer->waiting_first;
	tell(writer, first, error);
}

// They are told when the next header has named their range, so that no crash brings back what was
// refused; or when no header can be written now, and the next one will say it.
static void tell_failed(struct spool_writer *writer)
{
	struct spool_append *first = writer->failed;

	writer->failed = NULL;
	if (first) {
		tell(writer, first, writer->failed_error);
	}
}

void spool_writer_commit(void *context)
{
	struct spool_writer *writer = context;
	enum error error;

	for (take_incoming(writer); writer->waiting_first || writer->failed;
	     take_incoming(writer)) {
		error = spool_writer_refusal(writer);
		if (!error && writer->file < 0) {
			error = open_use(writer);
		}
		if (error == ERROR_AGAIN) {
			return;
		}
		tell_failed(writer);
		if (error) {
			fail_waiting(writer, error);
		} else if (writer->waiting_first) {
			commit_batch(writer);
		}
	}
}
