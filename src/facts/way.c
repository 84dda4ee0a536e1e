#include "facts/way.h"

// The "nameserver" lines of a resolv.conf.
static enum error parse_servers(struct view text, struct arena *arena, struct view **ret_servers,
				size_t *ret_count)
{
	struct view *servers = arena_alloc_array(arena, RESOLVER_SERVERS_MAX, sizeof *servers);
	struct view line, word, address;
	size_t count = 0;

	if (!servers) {
		return ERROR_NO_MEMORY;
	}
	while (count < RESOLVER_SERVERS_MAX && view_next_part(&text, '\n', &line)) {
		if (view_next_word(&line, &word) && view_equal(word, VIEW("nameserver")) &&
		    view_next_word(&line, &address)) {
			servers[count] = arena_copy(arena, address);
			if (!servers[count++].data) {
				return ERROR_NO_MEMORY;
			}
		}
	}
	*ret_servers = servers;
	*ret_count = count;
	return OK;
}

static void way_add(struct ways *ways, const struct config_dns *dns, bool forward, bool validate,
		    struct resolver_options shared)
{
	if ((forward && (dns->mode == CONFIG_DNS_RECURSIVE || shared.server_count == 0)) ||
	    (!forward && dns->mode == CONFIG_DNS_FORWARD) ||
	    (validate && dns->dnssec == CONFIG_OFF) || (!validate && dns->dnssec == CONFIG_ON)) {
		return;
	}
	shared.forward = forward;
	shared.validate = validate;
	ways->options[ways->count++] = shared;
}

enum error ways_make(const struct config_dns *dns, struct view system_servers,
		     struct view trust_anchors, struct arena *arena, struct ways *ret_ways)
{
	struct resolver_options shared = { .trust_anchors = trust_anchors };
	struct ways ways = { .count = 0 };
	struct view *servers = dns->servers.items;
	enum error error = OK;

	shared.server_count = dns->servers.count;
	if (shared.server_count == 0) {
		error = parse_servers(system_servers, arena, &servers, &shared.server_count);
	}
	if (error != OK) {
		return error;
	}
	shared.servers = servers;
	for (unsigned i = 0; i < WAYS_MAX; i++) {
		way_add(&ways, dns, i % 2 == 1, i < 2, shared);
	}
	if (ways.count == 0) {
		return ERROR_INVALID;
	}
	*ret_ways = ways;
	return OK;
}
