// The facts process against a DNS server that the test plays itself, on a UDP socket of loopback
// and on the same loop: ordinary zones, and the answers that an attacker would give (attack A20).
#include "base/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "facts/facts.h"

enum { A = 1, CNAME = 5, PTR = 12, MX = 15, AAAA = 28 };
enum { NXDOMAIN = 3, SERVFAIL = 2 };
enum { MANY = 60, DEADLINE_MS = 10 * 1000 };

struct record {
	const char *owner;
	unsigned type;
	unsigned preference; // MX
	const char *text;    // a name, or an address
	struct view raw;     // instead of text
	unsigned rcode;      // instead of a record: for every type
	unsigned times;      // repeated, with the last octet counting
};

static const struct record ZONE[] = {
	{ "", PTR, 0, "nothing.test" }, // the root is there, without an address
	{ "plain.test", MX, 20, "second.test" },
	{ "plain.test", MX, 10, "First.test" },
	{ "first.test", A, 0, "192.0.2.1" },
	{ "first.test", AAAA, 0, "2001:db8::1" },
	{ "second.test", A, 0, "192.0.2.2" },
	{ "null.test", MX, 0, "" },
	{ "implicit.test", A, 0, "192.0.2.3" },
	{ "bare.test", PTR, 0, "nothing.test" },
	{ "gone.test", .rcode = NXDOMAIN },
	{ "failing.test", .rcode = SERVFAIL },
	{ "alias.test", CNAME, 0, "plain.test" },
	{ "orphan.test", MX, 5, "gone.test" },
	{ "orphan.test", MX, 6, "first.test" },
	{ "loop.test", CNAME, 0, "loop2.test" },
	{ "loop2.test", CNAME, 0, "loop.test" },
	{ "short.test", MX, .raw = { "\0", 1 } },
	{ "odd.test", MX, .raw = { "\0\1\4a\n b\0", 8 } },
	{ "odd.test", MX, 30, "first.test" },
	{ "dot.test", MX, .raw = { "\0\1\3a.b\4test\0", 12 } },
	{ "many.test", A, 0, "192.0.2.0", .times = MANY },
	{ "1.2.0.192.in-addr.arpa", PTR, 0, "stranger.test" },
	{ "1.2.0.192.in-addr.arpa", PTR, 0, "first.test" },
	{ "stranger.test", A, 0, "198.51.100.1" },
	{ "2.2.0.192.in-addr.arpa", PTR, 0, "stranger.test" },
	{ "3.2.0.192.in-addr.arpa", PTR, .raw = { "\6a;\"\n\r \0", 8 } },
};

struct scene {
	struct os_loop *loop;
	int server;
	struct os_watch *watch;
	struct facts *facts;
	struct facts_client *client;
	struct os_timer end;
	struct facts_way way;
	unsigned asked, answered;
	struct facts_answer answer;
	struct facts_host hosts[FACTS_HOSTS_MAX];
	char names[FACTS_HOSTS_MAX][256];
	struct facts_address addresses[FACTS_HOSTS_MAX][FACTS_ADDRESSES_MAX];
};

struct packet {
	uint8_t bytes[4096];
	size_t len;
};

static void add(struct packet *packet, const void *bytes, size_t len)
{
	memcpy(packet->bytes + packet->len, bytes, len);
	packet->len += len;
}

static void add_u16(struct packet *packet, unsigned number)
{
	uint8_t bytes[2] = { (uint8_t)(number >> 8), (uint8_t)number };

	add(packet, bytes, 2);
}

static void add_name(struct packet *packet, const char *text)
{
	struct view rest = view_from_text(text), label;

	while (view_next_part(&rest, '.', &label)) {
		uint8_t len = (uint8_t)label.len;

		add(packet, &len, 1);
		add(packet, label.data, label.len);
	}
	add(packet, "", 1);
}

