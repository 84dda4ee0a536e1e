#include "config/directory.h"

static enum error add_domains(struct directory_builder *builder, const struct config *config)
{
	for (size_t i = 0; i < config->domains.count; i++) {
		enum error error = directory_add_domain(builder, config->domains.items[i].name);

		if (error) {
			return error;
		}
	}
	for (size_t i = 0; i < config->domains.count; i++) {
		const struct config_domain *domain = &config->domains.items[i];
		enum error error = OK;

		if (domain->catch_all.len) {
			error = directory_set_catch_all(builder, domain->name, &domain->catch_all,
							1);
		}
		if (error) {
			return error;
		}
	}
	return directory_set_postmaster(builder, config->postmaster);
}

static enum error add_aliases(struct directory_builder *builder, const struct config *config)
{
	for (size_t i = 0; i < config->aliases.count; i++) {
		const struct config_alias *alias = &config->aliases.items[i];
		enum error error = directory_add_alias(builder, alias->address,
						       alias->targets.items, alias->targets.count);

		if (error) {
			return error;
		}
	}
	return OK;
}

// An account that no domain wants any more stops nobody else's mail.
static enum error add_accounts(struct directory_builder *builder, const struct view *accounts,
			       size_t count, struct config_directory_counts *counts)
{
	for (size_t i = 0; i < count; i++) {
		enum error error = directory_add_account(builder, accounts[i]);

		if (error == ERROR_NOT_FOUND || error == ERROR_INVALID || error == ERROR_EXISTS) {
			counts->accounts_skipped++;
		} else if (error) {
			return error;
		} else {
			counts->accounts++;
		}
	}
	return OK;
}

enum error config_directory_build(const struct config *config, const struct view *accounts,
				  size_t account_count, struct hash_key key, struct buffer *out,
				  struct config_directory_counts *ret_counts)
{
	struct config_directory_counts counts = { 0 };
	struct directory_builder *builder;
	struct directory_settings settings = {
		.plus_separator = config->plus_separator.len ? config->plus_separator.data[0] : 0,
		.depth_max = (uint16_t)config->limits.alias_depth,
		.recipients_max = (uint16_t)config->limits.alias_recipients,
	};
	enum error error = directory_builder_new(key, &settings, &builder);

	if (error) {
		return error;
	}
	error = add_domains(builder, config);
	if (!error) {
		error = add_aliases(builder, config);
	}
	if (!error) {
		error = add_accounts(builder, accounts, account_count, &counts);
	}
	if (!error) {
		error = directory_build(builder, out);
	}
	directory_builder_free(builder);
	if (!error) {
		*ret_counts = counts;
	}
	return error;
}
