// Where a recipient goes: a mailbox here, a smarthost, or by MX. Facts in, verdict out
// (policy/route.h); here the facts are put together.
#include "deliver/deliverer_private.h"

enum { ROUTER_MEMORY_MAX = 16 * 1024, PARSE = ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_POSTMASTER };

static bool is_ours(const struct deliverer *deliverer, struct view domain)
{
	// A domain without accounts is in the directory too: keeper builds it from the same file.
	return domain.len == 0 || directory_has_domain(&deliverer->directory, domain);
}

static struct route_choice choose(const struct recipient *recipient, struct arena *arena,
				  const struct address *address)
{
	const struct entry *entry = recipient->entry;
	const struct config *config = entry->deliverer->generation->config;
	struct address reverse_path = { 0 }, login = { 0 };
	struct route_facts facts = {
		.recipient_is_ours = is_ours(entry->deliverer, address->domain),
		.recipient = address,
		.reverse_path = &reverse_path,
	};

	if (!facts.recipient_is_ours && config->routes.count) {
		if (address_parse(arena, entry_reverse_path(entry), PARSE, &reverse_path) !=
		    ADDRESS_OK) {
			reverse_path = (struct address){ 0 };
		}
		if (entry->login_len &&
		    address_parse(arena, entry_login(entry), PARSE, &login) == ADDRESS_OK) {
			facts.login = &login;
		}
	}
	return route_decide(config->routes.items, config->routes.count, &facts);
}

static void send_local(struct recipient *recipient, const struct address *address)
{
	struct deliverer *deliverer = recipient->entry->deliverer;

	if (!directory_has_account(&deliverer->directory, address)) {
		outcome_trouble(recipient,
				&(struct trouble){ .permanent = true,
						   .status = "5.1.1",
						   .reason = VIEW("no such recipient here") });
	} else if (lane_add(deliverer->local, recipient) != OK) {
		outcome_trouble(recipient, &(struct trouble){ .class = RETRY_LOCAL,
							      .status = "4.3.0",
							      .reason = VIEW("out of memory") });
	}
}

void route_recipient(struct recipient *recipient)
{
	struct arena arena = arena_with_max(ROUTER_MEMORY_MAX);
	struct address address;
	struct route_choice choice;

	if (address_parse(&arena, recipient_address(recipient), PARSE, &address) != ADDRESS_OK) {
		outcome_trouble(recipient,
				&(struct trouble){ .permanent = true,
						   .status = "5.1.3",
						   .reason = VIEW("malformed address") });
		arena_done(&arena);
		return;
	}
	choice = choose(recipient, &arena, &address);
	trace_routed(recipient, &choice);
	if (choice.kind == ROUTE_LOCAL) {
		send_local(recipient, &address);
	} else {
		destination_send(recipient->entry->deliverer, recipient,
				 choice.kind == ROUTE_SMARTHOST ? choice.route : NULL,
				 address.domain);
	}
	arena_done(&arena);
}
