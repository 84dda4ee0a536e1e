// The folders of one part of the spool (layout.h) and the files in them: names, making, zeroing,
// reading of headers.
// Blocking. A folder may be used by one thread at a time, copies of it by others.
#pragma once

#include "os/file.h"
#include "spool/format.h"
#include "spool/layout.h"

enum { SPOOL_SEGMENT_NAME_BYTES = 8, SPOOL_LOCK_NAME_BYTES = 8 };

struct spool_folder {
	enum spool_part part;
	int log, body; // handles; no bodies in deliver's: -1
	uint32_t file_mode;
};

// dir is the part's. ERROR_NOT_FOUND.
enum error spool_folder_open(int dir, enum spool_part part, bool shared_group,
			     struct spool_folder *ret_folder) must_check;
void spool_folder_close(struct spool_folder *folder);
// Takes the lock file of that name in dir for as long as *ret_file is open. ERROR_BUSY.
enum error spool_folder_lock(int dir, const char *name, uint32_t mode, int *ret_file) must_check;

void spool_segment_name(uint16_t family, uint32_t segment, char ret_name[SPOOL_SEGMENT_NAME_BYTES]);
// Every segment file of the part's families, in no order. Another family's name counts for nothing:
// what receive puts there is not taken for deliver's.
typedef void spool_segment_fn(void *context, uint16_t family, uint32_t segment);
enum error spool_folder_list_segments(const struct spool_folder *folder, spool_segment_fn *fn,
				      void *context) must_check;
// The same of another folder of the part, with numbers below segments_max.
enum error spool_folder_list_names(int dir, enum spool_part part, uint32_t segments_max,
				   spool_segment_fn *fn, void *context) must_check;
// Zero-writes the whole of a new or existing segment and syncs it, its name too.
enum error spool_folder_zero_segment(const struct spool_folder *folder, uint16_t family,
				     uint32_t segment, uint32_t segment_bytes,
				     int *ret_file) must_check;
// flags: OS_READ or OS_READ | OS_WRITE.
enum error spool_folder_open_segment(const struct spool_folder *folder, uint16_t family,
				     uint32_t segment, int flags, int *ret_file) must_check;
enum error spool_folder_remove_segment(const struct spool_folder *folder, uint16_t family,
				       uint32_t segment) must_check;
// ERROR_NOT_FOUND: never begun (no file, or a header of zeros). ERROR_CORRUPT also when the header
// belongs elsewhere, or tells more bytes than the file has.
enum error spool_folder_read_header(const struct spool_folder *folder, uint16_t family,
				    uint32_t segment,
				    struct spool_segment_header *ret_header) must_check;
