#include "policy/rate.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"

// The hash of the concatenation would let one text run into the next; hashing the hash does not.
struct rate_key rate_key_with(struct hash_key secret, struct rate_key key, struct view more)
{
	secret.k0 ^= key.hash;
	return (struct rate_key){ hash_siphash(secret, more) };
}

struct rate_key rate_key_of_text(struct hash_key secret, enum rate_kind kind, struct view text)
{
	secret.k1 ^= (uint64_t)kind;
	return (struct rate_key){ hash_siphash(secret, text) };
}

struct rate_key rate_key_of_address(struct hash_key secret, enum rate_kind kind,
				    const struct ip_address *address)
{
	struct network peer = network_around(address, address->family == 4 ? 32 : 64);
	char bytes[1 + sizeof peer.address.bytes];

	bytes[0] = (char)peer.address.family;
	memcpy(bytes + 1, peer.address.bytes, sizeof peer.address.bytes);
	return rate_key_of_text(secret, kind, view_of(bytes, sizeof bytes));
}

// Entries by hash, in chains; the same entries in order of use.
struct entry {
	struct entry *chain;
	struct list recent; // links of the free list too
	uint64_t hash;
	uint64_t changed_ms;
	int64_t tokens_milli; // thousandths of a token, or what is open
};

struct index {
	struct entry *entries;
	size_t entries_max;
	size_t entries_begun; // those behind were never used: their memory costs nothing yet
	struct entry **buckets;
	size_t mask;
	struct list used; // the latest first
	struct list free;
};

static size_t power_of_two_above(size_t number)
{
	size_t power = 1;

	while (power < number) {
		power *= 2;
	}
	return power;
}

static void index_done(struct index *index)
{
	free(index->entries);
	free(index->buckets);
}

static enum error index_init(struct index *index, size_t entries_max)
{
	size_t buckets = power_of_two_above(entries_max);

	index->entries = calloc(entries_max, sizeof *index->entries);
	index->buckets = calloc(buckets, sizeof *index->buckets);
	if (!index->entries || !index->buckets) {
		index_done(index);
		return ERROR_NO_MEMORY;
	}
	index->entries_max = entries_max;
	index->mask = buckets - 1;
	list_init(&index->used);
	list_init(&index->free);
	return OK;
}

static struct entry **index_place(const struct index *index, struct rate_key key)
{
	struct entry **place = &index->buckets[key.hash & index->mask];

	while (*place && (*place)->hash != key.hash) {
		place = &(*place)->chain;
	}
	return place;
}

static void index_remove(struct index *index, struct rate_key key)
{
	struct entry **place = index_place(index, key);
	struct entry *entry = *place;

	if (entry) {
		*place = entry->chain;
		list_remove(&entry->recent);
		list_add_first(&index->free, &entry->recent);
	}
}

static bool index_is_full(const struct index *index)
{
	return index->entries_begun == index->entries_max && list_empty(&index->free);
}

// An entry for a key that has none; NULL when all are used.
static struct entry *index_add(struct index *index, struct rate_key key)
{
	struct list *link;
	struct entry *entry, **place;

	if (index_is_full(index)) {
		return NULL;
	}
	link = list_take_first(&index->free);
	entry = link ? CONTAINER_OF(link, struct entry, recent)
		     : &index->entries[index->entries_begun++];
	place = &index->buckets[key.hash & index->mask];
	*entry = (struct entry){ .hash = key.hash, .chain = *place };
	*place = entry;
	list_add_first(&index->used, &entry->recent);
	return entry;
}

// A table is an index and what goes with it, the index first; NULL without memory.
static void *table_new(size_t size, size_t entries_max)
{
	struct index *index = calloc(1, size);

	if (index && index_init(index, entries_max ? entries_max : 1) != OK) {
		free(index);
		return NULL;
	}
	return index;
}

struct rate_table {
	struct index index;
	size_t forgotten;
};

enum error rate_table_new(size_t entries_max, struct rate_table **ret_table)
{
	struct rate_table *table = table_new(sizeof *table, entries_max);

	if (!table) {
		return ERROR_NO_MEMORY;
	}
	*ret_table = table;
	return OK;
}

void rate_table_free(struct rate_table *table)
{
	if (table) {
		index_done(&table->index);
		free(table);
	}
}

size_t rate_table_forgotten(const struct rate_table *table)
{
	return table->forgotten;
}

enum { MILLI = 1000, DEBT_BURSTS_MAX = 8 };

static int64_t full_milli(struct rate_limit limit)
{
	return (int64_t)limit.burst * MILLI;
}

