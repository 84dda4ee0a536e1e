#include "spool/trace_store.h"

#include <stdlib.h>

#include "os/clock.h"
#include "os/random.h"
#include "spool/folder.h"

enum {
	NUMBERS = 0x10000, // of segments: they go round
	NAMES_TRIED_MAX = 16,
	PARTS = 8, // of size and of keep, that a segment takes
};

void trace_store_init(struct trace_store *store, int dir,
		      const struct trace_ring_settings *settings)
{
	*store =
		(struct trace_store){ .dir = dir, .settings = *settings, .folder = -1, .file = -1 };
}

static void close_segment(struct trace_store *store)
{
	os_file_close(store->file);
	store->file = -1;
}

void trace_store_done(struct trace_store *store)
{
	close_segment(store);
	os_dir_close(store->folder);
	free(store->segments);
}

// ---- what is there

static bool keep_segment(struct trace_store *store, const struct trace_segment *segment)
{
	if (store->count == store->capacity) {
		size_t capacity = store->capacity ? store->capacity * 2 : 16;
		struct trace_segment *segments =
			realloc(store->segments, capacity * sizeof *segments);

		if (!segments) {
			return false;
		}
		store->segments = segments;
		store->capacity = capacity;
	}
	store->segments[store->count++] = *segment;
	store->bytes += segment->bytes;
	return true;
}

static enum error read_header(const struct trace_store *store, const char *name,
			      struct trace_header *ret_header)
{
	char bytes[TRACE_HEADER_BYTES];
	int file;
	enum error error = os_file_open_at(store->folder, name, OS_READ, 0, &file);

	if (error != OK) {
		return error;
	}
	error = os_file_read_at(file, 0, bytes, sizeof bytes);
	os_file_close(file);
	return error == OK ? trace_header_decode(bytes, ret_header) : error;
}

// Those of receive belong to whichever receive runs: a family that is over leaves nothing behind.
// One whose header is lost is the first to go.
static void find_segment(void *context, uint16_t family, uint32_t number)
{
	struct trace_store *store = context;
	struct trace_segment segment = { .family = family, .number = number };
	char name[SPOOL_SEGMENT_NAME_BYTES];
	struct os_file_info info;
	struct trace_header header;

	spool_segment_name(family, number, name);
	if (os_file_info_at(store->folder, name, &info) != OK) {
		return;
	}
	segment.bytes = info.size;
	segment.newest_ms = info.modified_ms;
	if (read_header(store, name, &header) == OK && header.family == family) {
		segment.sequence = header.sequence;
		segment.start_ms = header.start_ms;
		if (family == store->settings.family && header.sequence > store->sequence) {
			store->sequence = header.sequence;
			store->number = number;
		}
	}
	(void)!keep_segment(store, &segment); // without memory it stays until the next start
}

