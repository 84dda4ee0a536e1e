// The directory: our domains, accounts, aliases, catch-alls and the postmaster, as one block of
// bytes that keeper publishes on a sealed page, so that a RCPT costs no message. It holds no
// secrets. Look-up trusts nothing in the bytes: every offset is checked, all work is bounded, and
// the hash is keyed (attacks A15, A22). Format: directory_format.h. Pure; a block that does not
// change may be read by any number of threads.
//
// Order of look-up for user+detail@domain: the address itself, user@domain, postmaster, the
// domain's catch-all. An alias goes before the account of the same name; an alias that names itself
// among its targets keeps the account's copy.
#pragma once

#include "base/buffer.h"
#include "base/hash.h"
#include "mail/address.h"

enum {
	DIRECTORY_SIZE_MAX = 1 << 30,            // bytes of a block
	DIRECTORY_ENTRIES_MAX = 4 * 1000 * 1000, // addresses and domains
	DIRECTORY_TARGETS_MAX = 10 * 1000,       // of one alias as written
	DIRECTORY_VISITS_MAX = 20 * 1000,        // targets looked at for one address
};

struct directory_settings {
	char plus_separator;     // of user+detail; 0: none
	uint16_t depth_max;      // aliases of aliases (attack A28); 1..100
	uint16_t recipients_max; // that one address may expand to; 1..10000
};

struct directory_settings directory_settings_default(void); // '+', 16, 1000

struct directory {
	struct view bytes;
	struct hash_key key;
	uint32_t slot_count;
	struct directory_settings settings;
};

// Checks the frame of the block. ERROR_CORRUPT. The directory views the bytes.
enum error directory_open(struct view bytes, struct directory *ret_directory) must_check;

// domain as in struct address.
bool directory_has_domain(const struct directory *directory, struct view domain);
// The address is an account itself, by its exact key (no plus form, no alias).
bool directory_has_account(const struct directory *directory, const struct address *address);

enum directory_status {
	DIRECTORY_FOUND,
	DIRECTORY_NOT_OURS, // no domain of ours
	DIRECTORY_UNKNOWN,  // our domain, nobody there
	DIRECTORY_LOOP,     // aliases lead in a circle or too deep
	DIRECTORY_TOO_MANY, // expands to too many recipients
	DIRECTORY_BROKEN,   // the bytes contradict themselves
};

enum directory_via { DIRECTORY_VIA_ADDRESS, DIRECTORY_VIA_POSTMASTER, DIRECTORY_VIA_CATCH_ALL };

struct directory_answer {
	enum directory_status status;
	enum directory_via via; // how it was found
	struct view entry;      // the key that answered: its own, that without detail, or "@..."
	const struct view *recipients; // address texts, each once; where FOUND at least one
	size_t recipient_count;
};

// Final recipients: accounts of ours (without detail) and addresses elsewhere. A target in a domain
// of ours that nobody has stays in the list as long as another target is good: its delivery fails
// and the sender is told. What the answer views lies in the arena. Bare <postmaster> is looked up
// like that of any domain of ours. ERROR_NO_MEMORY.
enum error directory_resolve(const struct directory *directory, struct arena *arena,
			     const struct address *address,
			     struct directory_answer *ret_answer) must_check;

// Building. One owner; text is copied. Addresses and domains are parsed and normalised here.
struct directory_builder;

enum error directory_builder_new(struct hash_key key, const struct directory_settings *settings,
				 struct directory_builder **ret_builder) must_check;
void directory_builder_free(struct directory_builder *builder); // accepts NULL

// Domains first: an account, alias or catch-all outside of them is ERROR_NOT_FOUND. ERROR_INVALID
// for what is no domain or address, ERROR_EXISTS for a second of the same kind, ERROR_LIMIT.
enum error directory_add_domain(struct directory_builder *builder, struct view domain) must_check;
enum error directory_add_account(struct directory_builder *builder, struct view address) must_check;
enum error directory_add_alias(struct directory_builder *builder, struct view address,
			       const struct view *targets, size_t target_count) must_check;
enum error directory_set_catch_all(struct directory_builder *builder, struct view domain,
				   const struct view *targets, size_t target_count) must_check;
// Where postmaster of every domain goes unless that has its own; may lie in any domain. Where it is
// an address of ours that nobody has, it counts as an account: postmaster always works.
enum error directory_set_postmaster(struct directory_builder *builder,
				    struct view address) must_check;
// Replaces the content of out. Without a postmaster it is ERROR_INVALID.
enum error directory_build(struct directory_builder *builder, struct buffer *out) must_check;
