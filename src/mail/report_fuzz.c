// A report about a message of any bytes, with any text of remote hosts in it: a well-formed message
// of three parts in lines of CRLF, which the remote text can neither end nor add to.
#include "base/fuzz.h"
#include "mail/header.h"
#include "mail/report.h"

enum { RECIPIENTS_MAX = 3 };

static struct view take(struct view *rest)
{
	struct fuzz_action action = { 0 };

	(void)fuzz_action_next(rest, &action);
	return action.bytes;
}

// The boundary as the header says it.
static struct view boundary_of(struct view message)
{
	struct header_walk walk = header_walk_of(message);
	struct header_field field = { 0 };
	size_t at;

	while (header_next(&walk, &field) && !view_equal_nocase(field.name, VIEW("Content-Type"))) {
	}
	MUST(view_equal_nocase(field.name, VIEW("Content-Type")));
	at = view_find_text(field.value, VIEW("boundary=\""));
	MUST(at < field.value.len);
	field.value = view_from(field.value, at + 10);
	return view_first(field.value, view_find(field.value, '"'));
}

static void check(struct view message)
{
	struct header_facts facts = header_facts_of(message);
	struct view boundary = boundary_of(message), line;
	unsigned begins = 0, ends = 0;

	MUST(facts.fault == HEADER_OK && facts.from_count == 1 && facts.has_date);
	while (view_next_part(&message, '\n', &line)) {
		MUST(line.len > 0 && line.data[line.len - 1] == '\r');
		MUST(line.len <= 999 || begins == 3); // the original's own lines stay as they are
		MUST(view_find(line, '\r') == line.len - 1 && view_find(line, '\0') == line.len);
		line.len--;
		if (view_starts(line, VIEW("--")) && view_starts(view_from(line, 2), boundary)) {
			begins += line.len == boundary.len + 2;
			ends += line.len > boundary.len + 2;
		}
	}
	MUST(begins == 3 && ends == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_from(view_of(data, size), 1);
	struct report_recipient recipients[RECIPIENTS_MAX] = { 0 };
	struct buffer out = buffer_with_max(1 << 22);
	uint8_t bits = size ? data[0] : 0;
	struct report report = {
		.action = bits & 1 ? REPORT_DELAYED : REPORT_FAILED,
		.hostname = VIEW("mx.example"),
		.from = VIEW("postmaster@mx.example"),
		.to = VIEW("a@x.example"),
		.unique = VIEW("06fq0s5v3c0g0"),
		.queue_id = VIEW("06fq0s5v3c0g1"),
		.unix_ms = 1700000000000,
		.arrival_unix_ms = 1700000000000 - bits,
		.retry_until_unix_ms = bits & 1 ? 1700000900000 : 0,
		.recipients = recipients,
		.recipient_count = 1 + bits / 2 % RECIPIENTS_MAX,
	};

	for (size_t i = 0; i < report.recipient_count; i++) {
		recipients[i] = (struct report_recipient){
			.address = bits & 8 ? take(&rest) : VIEW("b@y.example"),
			.original = take(&rest),
			.status = VIEW("5.1.1"),
			.remote_mta = take(&rest),
			.diagnostic = take(&rest),
		};
	}
	report.original = rest;
	report_add(&out, &report);
	MUST(buffer_error(&out) == OK);
	check(buffer_view(&out));
	buffer_done(&out);
	return 0;
}
