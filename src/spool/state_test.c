#include "base/check.h"
#include "spool/index.h"
#include "spool/state.h"

#include <stdlib.h>

static void a_state_is_read_as_it_was_written(void **state)
{
	struct spool_outcome outcomes[] = {
		{ 0, { .status = SPOOL_DELIVERED, .attempts = 2 } },
		{ 2, { .trying = true, .attempts = 3, .next_attempt_s = 1795300000 } },
	};
	struct spool_state written = { .id = 77,
				       .recipient_count = 3,
				       .flags = SPOOL_HELD | SPOOL_STATE_MOVED,
				       .crashes = 1,
				       .reason = VIEW("451 4.3.0 later"),
				       .outcome_count = 2 };
	struct buffer out = buffer_with_max(1000);
	struct wire_reader reader;
	struct spool_state read;

	(void)state;
	spool_state_encode(&out, &written, outcomes);
	spool_state_encode(&out, &written, outcomes);
	reader = wire_reader_of(buffer_view(&out));
	for (int i = 0; i < 2; i++) {
		assert_true(spool_state_next(&reader, &read));
		assert_true(read.id == 77 && read.recipient_count == 3 && read.crashes == 1);
		assert_int_equal(read.flags, SPOOL_HELD | SPOOL_STATE_MOVED);
		assert_view(read.reason, "451 4.3.0 later");
		assert_int_equal(spool_state_outcome(&read, 0).state.status, SPOOL_DELIVERED);
		assert_int_equal(spool_state_outcome(&read, 1).recipient, 2);
		assert_true(spool_state_outcome(&read, 1).state.trying);
		assert_int_equal(spool_state_outcome(&read, 1).state.next_attempt_s, 1795300000);
	}
	assert_false(spool_state_next(&reader, &read));
	assert_false(reader.failed);
	buffer_done(&out);
}

static void what_breaks_a_bound_is_not_read(void **state)
{
	static const struct {
		struct spool_state state;
		struct spool_outcome outcome;
	} cases[] = {
		{ { .id = 0, .recipient_count = 1 }, { 0 } },
		{ { .id = 1, .recipient_count = 0 }, { 0 } },
		{ { .id = 1, .recipient_count = SPOOL_RECIPIENTS_MAX + 1 }, { 0 } },
		{ { .id = 1, .recipient_count = 1, .flags = 4 }, { 0 } },
		{ { .id = 1, .recipient_count = 1, .outcome_count = 1 }, { .recipient = 1 } },
		{ { .id = 1, .recipient_count = 1, .outcome_count = 1 },
		  { .state.status = SPOOL_STATUS_COUNT } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer out = buffer_with_max(1000);
		struct wire_reader reader;
		struct spool_state read;

		spool_state_encode(&out, &cases[i].state, &cases[i].outcome);
		reader = wire_reader_of(buffer_view(&out));
		assert_false(spool_state_next(&reader, &read));
		assert_true(reader.failed);
		buffer_done(&out);
	}
}

static void the_index_finds_what_it_holds_and_nothing_else(void **state)
{
	enum { COUNT = 5000 };
	struct spool_message *messages = calloc(COUNT, sizeof *messages);
	struct spool_index index = { 0 };

	(void)state;
	assert_non_null(messages);
	assert_null(spool_index_get(&index, 1));
	for (uint64_t i = 0; i < COUNT; i++) {
		messages[i].id = (i + 1) << 22; // as ids of one thread, one a millisecond
		assert_int_equal(spool_index_add(&index, &messages[i]), OK);
	}
	for (uint64_t i = 0; i < COUNT; i += 3) {
		spool_index_remove(&index, messages[i].id);
		spool_index_remove(&index, messages[i].id);
	}
	for (uint64_t i = 0; i < COUNT; i++) {
		assert_ptr_equal(spool_index_get(&index, messages[i].id),
				 i % 3 == 0 ? NULL : &messages[i]);
	}
	assert_int_equal(index.count, COUNT - (COUNT + 2) / 3);
	spool_index_done(&index);
	free(messages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_is_read_as_it_was_written),
		cmocka_unit_test(what_breaks_a_bound_is_not_read),
		cmocka_unit_test(the_index_finds_what_it_holds_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
