// The files of a trace ring as its thread holds them: which segments there are, the open one, and
// what has to go. Blocking; one thread. Used by trace_ring.c alone.
#pragma once

#include "os/worker.h"
#include "spool/trace_ring.h"

struct trace_segment {
	uint16_t family;
	uint32_t number;
	uint64_t sequence;
	uint64_t start_ms, newest_ms; // wall clock: of its first and its last record
	uint64_t bytes;
};

struct trace_store {
	int dir; // the spool part's
	struct trace_ring_settings settings;
	int folder; // -1: not opened yet
	int file;   // -1: none is open
	uint64_t tag;
	uint64_t sequence; // of the latest segment
	uint32_t number;
	struct trace_segment *segments; // oldest first; the last is the open one, if there is one
	size_t count, capacity;
	uint64_t bytes; // of all
};

void trace_store_init(struct trace_store *store, int dir,
		      const struct trace_ring_settings *settings);
void trace_store_done(struct trace_store *store);
// Takes whole records off *records, sealed as they are written. What is left was not written.
enum error trace_store_write(struct trace_store *store, const struct trace_limits *limits,
			     struct view *records) must_check;
// Removes what is too old or too much.
void trace_store_tidy(struct trace_store *store, const struct trace_limits *limits);
