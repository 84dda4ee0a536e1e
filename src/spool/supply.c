// The supply of segments: which are in use, which are free, making the next one ready ahead of
// need.
#include "spool/writer_private.h"

#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum { SUPPLY_RETRY_MS = 1000 };

static bool is_abandoned(const struct spool_writer *writer, uint32_t segment, uint32_t epoch)
{
	for (uint32_t i = 0; i < writer->abandoned_count; i++) {
		if (writer->abandoned[i].segment == segment &&
		    writer->abandoned[i].epoch == epoch) {
			return true;
		}
	}
	return false;
}

static bool is_free(const struct spool_writer *writer, uint32_t segment)
{
	const struct slot *slot = &writer->slots[segment];
	const struct spool_queue_page *queue = writer->settings.queue;

	return slot->state == SLOT_USED && slot->epoch != writer->begun_epoch && queue &&
	       atomic_load(&queue->freed[writer->settings.family][segment]) == slot->epoch;
}

static void remove_segment(struct spool_writer *writer, uint32_t segment)
{
	enum error error =
		spool_folder_remove_segment(&writer->folder, writer->settings.family, segment);

	if (error && error != ERROR_NOT_FOUND) {
		writer->slots[segment].state = SLOT_BAD;
		return;
	}
	writer->slots[segment] = (struct slot){ .state = SLOT_ABSENT };
	atomic_fetch_sub(&writer->segment_count, 1);
}

// Free segments: removes those that failed once or have another size, and all above the number
// worth keeping. Returns one to use again, or SPOOL_SEGMENTS_MAX.
static uint32_t sort_out_free(struct spool_writer *writer)
{
	uint32_t found = SPOOL_SEGMENTS_MAX, kept = 0;

	for (uint32_t i = 0; i < SPOOL_SEGMENTS_MAX; i++) {
		if (!is_free(writer, i)) {
			continue;
		}
		if (is_abandoned(writer, i, writer->slots[i].epoch) ||
		    writer->slots[i].bytes != writer->settings.segment_bytes ||
		    kept == SPOOL_SPARE_SEGMENTS) {
			remove_segment(writer, i);
			continue;
		}
		kept++;
		found = i;
	}
	return found;
}

static enum error check_space(const struct spool_writer *writer)
{
	const struct spool_writer_settings *settings = &writer->settings;
	uint64_t bytes, inodes, used;
	enum error error = os_dir_free_bytes(writer->folder.log, &bytes, &inodes);

	if (error) {
		return error;
	}
	used = (uint64_t)atomic_load(&writer->segment_count) * settings->segment_bytes;
	if (bytes < settings->reserve_bytes + settings->segment_bytes ||
	    inodes < settings->reserve_inodes ||
	    used + settings->segment_bytes > settings->log_bytes_max) {
		return ERROR_NO_SPACE;
	}
	return OK;
}

static enum error make_new(struct spool_writer *writer)
{
	uint32_t segment = 0;
	enum error error = check_space(writer);
	struct slot *slot;

	if (error) {
		return error;
	}
	while (segment < SPOOL_SEGMENTS_MAX && writer->slots[segment].state != SLOT_ABSENT &&
	       writer->slots[segment].state != SLOT_BLANK) {
		segment++;
	}
	if (segment == SPOOL_SEGMENTS_MAX) {
		return ERROR_NO_SPACE;
	}
	slot = &writer->slots[segment];
	if (slot->state == SLOT_ABSENT) {
		atomic_fetch_add(&writer->segment_count, 1);
	}
	error = spool_folder_zero_segment(&writer->folder, writer->settings.family, segment,
					  writer->settings.segment_bytes, &writer->ready.file);
	if (error) {
		slot->state = error == ERROR_NO_SPACE ? SLOT_BLANK : SLOT_BAD;
		spool_writer_note_failure(writer, error);
		return error;
	}
	slot->state = SLOT_READY;
	slot->bytes = writer->settings.segment_bytes;
	writer->ready.segment = segment;
	return OK;
}

static enum error use_again(struct spool_writer *writer, uint32_t segment)
{
	enum error error =
		spool_folder_open_segment(&writer->folder, writer->settings.family, segment,
					  OS_READ | OS_WRITE, &writer->ready.file);

	if (error) {
		writer->slots[segment].state = SLOT_BAD;
		spool_writer_note_failure(writer, error);
		return error;
	}
	writer->slots[segment].state = SLOT_READY;
	writer->ready.segment = segment;
	return OK;
}

// Under the lock.
static enum error make_ready(struct spool_writer *writer)
{
	uint64_t now_ms = os_clock_mono_ms();
	uint32_t free_segment;
	enum error error;

	if (writer->ready.file >= 0) {
		return OK;
	}
	free_segment = sort_out_free(writer);
	if (free_segment < SPOOL_SEGMENTS_MAX) {
		error = use_again(writer, free_segment);
	} else if (atomic_load(&writer->supply_error) != OK &&
		   now_ms < atomic_load(&writer->supply_retry_ms)) {
		return (enum error)atomic_load(&writer->supply_error);
	} else {
		error = make_new(writer);
	}
	atomic_store(&writer->supply_retry_ms, now_ms + SUPPLY_RETRY_MS);
	atomic_store(&writer->supply_error, (int)error);
	return error;
}

