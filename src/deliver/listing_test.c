// What `packetboat queue` shows of a message, and which messages a filter chooses.
#include "deliver/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { NOW_MS = 1800000000, ID = 4711 };

static const char *const recipients[] = { "bob@mx.example.net", "carol@example.com",
					  "done@elsewhere.example" };

static struct view address_of(const void *context, uint32_t index)
{
	(void)context;
	return view_from_text(recipients[index]);
}

static struct spool_message *new_message(void)
{
	struct spool_message *message =
		calloc(1, sizeof *message + 3 * sizeof message->recipients[0]);

	assert_non_null(message);
	message->id = ID;
	message->recipient_count = 3;
	message->recipients[0].attempts = 2;
	message->recipients[0].next_attempt_s = 99;
	message->recipients[2].status = SPOOL_DELIVERED;
	return message;
}

static struct listing listing_of(const struct spool_message *message)
{
	return (struct listing){
		.message = message,
		.arrival_ms = NOW_MS - 3600 * 1000,
		.size_bytes = 1234,
		.reverse_path = VIEW("alice@example.org"),
		.address = address_of,
	};
}

static void a_message_is_one_json_object(void **state)
{
	struct spool_message *message = new_message();
	struct listing listing = listing_of(message);
	struct buffer out = buffer_with_max(4096);
	char reason[] = "451 \"later\"\x1b[2J";

	(void)state;
	message->reason = reason;
	message->flags = SPOOL_HELD;
	listing_add_json(&out, &listing);
	assert_view(buffer_view(&out),
		    "{\"id\":\"00000000004k7\",\"arrival_ms\":1796400000,\"size_bytes\":1234,"
		    "\"from\":\"alice@example.org\",\"login\":\"\",\"held\":true,\"crashes\":0,"
		    "\"reason\":\"451 \\\"later\\\"\\\\x1b[2J\",\"recipients\":["
		    "{\"to\":\"bob@mx.example.net\",\"status\":\"pending\",\"trying\":false,"
		    "\"attempts\":2,\"next_attempt_s\":99},"
		    "{\"to\":\"carol@example.com\",\"status\":\"pending\",\"trying\":false,"
		    "\"attempts\":0,\"next_attempt_s\":0},"
		    "{\"to\":\"done@elsewhere.example\",\"status\":\"delivered\",\"trying\":false,"
		    "\"attempts\":0,\"next_attempt_s\":0}]}");
	buffer_done(&out);
	free(message);
}

struct choice {
	const char *name, *value; // one argument; name NULL: none at all
	bool matches, narrows;
};

static void check_choice(const struct choice *choice)
{
	struct spool_message *message = new_message();
	struct listing listing = listing_of(message);
	struct control_argument argument = { view_from_text(choice->name),
					     view_from_text(choice->value) };
	struct control_request request = { CONTROL_QUEUE_LIST, &argument, choice->name != NULL };
	struct arena arena = arena_with_max(4096);
	struct listing_filter filter;
	char reason[] = "451 greylisted";

	message->reason = reason;
	assert_int_equal(listing_filter_init(&filter, &arena, &request), OK);
	if (listing_matches(&filter, &listing, NOW_MS) != choice->matches ||
	    filter.narrows != choice->narrows) {
		fail_msg("--%s %s", choice->name, choice->value);
	}
	arena_done(&arena);
	free(message);
}

static void a_filter_chooses_what_passes_it(void **state)
{
	static const struct choice choices[] = {
		{ NULL, NULL, true, false },
		{ "all", "yes", true, false },
		{ "", "00000000004k7", true, true },
		{ "", "00000000004k8", false, true },
		{ "from", "alice@example.org", true, true },
		{ "from", "*@example.org", true, true },
		{ "from", "<>", false, true },
		{ "to", "bob@mx.example.net", true, true },
		{ "to", "*@elsewhere.example", false, true }, // that one is delivered
		{ "site", "example.net", true, true },
		{ "site", "ample.net", false, true },
		{ "site", "EXAMPLE.com", true, true },
		{ "older", "59m", true, true },
		{ "older", "61m", false, true },
		{ "reason", "grey", true, true },
		{ "reason", "white", false, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(choices); i++) {
		check_choice(&choices[i]);
	}
}

static void the_null_sender_is_found(void **state)
{
	struct spool_message *message = new_message();
	struct listing listing = listing_of(message);
	struct control_argument argument = { VIEW("from"), VIEW("<>") };
	struct control_request request = { CONTROL_QUEUE_LIST, &argument, 1 };
	struct arena arena = arena_with_max(4096);
	struct listing_filter filter;

	(void)state;
	listing.reverse_path = (struct view){ 0 };
	assert_int_equal(listing_filter_init(&filter, &arena, &request), OK);
	assert_true(listing_matches(&filter, &listing, NOW_MS));
	arena_done(&arena);
	free(message);
}

static void arguments_without_form_are_refused(void **state)
{
	static const struct control_argument bad[] = {
		{ { "", 0 }, { "no-id", 5 } },
		{ { "from", 4 }, { "a@b@@", 5 } },
		{ { "to", 2 }, { "", 0 } },
		{ { "older", 5 }, { "soon", 4 } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct control_request request = { CONTROL_QUEUE_LIST, &bad[i], 1 };
		struct arena arena = arena_with_max(4096);
		struct listing_filter filter;

		assert_int_equal(listing_filter_init(&filter, &arena, &request), ERROR_INVALID);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_one_json_object),
		cmocka_unit_test(a_filter_chooses_what_passes_it),
		cmocka_unit_test(the_null_sender_is_found),
		cmocka_unit_test(arguments_without_form_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
