// Handing the configuration to a process: all that is its own arrives, nothing else does, and no
// bytes can harm the one that reads them.
#include "base/check.h"
#include "config/encode.h"
#include "config/explain.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 64 * 1024 * 1024 };

#define SECRET "correct horse"

static const struct test_file items[] = {
	{ "a.yaml",
	  VIEW("hostname: a.example\n"
	       "postmaster: admin@b.example\n"
	       "listeners:\n"
	       "- { port: 25, role: relay, address: [127.0.0.1, \"::1\"], certificate: /c }\n"
	       "- { port: 465, role: submission }\n"
	       "tls: { certificates: [{ certificate: /c, key: /k }] }\n"
	       "domains: { b.example: { catch_all: x@b.example }, a.example: {} }\n"
	       "aliases: { x@b.example: [y@b.example, z@c.example] }\n"
	       "relay: { networks: [10.0.0.0/8, { network: 8.8.8.0/24, senders: [\"*@b.example\", "
	       "\"<>\"] }],"
	       " domains: [z.example, c.example] }\n"
	       "routes:\n"
	       "- { to: [\"*.c.example\"], via: { host: d.example, ports: [465], username: u, "
	       "password_file: /p } }\n"
	       "- { from: q@b.example, via: 192.0.2.1, tls: required }\n"
	       "- { from: r@b.example, via: { host: 192.0.2.1 }, tls: verified }\n"
	       "- { via: { host: e.example, ports: 26 } }\n"
	       "dns: { servers: [127.0.0.1@5353], dnssec: on }\n"
	       "outbound: { sources: { s: { address: 192.0.2.9 } }, source: [s] }\n"
	       "plus_separator: none\n"
	       "limits: { login_failure_time: 7m }\n"
	       "log: { to: /log, format: json }\n") },
	{ "/p", VIEW(SECRET "\n") },
};

static const struct config *load(struct arena *arena)
{
	struct test_files files = { items, COUNT_OF(items) };
	struct config_loaded loaded;

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, &loaded), OK);
	assert_non_null(loaded.config);
	return loaded.config;
}

static void add_explained(struct buffer *out, const struct config *config)
{
	struct config_loaded loaded = { .config = config };

	config_explain(out, &loaded);
}

static void all_of_it_makes_the_way_there_and_back(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);
	struct buffer before = buffer_with_max(1 << 20), after = buffer_with_max(1 << 20);
	const struct config *config = load(&arena), *decoded;

	(void)state;
	config_encode(config, CONFIG_ALL, &bytes);
	assert_int_equal(config_decode(buffer_view(&bytes), CONFIG_ALL, &arena, &decoded), OK);
	add_explained(&before, config);
	add_explained(&after, decoded);
	assert_string_equal(buffer_text(&after), buffer_text(&before));
	assert_view(decoded->routes.items[0].smarthost.password, SECRET);
	assert_int_equal(decoded->routes.items[0].smarthost.tls, ROUTE_TLS_VERIFIED);
	assert_int_equal(decoded->routes.items[1].smarthost.tls, ROUTE_TLS_REQUIRED);
	assert_int_equal(decoded->routes.items[2].smarthost.tls, ROUTE_TLS_VERIFIED);
	assert_int_equal(decoded->routes.items[3].smarthost.tls, ROUTE_TLS_OPPORTUNISTIC);
	assert_int_equal(decoded->routes.items[0].kind, ROUTE_SMARTHOST);
	assert_int_equal(decoded->limits.logins.per_account.period_ms, 7 * 60000);
	assert_view(decoded->relay.domains[0], "c.example");
	buffer_done(&bytes);
	buffer_done(&before);
	buffer_done(&after);
	arena_done(&arena);
}

static bool holds(const struct buffer *bytes, struct view text)
{
	return view_find_text(buffer_view(bytes), text) < bytes->len;
}

