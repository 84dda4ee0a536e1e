// The supply of segments: which are in use, which are free, making the next one ready ahead of
// need.
#include "spool/id.h"
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

enum use { USE_AGAIN, USE_REMOVE };

// A free segment for that use, taken out of the free ones; SPOOL_SEGMENTS_MAX when there is none.
// To be removed are those that failed once or have another size, and all above the number worth
// keeping.
static uint32_t pick_free(struct spool_writer *writer, enum use use)
{
	uint32_t found = SPOOL_SEGMENTS_MAX, kept = 0;

	pthread_mutex_lock(&writer->supply_lock);
	for (uint32_t i = 0; i < SPOOL_SEGMENTS_MAX && found == SPOOL_SEGMENTS_MAX; i++) {
		bool is_worn;

		if (!is_free(writer, i)) {
			continue;
		}
		is_worn = is_abandoned(writer, i, writer->slots[i].epoch) ||
			  writer->slots[i].bytes != writer->settings.segment_bytes ||
			  kept == SPOOL_SPARE_SEGMENTS;
		kept += !is_worn;
		if (is_worn == (use == USE_REMOVE)) {
			found = i;
			writer->slots[i].state = SLOT_TAKEN;
		}
	}
	pthread_mutex_unlock(&writer->supply_lock);
	return found;
}

static uint32_t pick_new(struct spool_writer *writer)
{
	uint32_t segment = 0;

	pthread_mutex_lock(&writer->supply_lock);
	while (segment < SPOOL_SEGMENTS_MAX && writer->slots[segment].state != SLOT_ABSENT &&
	       writer->slots[segment].state != SLOT_BLANK) {
		segment++;
	}
	if (segment < SPOOL_SEGMENTS_MAX) {
		if (writer->slots[segment].state == SLOT_ABSENT) {
			atomic_fetch_add(&writer->segment_count, 1);
		}
		writer->slots[segment].state = SLOT_TAKEN;
	}
	pthread_mutex_unlock(&writer->supply_lock);
	return segment;
}

static void set_slot(struct spool_writer *writer, uint32_t segment, struct slot slot)
{
	pthread_mutex_lock(&writer->supply_lock);
	writer->slots[segment] = slot;
	pthread_mutex_unlock(&writer->supply_lock);
}

// Its end is made durable: an abandoned range is forgotten with it, and must not come back.
static void remove_segment(struct spool_writer *writer, uint32_t segment)
{
	enum error error =
		spool_folder_remove_segment(&writer->folder, writer->settings.family, segment);

	if (!error || error == ERROR_NOT_FOUND) {
		error = os_dir_sync(writer->folder.log);
	}
	if (error) {
		set_slot(writer, segment, (struct slot){ .state = SLOT_BAD });
		return;
	}
	set_slot(writer, segment, (struct slot){ .state = SLOT_ABSENT });
	atomic_fetch_sub(&writer->segment_count, 1);
}

