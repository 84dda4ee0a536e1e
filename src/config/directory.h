// The directory table (policy/directory.h) out of the configuration and the accounts: what keeper
// publishes. Pure.
#pragma once

#include "config/config.h"

struct config_directory_counts {
	size_t accounts;
	size_t accounts_skipped; // of domains that are not ours (any more), or no addresses
};

// Replaces the content of out with the block. accounts: addresses. The configuration is one that
// was loaded or decoded for keeper.
enum error config_directory_build(const struct config *config, const struct view *accounts,
				  size_t account_count, struct hash_key key, struct buffer *out,
				  struct config_directory_counts *ret_counts) must_check;