static void each_process_gets_its_part_and_passwords_go_to_deliver_alone(void **state)
{
	static const struct {
		enum config_reader reader;
		bool password, key_path, alias, server;
	} cases[] = {
		{ CONFIG_RECEIVE, false, true, false, false },
		{ CONFIG_DELIVER, true, false, false, false },
		{ CONFIG_FACTS, false, false, false, true },
		{ CONFIG_KEEPER, false, false, true, false },
	};
	struct arena arena = arena_with_max(MEMORY_MAX);
	const struct config *config = load(&arena), *decoded;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);

		config_encode(config, cases[i].reader, &bytes);
		assert_int_equal(holds(&bytes, VIEW(SECRET)), cases[i].password);
		assert_int_equal(holds(&bytes, VIEW("/k")), cases[i].key_path);
		assert_int_equal(holds(&bytes, VIEW("z@c.example")), cases[i].alias);
		assert_int_equal(holds(&bytes, VIEW("127.0.0.1@5353")), cases[i].server);
		assert_int_equal(
			config_decode(buffer_view(&bytes), cases[i].reader, &arena, &decoded), OK);
		assert_view(decoded->hostname, "a.example");
		assert_int_equal(config_decode(buffer_view(&bytes),
					       cases[(i + 1) % COUNT_OF(cases)].reader, &arena,
					       &decoded),
				 ERROR_INVALID);
		buffer_done(&bytes);
	}
	arena_done(&arena);
}

static void a_part_of_the_bytes_is_refused(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);
	const struct config *decoded;

	(void)state;
	config_encode(load(&arena), CONFIG_ALL, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		struct arena trial = arena_with_max(MEMORY_MAX);

		assert_int_equal(config_decode(view_first(buffer_view(&bytes), len), CONFIG_ALL,
					       &trial, &decoded),
				 ERROR_INVALID);
		arena_done(&trial);
	}
	buffer_add_byte(&bytes, 0);
	assert_int_equal(config_decode(buffer_view(&bytes), CONFIG_ALL, &arena, &decoded),
			 ERROR_INVALID);
	buffer_done(&bytes);
	arena_done(&arena);
}

static void a_flipped_bit_is_refused_or_gives_a_sound_configuration(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);

	(void)state;
	config_encode(load(&arena), CONFIG_ALL, &bytes);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		struct arena trial = arena_with_max(MEMORY_MAX);
		struct buffer text = buffer_with_max(1 << 20);
		const struct config *decoded;

		bytes.data[bit / 8] ^= (char)(1 << bit % 8);
		if (config_decode(buffer_view(&bytes), CONFIG_ALL, &trial, &decoded) == OK) {
			add_explained(&text, decoded);
			assert_true(decoded->listeners.items[0].port > 0);
		}
		bytes.data[bit / 8] ^= (char)(1 << bit % 8);
		buffer_done(&text);
		arena_done(&trial);
	}
	buffer_done(&bytes);
	arena_done(&arena);
}

static void an_unsafe_network_does_not_come_in_by_the_back_door(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);
	const struct config *config = load(&arena), *decoded;
	struct relay_network network = config->relay.networks[0];
	struct config changed = *config;

	(void)state;
	network.network.bits = 0;
	network.network.address.bytes[0] = 0;
	changed.relay.networks = &network;
	changed.relay.network_count = 1;
	config_encode(&changed, CONFIG_RECEIVE, &bytes);
	assert_int_equal(config_decode(buffer_view(&bytes), CONFIG_RECEIVE, &arena, &decoded),
			 ERROR_INVALID);
	buffer_done(&bytes);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_makes_the_way_there_and_back),
		cmocka_unit_test(each_process_gets_its_part_and_passwords_go_to_deliver_alone),
		cmocka_unit_test(a_part_of_the_bytes_is_refused),
		cmocka_unit_test(a_flipped_bit_is_refused_or_gives_a_sound_configuration),
		cmocka_unit_test(an_unsafe_network_does_not_come_in_by_the_back_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
