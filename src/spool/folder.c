#include "spool/folder.h"

#include "spool/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZERO_CHUNK_BYTES = 1024 * 1024 };

enum error spool_folder_open(int dir, enum spool_part part, bool shared_group,
			     struct spool_folder *ret_folder)
{
	struct spool_folder folder = { .part = part,
				       .log = -1,
				       .body = -1,
				       .file_mode = spool_part_file_mode(part, shared_group) };
	enum error error = os_dir_open_at(dir, "log", &folder.log);

	if (!error && part == SPOOL_RECEIVE) {
		error = os_dir_open_at(dir, "body", &folder.body);
	}
	if (error) {
		spool_folder_close(&folder);
		return error;
	}
	*ret_folder = folder;
	return OK;
}

void spool_folder_close(struct spool_folder *folder)
{
	os_dir_close(folder->log);
	os_dir_close(folder->body);
	folder->log = folder->body = -1;
}

enum error spool_folder_lock(int dir, const char *name, uint32_t mode, int *ret_file)
{
	int file;
	enum error error = os_file_open_at(dir, name, OS_READ | OS_WRITE | OS_CREATE, mode, &file);

	if (error) {
		return error;
	}
	error = os_file_lock(file);
	if (error) {
		os_file_close(file);
		return error;
	}
	*ret_file = file;
	return OK;
}

void spool_segment_name(uint16_t family, uint32_t segment, char ret_name[SPOOL_SEGMENT_NAME_BYTES])
{
	snprintf(ret_name, SPOOL_SEGMENT_NAME_BYTES, "%02x-%04x", family & 0xffu,
		 segment & 0xffffu);
}

struct listing {
	spool_segment_fn *fn;
	void *context;
	enum spool_part part;
	uint32_t segments_max;
};

static bool hex_number(struct view digits, uint32_t *ret_number)
{
	uint32_t number = 0;

	for (size_t i = 0; i < digits.len; i++) {
		int value = ascii_hex_value(digits.data[i]);

		if (value < 0) {
			return false;
		}
		number = number << 4 | (uint32_t)value;
	}
	*ret_number = number;
	return true;
}

static bool list_name(void *context, const char *name)
{
	struct listing *listing = context;
	struct view text = view_from_text(name);
	uint32_t family, segment;

	if (text.len == SPOOL_SEGMENT_NAME_BYTES - 1 && text.data[2] == '-' &&
	    hex_number(view_first(text, 2), &family) && hex_number(view_from(text, 3), &segment) &&
	    family < SPOOL_FAMILIES_MAX && spool_part_of((uint16_t)family) == listing->part &&
	    segment < listing->segments_max) {
		listing->fn(listing->context, (uint16_t)family, segment);
	}
	return true;
}

enum error spool_folder_list_names(int dir, enum spool_part part, uint32_t segments_max,
				   spool_segment_fn *fn, void *context)
{
	struct listing listing = { fn, context, part, segments_max };

	return os_dir_list(dir, list_name, &listing);
}

enum error spool_folder_list_segments(const struct spool_folder *folder, spool_segment_fn *fn,
				      void *context)
{
	return spool_folder_list_names(folder->log, folder->part, SPOOL_SEGMENTS_MAX, fn, context);
}

static enum error write_zeros(int file, uint32_t segment_bytes)
{
	uint32_t chunk = segment_bytes < ZERO_CHUNK_BYTES ? segment_bytes : ZERO_CHUNK_BYTES;
	char *zeros = aligned_alloc(SPOOL_BLOCK_BYTES, chunk);
	enum error error = zeros ? OK : ERROR_NO_MEMORY;

	if (zeros) {
		memset(zeros, 0, chunk);
	}
	for (uint32_t at = 0; !error && at < segment_bytes; at += chunk) {
		uint32_t len = segment_bytes - at;

		error = os_file_write_at(file, at, view_of(zeros, len < chunk ? len : chunk));
	}
	free(zeros);
	return error;
}

enum error spool_folder_zero_segment(const struct spool_folder *folder, uint16_t family,
				     uint32_t segment, uint32_t segment_bytes, int *ret_file)
{
	char name[SPOOL_SEGMENT_NAME_BYTES];
	enum error error;
	int file;

	spool_segment_name(family, segment, name);
	error = os_file_open_at(folder->log, name,
				OS_READ | OS_WRITE | OS_CREATE | OS_TRUNCATE | OS_DIRECT,
				folder->file_mode, &file);
	if (error) {
		return error;
	}
	error = write_zeros(file, segment_bytes);
	if (!error) {
		error = os_file_sync(file);
	}
	if (!error) {
		error = os_dir_sync(folder->log);
	}
	if (error) {
		os_file_close(file);
		return error;
	}
	*ret_file = file;
	return OK;
}

enum error spool_folder_open_segment(const struct spool_folder *folder, uint16_t family,
				     uint32_t segment, int flags, int *ret_file)
{
	char name[SPOOL_SEGMENT_NAME_BYTES];

	spool_segment_name(family, segment, name);
	return os_file_open_at(folder->log, name, flags, 0, ret_file);
}

enum error spool_folder_remove_segment(const struct spool_folder *folder, uint16_t family,
				       uint32_t segment)
{
	char name[SPOOL_SEGMENT_NAME_BYTES];

	spool_segment_name(family, segment, name);
	return os_file_remove_at(folder->log, name);
}

static bool is_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

// The header, or its copy where the header was torn or has rotted.
static enum error read_header(int file, struct spool_segment_header *ret_header, uint64_t *ret_size)
{
	char blocks[SPOOL_RECORDS_AT];
	enum error error = os_file_size(file, ret_size);

	if (!error && *ret_size < sizeof blocks) {
		return ERROR_NOT_FOUND;
	}
	if (!error) {
		error = os_file_read_at(file, 0, blocks, sizeof blocks);
	}
	if (error) {
		return error;
	}
	error = spool_segment_header_decode(blocks, ret_header);
	if (error == ERROR_CORRUPT) {
		error = spool_segment_header_decode(blocks + SPOOL_BLOCK_BYTES, ret_header);
	}
	return error == ERROR_CORRUPT && is_zero(blocks, SPOOL_BLOCK_BYTES) ? ERROR_NOT_FOUND
									    : error;
}

enum error spool_folder_read_header(const struct spool_folder *folder, uint16_t family,
				    uint32_t segment, struct spool_segment_header *ret_header)
{
	struct spool_segment_header header;
	uint64_t size = 0;
	enum error error;
	int file;

	error = spool_folder_open_segment(folder, family, segment, OS_READ, &file);
	if (error) {
		return error;
	}
	error = read_header(file, &header, &size);
	os_file_close(file);
	if (error) {
		return error;
	}
	if (header.family != family || header.segment != segment || header.segment_bytes > size) {
		return ERROR_CORRUPT;
	}
	*ret_header = header;
	return OK;
}
