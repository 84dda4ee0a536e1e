#include "deliver/listing.h"

#include "base/text.h"
#include "spool/id.h"

enum { ADDRESS_MEMORY_MAX = 16 * 1024 };

// ---- as JSON

static void add_recipient(struct buffer *out, const struct listing *listing, uint32_t index)
{
	static const char *const statuses[SPOOL_STATUS_COUNT] = {
		[SPOOL_PENDING] = "pending", [SPOOL_DELIVERED] = "delivered",
		[SPOOL_FAILED] = "failed",   [SPOOL_EXPIRED] = "expired",
		[SPOOL_REMOVED] = "removed",
	};
	const struct spool_recipient_state *state = &listing->message->recipients[index];

	buffer_add_text(out, index ? ",{\"to\":" : "{\"to\":");
	control_add_json_text(out, listing->address(listing->context, index));
	buffer_printf(out,
		      ",\"status\":\"%s\",\"trying\":%s,\"attempts\":%u,\"next_attempt_s\":%u}",
		      statuses[state->status], state->trying ? "true" : "false", state->attempts,
		      state->next_attempt_s);
}

void listing_add_json(struct buffer *out, const struct listing *listing)
{
	const struct spool_message *message = listing->message;

	buffer_add_text(out, "{\"id\":\"");
	spool_id_add_text(out, message->id);
	buffer_printf(out, "\",\"arrival_ms\":%llu,\"size_bytes\":%llu,\"from\":",
		      (unsigned long long)listing->arrival_ms,
		      (unsigned long long)listing->size_bytes);
	control_add_json_text(out, listing->reverse_path);
	buffer_add_text(out, ",\"login\":");
	control_add_json_text(out, listing->login);
	buffer_printf(out, ",\"held\":%s,\"crashes\":%u,\"reason\":",
		      message->flags & SPOOL_HELD ? "true" : "false", message->crashes);
	control_add_json_text(out, view_from_text(message->reason));
	buffer_add_text(out, ",\"recipients\":[");
	for (uint32_t i = 0; i < message->recipient_count; i++) {
		add_recipient(out, listing, i);
	}
	buffer_add_text(out, "]}");
}

// ---- the choice

static enum error take_pattern(struct arena *arena, const struct control_request *request,
			       struct view name, struct pattern *pattern, bool *ret_has)
{
	struct view text;

	if (!control_request_get(request, name, &text)) {
		return OK;
	}
	*ret_has = true;
	return pattern_parse(arena, text, pattern);
}

static enum error take_ids(struct listing_filter *filter)
{
	for (size_t i = 0; i < filter->request->argument_count; i++) {
		const struct control_argument *argument = &filter->request->arguments[i];
		uint64_t id;

		if (argument->name.len) {
			continue;
		}
		if (spool_id_parse(argument->value, &id) != OK) {
			return ERROR_INVALID;
		}
		filter->has_ids = true;
	}
	return OK;
}

enum error listing_filter_init(struct listing_filter *filter, struct arena *arena,
			       const struct control_request *request)
{
	struct view older;
	enum error error;

	*filter = (struct listing_filter){ .request = request };
	error = take_ids(filter);
	if (error == OK) {
		error = take_pattern(arena, request, VIEW("from"), &filter->from,
				     &filter->has_from);
	}
	if (error == OK) {
		error = take_pattern(arena, request, VIEW("to"), &filter->to, &filter->has_to);
	}
	if (error == OK && control_request_get(request, VIEW("older"), &older)) {
		error = text_to_duration_ms(older, &filter->older_ms);
		filter->narrows = true;
	}
	filter->narrows |= control_request_get(request, VIEW("site"), &filter->site);
	filter->narrows |= control_request_get(request, VIEW("reason"), &filter->reason);
	filter->narrows |= filter->has_ids || filter->has_from || filter->has_to;
	return error;
}

static bool id_is_named(const struct control_request *request, uint64_t id)
{
	char text[SPOOL_ID_TEXT_LEN + 1];

	spool_id_format(id, text);
	for (size_t i = 0; i < request->argument_count; i++) {
		const struct control_argument *argument = &request->arguments[i];

		if (argument->name.len == 0 &&
		    view_equal_nocase(argument->value, view_of(text, SPOOL_ID_TEXT_LEN))) {
			return true;
		}
	}
	return false;
}

// The null sender has no address to parse.
static bool pattern_fits(const struct pattern *pattern, struct view text)
{
	struct arena arena = arena_with_max(ADDRESS_MEMORY_MAX);
	struct address address = { 0 };
	bool fits = (text.len == 0 ||
		     address_parse(&arena, text, ADDRESS_UTF8, &address) == ADDRESS_OK) &&
		    pattern_matches(pattern, &address);

	arena_done(&arena);
	return fits;
}

static bool is_at_site(struct view address, struct view site)
{
	struct view domain = view_from(address, view_find_last(address, '@') + 1);

	return view_equal_nocase(domain, site) ||
	       (domain.len > site.len && view_ends_nocase(domain, site) &&
		domain.data[domain.len - site.len - 1] == '.');
}

static bool recipient_fits(const struct listing_filter *filter, const struct listing *listing)
{
	if (!filter->has_to && filter->site.len == 0) {
		return true;
	}
	for (uint32_t i = 0; i < listing->message->recipient_count; i++) {
		struct view address;

		if (listing->message->recipients[i].status != SPOOL_PENDING) {
			continue;
		}
		address = listing->address(listing->context, i);
		if ((!filter->has_to || pattern_fits(&filter->to, address)) &&
		    (filter->site.len == 0 || is_at_site(address, filter->site))) {
			return true;
		}
	}
	return false;
}

bool listing_matches(const struct listing_filter *filter, const struct listing *listing,
		     uint64_t now_ms)
{
	struct view reason = view_from_text(listing->message->reason);

	if (filter->has_ids && !id_is_named(filter->request, listing->message->id)) {
		return false;
	}
	if (filter->older_ms &&
	    (now_ms < listing->arrival_ms || now_ms - listing->arrival_ms < filter->older_ms)) {
		return false;
	}
	if (filter->reason.len && view_find_text(reason, filter->reason) == reason.len) {
		return false;
	}
	return (!filter->has_from || pattern_fits(&filter->from, listing->reverse_path)) &&
	       recipient_fits(filter, listing);
}
