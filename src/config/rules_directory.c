// Aliases and domains as a whole, tried out on the table that the running server looks them up in:
// an alias outside our domains, one that leads in a circle, one that grows too large (attack A28).
#include <stdlib.h>

#include "config/directory.h"
#include "config/load_private.h"

enum { TRIAL_MEMORY_MAX = 64 * 1024 * 1024 };

static struct place alias_place(const struct load *load, const struct config_alias *alias)
{
	return load_place(load, "aliases.%.*s", VIEW_ARG(alias->address));
}

static int by_name(const void *a, const void *b)
{
	return view_compare(((const struct config_domain *)a)->name,
			    ((const struct config_domain *)b)->name);
}

static bool is_ours(const struct config *config, struct view address)
{
	struct config_domain wanted = { .name = view_from(address,
							  view_find_last(address, '@') + 1) };

	return config->domains.count && bsearch(&wanted, config->domains.items,
						config->domains.count, sizeof wanted, by_name);
}

static void check_domains_of_aliases(struct load *load)
{
	const struct config *config = load->config;

	for (size_t i = 0; i < config->aliases.count; i++) {
		if (!is_ours(config, config->aliases.items[i].address)) {
			problem_add(load->problems, alias_place(load, &config->aliases.items[i]),
				    "'%.*s' is in none of our domains",
				    SHOWN(load->problems, config->aliases.items[i].address));
		}
	}
}

// Everybody whom an alias names, so that what is found wrong is wrong whoever has an account.
static struct view *named_accounts(struct load *load, size_t *ret_count)
{
	const struct config *config = load->config;
	struct view *accounts;
	size_t count = config->domains.count;

	for (size_t i = 0; i < config->aliases.count; i++) {
		count += config->aliases.items[i].targets.count;
	}
	accounts = calloc(count + 1, sizeof *accounts);
	load->problems->no_memory |= !accounts;
	if (!accounts) {
		return NULL;
	}
	count = 0;
	for (size_t i = 0; i < config->aliases.count; i++) {
		const struct config_alias *alias = &config->aliases.items[i];

		for (size_t j = 0; j < alias->targets.count; j++) {
			accounts[count++] = alias->targets.items[j];
		}
	}
	*ret_count = count;
	return accounts;
}

static void try_alias(struct load *load, const struct directory *directory,
		      const struct config_alias *alias)
{
	struct arena arena = arena_with_max(TRIAL_MEMORY_MAX);
	struct directory_answer answer = { 0 };
	struct address address;

	if (address_parse(&arena, alias->address, ADDRESS_UTF8, &address) ||
	    directory_resolve(directory, &arena, &address, &answer)) {
		load->problems->no_memory = true;
	} else if (answer.status == DIRECTORY_LOOP) {
		problem_add(load->problems, alias_place(load, alias),
			    "'%.*s' leads back to itself, or through too many aliases",
			    SHOWN(load->problems, alias->address));
	} else if (answer.status == DIRECTORY_TOO_MANY) {
		problem_add(load->problems, alias_place(load, alias),
			    "'%.*s' leads to more than %llu recipients",
			    SHOWN(load->problems, alias->address),
			    (unsigned long long)load->config->limits.alias_recipients);
	}
	arena_done(&arena);
}

static void try_aliases(struct load *load, struct view table)
{
	struct directory directory;

	if (directory_open(table, &directory)) {
		problem_add(load->problems, load_place(load, "aliases"),
			    "the aliases and domains make no table");
		return;
	}
	for (size_t i = 0; i < load->config->aliases.count; i++) {
		try_alias(load, &directory, &load->config->aliases.items[i]);
	}
}

void load_check_directory(struct load *load)
{
	struct config *config = load->config;
	struct buffer table = buffer_with_max(DIRECTORY_SIZE_MAX);
	struct config_directory_counts counts;
	struct view *accounts;
	size_t count = 0;
	enum error error;

	if (config->domains.count) {
		qsort(config->domains.items, config->domains.count, sizeof *config->domains.items,
		      by_name);
	}
	check_domains_of_aliases(load);
	accounts = named_accounts(load, &count);
	if (accounts && !load->problems->errors) {
		error = config_directory_build(config, accounts, count, (struct hash_key){ 1, 2 },
					       &table, &counts);
		if (error) {
			problem_add(load->problems, load_place(load, "aliases"),
				    "the aliases and domains make no table: %s", error_text(error));
		} else {
			try_aliases(load, buffer_view(&table));
		}
	}
	free(accounts);
	buffer_done(&table);
}
