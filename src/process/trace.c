#include "process/trace.h"

#include "os/log.h"
#include "spool/layout.h"

enum { WRITERS = 2, RESERVE_INODES = 1000 };

static struct trace_limits limits_of(const struct config *config)
{
	return (struct trace_limits){ config->trace.size_bytes / WRITERS, config->trace.keep_ms };
}

static void on_changed(void *context, enum error error)
{
	(void)context;
	if (error != OK) {
		LOG(LOG_WARNING, "trace_paused",
		    LOG_TEXT("reason", view_from_text(error_text(error))));
	} else {
		LOG(LOG_NOTICE, "trace_resumed",
		    LOG_TEXT("reason", VIEW("it can be written again")));
	}
}

enum error process_trace_new(const struct process *process, unsigned family,
			     const struct config *config, struct trace_ring **ret_ring)
{
	struct trace_ring_settings settings = {
		.family = (uint16_t)family,
		.limits = limits_of(config),
		// Not the room that the log needs for its next segment.
		.reserve_bytes =
			config->queue.disk_reserve_bytes + config->queue.segment_size_bytes,
		.reserve_inodes = RESERVE_INODES,
		.shared_group = process->began_as_root,
		.changed = on_changed,
	};

	return trace_ring_new(supervision_get(&process->supervision, HANDLE_SPOOL_DIR,
					      spool_part_of((uint16_t)family)),
			      process->loop, &settings, ret_ring);
}

void process_trace_configure(struct trace_ring *ring, const struct config *config)
{
	trace_ring_set_limits(ring, limits_of(config));
}

void process_trace_add_status(struct buffer *out, const struct trace_ring *ring)
{
	struct trace_ring_status status = trace_ring_status(ring);

	buffer_printf(out,
		      "\"trace_records\":%llu,\"trace_dropped\":%llu,\"trace_lost\":%llu,"
		      "\"trace_bytes\":%llu,\"trace\":\"%s\",",
		      (unsigned long long)status.records, (unsigned long long)status.dropped,
		      (unsigned long long)status.lost, (unsigned long long)status.bytes,
		      error_text(status.error));
}
