// A destination: a domain, or a smarthost, and the lane that it leads to. Domains whose MX hosts
// are the same share one lane, which is what a site is. What the DNS said is kept for its time to
// live, within bounds; recipients wait here while it is asked.
#include <stdlib.h>
#include <string.h>

#include "deliver/deliverer_private.h"
#include "os/clock.h"
#include "os/random.h"
#include "policy/mx.h"

enum {
	ASK_MS = 30000,
	KEEP_MIN_MS = 60 * 1000,
	KEEP_MAX_MS = 600 * 1000,
	FORGET_ABOVE = DELIVERER_DESTINATIONS_MAX / 2, // then idle ones go
	FORGET_TURN = 8,
	KEY_MAX = 8192,
	HOSTS_SHOWN_BYTES = 512,
};

#define FORGED "the DNS answer is forged (DNSSEC)"

struct destination {
	struct list link; // while it waits to ask, in its group of deliverer->asking
	struct deliverer *deliverer;
	struct deliver_generation *generation;
	const struct smarthost *smarthost; // NULL: by MX
	struct facts_request request;
	struct list waiting;           // recipients
	struct lane *lane;             // found earlier, until:
	uint64_t expires_ms, asked_ms; // asked: when the answer came
	struct buffer hosts;           // of the answer, for the trace
	bool is_secure;
	unsigned group; // of deliverer->asking, while it waits or asks
	bool waits, asking;
	struct view domain; // or the smarthost's host
	size_t key_len;
	char key[];
};

// ---- life

static void leave(struct lane *lane)
{
	if (lane) {
		lane->users--;
		lane_free_if_unused(lane);
	}
}

static void destination_free(struct destination *destination)
{
	struct deliverer *deliverer = destination->deliverer;

	(void)table_remove(&deliverer->destinations,
			   view_of(destination->key, destination->key_len));
	leave(destination->lane);
	facts_request_cancel(&destination->request);
	if (destination->waits) {
		share_leave(&deliverer->asking, destination->group, &destination->link);
	} else if (destination->asking) {
		share_give_back(&deliverer->asking, destination->group);
	}
	deliver_generation_unref(destination->generation);
	buffer_done(&destination->hosts);
	free(destination);
}

static struct destination *destination_new(struct deliverer *deliverer, struct view key,
					   const struct smarthost *smarthost, size_t domain_offset)
{
	struct destination *destination = calloc(1, sizeof *destination + key.len);

	if (!destination) {
		return NULL;
	}
	destination->deliverer = deliverer;
	destination->smarthost = smarthost;
	list_init(&destination->link);
	list_init(&destination->waiting);
	destination->hosts = buffer_with_max(HOSTS_SHOWN_BYTES);
	destination->key_len = key.len;
	memcpy(destination->key, key.data, key.len);
	destination->domain = view_from(view_of(destination->key, key.len), domain_offset);
	if (table_add(&deliverer->destinations, view_of(destination->key, key.len), destination) !=
	    OK) {
		free(destination);
		return NULL;
	}
	destination->generation = deliver_generation_ref(deliverer->generation);
	return destination;
}

static bool is_idle(const struct destination *destination)
{
	return !destination->asking && !destination->waits && list_empty(&destination->waiting);
}

// Idle ones make room.
static void forget_idle(struct deliverer *deliverer)
{
	struct destination *idle[256];
	size_t position = 0, count = 0;
	struct destination *each;

	while (count < sizeof idle / sizeof *idle &&
	       (each = table_next(&deliverer->destinations, &position))) {
		if (is_idle(each)) {
			idle[count++] = each;
		}
	}
	while (count) {
		destination_free(idle[--count]);
	}
}

// A few at a time, round the table: those whose answer is long out of date. The table changes
// between the turns, so that a walk may pass some over: the next one meets them.
static void forget_old(struct deliverer *deliverer)
{
	uint64_t now_ms = deliverer_now_ms(deliverer);
	struct destination *old[FORGET_TURN];
	unsigned count = 0;

	for (unsigned i = 0; i < FORGET_TURN; i++) {
		struct destination *each =
			table_next(&deliverer->destinations, &deliverer->forget_position);

		if (!each) {
			deliverer->forget_position = 0;
			break;
		}
		if (is_idle(each) && now_ms >= each->expires_ms + KEEP_MAX_MS &&
		    !(each->lane && site_next_ms(&each->lane->site, now_ms))) {
			old[count++] = each;
		}
	}
	while (count) {
		destination_free(old[--count]);
	}
}

// Once for all that it has there.
static bool is_last_of_entry(const struct recipient *recipient, const struct list *rest)
{
	return list_empty(rest) ||
	       CONTAINER_OF(rest->next, const struct recipient, link)->entry != recipient->entry;
}

