// What the loader says about good and bad files, word for word and with places.
#include "base/check.h"
#include "config/explain.h"
#include "config/test_files.h"

enum { MEMORY_MAX = 64 * 1024 * 1024 };

// Loads a.yaml out of these files; the answer's problems, one a line.
static const char *problems_of(struct arena *arena, struct test_files files,
			       struct config_loaded *ret_loaded)
{
	struct buffer text = buffer_with_max(1 << 20);
	const char *copy;

	assert_int_equal(config_load(test_files_source(&files), "a.yaml", arena, ret_loaded), OK);
	for (size_t i = 0; i < ret_loaded->problems.count; i++) {
		config_problem_add_text(&text, &ret_loaded->problems.items[i]);
		buffer_add_text(&text, "\n");
	}
	copy = arena_copy(arena, buffer_view(&text)).data;
	buffer_done(&text);
	return copy;
}

static const char *problems_of_text(struct arena *arena, struct view text,
				    struct config_loaded *ret_loaded)
{
	struct test_file file = { "a.yaml", text };

	return problems_of(arena, (struct test_files){ &file, 1 }, ret_loaded);
}

struct problem_case {
	const char *text;
	const char *problems;
};

#define H "hostname: a.example\n"

static void check_cases(const struct problem_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct config_loaded loaded;

		assert_string_equal(
			problems_of_text(&arena, view_from_text(cases[i].text), &loaded),
			cases[i].problems);
		assert_true((loaded.config != NULL) == (cases[i].problems[0] == 0));
		arena_done(&arena);
	}
}