static void add_data(struct packet *packet, const struct record *record, unsigned time)
{
	uint8_t address[16];

	if (record->raw.data) {
		add(packet, record->raw.data, record->raw.len);
		return;
	}
	if (record->type == A || record->type == AAAA) {
		size_t size = record->type == A ? 4 : 16;

		inet_pton(record->type == A ? AF_INET : AF_INET6, record->text, address);
		address[size - 1] = (uint8_t)(address[size - 1] + time);
		add(packet, address, size);
		return;
	}
	if (record->type == MX) {
		add_u16(packet, record->preference);
	}
	add_name(packet, record->text);
}

static void add_record(struct packet *packet, const struct record *record, unsigned time)
{
	size_t length_at;

	add_name(packet, record->owner);
	add_u16(packet, record->type);
	add_u16(packet, 1);
	add_u16(packet, 0);
	add_u16(packet, 300);
	length_at = packet->len;
	add_u16(packet, 0);
	add_data(packet, record, time);
	packet->bytes[length_at + 1] = (uint8_t)(packet->len - length_at - 2);
	packet->bytes[7]++;
}

// Fills what the zone has; returns false where it keeps silent.
static bool answer_fill(struct packet *packet, const char *name, unsigned type)
{
	bool known = false;

	if (strncasecmp(name, "silent", 6) == 0) {
		return false;
	}
	for (size_t i = 0; i < COUNT_OF(ZONE); i++) {
		const struct record *record = &ZONE[i];

		if (strcasecmp(record->owner, name) != 0) {
			continue;
		}
		known = true;
		packet->bytes[3] |= (uint8_t)record->rcode;
		if (record->rcode == 0 && (record->type == type || record->type == CNAME)) {
			unsigned times = record->times ? record->times : 1;

			for (unsigned time = 0; time < times; time++) {
				add_record(packet, record, time);
			}
		}
	}
	packet->bytes[3] |= known ? 0 : NXDOMAIN;
	return true;
}

static bool question_read(const struct packet *query, char *name, size_t *ret_end)
{
	size_t at = 12, len = 0;

	while (at < query->len && query->bytes[at]) {
		uint8_t label = query->bytes[at++];

		if (at + label >= query->len || len + label + 2 > 256) {
			return false;
		}
		memcpy(name + len, query->bytes + at, label);
		len += label;
		name[len++] = '.';
		at += label;
	}
	name[len ? len - 1 : 0] = 0;
	*ret_end = at + 5;
	return *ret_end <= query->len;
}

static void on_query(void *context, int events)
{
	struct scene *scene = context;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof peer;
	struct packet query, reply = { .len = 0 };
	char name[256];
	size_t end;
	ssize_t got = recvfrom(scene->server, query.bytes, sizeof query.bytes, 0,
			       (struct sockaddr *)&peer, &peer_len);

	(void)events;
	if (got < 12) {
		return;
	}
	query.len = (size_t)got;
	scene->asked++;
	assert_true(question_read(&query, name, &end));
	add(&reply, query.bytes, end);
	memcpy(reply.bytes + 2, "\x85\x80\0\1\0\0\0\0\0\0", 10);
	if (answer_fill(&reply, name, query.bytes[end - 3])) {
		(void)!sendto(scene->server, reply.bytes, reply.len, 0, (struct sockaddr *)&peer,
			      peer_len);
	}
}

static void on_end(void *context)
{
	os_loop_stop(context);
}

static void on_answer(void *context, const struct facts_answer *answer)
{
	struct scene *scene = context;

	scene->answered++;
	scene->answer = *answer;
	for (unsigned i = 0; i < answer->host_count; i++) {
		const struct facts_host *host = &answer->hosts[i];

		scene->hosts[i] = *host;
		snprintf(scene->names[i], sizeof scene->names[i], "%.*s", VIEW_ARG(host->name));
		memcpy(scene->addresses[i], host->addresses,
		       host->address_count * sizeof *host->addresses);
	}
	os_loop_stop(scene->loop);
}

static void on_way(void *context, struct facts_way way)
{
	struct scene *scene = context;

	scene->way = way;
}

