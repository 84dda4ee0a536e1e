#include "spool/writer.h"

#include "os/clock.h"
#include "spool/writer_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESERVE_INODES = 1000 };

static const uint64_t reserve_bytes = 256 * 1024 * 1024;

struct spool_writer_settings spool_writer_defaults(uint16_t family)
{
	return (struct spool_writer_settings){
		.family = family,
		.reserve_bytes = reserve_bytes,
		.reserve_inodes = RESERVE_INODES,
	};
}

static enum error check_settings(struct spool_writer_settings *settings)
{
	if (settings->segment_bytes == 0) {
		settings->segment_bytes = SPOOL_SEGMENT_BYTES;
	}
	if (settings->log_bytes_max == 0) {
		settings->log_bytes_max = (uint64_t)SPOOL_SEGMENTS_MAX * settings->segment_bytes;
	}
	if (settings->retry_ms == 0) {
		settings->retry_ms = SPOOL_RETRY_MS;
	}
	if (settings->family >= SPOOL_FAMILIES_MAX || !settings->commit ||
	    settings->segment_bytes % SPOOL_BLOCK_BYTES != 0 ||
	    settings->segment_bytes < SPOOL_SEGMENT_BYTES_MIN ||
	    settings->segment_bytes > SPOOL_SEGMENT_BYTES_MAX) {
		return ERROR_INVALID;
	}
	return OK;
}

static enum error lock_family(struct spool_writer *writer)
{
	char name[SPOOL_LOCK_NAME_BYTES];

	snprintf(name, sizeof name, "%02x.lock", writer->settings.family & 0xffu);
	return spool_folder_lock(writer->folder.log, name, writer->folder.file_mode,
				 &writer->lock_file);
}

static enum error open_parts(struct spool_writer *writer, int dir, struct os_loop *loop)
{
	enum error error = spool_folder_open(dir, spool_part_of(writer->settings.family),
					     writer->settings.shared_group, &writer->folder);

	if (!error) {
		error = lock_family(writer);
	}
	if (!error) {
		error = spool_supply_open(writer);
	}
	if (!error) {
		writer->opening_last_id = writer->last_id;
		spool_writer_supply(writer);
		error = (enum error)atomic_load(&writer->supply_error);
	}
	if (error == ERROR_NO_SPACE) {
		error = OK; // spool_writer_admit refuses until there is room again
	}
	if (!error) {
		error = os_worker_new(loop, "supply", spool_writer_supply, writer,
				      &writer->supplier);
	}
	if (!error) {
		error = os_worker_new(loop, "commit", spool_writer_commit, writer,
				      &writer->committer);
	}
	return error;
}

enum error spool_writer_open(int dir, struct os_loop *loop,
			     const struct spool_writer_settings *settings,
			     struct spool_writer **ret_writer)
{
	struct spool_writer_settings checked = *settings;
	struct spool_writer *writer;
	enum error error = check_settings(&checked);

	if (error) {
		return error;
	}
	writer = calloc(1, sizeof *writer);
	if (!writer) {
		return ERROR_NO_MEMORY;
	}
	writer->settings = checked;
	writer->folder.log = writer->folder.body = -1;
	writer->lock_file = writer->file = writer->ready.file = -1;
	writer->waiting_end = &writer->waiting_first;
	pthread_mutex_init(&writer->supply_lock, NULL);
	pthread_mutex_init(&writer->ports_lock, NULL);
	writer->batch_bytes = aligned_alloc(
		SPOOL_BLOCK_BYTES, checked.segment_bytes < SPOOL_BATCH_BYTES ? checked.segment_bytes
									     : SPOOL_BATCH_BYTES);
	error = writer->batch_bytes ? open_parts(writer, dir, loop) : ERROR_NO_MEMORY;
	if (error) {
		spool_writer_close(writer);
		return error;
	}
	*ret_writer = writer;
	return OK;
}

void spool_writer_stop(struct spool_writer *writer)
{
	pthread_mutex_lock(&writer->supply_lock);
	writer->is_stopping = true;
	pthread_mutex_unlock(&writer->supply_lock);
	os_worker_free(writer->supplier);
	os_worker_free(writer->committer);
	writer->supplier = writer->committer = NULL;
	spool_writer_commit(writer);
}

void spool_writer_close(struct spool_writer *writer)
{
	if (!writer) {
		return;
	}
	spool_writer_stop(writer);
	os_file_close(writer->file);
	os_file_close(writer->ready.file);
	os_file_close(writer->lock_file);
	spool_folder_close(&writer->folder);
	pthread_mutex_destroy(&writer->supply_lock);
	pthread_mutex_destroy(&writer->ports_lock);
	free(writer->batch_bytes);
	free(writer);
}

uint64_t spool_writer_last_id(const struct spool_writer *writer)
{
	return writer->opening_last_id;
}

enum error spool_writer_refusal(const struct spool_writer *writer)
{
	enum error error = (enum error)atomic_load(&writer->refusing);

	if (error && os_clock_mono_ms() >= atomic_load(&writer->refuse_until_ms)) {
		return OK; // time to try again
	}
	return error;
}

