// The spool's folders and the files in them: names, modes, making, zeroing, reading of headers.
// Blocking. A folder may be used by one thread at a time, copies of it by others.
#pragma once

#include "os/file.h"
#include "spool/format.h"

enum { SPOOL_SEGMENT_NAME_BYTES = 8, SPOOL_LOCK_NAME_BYTES = 8 };

struct spool_folder {
	int log, body; // handles
	uint32_t file_mode;
};

// Makes what is missing when make is set. ERROR_NOT_FOUND.
enum error spool_folder_open(int dir, bool make, bool shared_group,
			     struct spool_folder *ret_folder) must_check;
void spool_folder_close(struct spool_folder *folder);
// One folder in the spool's own; made when make is set and it is missing. ERROR_NOT_FOUND.
enum error spool_folder_open_part(int dir, const char *name, bool make, bool shared_group,
				  int *ret_dir) must_check;
uint32_t spool_folder_file_mode(bool shared_group);
// Takes the lock file of that name in dir for as long as *ret_file is open. ERROR_BUSY.
enum error spool_folder_lock(int dir, const char *name, uint32_t mode, int *ret_file) must_check;

void spool_segment_name(uint16_t family, uint32_t segment, char ret_name[SPOOL_SEGMENT_NAME_BYTES]);
// Every segment file, in no order.
typedef void spool_segment_fn(void *context, uint16_t family, uint32_t segment);
enum error spool_folder_list_segments(const struct spool_folder *folder, spool_segment_fn *fn,
				      void *context) must_check;
// Every file in dir that is named like one, with a number below segments_max.
enum error spool_folder_list_names(int dir, uint32_t segments_max, spool_segment_fn *fn,
				   void *context) must_check;
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
