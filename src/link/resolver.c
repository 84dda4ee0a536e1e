#include "link/resolver.h"

#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#include "link/resolver_event.h"

enum {
	CLASS_IN = 1,
	SECURITY_BOGUS = 1,
	SECURITY_SECURE = 2,
	LINE_SIZE_MAX = 4096,
	QUESTION_NAME_MAX = 253,
};

struct resolver {
	struct os_loop *loop;
	struct ub_event_base *base;
	struct ub_ctx *context;
};

// What libunbound holds of a query. It outlives a query that ended early where libunbound calls
// back before it has told the number.
struct resolver_ticket {
	struct resolver_query *query; // NULL: answered
	int number;
	bool asking; // inside ub_resolve_event
};

// The keys of the root zone, as IANA publishes them (root-anchors.xml).
static const char ROOT_ANCHORS[] =
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n";

static const struct {
	const char *name, *value;
} SETTINGS[] = {
	{ "use-syslog:", "no" },
	{ "verbosity:", "0" },
	{ "unblock-lan-zones:", "yes" }, // a company's own names of private addresses
	{ "insecure-lan-zones:", "yes" },
	{ "do-not-query-localhost:", "no" }, // a resolver on this machine
	{ "prefer-ip4:", "yes" },
	{ "edns-buffer-size:", "1232" },
	{ "minimal-responses:", "yes" },
	{ "msg-cache-size:", "8m" },
	{ "rrset-cache-size:", "16m" },
	{ "key-cache-size:", "2m" },
	{ "neg-cache-size:", "1m" },
	{ "cache-max-ttl:", "86400" },
	{ "cache-max-negative-ttl:", "600" },
	{ "num-queries-per-thread:", "1024" },
	{ "outgoing-range:", "256" },
	{ "outgoing-num-tcp:", "32" },
};

static enum error set_options(struct ub_ctx *context, bool validate)
{
	for (size_t i = 0; i < sizeof SETTINGS / sizeof *SETTINGS; i++) {
		if (ub_ctx_set_option(context, SETTINGS[i].name, SETTINGS[i].value) != 0) {
			return ERROR_UNSUPPORTED;
		}
	}
	return ub_ctx_set_option(
		       context, "module-config:", validate ? "validator iterator" : "iterator") == 0
		       ? OK
		       : ERROR_UNSUPPORTED;
}

static enum error line_text(struct view line, char *ret_text)
{
	if (line.len >= LINE_SIZE_MAX || memchr(line.data, 0, line.len)) {
		return ERROR_INVALID;
	}
	memcpy(ret_text, line.data, line.len);
	ret_text[line.len] = 0;
	return OK;
}

static enum error add_anchors(struct ub_ctx *context, struct view anchors)
{
	struct view rest = anchors.len > 0 ? anchors : view_from_text(ROOT_ANCHORS);
	struct view line;
	char text[LINE_SIZE_MAX];

	while (view_next_part(&rest, '\n', &line)) {
		line = view_trim(line);
		if (line.len == 0 || line.data[0] == ';') {
			continue;
		}
		if (line_text(line, text) != OK || ub_ctx_add_ta(context, text) != 0) {
			return ERROR_INVALID;
		}
	}
	return OK;
}

static enum error add_servers(struct ub_ctx *context, const struct resolver_options *options)
{
	char text[LINE_SIZE_MAX];

	if (options->server_count == 0 || options->server_count > RESOLVER_SERVERS_MAX) {
		return ERROR_INVALID;
	}
	for (size_t i = 0; i < options->server_count; i++) {
		if (line_text(options->servers[i], text) != OK ||
		    ub_ctx_set_fwd(context, text) != 0) {
			return ERROR_INVALID;
		}
	}
	return OK;
}

static enum error configure(struct ub_ctx *context, const struct resolver_options *options)
{
	enum error error = set_options(context, options->validate);

	if (error == OK && options->validate) {
		error = add_anchors(context, options->trust_anchors);
	}
	if (error == OK && options->forward) {
		error = add_servers(context, options);
	}
	// Of the zones that libunbound answers by itself, a laboratory's own. This also makes it
	// read the servers and anchors now, so that a bad one is told here.
	if (error == OK && ub_ctx_zone_remove(context, "test.") != 0) {
		error = ERROR_INVALID;
	}
	return error;
}