static int by_age(const void *a, const void *b)
{
	const struct trace_segment *left = a, *right = b;

	if (left->start_ms != right->start_ms) {
		return left->start_ms < right->start_ms ? -1 : 1;
	}
	return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

static enum spool_part part_of(const struct trace_store *store)
{
	return spool_part_of(store->settings.family);
}

static enum error make_folder(const struct trace_store *store)
{
	uint32_t mode = spool_part_folder_mode(part_of(store), store->settings.shared_group);
	enum error error = os_dir_make_at(store->dir, "trace", mode);

	return error == ERROR_EXISTS ? OK : error;
}

static enum error open_folder(struct trace_store *store, bool make)
{
	enum error error;

	if (store->folder >= 0) {
		return OK;
	}
	error = make ? make_folder(store) : OK;
	if (error == OK) {
		error = os_dir_open_at(store->dir, "trace", &store->folder);
	}
	if (error == OK) {
		error = spool_folder_list_names(store->folder, part_of(store), NUMBERS,
						find_segment, store);
	}
	if (error == OK && store->count) {
		qsort(store->segments, store->count, sizeof *store->segments, by_age);
	}
	return error;
}

// ---- what goes

static void remove_oldest(struct trace_store *store)
{
	struct trace_segment *oldest = store->segments;
	char name[SPOOL_SEGMENT_NAME_BYTES];

	if (store->count == 1) {
		close_segment(store);
	}
	spool_segment_name(oldest->family, oldest->number, name);
	(void)!os_file_remove_at(store->folder, name); // else it is found at the next start
	store->bytes -= oldest->bytes;
	store->count--;
	for (size_t i = 0; i < store->count; i++) {
		store->segments[i] = store->segments[i + 1];
	}
}

void trace_store_tidy(struct trace_store *store, const struct trace_limits *limits)
{
	uint64_t now_ms = os_clock_wall_ms();

	if (open_folder(store, false) != OK) {
		return;
	}
	while (store->count && (store->bytes > limits->size_bytes ||
				store->segments[0].newest_ms + limits->keep_ms < now_ms)) {
		remove_oldest(store);
	}
}

// The oldest go for the reserve: what is traced must not be why mail is refused.
static enum error make_room(struct trace_store *store, uint64_t wanted)
{
	const struct trace_ring_settings *settings = &store->settings;
	uint64_t bytes, inodes;
	enum error error;

	while ((error = os_dir_free_bytes(store->folder, &bytes, &inodes)) == OK &&
	       (bytes < settings->reserve_bytes + wanted || inodes < settings->reserve_inodes)) {
		if (store->count <= (store->file >= 0 ? 1u : 0u)) {
			return ERROR_NO_SPACE;
		}
		remove_oldest(store);
	}
	return error;
}

// ---- writing

static uint64_t segment_bytes(const struct trace_limits *limits)
{
	uint64_t bytes = limits->size_bytes / PARTS;

	return bytes < TRACE_SEGMENT_BYTES_MIN   ? TRACE_SEGMENT_BYTES_MIN
	       : bytes > TRACE_SEGMENT_BYTES_MAX ? TRACE_SEGMENT_BYTES_MAX
						 : bytes;
}

static enum error make_file(struct trace_store *store, int *ret_file)
{
	uint32_t mode = spool_part_file_mode(part_of(store), store->settings.shared_group);
	char name[SPOOL_SEGMENT_NAME_BYTES];
	enum error error = ERROR_EXISTS;

	for (int tries = 0; error == ERROR_EXISTS && tries < NAMES_TRIED_MAX; tries++) {
		store->number = (store->number + 1) % NUMBERS;
		spool_segment_name(store->settings.family, store->number, name);
		error = os_file_open_at(store->folder, name, OS_WRITE | OS_CREATE | OS_EXCLUSIVE,
					mode, ret_file);
	}
	return error;
}

static enum error begin_segment(struct trace_store *store, const struct trace_limits *limits)
{
	struct trace_header header = {
		.family = store->settings.family,
		.sequence = ++store->sequence,
		.tag = os_random_u64() | 1, // never zero, as what was never written is
		.start_ms = os_clock_wall_ms(),
	};
	struct trace_segment segment = { .family = header.family,
					 .sequence = header.sequence,
					 .start_ms = header.start_ms,
					 .newest_ms = header.start_ms,
					 .bytes = TRACE_HEADER_BYTES };
	char bytes[TRACE_HEADER_BYTES];
	enum error error;

	close_segment(store);
	while (store->count && (store->bytes + segment_bytes(limits) > limits->size_bytes ||
				store->count >= TRACE_SEGMENTS_MAX)) {
		remove_oldest(store);
	}
	error = make_file(store, &store->file);
	if (error != OK) {
		return error;
	}
	segment.number = store->number;
	store->tag = header.tag;
	trace_header_encode(bytes, &header);
	error = os_file_write_at(store->file, 0, view_of(bytes, sizeof bytes));
	if (!keep_segment(store, &segment) && error == OK) {
		error = ERROR_NO_MEMORY;
	}
	return error;
}

// It is full, or so old that what is in it would be kept for too long.
static bool is_over(const struct trace_store *store, const struct trace_limits *limits,
		    size_t record_bytes)
{
	const struct trace_segment *open = &store->segments[store->count - 1];

	return open->bytes + record_bytes > segment_bytes(limits) ||
	       open->start_ms + limits->keep_ms / PARTS < os_clock_wall_ms();
}

// As many records as the open segment has room for, at least one.
static size_t seal_run(const struct trace_store *store, const struct trace_limits *limits,
		       struct view records)
{
	uint64_t room = segment_bytes(limits) - store->segments[store->count - 1].bytes;
	size_t len = 0;

	while (len < records.len) {
		char *record = (char *)(uintptr_t)records.data + len;
		size_t bytes = trace_record_bytes(trace_record_steps_len(record));

		if (len && len + bytes > room) {
			break;
		}
		len += trace_record_seal(record, store->tag);
	}
	return len;
}

static enum error write_run(struct trace_store *store, const struct trace_limits *limits,
			    struct view *records)
{
	size_t first = trace_record_bytes(trace_record_steps_len(records->data));
	struct trace_segment *open;
	enum error error = OK;
	size_t len;

	if (store->file < 0 || is_over(store, limits, first)) {
		error = begin_segment(store, limits);
	}
	if (error != OK) {
		return error;
	}
	len = seal_run(store, limits, *records);
	open = &store->segments[store->count - 1];
	error = os_file_write_at(store->file, open->bytes, view_first(*records, len));
	if (error == OK) {
		open->bytes += len;
		store->bytes += len;
		open->newest_ms = os_clock_wall_ms();
		*records = view_from(*records, len);
	}
	return error;
}

enum error trace_store_write(struct trace_store *store, const struct trace_limits *limits,
			     struct view *records)
{
	enum error error = limits->size_bytes ? open_folder(store, true) : OK;

	if (!limits->size_bytes) { // was turned off meanwhile
		*records = (struct view){ 0 };
		return OK;
	}
	if (error == OK) {
		error = make_room(store, records->len);
	}
	while (error == OK && records->len) {
		error = write_run(store, limits, records);
	}
	if (error != OK) { // a place that failed is not written again
		close_segment(store);
	}
	return error;
}
