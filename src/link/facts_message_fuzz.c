#include <stdlib.h>

#include "base/fuzz.h"
#include "link/facts.h"

// What is accepted is what was sent: encoding it again gives the same bytes.
static void expect_same(struct buffer *again, struct view payload)
{
	if (buffer_error(again) != OK || !view_equal(buffer_view(again), payload)) {
		abort();
	}
	buffer_done(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = arena_with_max(1024 * 1024);
	struct buffer again = buffer_with_max(1024 * 1024);
	struct facts_question question;
	struct facts_answer answer;
	enum facts_kind kind;
	struct view payload;
	uint32_t deadline_ms;

	if (size < 1) {
		return 0;
	}
	kind = data[0] % 4;
	payload = view_of(data + 1, size - 1);
	if (facts_question_decode(kind, payload, &question, &deadline_ms) == OK) {
		facts_question_encode(&again, &question, deadline_ms);
		expect_same(&again, payload);
	}
	if (facts_answer_decode(kind, payload, &arena, &answer) == OK) {
		facts_answer_encode(&again, &answer);
		expect_same(&again, payload);
	}
	arena_done(&arena);
	return 0;
}