void destination_forget_all(struct deliverer *deliverer)
{
	struct destination *each;
	size_t position = 0;

	while ((each = table_next(&deliverer->destinations, &position))) {
		while (!list_empty(&each->waiting)) {
			struct recipient *recipient =
				CONTAINER_OF(each->waiting.next, struct recipient, link);

			recipient_withdraw(recipient);
			if (!deliverer->closing && is_last_of_entry(recipient, &each->waiting)) {
				queue_schedule(recipient->entry);
			}
		}
		destination_free(each);
		position = 0;
	}
}

// ---- what waits

static void send_waiting(struct destination *destination)
{
	struct list *link;

	while ((link = list_take_first(&destination->waiting))) {
		struct recipient *recipient = CONTAINER_OF(link, struct recipient, link);

		recipient->place = RECIPIENT_IDLE;
		trace_site(recipient, destination, buffer_view(&destination->hosts),
			   destination->is_secure,
			   deliverer_now_ms(destination->deliverer) - destination->asked_ms);
		if (lane_add(destination->lane, recipient) != OK) {
			outcome_defer(recipient,
				      &(struct trouble){ .class = RETRY_LOCAL,
							 .status = "4.3.0",
							 .reason = VIEW("out of memory") });
		}
	}
}

// ---- the answer

static int compare_views(const void *a, const void *b)
{
	return view_compare(*(const struct view *)a, *(const struct view *)b);
}

static void add_lane_key(struct buffer *key, const struct destination *destination,
			 const struct mx_hosts *hosts)
{
	const struct config_outbound *outbound = &destination->generation->config->outbound;
	struct buffer names = buffer_with_max(KEY_MAX), sources = buffer_with_max(KEY_MAX);
	struct site_connection_key parts = { .port = (uint16_t)outbound->port,
					     .tls = ROUTE_TLS_OPPORTUNISTIC };

	for (size_t i = 0; i < outbound->source.count; i++) {
		buffer_add(&sources, outbound->source.items[i]);
		buffer_add_byte(&sources, ' ');
	}
	parts.source_name = buffer_view(&sources);

	if (destination->smarthost) {
		parts.server = destination->smarthost->host;
		parts.port = 0; // all of its list
		parts.tls = (uint8_t)destination->smarthost->tls;
		parts.login = destination->smarthost->username;
		parts.password_file = destination->smarthost->password_file;
		buffer_add(key, view_of(&destination->smarthost->ports,
					sizeof destination->smarthost->ports));
	} else {
		struct view sorted[MX_HOSTS_MAX];

		memcpy(sorted, hosts->hosts, hosts->count * sizeof *sorted);
		qsort(sorted, hosts->count, sizeof *sorted, compare_views);
		for (size_t i = 0; i < hosts->count; i++) {
			buffer_add(&names, sorted[i]);
			buffer_add_byte(&names, ' ');
		}
		parts.server = buffer_view(&names);
	}
	site_connection_key_add(key, &parts);
	buffer_done(&names);
	buffer_done(&sources);
}

static struct mx_hosts decide_hosts(const struct destination *destination,
				    const struct facts_answer *answer)
{
	const struct config *config = destination->generation->config;
	struct mx_record records[FACTS_HOSTS_MAX];
	struct mx_facts facts = {
		.domain = destination->domain,
		.records = records,
		.own_names = &config->hostname,
		.own_name_count = 1,
		.seed = os_random_u64(),
	};
	struct mx_hosts hosts;

	for (unsigned i = 0; !answer->implicit && i < answer->host_count; i++) {
		records[facts.record_count++] =
			(struct mx_record){ answer->hosts[i].preference, answer->hosts[i].name };
	}
	hosts = mx_decide(&facts);
	for (size_t i = 0; i < hosts.count; i++) {
		if (way_leads_to_us(config, answer, hosts.hosts[i])) {
			mx_hosts_drop_ours(&hosts, i);
		}
	}
	return hosts;
}

// The ways of a lane are those of the latest answer.
static void set_ways(const struct destination *destination, struct lane *lane,
		     const struct facts_answer *answer, const struct mx_hosts *hosts,
		     struct way_tally *tally)
{
	struct way_list ways;
	enum error error =
		lane->smarthost
			? way_list_of_smarthost(&ways, answer, lane->smarthost)
			: way_list_of_hosts(&ways, answer, hosts, destination->deliverer,
					    &destination->generation->config->outbound, tally);

	tally->temporary += error != OK;
	lane_set_ways(lane, ways);
}