static int set_up_with(void **state, enum config_switch dnssec)
{
	static struct scene scene;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t address_len = sizeof address;
	char server[64];
	struct view servers[1];
	struct config_dns dns = { .mode = CONFIG_DNS_FORWARD, .dnssec = dnssec };
	struct facts_options options = { .dns = &dns };
	int fds[2];

	memset(&scene, 0, sizeof scene);
	scene.server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(scene.server, (struct sockaddr *)&address, sizeof address), 0);
	getsockname(scene.server, (struct sockaddr *)&address, &address_len);
	snprintf(server, sizeof server, "127.0.0.1@%u", ntohs(address.sin_port));
	servers[0] = view_from_text(server);
	dns.servers.items = servers;
	dns.servers.count = 1;
	assert_int_equal(os_loop_new(&scene.loop), OK);
	assert_int_equal(os_watch_new(scene.loop, scene.server, on_query, &scene, &scene.watch),
			 OK);
	assert_int_equal(os_watch_set(scene.watch, OS_READABLE), OK);
	assert_int_equal(facts_new(scene.loop, &options, on_way, &scene, &scene.facts), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(facts_channel_add(scene.facts, 1, fds[0]), OK);
	assert_int_equal(facts_client_new(scene.loop, fds[1], &scene.client), OK);
	os_timer_init(&scene.end, scene.loop, on_end, scene.loop);
	os_timer_set(&scene.end, 2 * DEADLINE_MS);
	*state = &scene;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, CONFIG_OFF);
}

static int set_up_dnssec_auto(void **state)
{
	return set_up_with(state, CONFIG_AUTO);
}

static int set_up_dnssec_on(void **state)
{
	return set_up_with(state, CONFIG_ON);
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	facts_client_free(scene->client);
	facts_free(scene->facts);
	os_watch_free(scene->watch);
	os_timer_stop(&scene->end);
	os_loop_free(scene->loop);
	close(scene->server);
	return 0;
}

static const struct facts_answer *ask(struct scene *scene, enum facts_kind kind, const char *name,
				      uint64_t deadline_ms)
{
	struct facts_question question = { .kind = kind, .name = view_from_text(name) };
	struct facts_request request = { 0 };
	struct os_address address;

	if (kind == FACTS_PEER_NAME) {
		assert_int_equal(os_address_parse(question.name, 0, &address), OK);
		question.address = facts_address_of(&address);
	}
	scene->answered = 0;
	assert_int_equal(
		facts_ask(scene->client, &request, &question, deadline_ms, on_answer, scene), OK);
	os_loop_run(scene->loop);
	assert_int_equal(scene->answered, 1);
	return &scene->answer;
}

static const struct facts_answer *ask_route(struct scene *scene, const char *domain)
{
	return ask(scene, FACTS_MAIL_ROUTE, domain, DEADLINE_MS);
}

static void route_is_the_mx_set_by_preference(void **state)
{
	static const char *const domains[] = { "plain.test", "PLAIN.test", "alias.test" };
	struct scene *scene = *state;

	for (size_t i = 0; i < COUNT_OF(domains); i++) {
		const struct facts_answer *answer = ask_route(scene, domains[i]);

		assert_int_equal(answer->result, FACTS_FOUND);
		assert_false(answer->implicit);
		assert_false(answer->secure);
		assert_int_equal(answer->ttl_s, 300);
		assert_int_equal(answer->host_count, 2);
		assert_string_equal(scene->names[0], "first.test");
		assert_int_equal(scene->hosts[0].preference, 10);
		assert_int_equal(scene->hosts[0].address_count, 2);
		assert_int_equal(scene->addresses[0][0].family, 6);
		assert_memory_equal(scene->addresses[0][1].bytes, "\xc0\0\2\1", 4);
		assert_string_equal(scene->names[1], "second.test");
		assert_int_equal(scene->hosts[1].address_count, 1);
	}
}

static void cached_answer_costs_no_question(void **state)
{
	struct scene *scene = *state;
	unsigned asked;

	ask_route(scene, "plain.test");
	asked = scene->asked;
	assert_true(asked > 0);
	assert_int_equal(ask_route(scene, "plain.test")->result, FACTS_FOUND);
	assert_int_equal(scene->asked, asked);
}