static void remove_surplus(struct spool_writer *writer)
{
	uint32_t segment;

	while ((segment = pick_free(writer, USE_REMOVE)) < SPOOL_SEGMENTS_MAX) {
		remove_segment(writer, segment);
	}
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

static enum error make_new(struct spool_writer *writer, struct ready_segment *ret_ready)
{
	uint32_t bytes = writer->settings.segment_bytes, segment;
	enum error error = check_space(writer);

	if (error) {
		return error;
	}
	segment = pick_new(writer);
	if (segment == SPOOL_SEGMENTS_MAX) {
		return ERROR_NO_SPACE;
	}
	error = spool_folder_zero_segment(&writer->folder, writer->settings.family, segment, bytes,
					  &ret_ready->file);
	if (error) {
		remove_segment(writer, segment); // it may hold the last room on the disk
		spool_writer_note_failure(writer, error);
		return error;
	}
	set_slot(writer, segment, (struct slot){ .bytes = bytes, .state = SLOT_TAKEN });
	ret_ready->segment = segment;
	return OK;
}

static enum error use_again(struct spool_writer *writer, uint32_t segment,
			    struct ready_segment *ret_ready)
{
	enum error error =
		spool_folder_open_segment(&writer->folder, writer->settings.family, segment,
					  OS_READ | OS_WRITE | OS_DIRECT, &ret_ready->file);

	if (error) {
		set_slot(writer, segment, (struct slot){ .state = SLOT_BAD });
		spool_writer_note_failure(writer, error);
		return error;
	}
	ret_ready->segment = segment;
	return OK;
}

static enum error make_ready(struct spool_writer *writer, struct ready_segment *ret_ready)
{
	uint32_t free_segment = pick_free(writer, USE_AGAIN);

	if (free_segment < SPOOL_SEGMENTS_MAX) {
		return use_again(writer, free_segment, ret_ready);
	}
	if (atomic_load(&writer->supply_error) != OK &&
	    os_clock_mono_ms() < atomic_load(&writer->supply_retry_ms)) {
		return (enum error)atomic_load(&writer->supply_error);
	}
	atomic_store(&writer->supply_retry_ms, os_clock_mono_ms() + SUPPLY_RETRY_MS);
	return make_new(writer, ret_ready);
}

// The lock is never held across I/O: in the simulation nobody could wait for it.
void spool_writer_supply(void *context)
{
	struct spool_writer *writer = context;
	struct ready_segment ready;
	enum error error;
	bool is_wanted;

	remove_surplus(writer);
	pthread_mutex_lock(&writer->supply_lock);
	ready = writer->ready;
	pthread_mutex_unlock(&writer->supply_lock);
	if (ready.file >= 0) {
		return;
	}
	error = make_ready(writer, &ready);
	pthread_mutex_lock(&writer->supply_lock);
	if (!error) {
		writer->ready = ready;
	}
	atomic_store(&writer->supply_error, (int)error);
	is_wanted = writer->demand == DEMAND_WAITS;
	writer->demand = is_wanted && error ? DEMAND_FAILED : DEMAND_NONE;
	if (is_wanted && !writer->is_stopping) {
		os_worker_kick(writer->committer);
	}
	pthread_mutex_unlock(&writer->supply_lock);
}

enum error spool_supply_take(struct spool_writer *writer, struct ready_segment *ret_segment)
{
	enum error error = ERROR_AGAIN;

	if (!writer->supplier) {
		spool_writer_supply(writer);
	}
	pthread_mutex_lock(&writer->supply_lock);
	if (writer->ready.file >= 0) {
		*ret_segment = writer->ready;
		writer->ready.file = -1;
		error = OK;
	} else if (writer->demand == DEMAND_FAILED || !writer->supplier) {
		error = (enum error)atomic_load(&writer->supply_error);
	}
	writer->demand = error == ERROR_AGAIN ? DEMAND_WAITS : DEMAND_NONE;
	if (!writer->is_stopping) {
		os_worker_kick(writer->supplier);
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
		writer->is_unsure |= error != ERROR_NOT_FOUND;
		return;
	}
	*slot = (struct slot){ header.epoch, header.segment_bytes, SLOT_USED };
	atomic_store(&writer->settings.commit->epochs[segment], header.epoch);
	if (header.epoch > writer->epoch) {
		writer->epoch = header.epoch;
		writer->use = header;
	}
}

static void note_last_id(struct spool_writer *writer, const struct spool_record *record)
{
	struct arena arena = arena_with_max(SPOOL_ENVELOPE_BYTES_MAX);
	struct spool_envelope envelope;

	if (record->envelope.len > 0 &&
	    spool_envelope_decode(record->envelope, &arena, &envelope) == OK &&
	    envelope.id > writer->last_id) {
		writer->last_id = envelope.id;
	}
	arena_done(&arena);
}

// ret_last: the bytes of its last batch.
static void scan_tail(struct spool_writer *writer, struct view bytes, struct view *ret_last)
{
	struct spool_segment_header *last = &writer->use;
	struct spool_scan scan = spool_scan_of(last);
	struct spool_record record;
	enum spool_scan_result result;

	scan.window = bytes;
	scan.limit = spool_segment_limit(last, last->segment, last->epoch, scan.limit);
	while ((result = spool_scan_next(&scan, &record)) != SPOOL_SCAN_END) {
		if (result == SPOOL_SCAN_RECORD) {
			note_last_id(writer, &record);
			*ret_last = view_first(view_from(bytes, record.batch_start),
					       spool_pad(scan.offset, SPOOL_BLOCK_BYTES) -
						       record.batch_start);
		}
	}
	writer->sequence = scan.sequence;
}

enum { TAIL_TRIES = 3 };

// The last segment of the life before: where its records end, and the highest id among them. Its
// last batch is written again and synced, so that what deliver finds in it stays: where its sync
// failed and the process ended before it could say so, the kernel shows bytes that the disk never
// got, and another sync alone would call them safe.
static enum error read_tail(struct spool_writer *writer, int file)
{
	struct spool_segment_header *last = &writer->use;
	char *bytes = malloc(last->segment_bytes);
	struct view batch = { 0 };
	enum error error;

	if (!bytes) {
		return ERROR_NO_MEMORY;
	}
	writer->sequence = last->sequence;
	error = os_file_read_at(file, 0, bytes, last->segment_bytes);
	if (error) {
		writer->is_unsure = true; // a bad place on the disk must not end the service
		spool_writer_note_failure(writer, error);
	} else {
		scan_tail(writer, view_of(bytes, last->segment_bytes), &batch);
	}
	error = ERROR_IO;
	for (unsigned tries = 0; error && tries < TAIL_TRIES; tries++) {
		error = batch.len ? os_file_write_at(file, (uint64_t)(batch.data - bytes), batch)
				  : OK;
		if (!error) {
			error = os_file_sync_data(file);
		}
	}
	free(bytes);
	return error;
}

static enum error read_last_use(struct spool_writer *writer)
{
	enum error error;
	int file;

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

// What could not be read may have had higher epochs and ids; none may be used twice.
static void begin_far_above(struct spool_writer *writer)
{
	if (writer->epoch < UINT32_MAX - SPOOL_EPOCHS_UNSURE) {
		writer->epoch += SPOOL_EPOCHS_UNSURE;
	}
	writer->last_id = spool_id_far_behind(writer->last_id, os_clock_wall_ms());
}

enum error spool_supply_open(struct spool_writer *writer)
{
	enum error error = spool_folder_list_segments(&writer->folder, find_segment, writer);

	writer->sequence = 1;
	if (!error && writer->epoch != 0) {
		error = read_last_use(writer);
	}
	if (!error && writer->is_unsure) {
		begin_far_above(writer);
	}
	return error;
}