enum error resolver_new(struct os_loop *loop, const struct resolver_options *options,
			struct resolver **ret_resolver)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);
	enum error error;

	if (!resolver) {
		return ERROR_NO_MEMORY;
	}
	resolver->loop = loop;
	resolver->base = resolver_event_base_new(loop);
	resolver->context = resolver->base ? ub_ctx_create_ub_event(resolver->base) : NULL;
	error = resolver->context ? configure(resolver->context, options) : ERROR_NO_MEMORY;
	if (error != OK) {
		resolver_free(resolver);
		return error;
	}
	*ret_resolver = resolver;
	return OK;
}

void resolver_free(struct resolver *resolver)
{
	if (resolver) {
		ub_ctx_delete(resolver->context);
		resolver_event_base_free(resolver->base);
		free(resolver);
	}
}

// Ends the query; its ticket stays only as long as ub_resolve_event is on the stack.
static void query_end(struct resolver_query *query)
{
	os_timer_stop(&query->deadline);
	if (query->ticket && query->ticket->asking) {
		query->ticket->query = NULL;
	} else {
		free(query->ticket);
	}
	query->ticket = NULL;
	query->resolver = NULL;
}

static void query_answer(struct resolver_query *query, const struct dns_answer *answer)
{
	query_end(query);
	query->fn(query->context, answer);
}

static void query_fail(struct resolver_query *query)
{
	struct dns_answer answer;

	// Not an initialiser: the records are large and not looked at.
	answer.result = FACTS_TEMPORARY;
	answer.secure = false;
	answer.ttl_s = 0;
	answer.count = 0;
	query_answer(query, &answer);
}

// rcode tells only failures of libunbound's own; what the servers said is in the packet.
static void on_answer(void *context, int rcode, void *packet, int packet_len, int security,
		      char *why_bogus, int limited)
{
	struct resolver_ticket *ticket = context;
	struct resolver_query *query = ticket->query;
	struct arena arena = arena_with_max(DNS_ARENA_MAX);
	struct dns_answer answer;

	(void)why_bogus;
	(void)limited;
	if ((rcode != 0 && rcode != 3) || packet_len < 0 ||
	    dns_answer_parse(view_of(packet, (size_t)packet_len), query->type, &arena, &answer) !=
		    OK) {
		answer.result = FACTS_TEMPORARY;
		answer.count = 0;
		answer.ttl_s = 0;
	}
	if (security == SECURITY_BOGUS) {
		answer.result = FACTS_BOGUS;
		answer.count = 0;
	}
	answer.secure = security == SECURITY_SECURE;
	query_answer(query, &answer);
	arena_done(&arena);
}

void resolver_query_cancel(struct resolver_query *query)
{
	if (query->resolver) {
		(void)ub_cancel(query->resolver->context, query->ticket->number);
		query_end(query);
	}
}

static void on_deadline(void *context)
{
	struct resolver_query *query = context;

	(void)ub_cancel(query->resolver->context, query->ticket->number);
	query_fail(query);
}

static bool question_text(struct view name, char *ret_text)
{
	if (name.len > QUESTION_NAME_MAX || memchr(name.data ? name.data : "", 0, name.len)) {
		return false;
	}
	memcpy(ret_text, name.data, name.len);
	memcpy(ret_text + name.len, ".", 2);
	return true;
}

static void ticket_use(struct resolver *resolver, struct resolver_query *query, const char *name)
{
	struct resolver_ticket *ticket = query->ticket;
	bool asked;

	ticket->query = query;
	ticket->asking = true;
	asked = ub_resolve_event(resolver->context, name, query->type, CLASS_IN, ticket, on_answer,
				 &ticket->number) == 0;
	ticket->asking = false;
	if (!ticket->query) {
		free(ticket);
	} else if (!asked) {
		query_fail(query);
	}
}

void resolver_ask(struct resolver *resolver, struct resolver_query *query, struct view name,
		  enum dns_type type, uint64_t deadline_ms, resolver_answer_fn *fn, void *context)
{
	char text[QUESTION_NAME_MAX + 2];

	*query = (struct resolver_query){
		.resolver = resolver,
		.ticket = calloc(1, sizeof *query->ticket),
		.type = type,
		.fn = fn,
		.context = context,
	};
	os_timer_init(&query->deadline, resolver->loop, on_deadline, query);
	os_timer_set(&query->deadline, deadline_ms < RESOLVER_DEADLINE_MAX_MS
					       ? deadline_ms
					       : RESOLVER_DEADLINE_MAX_MS);
	if (query->ticket && question_text(name, text)) {
		ticket_use(resolver, query, text);
	} else {
		query_fail(query);
	}
}