static struct trouble trouble_of(const struct facts_answer *answer)
{
	bool by_domain = answer->kind == FACTS_MAIL_ROUTE;

	if (answer->null_mx) {
		return (struct trouble){ .permanent = true,
					 .status = "5.1.10",
					 .reason = VIEW("the domain accepts no mail (null MX)") };
	}
	if (answer->result == FACTS_NO_DOMAIN && by_domain) {
		return (struct trouble){ .permanent = true,
					 .status = "5.1.2",
					 .reason = VIEW("the domain does not exist") };
	}
	if (answer->result == FACTS_NO_DATA && by_domain) {
		return (struct trouble){ .permanent = true,
					 .status = "5.4.4",
					 .reason = VIEW("the domain has no mail server") };
	}
	return (struct trouble){ .class = RETRY_DNS,
				 .status = "4.4.3",
				 .reason = answer->result == FACTS_BOGUS
						   ? VIEW(FORGED)
						   : VIEW("no answer from the DNS") };
}

static struct trouble trouble_without_ways(const struct way_tally *tally)
{
	struct trouble trouble = { .permanent = true,
				   .status = "5.4.4",
				   .reason = VIEW("the mail servers have no address") };

	if (tally->temporary) {
		trouble = (struct trouble){ .class = RETRY_DNS,
					    .status = "4.4.3",
					    .reason = tally->bogus
							      ? VIEW(FORGED)
							      : VIEW("no addresses from the DNS") };
	} else if (tally->refused) {
		trouble.reason = VIEW("the mail servers have private addresses only");
	}
	return trouble;
}

static bool find_lane(struct destination *destination, const struct facts_answer *answer,
		      struct trouble *trouble)
{
	struct deliverer *deliverer = destination->deliverer;
	struct mx_hosts hosts = { .outcome = MX_HOSTS };
	struct buffer key = buffer_with_max(KEY_MAX * 2);
	struct way_tally tally = { 0 };
	struct lane *lane = NULL;
	enum error error;

	if (!destination->smarthost) {
		hosts = decide_hosts(destination, answer);
	}
	if (hosts.outcome == MX_LOOP) {
		*trouble =
			(struct trouble){ .permanent = true,
					  .status = "5.4.6",
					  .reason = VIEW("mail loops back to myself: this is the "
							 "mail server of the domain, which is "
							 "not one of ours") };
		return false;
	}
	add_lane_key(&key, destination, &hosts);
	error = buffer_error(&key);
	if (error == OK) {
		error = lane_get(deliverer, destination->smarthost ? LANE_SMARTHOST : LANE_MX,
				 buffer_view(&key),
				 hosts.count ? hosts.hosts[0] : destination->domain,
				 destination->smarthost, &lane);
	}
	buffer_done(&key);
	if (error != OK) {
		*trouble = (struct trouble){ .class = RETRY_LOCAL,
					     .status = "4.3.0",
					     .reason = view_from_text(error_text(error)) };
		return false;
	}
	set_ways(destination, lane, answer, &hosts, &tally);
	if (lane->ways.count == 0) {
		*trouble = trouble_without_ways(&tally);
		lane_free_if_unused(lane);
		return false;
	}
	destination->lane = lane;
	lane->users++;
	return true;
}

static void ask_next(struct deliverer *deliverer);

static void take_answer(struct destination *destination, const struct facts_answer *answer)
{
	struct trouble trouble = trouble_of(answer);
	struct lane *lane = destination->lane; // kept so long: most often it is the next one too
	uint64_t keep_ms = answer->ttl_s * 1000ull;

	keep_ms = keep_ms < KEEP_MIN_MS   ? KEEP_MIN_MS
		  : keep_ms > KEEP_MAX_MS ? KEEP_MAX_MS
					  : keep_ms;
	destination->lane = NULL;
	destination->asked_ms = deliverer_now_ms(destination->deliverer);
	destination->is_secure = answer->secure;
	buffer_clear(&destination->hosts);
	trace_add_hosts(&destination->hosts, answer);
	if (answer->result == FACTS_FOUND && !answer->null_mx &&
	    find_lane(destination, answer, &trouble)) {
		destination->expires_ms = deliverer_now_ms(destination->deliverer) + keep_ms;
		send_waiting(destination);
	} else {
		outcome_defer_all(&destination->waiting, &trouble);
	}
	leave(lane);
}

static void on_answer(void *context, const struct facts_answer *answer)
{
	struct destination *destination = context;
	struct deliverer *deliverer = destination->deliverer;

	destination->asking = false;
	share_give_back(&deliverer->asking, destination->group);
	take_answer(destination, answer);
	ask_next(deliverer);
}

// ---- the question