struct spool_writer_status spool_writer_status(const struct spool_writer *writer)
{
	enum error error = spool_writer_refusal(writer);

	return (struct spool_writer_status){
		.error = error ? error : (enum error)atomic_load(&writer->supply_error),
		.last_error = (enum error)atomic_load(&writer->last_error),
		.failures = atomic_load(&writer->failures),
		.abandoned = atomic_load(&writer->abandoned_total),
		.segments = atomic_load(&writer->segment_count),
		.records = atomic_load(&writer->records),
		.batches = atomic_load(&writer->batches),
		.bytes = atomic_load(&writer->bytes),
	};
}

enum error spool_writer_admit(const struct spool_writer *writer)
{
	enum error error = spool_writer_refusal(writer);

	if (error) {
		return error;
	}
	error = (enum error)atomic_load(&writer->supply_error);
	if (error) {
		if (os_clock_mono_ms() >= atomic_load(&writer->supply_retry_ms) &&
		    writer->supplier) {
			os_worker_kick(writer->supplier);
		}
		return error;
	}
	if (writer->settings.queue && atomic_load(&writer->settings.queue->pressure) >= 100) {
		return ERROR_LIMIT;
	}
	return OK;
}

static void tell_done(void *context)
{
	struct spool_port *port = context;
	struct spool_append *append = atomic_exchange(&port->done, NULL), *first = NULL;

	while (append) {
		struct spool_append *next = append->next;

		append->next = first;
		first = append;
		append = next;
	}
	while (first) {
		struct spool_append *next = first->next;

		buffer_done(&first->head);
		first->done(first->context, first, first->error);
		first = next;
	}
}

enum error spool_port_new(struct spool_writer *writer, struct os_loop *loop,
			  struct spool_port **ret_port)
{
	struct spool_port *port = calloc(1, sizeof *port);
	enum error error;

	if (!port) {
		return ERROR_NO_MEMORY;
	}
	port->writer = writer;
	error = os_wake_new(loop, tell_done, port, &port->wake);
	if (error) {
		free(port);
		return error;
	}
	*ret_port = port;
	return OK;
}

void spool_port_free(struct spool_port *port)
{
	if (!port) {
		return;
	}
	tell_done(port);
	pthread_mutex_lock(&port->writer->ports_lock);
	pthread_mutex_unlock(&port->writer->ports_lock);
	os_wake_free(port->wake);
	free(port);
}

uint32_t spool_writer_record_bytes_max(const struct spool_writer *writer)
{
	uint32_t room = writer->settings.segment_bytes - SPOOL_RECORDS_AT;

	return room < SPOOL_BATCH_BYTES ? room : SPOOL_BATCH_BYTES;
}

static enum error measure(const struct spool_writer *writer, struct spool_append *append)
{
	uint64_t body_bytes = 0, bytes;

	if (append->body_count > SPOOL_RECORD_PARTS_MAX) {
		return ERROR_INVALID;
	}
	for (unsigned i = 0; i < append->body_count; i++) {
		body_bytes += append->body[i].len;
	}
	bytes = SPOOL_RECORD_HEADER_BYTES + append->head.len + body_bytes;
	if (body_bytes > SPOOL_BODY_INLINE_BYTES || bytes > spool_writer_record_bytes_max(writer)) {
		return ERROR_INVALID;
	}
	append->body_bytes = (uint32_t)body_bytes;
	append->bytes = (uint32_t)bytes;
	return OK;
}

enum error spool_writer_append_record(struct spool_port *port, struct spool_append *append,
				      struct buffer head, uint32_t outcomes_bytes, uint64_t id,
				      const struct view *body, unsigned body_count,
				      spool_append_fn *done, void *context)
{
	struct spool_writer *writer = port->writer;
	enum error error = spool_writer_refusal(writer);

	*append = (struct spool_append){
		.port = port,
		.done = done,
		.context = context,
		.head = head,
		.outcomes_bytes = outcomes_bytes,
		.body = body,
		.body_count = body_count,
		.id = id,
	};
	if (!error) {
		error = buffer_error(&head);
	}
	if (!error) {
		error = measure(writer, append);
	}
	if (error) {
		buffer_done(&append->head);
		return error;
	}
	append->next = atomic_load(&writer->incoming);
	while (!atomic_compare_exchange_weak(&writer->incoming, &append->next, append)) {
	}
	os_worker_kick(writer->committer);
	return OK;
}

enum error spool_writer_append(struct spool_port *port, struct spool_append *append,
			       const struct spool_envelope *envelope, const struct view *body,
			       unsigned body_count, spool_append_fn *done, void *context)
{
	struct buffer head = buffer_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	enum error error = spool_envelope_encode(&head, envelope);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < body_count; i++) {
		bytes += body[i].len;
	}
	if (!error && bytes != ((envelope->flags & SPOOL_BODY_FILE) ? 0 : envelope->body_bytes)) {
		error = ERROR_INVALID;
	}
	if (error) {
		buffer_done(&head);
		return error;
	}
	return spool_writer_append_record(port, append, head, 0, envelope->id, body, body_count,
					  done, context);
}
