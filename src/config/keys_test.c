// Every key of the schema: set in a file it reads back and changes nothing else; left out it has
// the default that is documented. A key without a case here fails.
#include <stdio.h>

#include "base/check.h"
#include "config/explain.h"
#include "config/schema.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 64 * 1024 * 1024, TEXT_MAX = 1 << 20 };

struct key_case {
	const char *key;  // as the reference names it
	const char *text; // behind the hostname, in line 2
	const char *line; // of what config_explain says
	unsigned changes; // lines that differ from those of the hostname alone; 0: not counted
};

#define ONE(key, text, value) \
	{ \
		key, text "\n", key ": " value " (a.yaml:2)", 1 \
	}
#define LIMIT(name, value) ONE("limits." name, "limits: { " name ": " value " }", value)
#define OUTBOUND(name, value) ONE("outbound." name, "outbound: { " name ": " value " }", value)
#define SITE(name, value) \
	ONE("outbound.site." name, "outbound: { site: { " name ": " value " } }", value)
#define LISTENER(name, value) \
	{ \
		"listeners[]." name, \
			"listeners: [{ port: 99, role: submission, " name ": " value " }]\n", \
			"listeners[0]." name ": " value " (a.yaml:2)" \
	}
#define ROUTE(name, given, value) \
	{ \
		"routes[]." name, "routes: [{ " given " }]\n", \
			"routes[0]." name ": " value " (a.yaml:2)" \
	}
#define VIA "host: b.example, username: u, password_file: /p"