static void null_mx_says_that_no_mail_is_taken(void **state)
{
	const struct facts_answer *answer = ask_route(*state, "null.test");

	assert_int_equal(answer->result, FACTS_FOUND);
	assert_true(answer->null_mx);
	assert_int_equal(answer->host_count, 0);
}

static void domain_without_mx_is_its_own_host(void **state)
{
	struct scene *scene = *state;
	const struct facts_answer *answer = ask_route(scene, "implicit.test");

	assert_int_equal(answer->result, FACTS_FOUND);
	assert_true(answer->implicit);
	assert_int_equal(answer->host_count, 1);
	assert_string_equal(scene->names[0], "implicit.test");
	assert_memory_equal(scene->addresses[0][0].bytes, "\xc0\0\2\3", 4);
}

static void routes_that_are_not_are_told_apart(void **state)
{
	static const struct {
		const char *domain;
		enum facts_result result;
	} cases[] = {
		{ "bare.test", FACTS_NO_DATA },
		{ "gone.test", FACTS_NO_DOMAIN },
		{ "failing.test", FACTS_TEMPORARY },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(ask_route(*state, cases[i].domain)->result, cases[i].result);
	}
}

static void host_that_is_gone_keeps_its_place(void **state)
{
	struct scene *scene = *state;
	const struct facts_answer *answer = ask_route(scene, "orphan.test");

	assert_int_equal(answer->result, FACTS_FOUND);
	assert_int_equal(answer->host_count, 2);
	assert_int_equal(scene->hosts[0].result, FACTS_NO_DOMAIN);
	assert_int_equal(scene->hosts[1].result, FACTS_FOUND);
}

static void address_has_the_name_that_leads_back(void **state)
{
	static const struct {
		const char *address, *name;
		enum facts_result result;
		bool confirmed;
	} cases[] = {
		{ "192.0.2.1", "first.test", FACTS_FOUND, true },
		{ "192.0.2.2", "stranger.test", FACTS_FOUND, false },
		{ "192.0.2.3", NULL, FACTS_TEMPORARY, false }, // odd bytes (CVE-2026-40684)
		{ "192.0.2.4", NULL, FACTS_NO_DOMAIN, false },
		{ "2001:db8::1", NULL, FACTS_NO_DOMAIN, false },
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct facts_answer *answer =
			ask(scene, FACTS_PEER_NAME, cases[i].address, DEADLINE_MS);

		assert_int_equal(answer->result, cases[i].result);
		assert_int_equal(answer->confirmed, cases[i].confirmed);
		assert_int_equal(answer->host_count, cases[i].name != NULL);
		if (cases[i].name) {
			assert_string_equal(scene->names[0], cases[i].name);
		}
	}
}

static void a20_hostile_answers_do_no_harm(void **state)
{
	struct scene *scene = *state;
	const struct facts_answer *answer;

	assert_int_equal(ask_route(scene, "short.test")->result, FACTS_TEMPORARY);
	assert_int_equal(ask_route(scene, "dot.test")->result, FACTS_TEMPORARY);
	assert_int_equal(ask_route(scene, "loop.test")->result, FACTS_TEMPORARY);
	answer = ask_route(scene, "odd.test");
	assert_int_equal(answer->result, FACTS_FOUND);
	assert_int_equal(answer->host_count, 1);
	assert_string_equal(scene->names[0], "first.test");
	answer = ask(scene, FACTS_ADDRESSES, "many.test", DEADLINE_MS);
	assert_int_equal(answer->result, FACTS_FOUND);
	assert_int_equal(scene->hosts[0].address_count, FACTS_ADDRESSES_MAX / 2);
}