void spool_writer_supply(void *context)
{
	struct spool_writer *writer = context;

	pthread_mutex_lock(&writer->supply_lock);
	(void)!make_ready(writer);
	pthread_mutex_unlock(&writer->supply_lock);
}

enum error spool_supply_take(struct spool_writer *writer, struct ready_segment *ret_segment)
{
	enum error error;

	pthread_mutex_lock(&writer->supply_lock);
	error = make_ready(writer);
	if (!error) {
		*ret_segment = writer->ready;
		writer->ready.file = -1;
	}
	pthread_mutex_unlock(&writer->supply_lock);
	return error;
}

void spool_supply_begun(struct spool_writer *writer, uint32_t segment, uint32_t epoch, bool is_bad)
{
	pthread_mutex_lock(&writer->supply_lock);
	writer->slots[segment].epoch = epoch;
	writer->slots[segment].state = is_bad ? SLOT_BAD : SLOT_USED;
	writer->begun_epoch = epoch;
	if (!is_bad) {
		atomic_store(&writer->settings.commit->epochs[segment], epoch);
	}
	pthread_mutex_unlock(&writer->supply_lock);
	if (writer->supplier) {
		os_worker_kick(writer->supplier);
	}
}

enum error spool_supply_trim_abandoned(struct spool_writer *writer)
{
	uint32_t kept = 0;

	pthread_mutex_lock(&writer->supply_lock);
	for (uint32_t i = 0; i < writer->abandoned_count; i++) {
		if (writer->slots[writer->abandoned[i].segment].epoch ==
		    writer->abandoned[i].epoch) {
			writer->abandoned[kept++] = writer->abandoned[i];
		}
	}
	writer->abandoned_count = kept;
	atomic_store(&writer->abandoned_total, kept);
	pthread_mutex_unlock(&writer->supply_lock);
	return kept < SPOOL_ABANDONED_MAX ? OK : ERROR_LIMIT;
}

void spool_supply_abandon(struct spool_writer *writer, struct spool_abandoned range)
{
	pthread_mutex_lock(&writer->supply_lock);
	writer->abandoned[writer->abandoned_count++] = range;
	atomic_store(&writer->abandoned_total, writer->abandoned_count);
	pthread_mutex_unlock(&writer->supply_lock);
}

static void find_segment(void *context, uint16_t family, uint32_t segment)
{
	struct spool_writer *writer = context;
	struct slot *slot = &writer->slots[segment];
	struct spool_segment_header header;
	enum error error;

	if (family != writer->settings.family) {
		return;
	}
	atomic_fetch_add(&writer->segment_count, 1);
	error = spool_folder_read_header(&writer->folder, family, segment, &header);
	if (error) {
		slot->state = error == ERROR_NOT_FOUND ? SLOT_BLANK : SLOT_BAD;
		return;
	}
	*slot = (struct slot){ header.epoch, header.segment_bytes, SLOT_USED };
	atomic_store(&writer->settings.commit->epochs[segment], header.epoch);
	if (header.epoch > writer->epoch) {
		writer->epoch = header.epoch;
		writer->use = header;
	}
}

// The last segment of the life before: where its records end, and the highest id among them. It is
// synced, so that what deliver will find in it stays.
static enum error read_tail(struct spool_writer *writer, int file)
{
	struct spool_segment_header *last = &writer->use;
	struct spool_scan scan = spool_scan_of(last);
	struct spool_record record;
	enum spool_scan_result result;
	char *bytes = malloc(last->segment_bytes);
	enum error error = bytes ? OK : ERROR_NO_MEMORY;

	if (!error) {
		error = os_file_read_at(file, 0, bytes, last->segment_bytes);
	}
	if (!error) {
		error = os_file_sync_data(file);
	}
	scan.window = view_of(bytes, last->segment_bytes);
	scan.limit = spool_segment_limit(last, last->segment, last->epoch, scan.limit);
	while (!error && (result = spool_scan_next(&scan, &record)) != SPOOL_SCAN_END) {
		struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
		struct spool_envelope envelope;

		if (result == SPOOL_SCAN_RECORD && record.envelope.len > 0 &&
		    spool_envelope_decode(record.envelope, &arena, &envelope) == OK &&
		    envelope.id > writer->last_id) {
			writer->last_id = envelope.id;
		}
		arena_done(&arena);
	}
	free(bytes);
	writer->sequence = scan.sequence;
	return error;
}

enum error spool_supply_open(struct spool_writer *writer)
{
	enum error error = spool_folder_list_segments(&writer->folder, find_segment, writer);
	int file;

	writer->sequence = 1;
	if (error || writer->epoch == 0) {
		return error;
	}
	writer->last_id = writer->use.last_id;
	memcpy(writer->abandoned, writer->use.abandoned, sizeof writer->abandoned);
	writer->abandoned_count = writer->use.abandoned_count;
	error = spool_folder_open_segment(&writer->folder, writer->settings.family,
					  writer->use.segment, OS_READ | OS_WRITE, &file);
	if (error) {
		return error;
	}
	error = read_tail(writer, file);
	os_file_close(file);
	return error;
}