// What the bucket holds now; a key that is not there has a full one.
static int64_t tokens_now_milli(const struct entry *entry, struct rate_limit limit, uint64_t now_ms)
{
	int64_t full = full_milli(limit);
	__int128 held;

	if (!entry || limit.period_ms == 0) {
		return full;
	}
	held = entry->tokens_milli;
	if (now_ms > entry->changed_ms) {
		held += (__int128)full * (now_ms - entry->changed_ms) / limit.period_ms;
	}
	return held < full ? (int64_t)held : full;
}

static struct entry *entry_to_change(struct rate_table *table, struct rate_key key)
{
	struct entry *entry = *index_place(&table->index, key);

	if (entry) {
		list_remove(&entry->recent);
		list_add_first(&table->index.used, &entry->recent);
		return entry;
	}
	if (index_is_full(&table->index)) {
		struct entry *oldest =
			CONTAINER_OF(table->index.used.previous, struct entry, recent);

		index_remove(&table->index, (struct rate_key){ oldest->hash });
		table->forgotten++;
	}
	return index_add(&table->index, key);
}

static void set_tokens(struct rate_table *table, struct rate_key key, int64_t tokens_milli,
		       uint64_t now_ms)
{
	struct entry *entry = entry_to_change(table, key);

	entry->tokens_milli = tokens_milli;
	entry->changed_ms = now_ms;
}

bool rate_take(struct rate_table *table, struct rate_key key, struct rate_limit limit,
	       uint32_t tokens, uint64_t now_ms)
{
	int64_t cost = (int64_t)tokens * MILLI;
	int64_t held = tokens_now_milli(*index_place(&table->index, key), limit, now_ms);

	if (limit.burst == 0) {
		return true;
	}
	if (held < cost) {
		return false;
	}
	set_tokens(table, key, held - cost, now_ms);
	return true;
}

void rate_charge(struct rate_table *table, struct rate_key key, struct rate_limit limit,
		 uint32_t tokens, uint64_t now_ms)
{
	int64_t held = tokens_now_milli(*index_place(&table->index, key), limit, now_ms) -
		       (int64_t)tokens * MILLI;
	int64_t least = -DEBT_BURSTS_MAX * full_milli(limit);

	if (limit.burst) {
		set_tokens(table, key, held < least ? least : held, now_ms);
	}
}

void rate_give(struct rate_table *table, struct rate_key key, struct rate_limit limit,
	       uint32_t tokens, uint64_t now_ms)
{
	const struct entry *entry = *index_place(&table->index, key);
	int64_t held;

	if (!entry || limit.burst == 0) {
		return;
	}
	held = tokens_now_milli(entry, limit, now_ms) + (int64_t)tokens * MILLI;
	if (held < full_milli(limit)) {
		set_tokens(table, key, held, now_ms);
	} else {
		index_remove(&table->index, key); // a key that is not there has a full one
	}
}

bool rate_has(const struct rate_table *table, struct rate_key key, struct rate_limit limit,
	      uint64_t now_ms)
{
	return rate_wait_ms(table, key, limit, now_ms) == 0;
}

uint64_t rate_wait_ms(const struct rate_table *table, struct rate_key key, struct rate_limit limit,
		      uint64_t now_ms)
{
	int64_t held = tokens_now_milli(*index_place(&table->index, key), limit, now_ms);
	int64_t full = full_milli(limit);

	if (limit.burst == 0 || held >= MILLI) {
		return 0;
	}
	return (uint64_t)(((__int128)(MILLI - held) * limit.period_ms + full - 1) / full);
}

void rate_forget(struct rate_table *table, struct rate_key key)
{
	index_remove(&table->index, key);
}

struct count_table {
	struct index index;
};

enum error count_table_new(size_t entries_max, struct count_table **ret_table)
{
	struct count_table *table = table_new(sizeof *table, entries_max);

	if (!table) {
		return ERROR_NO_MEMORY;
	}
	*ret_table = table;
	return OK;
}

void count_table_free(struct count_table *table)
{
	if (table) {
		index_done(&table->index);
		free(table);
	}
}

bool count_enter(struct count_table *table, struct rate_key key, uint32_t max)
{
	struct entry *entry = *index_place(&table->index, key);

	if (max == 0 || (entry && entry->tokens_milli >= max)) {
		return false;
	}
	if (!entry) {
		entry = index_add(&table->index, key);
	}
	if (!entry) {
		return false;
	}
	entry->tokens_milli++;
	return true;
}

void count_leave(struct count_table *table, struct rate_key key)
{
	struct entry *entry = *index_place(&table->index, key);

	if (entry && --entry->tokens_milli == 0) {
		index_remove(&table->index, key);
	}
}

uint32_t count_open(const struct count_table *table, struct rate_key key)
{
	const struct entry *entry = *index_place(&table->index, key);

	return entry ? (uint32_t)entry->tokens_milli : 0;
}
