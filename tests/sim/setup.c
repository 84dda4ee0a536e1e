#define OPENSSL_API_COMPAT 0x10100000L // a random generator of one's own: outdated, and needed here
#include "sim/setup.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/directory.h"
#include "config/encode.h"
#include "config/load.h"
#include "link/tls.h"

enum { MEMORY_MAX = 16 * 1024 * 1024, PEM_MAX = 64 * 1024 };

#define CERTIFICATE_MS 1767225600000 // 2026-01-01, when each simulation begins

#define COMMON \
	"hostname: mail.example.org\n" \
	"domains: { example.org: { deliver: maildir } }\n" \
	"listeners:\n" \
	"  - { port: 25, role: relay }\n" \
	"  - { port: 587, role: submission, tls: starttls }\n" \
	"relay: { networks: [10.0.0.0/8] }\n" \
	"queue: { messages: 30, expire: 30d, retry_first: 1m, retry_longest: 30m }\n"

enum { QUEUE_MAX = 30 };

// Small bounds, so that they are met; the second differs from the first in what a reload may
// change.
static const char *const texts[BOX_CONFIGS] = {
	COMMON "limits: { body_memory: 1MiB, body_memory_per_message: 32KiB }\n"
	       "outbound:\n"
	       "  allow_private_addresses: true\n"
	       "  connections: 12\n"
	       "  site: { concurrency_first: 2, concurrency: 4, failures: 3 }\n",
	COMMON "limits: { body_memory: 2MiB, body_memory_per_message: 8KiB, connections: 12 }\n"
	       "outbound:\n"
	       "  allow_private_addresses: true\n"
	       "  connections: 3\n"
	       "  site: { concurrency_first: 1, concurrency: 2, failures: 2 }\n",
};

static enum error read_text(void *context, const char *path, struct buffer *out)
{
	(void)path;
	buffer_add_text(out, context);
	return buffer_error(out);
}

static enum error list_nothing(void *context, const char *dir,
			       bool (*fn)(void *context, const char *name), void *fn_context)
{
	(void)context;
	(void)dir;
	(void)fn;
	(void)fn_context;
	return OK;
}

static const struct config *load(const char *text, struct arena *arena)
{
	struct config_files files = { (void *)text, read_text, list_nothing };
	struct config_loaded loaded;
	struct buffer problem = buffer_with_max(4096);

	if (config_load(files, "sim.yaml", arena, &loaded) != OK || !loaded.config) {
		for (size_t i = 0; i < loaded.problems.count; i++) {
			config_problem_add_text(&problem, &loaded.problems.items[i]);
			fprintf(stderr, "%s\n", buffer_text(&problem));
		}
		abort();
	}
	return loaded.config;
}

static struct view encode(const struct config *config, enum config_reader reader)
{
	struct buffer bytes = buffer_with_max(CONFIG_ENCODED_MAX);

	config_encode(config, reader, &bytes);
	return buffer_view(&bytes);
}

static struct view directory(const struct config *config)
{
	struct buffer bytes = buffer_with_max(MEMORY_MAX);
	struct config_directory_counts counts;
	struct view accounts[LEDGER_BOXES];
	static char names[LEDGER_BOXES][32];

	for (unsigned i = 0; i < LEDGER_BOXES; i++) {
		snprintf(names[i], sizeof names[i], "box%u@example.org", i);
		accounts[i] = view_from_text(names[i]);
	}
	if (config_directory_build(config, accounts, LEDGER_BOXES, (struct hash_key){ 1, 2 },
				   &bytes, &counts) != OK ||
	    counts.accounts != LEDGER_BOXES) {
		abort();
	}
	return buffer_view(&bytes);
}

// TLS draws from here, so that its messages have the same lengths in every run of a seed.
static struct dice tls_dice;

static int random_bytes(unsigned char *bytes, int len)
{
	for (int i = 0; i < len; i++) {
		bytes[i] = (unsigned char)dice_below(&tls_dice, 256);
	}
	return 1;
}

static int random_status(void)
{
	return 1;
}

void setup_seed_tls(uint64_t seed)
{
	static const RAND_METHOD method = { .bytes = random_bytes,
					    .pseudorand = random_bytes,
					    .status = random_status };

	tls_dice.state = seed;
	if (RAND_set_rand_method(&method) != 1) {
		abort();
	}
}

// What the library looks up and parses once, it looks up here: the runs, which are forked from this
// process, have it already.
static void warm_up_tls(const struct box_setup *setup)
{
	const struct tls_identity identity = { setup->certificate, setup->key };
	const struct tls_server_options options = { .identities = &identity,
						    .identity_count = 1,
						    .role = VIEW("relay") };
	struct sim *sim = sim_new(0); // for its clock
	struct tls_client *client;
	struct tls_server *server;

	if (tls_client_new((struct view){ 0 }, &client) != OK ||
	    tls_server_new(&options, NULL, &server) != OK) {
		abort();
	}
	tls_client_unref(client);
	tls_server_unref(server);
	sim_free(sim);
}

void setup_make(struct box_setup *ret_setup)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	struct buffer certificate = buffer_with_max(PEM_MAX), key = buffer_with_max(PEM_MAX);
	struct box_setup setup = { .queue_max = QUEUE_MAX };

	setup_seed_tls(0);
	for (unsigned i = 0; i < BOX_CONFIGS; i++) {
		const struct config *config = load(texts[i], &arena);

		setup.configs[i].receive = encode(config, CONFIG_RECEIVE);
		setup.configs[i].deliver = encode(config, CONFIG_DELIVER);
		setup.directory = i ? setup.directory : directory(config);
	}
	if (tls_self_signed(VIEW("mail.example.org"), CERTIFICATE_MS, &certificate, &key) != OK) {
		abort();
	}
	setup.certificate = buffer_view(&certificate);
	setup.key = buffer_view(&key);
	warm_up_tls(&setup);
	*ret_setup = setup;
	arena_done(&arena);
}
