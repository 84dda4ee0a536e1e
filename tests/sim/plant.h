// Planted faults: lies told to the archives at their edges, to prove that the checkers find what
// they are for. They stand in front of calls by the linker's --wrap (meson.build), in this program
// alone; without a plant each call passes straight through.
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum plant {
	PLANT_NONE,
	// plant_disk.c: the system's calls
	PLANT_DATA_SYNC_LIES,
	PLANT_SYNC_LEFT_OUT,
	PLANT_SYNC_ERROR_IGNORED,
	PLANT_SYNC_TRIED_AGAIN,
	PLANT_FOLDER_SYNC_LIES,
	PLANT_CRC_UNCHECKED,
	// plant_spool.c: the log
	PLANT_EPOCH_UNCHECKED,
	PLANT_ABANDONED_IGNORED,
	PLANT_CHECKPOINT_COVERS_MORE,
	PLANT_JOURNAL_SKIPPED,
	PLANT_OUTCOME_LOST,
	PLANT_BODY_REMOVED_EARLY,
	PLANT_BODY_DAMAGED,
	PLANT_RECIPIENT_LOST,
	PLANT_NULL_SENDER_TOLD,
	// plant_mail.c: receive and deliver
	PLANT_REPLY_EARLY,
	PLANT_BODY_MEMORY_KEPT,
	PLANT_REPLIES_SWAPPED,
	PLANT_BOUNCE_NOT_ATOMIC,
	PLANT_BOUNCE_HAS_SENDER,
	PLANT_RETRY_FORGOTTEN,
	PLANT_PRESSURE_IGNORED,
	PLANT_COUNT,
};

void plant_list(FILE *out);       // name, seeds within which it is found, what it does
bool plant_set(const char *name); // false: there is none of that name
bool plant_is(enum plant plant);  // this one is planted