static void a25_silent_server_ends_with_the_deadline(void **state)
{
	struct scene *scene = *state;
	uint64_t began_ms = os_loop_now_ms(scene->loop);

	assert_int_equal(ask(scene, FACTS_MAIL_ROUTE, "silent.test", 100)->result, FACTS_TEMPORARY);
	assert_true(os_loop_now_ms(scene->loop) - began_ms >= 100);
	assert_int_equal(ask_route(scene, "plain.test")->result, FACTS_FOUND);
}

static void on_silence(void *context, const struct facts_answer *answer)
{
	unsigned *silent = context;

	assert_int_equal(answer->result, FACTS_TEMPORARY);
	(*silent)++;
}

static void a25_many_silent_names_hold_up_no_other(void **state)
{
	enum { SILENT_NAMES = 600 };
	static struct facts_request requests[SILENT_NAMES];
	struct scene *scene = *state;
	unsigned silent = 0;

	memset(requests, 0, sizeof requests);
	for (unsigned i = 0; i < SILENT_NAMES; i++) {
		struct facts_question question = { .kind = FACTS_MAIL_ROUTE };
		char name[32];

		(void)snprintf(name, sizeof name, "silent%u.test", i);
		question.name = view_from_text(name);
		assert_int_equal(facts_ask(scene->client, &requests[i], &question, DEADLINE_MS,
					   on_silence, &silent),
				 OK);
	}
	assert_int_equal(ask_route(scene, "plain.test")->result, FACTS_FOUND);
	assert_int_equal(silent, 0); // before the first of them was given up
}

static void process_that_asks_and_dies_leaves_nothing(void **state)
{
	struct scene *scene = *state;
	struct facts_question question = { .kind = FACTS_MAIL_ROUTE, .name = VIEW("silent.test") };
	struct facts_request request = { 0 };
	int fds[2];

	assert_int_equal(facts_ask(scene->client, &request, &question, 5000, on_answer, scene), OK);
	os_timer_set(&scene->end, 50);
	os_loop_run(scene->loop);
	facts_client_free(scene->client);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(facts_channel_add(scene->facts, 1, fds[0]), OK);
	assert_int_equal(facts_client_new(scene->loop, fds[1], &scene->client), OK);
	os_timer_set(&scene->end, 2 * DEADLINE_MS);
	assert_int_equal(ask_route(scene, "plain.test")->result, FACTS_FOUND);
}

// The server signs nothing, so the root's keys cannot be had: what waits is asked without them.
static void unsigned_root_is_resolved_without_validation(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(ask_route(scene, "plain.test")->result, FACTS_FOUND);
	assert_true(scene->way.settled);
	assert_true(scene->way.proven);
	assert_true(scene->way.forward);
	assert_false(scene->way.validate);
}

static void unsigned_root_is_no_answer_where_validation_is_on(void **state)
{
	struct scene *scene = *state;
	enum facts_result result = ask_route(scene, "plain.test")->result;

	assert_true(result == FACTS_BOGUS || result == FACTS_TEMPORARY);
	assert_true(scene->way.validate);
}

int main(void)
{
#define WITH_SERVER(test_) cmocka_unit_test_setup_teardown(test_, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		WITH_SERVER(route_is_the_mx_set_by_preference),
		WITH_SERVER(cached_answer_costs_no_question),
		WITH_SERVER(null_mx_says_that_no_mail_is_taken),
		WITH_SERVER(domain_without_mx_is_its_own_host),
		WITH_SERVER(routes_that_are_not_are_told_apart),
		WITH_SERVER(host_that_is_gone_keeps_its_place),
		WITH_SERVER(address_has_the_name_that_leads_back),
		WITH_SERVER(a20_hostile_answers_do_no_harm),
		WITH_SERVER(a25_silent_server_ends_with_the_deadline),
		WITH_SERVER(a25_many_silent_names_hold_up_no_other),
		WITH_SERVER(process_that_asks_and_dies_leaves_nothing),
		cmocka_unit_test_setup_teardown(unsigned_root_is_resolved_without_validation,
						set_up_dnssec_auto, tear_down),
		cmocka_unit_test_setup_teardown(unsigned_root_is_no_answer_where_validation_is_on,
						set_up_dnssec_on, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