static const struct key_case cases[] = {
	{ "hostname", "", "hostname: a.example (a.yaml:1)" },
	ONE("postmaster", "postmaster: X@B.example", "X@b.example"),
	{ "data_dir", "data_dir: /d/\n", "data_dir: /d (a.yaml:2)", 3 },
	ONE("spool_dir", "spool_dir: /s", "/s"),
	ONE("mail_dir", "mail_dir: /m", "/m"),
	{ "listeners[].port", "listeners: { port: 99, role: relay }\n",
	  "listeners[0].port: 99 (a.yaml:2)" },
	{ "listeners[].role", "listeners: [{ port: 99, role: submission }]\n",
	  "listeners[0].role: submission (a.yaml:2)" },
	LISTENER("tls", "implicit"),
	{ "listeners[].address",
	  "listeners: [{ port: 99, role: relay, address: [127.0.0.1, \"::1\"] }]\n",
	  "listeners[0].address: 127.0.0.1, ::1 (a.yaml:2)" },
	LISTENER("name", "n"),
	LISTENER("hostname", "h.example"),
	{ "listeners[].certificate",
	  "listeners: [{ port: 99, role: relay, certificate: /c }]\n"
	  "tls: { certificates: [{ certificate: /c, key: /k }] }\n",
	  "listeners[0].certificate: /c (a.yaml:2)" },
	{ "tls.certificates[].certificate",
	  "tls: { certificates: [{ certificate: /c, key: /k }] }\n",
	  "tls.certificates[0].certificate: /c (a.yaml:2)" },
	{ "tls.certificates[].key", "tls: { certificates: { certificate: /c, key: /k } }\n",
	  "tls.certificates[0].key: /k (a.yaml:2)" },
	{ "domains.KEY.deliver.kind", "domains: { b.example: { deliver: maildir } }\n",
	  "domains.b.example.deliver.kind: maildir (a.yaml:2)" },
	{ "domains.KEY.catch_all", "domains: { b.example: { catch_all: x@b.example } }\n",
	  "domains.b.example.catch_all: x@b.example (a.yaml:2)" },
	{ "aliases.KEY.targets", "aliases: { INFO@a.example: [b@b.example, C@c.example] }\n",
	  "aliases.info@a.example.targets: b@b.example, C@c.example (a.yaml:2)", 2 },
	{ "aliases_file", "aliases_file: /aliases\n", "aliases_file: /aliases (a.yaml:2)" },
	{ "plus_separator", "plus_separator: \"-\"\n", "plus_separator: - (a.yaml:2)", 1 },
	{ "plus_separator", "plus_separator: none\n", "plus_separator:  (a.yaml:2)", 1 },
	{ "threads", "threads: 16\n", "threads: 16 (a.yaml:2)", 1 },
	{ "relay.networks[].network", "relay: { networks: [10.1.0.0/16] }\n",
	  "relay.networks[0].network: 10.1.0.0/16 (a.yaml:2)", 3 },
	{ "relay.networks[].senders",
	  "relay: { networks: [{ network: 8.8.8.8, senders: [\"*@b.example\"] }] }\n",
	  "relay.networks[0].senders: *@b.example (a.yaml:2)", 3 },
	ONE("relay.domains", "relay: { domains: [c.example, B.example] }", "b.example, c.example"),
	ROUTE("to", "to: [\"*.b.example\", x@c.example]", "*@*.b.example, x@c.example"),
	ROUTE("from", "from: b.example", "*@b.example"),
	ROUTE("login", "login: \"*\"", "*"),
	ROUTE("via.host", "via: b.example", "b.example"),
	ROUTE("via.ports", "via: { host: b.example, ports: [26, 465] }", "26, 465"),
	ROUTE("via.ports", "via: { host: b.example, ports: 26 }", "26"),
	ROUTE("via.username", "via: { " VIA " }", "u"),
	ROUTE("via.password_file", "via: { " VIA " }", "/p"),
	ROUTE("tls", "via: b.example, tls: required", "required"),
	ONE("dns.mode", "dns: { mode: forward }", "forward"),
	ONE("dns.dnssec", "dns: { dnssec: off }", "off"),
	ONE("dns.servers", "dns: { servers: [127.0.0.1@5353, \"::1\"] }", "127.0.0.1@5353, ::1"),
	ONE("dns.trust_anchors", "dns: { trust_anchors: /t }", "/t"),
	OUTBOUND("port", "26"),
	OUTBOUND("allow_private_addresses", "true"),
	{ "outbound.sources.KEY.address", "outbound: { sources: { x: { address: 192.0.2.1 } } }\n",
	  "outbound.sources.x.address: 192.0.2.1 (a.yaml:2)", 3 },
	{ "outbound.sources.KEY.hostname",
	  "outbound: { sources: { x: { address: 192.0.2.1, hostname: b.example } } }\n",
	  "outbound.sources.x.hostname: b.example (a.yaml:2)", 3 },
	{ "outbound.source", "outbound: { source: x, sources: { x: { address: 192.0.2.1 } } }\n",
	  "outbound.source: x (a.yaml:2)", 4 },
	OUTBOUND("connections", "7"),
	SITE("concurrency_first", "2"),
	SITE("concurrency", "30"),
	SITE("failures", "7"),
	SITE("backoff_first", "7s"),
	SITE("backoff", "7m"),
	SITE("messages_per_connection", "7"),
	SITE("connection_time", "7m"),
	SITE("idle_time", "7s"),
	OUTBOUND("connect_time", "7s"),
	OUTBOUND("reply_time", "7s"),
	OUTBOUND("data_time", "7s"),
	OUTBOUND("session_time", "7s"),
	OUTBOUND("transaction_time", "7s"),
	OUTBOUND("data_rate", "7B"),
	LIMIT("message_size", "7MiB"),
	LIMIT("recipients", "107"),
	LIMIT("connections", "7"),
	LIMIT("connections_per_address", "7"),
	LIMIT("errors", "7"),
	LIMIT("commands", "17"),
	LIMIT("command_line", "7KiB"),
	LIMIT("hops", "17"),
	LIMIT("idle_time", "7s"),
	LIMIT("command_time", "7s"),
	LIMIT("session_time", "7h"),
	LIMIT("tls_time", "7s"),
	LIMIT("data_rate", "7B"),
	LIMIT("data_grace", "7s"),
	LIMIT("data_stall", "7s"),
	LIMIT("data_time", "7s"),
	LIMIT("unread_output", "7KiB"),
	LIMIT("body_memory", "7MiB"),
	LIMIT("body_memory_per_message", "7KiB"),
	LIMIT("unknown_recipients_per_address", "7"),
	LIMIT("relay_attempts_per_address", "7"),
	LIMIT("discarded_per_address", "7MiB"),
	LIMIT("conduct_time", "7m"),
	LIMIT("login_failures_per_address", "7"),
	LIMIT("login_failures_per_account", "7"),
	LIMIT("login_failure_time", "7m"),
	LIMIT("logins_waiting", "7"),
	LIMIT("alias_depth", "7"),
	LIMIT("alias_recipients", "7"),
	LIMIT("process_silence", "7s"),
	ONE("queue.hold", "queue: { hold: yes }", "true"),
	ONE("queue.expire", "queue: { expire: 7d }", "1w"),
	ONE("queue.warn", "queue: { warn: 0s }", "0ms"),
	ONE("queue.retry_first", "queue: { retry_first: 7m }", "7m"),
	ONE("queue.retry_longest", "queue: { retry_longest: 7h }", "7h"),
	ONE("queue.messages", "queue: { messages: 7 }", "7"),
	ONE("queue.segment_size", "queue: { segment_size: 7MiB }", "7MiB"),
	ONE("queue.disk_reserve", "queue: { disk_reserve: 7MiB }", "7MiB"),
	ONE("log.to", "log: { to: syslog }", "syslog"),
	ONE("log.format", "log: { format: json }", "json"),
	ONE("log.level", "log: { level: debug }", "debug"),
	ONE("trace.keep", "trace: { keep: 36h }", "36h"),
	ONE("trace.size", "trace: { size: 64MiB }", "64MiB"),
	{ "include", "include: more.yaml\n", "include: more.yaml (a.yaml:2)", 1 },
};

