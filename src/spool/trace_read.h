// The trace's reading end: finds the records of one message in the ring's files, while their
// writers go on or are down. Blocking; one thread; nothing is changed.
#pragma once

#include "spool/trace_format.h"

struct trace_report {
	unsigned segments;   // that there are
	unsigned unreadable; // of them
	unsigned damaged;    // places in those that were read
	uint64_t oldest_ms;  // wall clock: so far back it reaches; 0 where there is nothing
};

// Views are valid during the call. Another value than OK ends the reading.
typedef enum error trace_record_fn(void *context, const struct trace_record *record);

// spool_dir: its folder. The records come in the order of writing, those of receive first. The id
// says which segments may hold it; where it is in none of these, the others are looked into too,
// for clocks step. ERROR_PERMISSION and others of the folder; what fn returned. A spool without a
// trace is OK, with no segments.
enum error trace_find(int spool_dir, uint64_t id, trace_record_fn *fn, void *context,
		      struct trace_report *ret_report) must_check;
