// A queue command of any arguments over a message of any addresses: the choice is bounded, and what
// is shown of the message is one JSON object.
#include <jansson.h>

#include "base/fuzz.h"
#include "deliver/listing.h"

enum { RECIPIENTS = 2 };

struct shown {
	struct view addresses[RECIPIENTS];
};

static struct view address_of(const void *context, uint32_t index)
{
	const struct shown *shown = context;

	return shown->addresses[index];
}

static struct view take(struct view *rest)
{
	struct fuzz_action action = { 0 };

	(void)fuzz_action_next(rest, &action);
	return action.bytes;
}

static void check_json(const struct listing *listing)
{
	struct buffer out = buffer_with_max(1 << 20);
	json_error_t fault;
	json_t *json;

	listing_add_json(&out, listing);
	json = json_loadb(out.data, out.len, 0, &fault);
	MUST(json_is_object(json) && json_object_size(json) == 9);
	MUST(json_array_size(json_object_get(json, "recipients")) == RECIPIENTS);
	json_decref(json);
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_of(data, size);
	struct shown shown = { { take(&rest), take(&rest) } };
	struct spool_message *message =
		calloc(1, sizeof *message + RECIPIENTS * sizeof *message->recipients);
	char reason[] = "greylisted";
	struct listing listing = { .message = message,
				   .arrival_ms = 1000,
				   .reverse_path = take(&rest),
				   .login = take(&rest),
				   .address = address_of,
				   .context = &shown };
	struct arena arena = arena_with_max(1 << 20);
	struct control_request request;
	struct listing_filter filter;

	MUST(message != NULL);
	message->id = 1;
	message->recipient_count = RECIPIENTS;
	message->recipients[1].status = SPOOL_FAILED;
	message->reason = reason;
	check_json(&listing);
	if (control_request_decode(rest, &arena, &request) == OK &&
	    listing_filter_init(&filter, &arena, &request) == OK) {
		bool matches = listing_matches(&filter, &listing, 5000);

		MUST(filter.narrows || matches); // without a filter it is all messages
	}
	free(message);
	arena_done(&arena);
	return 0;
}
