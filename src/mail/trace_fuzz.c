// Any text from a peer in the fields that we add: each stays one well-formed field, in short lines.
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/header.h"
#include "mail/trace.h"

// A view of the next bytes, their number first.
static struct view take(struct view *rest)
{
	struct fuzz_action action = { 0 };

	(void)fuzz_action_next(rest, &action);
	return action.bytes;
}

static void check_lines(struct view fields)
{
	struct view line;

	MUST(fields.len && fields.data[fields.len - 1] == '\n');
	while (view_next_part(&fields, '\n', &line)) {
		MUST(line.len > 1 && line.len <= 999 && line.data[line.len - 1] == '\r');
		MUST(view_find(line, '\r') == line.len - 1 && view_find(line, '\0') == line.len);
	}
}

static void check_fields(struct view fields, unsigned count)
{
	struct header_walk walk = header_walk_of(fields);
	struct header_field field;
	unsigned seen = 0;

	check_lines(fields);
	while (header_next(&walk, &field)) {
		seen++;
	}
	MUST(seen == count && walk.fault == HEADER_OK && walk.offset == fields.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_from(view_of(data, size), 2);
	struct buffer out = buffer_with_max(1 << 20);
	uint8_t bits = size ? data[0] : 0;
	struct trace_received received = {
		.helo = take(&rest),
		.peer_name = take(&rest),
		.peer_ip = VIEW("2001:db8::1"),
		.hostname = VIEW("mx.example"),
		.protocol = { bits & 1, bits & 2, bits & 4, bits & 8 },
		.tls_version = bits & 2 ? VIEW("TLSv1.3") : (struct view){ 0 },
		.tls_cipher = bits & 2 ? VIEW("TLS_AES_256_GCM_SHA384") : (struct view){ 0 },
		.queue_id = take(&rest),
		.recipient = take(&rest),
		.unix_ms = (int64_t)bits << 33,
		.zone_minutes = size > 1 ? (int8_t)data[1] : 0,
	};

	trace_add_received(&out, &received);
	trace_add_date(&out, received.unix_ms, received.zone_minutes);
	trace_add_message_id(&out, received.queue_id, received.hostname);
	check_fields(buffer_view(&out), 3);
	buffer_clear(&out);
	trace_add_return_path(&out, received.recipient);
	trace_add_delivered_to(&out, received.recipient);
	check_fields(buffer_view(&out), 2);
	buffer_done(&out);
	return 0;
}