static void says_what_is_wrong_with_a_key_and_where(void **state)
{
	static const struct problem_case cases[] = {
		{ H "listeners:\n  - port: 25\n    role: relay\n    tsl: implicit\n",
		  "a.yaml:5:5: unknown key 'tsl', did you mean 'tls'?\n" },
		{ H "llimits: {}\n",
		  "a.yaml:2:1: unknown key 'llimits', did you mean 'limits'?\n" },
		{ H "zebra: 1\n", "a.yaml:2:1: unknown key 'zebra'\n" },
		{ "hostnmae: a.example\n",
		  "a.yaml:1:1: unknown key 'hostnmae', did you mean 'hostname'?\n"
		  "a.yaml:1:1: 'hostname' is missing\n" },
		{ H "hostname: b.example\n", "a.yaml:2:1: 'hostname' is set already, in line 1\n" },
		{ H "local: { senders: [\"*@hosted\"] }\n",
		  "a.yaml:2:1: 'local' is not available in this version\n" },
		{ H "domains:\n  b.example: { deliver: { lmtp: \"unix:/x\" } }\n",
		  "a.yaml:3:27: 'lmtp' is not available in this version\n" },
		{ H "domains:\n  b.example: {}\n  B.Example: {}\n",
		  "a.yaml:4:3: 'b.example' is set already, in line 3\n" },
		{ H "postmaster: [a@b.example]\n",
		  "a.yaml:2:13: postmaster: expected a single value\n" },
		{ H "postmaster:\n", "a.yaml:2:1: postmaster: a value is missing\n" },
		{ H "limits: 5\n", "a.yaml:2:9: expected keys and values\n" },
		{ H "domains: b.example\n", "a.yaml:2:10: domains: expected keys and values\n" },
		{ H "listeners: [{ role: relay }]\n", "a.yaml:2:13: 'port' is missing\n" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

static void says_what_is_wrong_with_a_value(void **state)
{
	static const struct problem_case cases[] = {
		{ H "limits: { recipients: 99 }\n",
		  "a.yaml:2:23: recipients: must be between 100 and 50000, not '99'\n" },
		{ H "limits: { recipients: many }\n",
		  "a.yaml:2:23: recipients: expected a number, not 'many'\n" },
		{ H "limits: { message_size: 9TiB }\n",
		  "a.yaml:2:25: message_size: must be between 64KiB and 2GiB, not '9TiB'\n" },
		{ H "limits: { message_size: big }\n",
		  "a.yaml:2:25: message_size: expected a size, such as 50MiB, not 'big'\n" },
		{ H "queue: { expire: soon }\n",
		  "a.yaml:2:18: expire: expected a duration, such as 90s, 5m, 36h, 5d, not "
		  "'soon'\n" },
		{ H "queue: { hold: maybe }\n",
		  "a.yaml:2:16: hold: expected true or false, not 'maybe'\n" },
		{ H "log: { format: xml }\n",
		  "a.yaml:2:16: format: expected text or json, not 'xml'\n" },
		{ H "data_dir: var/lib\n",
		  "a.yaml:2:11: data_dir: a path must begin with '/', not 'var/lib'\n" },
		{ H "outbound: { sources: { x: { address: 1.2.3 } } }\n",
		  "a.yaml:2:38: address: expected an IP address, not '1.2.3'\n" },
		{ H "dns: { servers: [\"127.0.0.1@0\"] }\n",
		  "a.yaml:2:18: servers: the port behind '@' must be between 1 and 65535, not "
		  "'127.0.0.1@0'\n" },
		{ H "routes: [{ via: { host: b.example, ports: [25, 70000] } }]\n",
		  "a.yaml:2:43: ports: a port must be between 1 and 65535, not '25,70000'\n" },
		{ "hostname: my_host.example\n",
		  "a.yaml:1:11: hostname: no host has a '_' in its name, not "
		  "'my_host.example'\n" },
		{ "hostname: 192.0.2.1\n",
		  "a.yaml:1:11: hostname: an IP address is no domain, not '192.0.2.1'\n" },
		{ "hostname: 192.0.2.1.\n",
		  "a.yaml:1:11: hostname: an IP address is no domain, not '192.0.2.1.'\n" },
		{ "hostname: \"a.ex\\u202eample\"\n",
		  "a.yaml:1:11: hostname: control characters and invisible marks are not allowed, "
		  "not 'a.ex\\xe2\\x80\\xaeample'\n" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

static void refuses_what_is_not_plain_yaml(void **state)
{
	static const struct problem_case cases[] = {
		{ H "aliases: &x { }\n",
		  "a.yaml:2:13: anchors and tags are not used here: write the value itself\n" },
		{ H "queue: *x\n",
		  "a.yaml:2:8: aliases are not used here (quote a value that begins with '*')\n" },
		{ "hostname: !!str a.example\n",
		  "a.yaml:1:17: anchors and tags are not used here: write the value itself\n" },
		{ H "? [a]\n: b\n", "a.yaml:2:3: a key must be plain text\n" },
		{ H "---\nqueue: {}\n", "a.yaml:2:1: a second document: a file holds one\n" },
		{ "- hostname\n", "a.yaml:1:1: expected keys and values\n" },
		{ "", "a.yaml:1:1: 'hostname' is missing\n" },
		{ "# nothing\n", "a.yaml:1:1: 'hostname' is missing\n" },
		{ H "postmaster: \xff\n", "a.yaml:2:1: not UTF-8 text\n" },
		{ H "a: [[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]\n",
		  "a.yaml:2:19: nested too deeply\n" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

static void says_where_the_syntax_breaks(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;
	const char *said = problems_of_text(&arena, VIEW(H "queue: { hold: true\n"), &loaded);

	(void)state;
	assert_null(loaded.config);
	assert_true(view_starts(view_from_text(said), VIEW("a.yaml:")));
	assert_non_null(strstr(said, ": not YAML: "));
	arena_done(&arena);
}

static void keeps_what_is_unsafe_from_being_said(void **state)
{
	static const struct problem_case cases[] = {
		{ H "relay: { networks: [\"0.0.0.0/0\"] }\n", NULL },
		{ H "relay: { networks: [\"10.0.0.0/7\"] }\n", NULL },
		{ H "relay: { networks: [{ network: \"2000::/16\", senders: [\"*\"] }] }\n", NULL },
		{ H "relay: { networks: [192.0.2.0/24] }\n", NULL },
		{ H "relay: { networks: [8.8.8.0/24] }\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct config_loaded loaded;
		const char *said = problems_of_text(&arena, view_from_text(cases[i].text), &loaded);

		assert_null(loaded.config);
		assert_int_equal(loaded.problems.count, 1);
		assert_true(
			view_starts(view_from_text(said), VIEW("a.yaml:2:21: relay.networks: ")));
		arena_done(&arena);
	}
}

static void a_login_in_clear_cannot_be_said(void **state)
{
	static const struct problem_case cases[] = {
		{ H "listeners: [{ port: 587, role: submission, tls: none }]\n",
		  "a.yaml:2:49: tls: expected starttls, implicit or by-port, not 'none'\n" },
		{ H "listeners: [{ port: 25, role: both }]\n",
		  "a.yaml:2:31: role: expected relay or submission, not 'both'\n" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

static void checks_what_belongs_together(void **state)
{
	static const struct problem_case cases[] = {
		{ H "listeners:\n- { port: 25, role: relay }\n- { port: 25, role: relay, address: "
		    "127.0.0.1 }\n",
		  "a.yaml:4:11: port 25 has a listener already, in line 3\n" },
		{ H "listeners:\n- { port: 25, role: relay, name: x }\n- { port: 26, role: relay, "
		    "name: "
		    "x }\n",
		  "a.yaml:4:3: the name x is taken already, in line 3\n" },
		{ H "listeners: []\n", "a.yaml:2:12: listeners: at least one is needed\n" },
		{ H "listeners: [{ port: 25, role: relay, certificate: /c.pem }]\n",
		  "a.yaml:2:51: certificate: /c.pem is not among tls.certificates\n" },
		{ H "relay: { domains: [a.example] }\n",
		  "a.yaml:2:19: relay.domains: a.example is among our own domains\n" },
		{ H "outbound: { source: [x] }\n",
		  "a.yaml:2:21: outbound.source: there is no 'x' among outbound.sources\n" },
		{ H "outbound: { site: { concurrency_first: 9, concurrency: 3 } }\n",
		  "a.yaml:2:19: outbound.site: concurrency_first is above concurrency\n" },
		{ H "limits: { body_memory: 1MiB, body_memory_per_message: 2MiB }\n",
		  "a.yaml:2:55: limits: body_memory_per_message is above body_memory\n" },
		{ H "routes: [{ via: { host: b.example, username: u } }]\n",
		  "a.yaml:2:10: via: a username needs a password_file\n" },
		{ H "routes: [{ via: { host: b.example, username: u, password_file: /p } }]\n",
		  "a.yaml:2:64: cannot read /p: not found\n" },
		{ H "routes: [{ to: b.example, tls: required }]\n",
		  "a.yaml:2:32: tls: only for a route with a smarthost (via) in this version\n" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

// Attack A28: loops of aliases are found before the first message runs into them.
static void a28_alias_loops_fail_the_check(void **state)
{
	static const struct problem_case cases[] = {
		{ H "aliases:\n  x@a.example: y@a.example\n  y@a.example: [x@a.example]\n",
		  "a.yaml:3:3: 'x@a.example' leads back to itself, or through too many aliases\n"
		  "a.yaml:4:3: 'y@a.example' leads back to itself, or through too many aliases\n" },
		{ H "limits: { alias_recipients: 2 }\naliases:\n  x@a.example: [b@b.example, "
		    "c@b.example, d@b.example]\n",
		  "a.yaml:4:3: 'x@a.example' leads to more than 2 recipients\n" },
		{ H "aliases: { x@b.example: y@a.example }\n",
		  "a.yaml:2:12: 'x@b.example' is in none of our domains\n" },
		{ H "aliases: { x@a.example: [x@a.example, b@b.example] }\n", "" },
	};

	(void)state;
	check_cases(cases, COUNT_OF(cases));
}

static void a_host_name_alone_is_a_complete_file(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;
	const struct config *config;

	(void)state;
	assert_string_equal(problems_of_text(&arena, VIEW("hostname: Mail.Example.org\n"), &loaded),
			    "");
	config = loaded.config;
	assert_view(config->hostname, "mail.example.org");
	assert_view(config->postmaster, "postmaster@mail.example.org");
	assert_view(config->spool_dir, "/var/lib/packetboat/spool");
	assert_view(config->mail_dir, "/var/lib/packetboat/mail");
	assert_int_equal(config->domains.count, 1);
	assert_view(config->domains.items[0].name, "mail.example.org");
	assert_int_equal(config->listeners.count, 4);
	for (size_t i = 0; i < 4; i++) {
		static const uint64_t ports[] = { 25, 465, 587, 2525 };
		const struct config_listener *listener = &config->listeners.items[i];

		assert_int_equal(listener->port, ports[i]);
		assert_int_equal(listener->role, i ? ROLE_SUBMISSION : ROLE_RELAY);
		assert_int_equal(listener->tls, i == 1 ? CONFIG_TLS_IMPLICIT : CONFIG_TLS_STARTTLS);
		assert_int_equal(listener->addresses.count, 0);
	}
	assert_view(config->listeners.items[2].name, "submission-587");
	arena_done(&arena);
}

static void a_missing_file_says_what_to_write(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;

	(void)state;
	assert_string_equal(
		problems_of(&arena, (struct test_files){ 0 }, &loaded),
		"a.yaml: no such file; write it with this one line, and the name of this "
		"server: hostname: mail.example.org\n");
	arena_done(&arena);
}

static void a_name_without_a_dot_is_worth_a_warning(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;

	(void)state;
	assert_string_equal(problems_of_text(&arena, VIEW("hostname: box\n"), &loaded),
			    "a.yaml:1:11: warning: hostname: other servers refuse a name without a "
			    "dot\n");
	assert_non_null(loaded.config);
	arena_done(&arena);
}

static void says_the_first_fifty_problems(void **state)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer text = buffer_with_max(100000);
	struct config_loaded loaded;

	(void)state;
	buffer_add_text(&text, H);
	for (unsigned i = 0; i < 100; i++) {
		buffer_printf(&text, "unknown%u: 1\n", i);
	}
	problems_of_text(&arena, buffer_view(&text), &loaded);
	assert_int_equal(loaded.problems.count, CONFIG_PROBLEMS_MAX);
	assert_null(loaded.config);
	buffer_done(&text);
	arena_done(&arena);
}

static void too_little_memory_is_an_error_not_a_crash(void **state)
{
	struct test_file file = {
		"a.yaml", VIEW(H "aliases: { x@a.example: y@b.example }\nrelay: { networks: "
				 "[10.0.0.0/8] }\nroutes: [{ to: b.example }]\n")
	};
	struct test_files files = { &file, 1 };
	enum error error = ERROR_NO_MEMORY;
	size_t max = 0;

	(void)state;
	for (; error && max < 1 << 20; max += 64) {
		struct arena arena = arena_with_max(max);
		struct config_loaded loaded;

		error = config_load(test_files_source(&files), "a.yaml", &arena, &loaded);
		assert_true(error == OK || error == ERROR_NO_MEMORY);
		assert_true(error || (loaded.config && loaded.problems.count == 0));
		arena_done(&arena);
	}
	assert_int_equal(error, OK);
}

static void included_files_are_joined(void **state)
{
	static const struct test_file items[] = {
		{ "a.yaml", VIEW(H "include: [conf.d/*.yaml]\ndomains: { b.example: {} }\n"
				   "limits: { errors: 5 }\n") },
		{ "./conf.d/2.yaml", VIEW("domains: { d.example: {} }\nlimits: { hops: 50 }\n"
					  "relay: { networks: 10.1.0.0/16 }\n") },
		{ "./conf.d/1.yaml", VIEW("domains: { c.example: {} }\n"
					  "relay: { networks: [10.2.0.0/16] }\n") },
		{ "./conf.d/x.conf", VIEW("nonsense: 1\n") },
		{ "./conf.d/.x.yaml", VIEW("nonsense: 1\n") },
	};
	struct test_files files = { items, COUNT_OF(items) };
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct config_loaded loaded;
	const struct config_origin *origin;

	(void)state;
	assert_string_equal(problems_of(&arena, files, &loaded), "");
	assert_int_equal(loaded.config->domains.count, 4);
	assert_int_equal(loaded.config->limits.errors, 5);
	assert_int_equal(loaded.config->limits.hops, 50);
	assert_int_equal(loaded.config->relay.network_count, 2);
	assert_int_equal(loaded.config->relay.networks[0].network.address.bytes[1], 2);
	assert_int_equal(loaded.files.count, 3);
	origin = config_origin_find(&loaded, VIEW("limits.hops"));
	assert_view(origin->file, "./conf.d/2.yaml");
	assert_int_equal(origin->line, 2);
	assert_null(config_origin_find(&loaded, VIEW("limits.recipients")));
	arena_done(&arena);
}

static void includes_that_cannot_be_are_refused(void **state)
{
	static const struct test_file twice[] = { { "a.yaml", VIEW(H "include: b.yaml\n") },
						  { "./b.yaml", VIEW("hostname: b.example\n") } };
	static const struct test_file circle[] = { { "a.yaml", VIEW(H "include: b.yaml\n") },
						   { "./b.yaml", VIEW("include: b.yaml\n") } };
	static const struct test_file absent[] = { { "a.yaml", VIEW(H "include: c/b.yaml\n") } };
	static const struct test_file wild[] = { { "a.yaml", VIEW(H "include: /*/b.yaml\n") } };
	static const struct {
		struct test_files files;
		const char *problems;
	} cases[] = {
		{ { twice, 2 }, "./b.yaml:1:1: 'hostname' is set already, in a.yaml:1\n" },
		{ { circle, 2 }, "./b.yaml:1:10: ./b.yaml is included already\n" },
		{ { absent, 1 }, "a.yaml:2:10: cannot read ./c/b.yaml: not found\n" },
		{ { wild, 1 },
		  "a.yaml:2:10: include: only the last part of a path may have wildcards\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena arena = arena_with_max(MEMORY_MAX);
		struct config_loaded loaded;

		assert_string_equal(problems_of(&arena, cases[i].files, &loaded),
				    cases[i].problems);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_is_wrong_with_a_key_and_where),
		cmocka_unit_test(says_what_is_wrong_with_a_value),
		cmocka_unit_test(refuses_what_is_not_plain_yaml),
		cmocka_unit_test(says_where_the_syntax_breaks),
		cmocka_unit_test(keeps_what_is_unsafe_from_being_said),
		cmocka_unit_test(a_login_in_clear_cannot_be_said),
		cmocka_unit_test(checks_what_belongs_together),
		cmocka_unit_test(a28_alias_loops_fail_the_check),
		cmocka_unit_test(a_host_name_alone_is_a_complete_file),
		cmocka_unit_test(a_missing_file_says_what_to_write),
		cmocka_unit_test(a_name_without_a_dot_is_worth_a_warning),
		cmocka_unit_test(says_the_first_fifty_problems),
		cmocka_unit_test(too_little_memory_is_an_error_not_a_crash),
		cmocka_unit_test(included_files_are_joined),
		cmocka_unit_test(includes_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