static void explain(struct arena *arena, const char *text, struct buffer *out)
{
	struct buffer whole = buffer_with_max(TEXT_MAX);
	struct config_loaded loaded;

	buffer_printf(&whole, "hostname: a.example\n%s", text);
	const struct test_file items[] = {
		{ "a.yaml", buffer_view(&whole) },
		{ "./more.yaml", VIEW("") },
		{ "/aliases", VIEW("root: x@b.example\n") },
		{ "/p", VIEW("secret word\n") },
	};
	struct test_files files = { items, COUNT_OF(items) };

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, &loaded), OK);
	for (size_t i = 0; i < loaded.problems.count; i++) {
		config_problem_add_text(out, &loaded.problems.items[i]);
		fail_msg("%s", buffer_text(out));
	}
	config_explain(out, &loaded);
	assert_int_equal(buffer_error(out), OK);
	buffer_done(&whole);
}

static bool has_line(struct view text, struct view line)
{
	struct view each;

	while (view_next_part(&text, '\n', &each)) {
		if (view_equal(each, line)) {
			return true;
		}
	}
	return false;
}

static unsigned lines_beside(struct view text, struct view known)
{
	unsigned count = 0;
	struct view each;

	while (view_next_part(&text, '\n', &each)) {
		count += !has_line(known, each);
	}
	return count;
}

static void a_key_that_is_set_reads_back_and_changes_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct buffer usual = buffer_with_max(TEXT_MAX), now = buffer_with_max(TEXT_MAX);

		explain(&arena, "", &usual);
		explain(&arena, cases[i].text, &now);
		if (!has_line(buffer_view(&now), view_from_text(cases[i].line))) {
			fputs(buffer_text(&now), stderr);
			fail_msg("there is no line: %s", cases[i].line);
		}
		if (cases[i].changes &&
		    lines_beside(buffer_view(&now), buffer_view(&usual)) != cases[i].changes) {
			fputs(buffer_text(&now), stderr);
			fail_msg("changes something else: %s", cases[i].text);
		}
		assert_int_equal(view_find_text(buffer_view(&now), VIEW("secret")), now.len);
		buffer_done(&usual);
		buffer_done(&now);
		arena_done(&arena);
	}
}

typedef void each_key_fn(const struct schema_field *field, const char *key);

