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

struct destination {
	struct list link; // in deliverer->to_ask or ->asking, or in none
	struct deliverer *deliverer;
	struct deliver_generation *generation;
	const struct smarthost *smarthost; // NULL: by MX
	struct facts_request request;
	struct list waiting;           // recipients
	struct lane *lane;             // found earlier, until:
	uint64_t expires_ms, asked_ms; // asked: when the answer came
	struct buffer hosts;           // of the answer, for the trace
	bool is_secure;
	bool asking;
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
	deliverer->asking_count -= destination->asking;
	list_remove(&destination->link);
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

// Idle ones make room.
static void forget_idle(struct deliverer *deliverer)
{
	struct destination *idle[256];
	size_t position = 0, count = 0;
	struct destination *each;

	while (count < sizeof idle / sizeof *idle &&
	       (each = table_next(&deliverer->destinations, &position))) {
		if (!each->asking && list_empty(&each->waiting)) {
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
		if (!each->asking && list_empty(&each->waiting) &&
		    now_ms >= each->expires_ms + KEEP_MAX_MS &&
		    !(each->lane && site_next_ms(&each->lane->site, now_ms))) {
			old[count++] = each;
		}
	}
	while (count) {
		destination_free(old[--count]);
	}
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
			if (!deliverer->closing) {
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

// Settling may end a message, so each is taken out first.
static void trouble_waiting(struct destination *destination, const struct trouble *trouble)
{
	struct list *link;

	while ((link = list_take_first(&destination->waiting))) {
		outcome_defer(CONTAINER_OF(link, struct recipient, link), trouble);
	}
}

// ---- the answer

static const struct facts_host *host_named(const struct facts_answer *answer, struct view name)
{
	for (unsigned i = 0; i < answer->host_count; i++) {
		if (view_equal(answer->hosts[i].name, name)) {
			return &answer->hosts[i];
		}
	}
	return NULL;
}

static void add_way(struct lane *lane, const struct facts_address *address, uint16_t port,
		    struct view host)
{
	struct os_address way = facts_address_with_port(address, port);

	lane_add_way(lane, &way, host);
}

struct tally {
	unsigned refused, ours, temporary; // addresses, addresses, hosts
};

// IPv4 first: IPv6 is for hosts that have nothing else, for we do not know our own name there.
static void add_host(struct lane *lane, const struct facts_host *host, uint16_t port,
		     struct tally *tally)
{
	bool allow = lane->generation->config->outbound.allow_private_addresses;
	struct view name = arena_copy(&lane->arena, host->name);

	tally->temporary += host->result == FACTS_TEMPORARY || host->result == FACTS_BOGUS;
	for (unsigned family = 4; family <= 6; family += 2) {
		for (unsigned i = 0; i < host->address_count; i++) {
			const struct facts_address *address = &host->addresses[i];
			struct ip_address ip = ip_address_of(address->family, address->bytes);

			if (address->family != family) {
				continue;
			}
			switch (mx_address_decide(&ip, NULL, 0, allow)) {
			case MX_ADDRESS_USABLE: add_way(lane, address, port, name); break;
			case MX_ADDRESS_OURS: tally->ours++; break;
			case MX_ADDRESS_PRIVATE:
			case MX_ADDRESS_NONSENSE: tally->refused++; break;
			}
		}
	}
}

static void add_smarthost(struct lane *lane, const struct facts_answer *answer)
{
	struct port_list ports =
		lane->smarthost->ports.count ? lane->smarthost->ports : port_list_default();

	for (unsigned i = 0; i < ports.count; i++) {
		for (unsigned h = 0; h < answer->host_count; h++) {
			for (unsigned a = 0; a < answer->hosts[h].address_count; a++) {
				add_way(lane, &answer->hosts[h].addresses[a], ports.ports[i],
					lane->smarthost->host);
			}
		}
	}
}

static int compare_views(const void *a, const void *b)
{
	return view_compare(*(const struct view *)a, *(const struct view *)b);
}

static void add_lane_key(struct buffer *key, const struct destination *destination,
			 const struct mx_hosts *hosts)
{
	const struct config *config = destination->generation->config;
	struct buffer names = buffer_with_max(KEY_MAX);
	struct site_connection_key parts = { .port = (uint16_t)config->outbound.port,
					     .tls = ROUTE_TLS_OPPORTUNISTIC };

	if (destination->smarthost) {
		parts.server = destination->smarthost->host;
		parts.port = 0; // all of its list
		parts.tls = (uint8_t)destination->smarthost->tls;
		parts.login = destination->smarthost->username;
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
}

static struct mx_hosts decide_hosts(const struct destination *destination,
				    const struct facts_answer *answer)
{
	struct mx_record records[FACTS_HOSTS_MAX];
	struct mx_facts facts = {
		.domain = destination->domain,
		.records = records,
		.own_names = &destination->generation->config->hostname,
		.own_name_count = 1,
		.seed = os_random_u64(),
	};

	for (unsigned i = 0; !answer->implicit && i < answer->host_count; i++) {
		records[facts.record_count++] =
			(struct mx_record){ answer->hosts[i].preference, answer->hosts[i].name };
	}
	return mx_decide(&facts);
}

// The ways of a lane are those of the latest answer.
static void set_ways(struct destination *destination, struct lane *lane,
		     const struct facts_answer *answer, const struct mx_hosts *hosts,
		     struct tally *tally)
{
	uint16_t port = (uint16_t)destination->generation->config->outbound.port;

	unsigned capacity = 0;

	for (unsigned i = 0; i < answer->host_count; i++) {
		capacity += answer->hosts[i].address_count;
	}
	if (lane_clear_ways(lane, lane->smarthost ? capacity * PORT_LIST_MAX : capacity) != OK) {
		tally->temporary++;
		return;
	}
	if (lane->smarthost) {
		add_smarthost(lane, answer);
	}
	for (size_t i = 0; !lane->smarthost && i < hosts->count; i++) {
		const struct facts_host *host = host_named(answer, hosts->hosts[i]);

		if (host) {
			add_host(lane, host, port, tally);
		}
	}
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
						   ? VIEW("the DNS answer is forged (DNSSEC)")
						   : VIEW("no answer from the DNS") };
}

static struct trouble trouble_without_ways(const struct tally *tally)
{
	struct trouble trouble = { .permanent = true,
				   .status = "5.4.4",
				   .reason = VIEW("the mail servers have no address") };

	if (tally->temporary) {
		trouble = (struct trouble){ .class = RETRY_DNS,
					    .status = "4.4.3",
					    .reason = VIEW("no addresses from the DNS") };
	} else if (tally->ours) {
		memcpy(trouble.status, "5.4.6", 6);
		trouble.reason = VIEW("the mail server is this one: a loop");
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
	struct tally tally = { 0 };
	struct lane *lane = NULL;
	enum error error;

	if (!destination->smarthost) {
		hosts = decide_hosts(destination, answer);
	}
	if (hosts.outcome == MX_LOOP) {
		*trouble = (struct trouble){ .permanent = true,
					     .status = "5.4.6",
					     .reason = VIEW("we are the mail server of a domain "
							    "that is not ours: a loop") };
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
	if (lane->way_count == 0) {
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
		trouble_waiting(destination, &trouble);
	}
	leave(lane);
}

static void on_answer(void *context, const struct facts_answer *answer)
{
	struct destination *destination = context;
	struct deliverer *deliverer = destination->deliverer;

	destination->asking = false;
	deliverer->asking_count--;
	list_remove(&destination->link);
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
		trouble_waiting(destination, &trouble);
		return;
	}
	destination->asking = true;
	deliverer->asking_count++;
	list_add_last(&deliverer->asking, &destination->link);
}

static void ask_next(struct deliverer *deliverer)
{
	struct list *link;

	while (deliverer->asking_count < DELIVERER_ASKING_MAX &&
	       (link = list_take_first(&deliverer->to_ask))) {
		ask(CONTAINER_OF(link, struct destination, link));
	}
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
	recipient->place = RECIPIENT_RESOLVING;
	list_add_last(&destination->waiting, &recipient->link);
	if (lane_is_good(destination)) {
		send_waiting(destination);
	} else if (!destination->asking && list_empty(&destination->link) &&
		   !answer_literal(destination)) {
		list_add_last(&deliverer->to_ask, &destination->link);
		ask_next(deliverer);
	}
}
