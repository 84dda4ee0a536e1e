#include "spool/trace_read.h"

#include <stdlib.h>

#include "base/arena.h"
#include "spool/folder.h"
#include "spool/id.h"

enum {
	READ_BYTES = 64 * 1024, // at once
	SEGMENTS_MAX = 64 * 1024,
	MEMORY_MAX = SEGMENTS_MAX * 128,
	NUMBERS = 0x10000,
	CLOCK_STEP_MS = 60 * 1000, // less than this needs no second look
};

struct segment {
	struct trace_header header;
	uint32_t number;
	bool is_read;
};

struct reading {
	int folders[SPOOL_PARTS]; // -1: none
	uint64_t id;
	trace_record_fn *fn;
	void *context;
	struct arena arena;
	struct segment *segments;
	size_t count, capacity;
	struct buffer bytes; // of one segment
	bool is_found;
	enum error error;
	struct trace_report report;
};

// ---- what is there

static enum error open_segment(const struct reading *reading, uint16_t family, uint32_t number,
			       int *ret_file)
{
	char name[SPOOL_SEGMENT_NAME_BYTES];

	spool_segment_name(family, number, name);
	return os_file_open_at(reading->folders[spool_part_of(family)], name, OS_READ, 0, ret_file);
}

static enum error read_header(const struct reading *reading, uint16_t family, uint32_t number,
			      struct trace_header *ret_header)
{
	char bytes[TRACE_HEADER_BYTES];
	int file;
	enum error error = open_segment(reading, family, number, &file);

	if (error != OK) {
		return error;
	}
	error = os_file_read_at(file, 0, bytes, sizeof bytes);
	os_file_close(file);
	return error == OK ? trace_header_decode(bytes, ret_header) : error;
}

static bool make_place(struct reading *reading)
{
	size_t capacity = reading->capacity ? reading->capacity * 2 : 64;
	struct segment *segments;

	if (reading->count < reading->capacity) {
		return true;
	}
	segments = arena_alloc_array(&reading->arena, capacity, sizeof *segments);
	if (!segments) {
		return false;
	}
	for (size_t i = 0; i < reading->count; i++) {
		segments[i] = reading->segments[i];
	}
	reading->segments = segments;
	reading->capacity = capacity;
	return true;
}

static void find_segment(void *context, uint16_t family, uint32_t number)
{
	struct reading *reading = context;
	struct segment segment = { .number = number };
	enum error error = read_header(reading, family, number, &segment.header);

	if (error == ERROR_NOT_FOUND) {
		return; // removed meanwhile
	}
	reading->report.segments++;
	if (error != OK || segment.header.family != family || !make_place(reading)) {
		reading->report.unreadable++;
		reading->error = error == ERROR_PERMISSION ? error : reading->error;
		return;
	}
	if (!reading->report.oldest_ms || segment.header.start_ms < reading->report.oldest_ms) {
		reading->report.oldest_ms = segment.header.start_ms;
	}
	reading->segments[reading->count++] = segment;
}

// Families of receive first, then deliver's; each in the order of writing.
static int by_sequence(const void *a, const void *b)
{
	const struct trace_header *left = &((const struct segment *)a)->header;
	const struct trace_header *right = &((const struct segment *)b)->header;

	if (left->family != right->family) {
		return left->family == 0    ? 1
		       : right->family == 0 ? -1
					    : left->family - right->family;
	}
	return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

// ---- one segment

static enum error read_bytes(struct reading *reading, const struct segment *segment)
{
	struct buffer *bytes = &reading->bytes;
	size_t got = 0;
	enum error error;
	int file;

	error = open_segment(reading, segment->header.family, segment->number, &file);
	if (error != OK) {
		return error;
	}
	do {
		char *room = buffer_reserve(bytes, READ_BYTES);

		error = room ? os_file_read_some(file, bytes->len, room, READ_BYTES, &got)
			     : ERROR_NO_MEMORY;
		bytes->len += error == OK ? got : 0;
	} while (error == OK && got && bytes->len < TRACE_SEGMENT_BYTES_MAX);
	os_file_close(file);
	return error;
}

static enum error read_segment(struct reading *reading, struct segment *segment)
{
	struct trace_record record;
	struct trace_scan scan;
	enum error error;

	segment->is_read = true;
	buffer_clear(&reading->bytes);
	error = read_bytes(reading, segment);
	if (error != OK) {
		reading->report.unreadable += error != ERROR_NOT_FOUND;
		return error == ERROR_NO_MEMORY ? error : OK;
	}
	scan = trace_scan_of(buffer_view(&reading->bytes), &segment->header, reading->id);
	while (error == OK && trace_scan_next(&scan, &record)) {
		reading->is_found = true;
		error = reading->fn(reading->context, &record);
	}
	reading->report.damaged += scan.damaged;
	return error;
}

// ---- all of them

// Everything in a segment was written before the next of its family began.
static bool may_hold(const struct reading *reading, size_t index)
{
	const struct trace_header *header = &reading->segments[index].header;
	const struct segment *next =
		index + 1 < reading->count ? &reading->segments[index + 1] : NULL;

	return !next || next->header.family != header->family ||
	       next->header.start_ms + CLOCK_STEP_MS >= spool_id_ms(reading->id);
}

static enum error read_segments(struct reading *reading, bool all)
{
	enum error error = OK;

	for (size_t i = 0; i < reading->count && error == OK; i++) {
		if (!reading->segments[i].is_read && (all || may_hold(reading, i))) {
			error = read_segment(reading, &reading->segments[i]);
		}
	}
	return error;
}

static enum error read_all(struct reading *reading)
{
	enum error error = OK;

	for (enum spool_part part = 0; error == OK && part < SPOOL_PARTS; part++) {
		if (reading->folders[part] >= 0) {
			error = spool_folder_list_names(reading->folders[part], part, NUMBERS,
							find_segment, reading);
		}
	}
	if (error == OK && reading->count == 0) {
		error = reading->error; // nothing of it may be read
	}
	if (error == OK && reading->count) {
		qsort(reading->segments, reading->count, sizeof *reading->segments, by_sequence);
	}
	if (error == OK) {
		error = read_segments(reading, false);
	}
	if (error == OK && !reading->is_found) {
		error = read_segments(reading, true);
	}
	return error;
}

static enum error open_folders(int spool_dir, int ret_folders[SPOOL_PARTS])
{
	int parts[SPOOL_PARTS];
	enum error error = spool_layout_open(spool_dir, parts);

	if (error != OK) {
		return error == ERROR_NOT_FOUND ? OK : error;
	}
	for (enum spool_part part = 0; error == OK && part < SPOOL_PARTS; part++) {
		error = os_dir_open_at(parts[part], "trace", &ret_folders[part]);
		error = error == ERROR_NOT_FOUND ? OK : error;
	}
	spool_layout_close(parts);
	return error;
}

enum error trace_find(int spool_dir, uint64_t id, trace_record_fn *fn, void *context,
		      struct trace_report *ret_report)
{
	struct reading reading = {
		.folders = { -1, -1 },
		.id = id,
		.fn = fn,
		.context = context,
		.arena = arena_with_max(MEMORY_MAX),
		.bytes = buffer_with_max(TRACE_SEGMENT_BYTES_MAX + READ_BYTES),
	};
	enum error error = open_folders(spool_dir, reading.folders);

	if (error == OK) {
		error = read_all(&reading);
	}
	spool_layout_close(reading.folders);
	arena_done(&reading.arena);
	buffer_done(&reading.bytes);
	if (error == OK) {
		*ret_report = reading.report;
	}
	return error;
}
