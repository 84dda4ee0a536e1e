#include "sim/setup.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/directory.h"
#include "config/encode.h"
#include "config/load.h"

enum { MEMORY_MAX = 16 * 1024 * 1024 };

static const char text[] = "hostname: mail.example.org\n"
			   "domains: { example.org: { deliver: maildir } }\n"
			   "listeners: [{ port: 25, role: relay }]\n"
			   "relay: { networks: [10.0.0.0/8] }\n"
			   "limits: { body_memory_per_message: 32KiB }\n"
			   "outbound:\n"
			   "  allow_private_addresses: true\n"
			   "  site: { concurrency_first: 2, concurrency: 4, failures: 3 }\n"
			   "queue: { expire: 30d, retry_first: 1m, retry_longest: 30m }\n";

static enum error read_text(void *context, const char *path, struct buffer *out)
{
	(void)context;
	(void)path;
	buffer_add_text(out, text);
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

static const struct config *load(struct arena *arena)
{
	struct config_files files = { NULL, read_text, list_nothing };
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

void setup_make(struct box_setup *ret_setup)
{
	struct arena arena = arena_with_max(MEMORY_MAX);
	const struct config *config = load(&arena);

	*ret_setup = (struct box_setup){
		.config_receive = encode(config, CONFIG_RECEIVE),
		.config_deliver = encode(config, CONFIG_DELIVER),
		.directory = directory(config),
	};
	arena_done(&arena);
}
