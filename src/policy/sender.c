#include "policy/sender.h"

static struct verdict denied(enum sender_place place)
{
	if (place == SENDER_REVERSE_PATH) {
		return verdict_refuse(550, "5.7.1", "Your login may not send as this address",
				      "sender_denied");
	}
	return verdict_refuse(550, "5.7.1", "Your login may not use this address in From or Sender",
			      "from_denied");
}

// An alias that ends at the login and nowhere else; the postmaster's too.
static bool ends_only_at(const struct directory_answer *answer, const struct address *login)
{
	return answer->via != DIRECTORY_VIA_CATCH_ALL && answer->recipient_count == 1 &&
	       view_equal(answer->recipients[0], login->key);
}

struct verdict sender_decide(const struct sender_facts *facts)
{
	const struct address *address = facts->address;
	const struct directory_answer *answer = facts->directory;

	if (address_is_null(address)) {
		return facts->place == SENDER_REVERSE_PATH ? verdict_accept("null_path")
							   : denied(facts->place);
	}
	if (view_equal(address->key, facts->login->key)) {
		return verdict_accept("own_address");
	}
	if (address->routing || address->literal != ADDRESS_LITERAL_NONE) {
		return denied(facts->place);
	}
	if (patterns_match(facts->patterns, address)) {
		return verdict_accept("sender_pattern");
	}
	if (!answer) {
		return verdict_need(NEED_DIRECTORY);
	}
	if (answer->status != DIRECTORY_FOUND) {
		return denied(facts->place);
	}
	if (view_equal(answer->entry, facts->login->key)) {
		return verdict_accept("own_detail");
	}
	return ends_only_at(answer, facts->login) ? verdict_accept("own_alias")
						  : denied(facts->place);
}
