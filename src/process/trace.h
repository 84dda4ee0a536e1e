// The trace ring of a process that writes one: made by the configuration, its troubles logged, its
// numbers for `status`.
#pragma once

#include "process/process.h"
#include "spool/trace_ring.h"

// In start, once the loop is there. Half of trace.size is each writer's.
enum error process_trace_new(const struct process *process, unsigned family,
			     const struct config *config, struct trace_ring **ret_ring) must_check;
void process_trace_configure(struct trace_ring *ring, const struct config *config); // a reload
// Fields of a JSON object, each with a comma behind it.
void process_trace_add_status(struct buffer *out, const struct trace_ring *ring);