static void each_key(const struct schema_object *object, const char *prefix, each_key_fn *fn)
{
	static const char *const joints[] = { ".", "[].", ".KEY." };

	for (size_t i = 0; i < object->count; i++) {
		const struct schema_field *field = &object->fields[i];
		struct buffer key = buffer_with_max(1000);

		buffer_printf(&key, "%s%s", prefix, field->name ? field->name : "");
		if (field->kind == SCHEMA_OBJECT) {
			buffer_add_text(&key, joints[field->shape]);
			each_key(field->object, buffer_text(&key), fn);
		} else if (field->name) {
			fn(field, buffer_text(&key));
		}
		buffer_done(&key);
	}
}

static void check_has_case(const struct schema_field *field, const char *key)
{
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (strcmp(cases[i].key, key) == 0) {
			return;
		}
	}
	if (field->kind != SCHEMA_LATER) {
		fail_msg("no case sets %s", key);
	}
}

static void every_key_has_a_case(void **state)
{
	(void)state;
	each_key(&schema_config, "", check_has_case);
}

static void check_default(const struct schema_field *field, const char *key)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer text = buffer_with_max(TEXT_MAX), line = buffer_with_max(1000);

	buffer_printf(&line, "%s: %s (default)", key, field->fallback ? field->fallback : "");
	explain(&arena, "", &text);
	if (field->fallback && !strchr(key, '[') && !strstr(key, ".KEY.") &&
	    !has_line(buffer_view(&text), buffer_view(&line))) {
		fail_msg("the default is not '%s'", buffer_text(&line));
	}
	buffer_done(&text);
	buffer_done(&line);
	arena_done(&arena);
}

static void documented_defaults_are_those_that_apply(void **state)
{
	(void)state;
	each_key(&schema_config, "", check_default);
}

static void check_words(const struct schema_field *field, const char *key)
{
	if (field->kind == SCHEMA_LATER) {
		return;
	}
	if (!field->help || !(field->fallback || field->derived || field->required ||
			      field->example || strcmp(field->name, "password_file") == 0)) {
		fail_msg("%s lacks words", key);
	}
}

static void every_key_is_explained(void **state)
{
	(void)state;
	each_key(&schema_config, "", check_words);
}

// The defaults of the decisions themselves are those of the configuration.
static void defaults_agree_with_the_rooms_that_they_are_for(void **state)
{
	struct test_file file = { "a.yaml", VIEW("hostname: a.example\n"
						 "routes: [{ via: b.example }]\n") };
	struct test_files files = { &file, 1 };
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;
	struct site_settings site = site_settings_default();
	struct retry_settings retry = retry_settings_default();
	struct port_list ports = port_list_default();
	const struct config *config;

	(void)state;
	assert_int_equal(config_load(test_files_source(&files), "a.yaml", &arena, &loaded), OK);
	config = loaded.config;
	assert_int_equal(config->outbound.site.concurrency_first, site.concurrency_first);
	assert_int_equal(config->outbound.site.concurrency_max, site.concurrency_max);
	assert_int_equal(config->outbound.site.failures_max, site.failures_max);
	assert_int_equal(config->outbound.site.backoff_first_ms, site.backoff_first_ms);
	assert_int_equal(config->outbound.site.backoff_max_ms, site.backoff_max_ms);
	assert_int_equal(config->outbound.site.messages_per_connection_max,
			 site.messages_per_connection_max);
	assert_int_equal(config->outbound.site.idle_ms, site.idle_ms);
	assert_int_equal(config->queue.retry.expire_ms, retry.expire_ms);
	assert_int_equal(config->queue.retry.warn_ms, retry.warn_ms);
	assert_int_equal(config->queue.retry.first_ms, retry.first_ms);
	assert_int_equal(config->queue.retry.longest_ms, retry.longest_ms);
	assert_int_equal(config->routes.items[0].smarthost.ports.count, ports.count);
	assert_memory_equal(config->routes.items[0].smarthost.ports.ports, ports.ports,
			    ports.count * sizeof *ports.ports);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_that_is_set_reads_back_and_changes_nothing_else),
		cmocka_unit_test(every_key_has_a_case),
		cmocka_unit_test(documented_defaults_are_those_that_apply),
		cmocka_unit_test(every_key_is_explained),
		cmocka_unit_test(defaults_agree_with_the_rooms_that_they_are_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