// An address instead of a name needs no DNS.
static bool answer_literal(struct destination *destination)
{
	struct view text = destination->domain;
	struct ip_address ip;
	struct facts_address address = { 0 };
	struct facts_host host = {
		.name = text, .result = FACTS_FOUND, .address_count = 1, .addresses = &address
	};
	struct facts_answer answer = { .kind = FACTS_ADDRESSES,
				       .result = FACTS_FOUND,
				       .implicit = true,
				       .host_count = 1,
				       .hosts = &host };

	if (text.len && text.data[0] == '[') {
		uint8_t bytes[16];
		enum address_literal literal = address_literal_parse(text, bytes);

		if (literal != ADDRESS_LITERAL_IPV4 && literal != ADDRESS_LITERAL_IPV6) {
			return false;
		}
		ip = ip_address_of(literal == ADDRESS_LITERAL_IPV4 ? 4 : 6, bytes);
	} else if (!destination->smarthost || !ip_address_parse(text, &ip)) {
		return false;
	}
	address.family = ip.family;
	memcpy(address.bytes, ip.bytes, sizeof address.bytes);
	take_answer(destination, &answer);
	return true;
}

static void ask(struct destination *destination)
{
	struct deliverer *deliverer = destination->deliverer;
	struct facts_question question = {
		.kind = destination->smarthost ? FACTS_ADDRESSES : FACTS_MAIL_ROUTE,
		.name = destination->domain,
	};
	enum error error = facts_ask(deliverer->facts, &destination->request, &question, ASK_MS,
				     on_answer, destination);

	if (error != OK) {
		struct trouble trouble = { .class = RETRY_DNS, .status = "4.4.3" };

		trouble.permanent = error == ERROR_INVALID;
		memcpy(trouble.status, error == ERROR_INVALID ? "5.1.2" : "4.4.3", 6);
		trouble.reason = error == ERROR_INVALID ? VIEW("no such domain can exist")
							: VIEW("the DNS cannot be asked now");
		outcome_defer_all(&destination->waiting, &trouble);
		return;
	}
	destination->asking = true;
	share_take(&deliverer->asking, destination->group);
}

static void ask_next(struct deliverer *deliverer)
{
	struct list *link;

	while ((link = share_next(&deliverer->asking, DELIVERER_ASKING_MAX))) {
		struct destination *destination = CONTAINER_OF(link, struct destination, link);

		destination->waits = false;
		ask(destination);
	}
}

static void ask_in_turn(struct destination *destination, unsigned group)
{
	struct deliverer *deliverer = destination->deliverer;

	deliverer->counters.dns_waits +=
		!share_admits(&deliverer->asking, group, DELIVERER_ASKING_MAX);
	destination->waits = true;
	destination->group = group;
	share_wait(&deliverer->asking, group, &destination->link);
	ask_next(deliverer);
}

static bool lane_is_good(const struct destination *destination)
{
	return destination->lane && !destination->lane->retired &&
	       deliverer_now_ms(destination->deliverer) < destination->expires_ms;
}

void destination_send(struct deliverer *deliverer, struct recipient *recipient,
		      const struct route *route, struct view domain)
{
	const struct smarthost *smarthost = route ? &route->smarthost : NULL;
	struct buffer key = buffer_with_max(KEY_MAX);
	struct destination *destination;
	unsigned group;
	size_t offset;

	buffer_printf(&key, smarthost ? "route %zu " : "mx ",
		      route ? (size_t)(route - deliverer->generation->config->routes.items) : 0);
	offset = key.len;
	buffer_add(&key, smarthost ? smarthost->host : domain);
	destination = table_get(&deliverer->destinations, buffer_view(&key));
	if (!destination) {
		forget_old(deliverer);
		if (deliverer->destinations.count > FORGET_ABOVE) {
			forget_idle(deliverer);
		}
		destination = destination_new(deliverer, buffer_view(&key), smarthost, offset);
	}
	buffer_done(&key);
	if (!destination) {
		outcome_trouble(recipient, &(struct trouble){ .class = RETRY_LOCAL,
							      .status = "4.3.0",
							      .reason = VIEW("out of memory") });
		return;
	}
	group = share_group_of(&deliverer->asking, entry_sender(recipient->entry));
	recipient->place = RECIPIENT_RESOLVING;
	list_add_last(&destination->waiting, &recipient->link);
	if (lane_is_good(destination)) {
		send_waiting(destination);
	} else if (destination->waits) {
		destination->group = share_move(&deliverer->asking, destination->group, group,
						&destination->link);
	} else if (!destination->asking && !answer_literal(destination)) {
		ask_in_turn(destination, group);
	}
}
