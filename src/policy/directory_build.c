#include "policy/directory.h"

#include <stdlib.h>

#include "base/table.h"
#include "base/wire.h"
#include "policy/directory_format.h"

struct target {
	struct view text, key;
};

struct item {
	uint8_t flags;
	struct view key;
	const struct target *targets;
	size_t target_count;
};

struct directory_builder {
	struct directory_settings settings;
	struct arena arena;
	struct table items; // struct item by key
	struct address postmaster;
};

enum error directory_builder_new(struct hash_key key, const struct directory_settings *settings,
				 struct directory_builder **ret_builder)
{
	struct directory_builder *builder = calloc(1, sizeof *builder);

	if (!builder) {
		return ERROR_NO_MEMORY;
	}
	builder->settings = *settings;
	builder->arena = arena_with_max(DIRECTORY_SIZE_MAX);
	builder->items = table_with_max(key, DIRECTORY_ENTRIES_MAX);
	*ret_builder = builder;
	return OK;
}

void directory_builder_free(struct directory_builder *builder)
{
	if (builder) {
		table_done(&builder->items);
		arena_done(&builder->arena);
		free(builder);
	}
}

static enum error parse(struct directory_builder *builder, struct view text,
			struct address *ret_address)
{
	struct address address;
	enum address_fault fault = address_parse(&builder->arena, text, ADDRESS_UTF8, &address);

	if (fault != ADDRESS_OK) {
		return fault == ADDRESS_NO_MEMORY ? ERROR_NO_MEMORY : ERROR_INVALID;
	}
	if (address.routing || address.literal != ADDRESS_LITERAL_NONE) {
		return ERROR_INVALID;
	}
	*ret_address = address;
	return OK;
}

static bool is_ours(const struct directory_builder *builder, struct view domain)
{
	const struct item *item = table_get(&builder->items, domain);

	return item && (item->flags & DIRECTORY_DOMAIN);
}

// An address in a domain of ours.
static enum error parse_ours(struct directory_builder *builder, struct view text,
			     struct address *ret_address)
{
	struct address address;
	enum error error = parse(builder, text, &address);

	if (error != OK) {
		return error;
	}
	if (!is_ours(builder, address.domain)) {
		return ERROR_NOT_FOUND;
	}
	*ret_address = address;
	return OK;
}

static enum error parse_targets(struct directory_builder *builder, const struct view *texts,
				size_t count, const struct target **ret_targets)
{
	struct target *targets;

	if (count == 0 || count > DIRECTORY_TARGETS_MAX) {
		return count ? ERROR_LIMIT : ERROR_INVALID;
	}
	targets = arena_alloc_array(&builder->arena, count, sizeof *targets);
	if (!targets) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < count; i++) {
		struct address address;
		enum error error = parse(builder, texts[i], &address);

		if (error != OK) {
			return error;
		}
		targets[i] = (struct target){ address.text, address.key };
	}
	*ret_targets = targets;
	return OK;
}

// The item of this key; made where absent.
static enum error item_of(struct directory_builder *builder, struct view key,
			  struct item **ret_item)
{
	struct item *item = table_get(&builder->items, key);
	enum error error = OK;

	if (!item) {
		item = ARENA_NEW(&builder->arena, struct item);
		if (!item) {
			return ERROR_NO_MEMORY;
		}
		item->key = key;
		error = table_add(&builder->items, key, item);
	}
	if (error == OK) {
		*ret_item = item;
	}
	return error;
}

static enum error add_flag(struct directory_builder *builder, struct view key, uint8_t flag)
{
	struct item *item;
	enum error error = item_of(builder, key, &item);

	if (error != OK) {
		return error;
	}
	if (item->flags & flag) {
		return ERROR_EXISTS;
	}
	item->flags |= flag;
	return OK;
}

static enum error add_targets(struct directory_builder *builder, struct view key,
			      const struct view *texts, size_t count)
{
	const struct target *targets;
	struct item *item;
	enum error error = parse_targets(builder, texts, count, &targets);

	if (error == OK) {
		error = item_of(builder, key, &item);
	}
	if (error != OK) {
		return error;
	}
	if (item->target_count) {
		return ERROR_EXISTS;
	}
	item->targets = targets;
	item->target_count = count;
	return OK;
}

static enum error normalise(struct directory_builder *builder, struct view text,
			    struct view *ret_domain)
{
	enum address_fault fault = address_domain_normalise(&builder->arena, text, ret_domain);

	return fault == ADDRESS_OK          ? OK
	       : fault == ADDRESS_NO_MEMORY ? ERROR_NO_MEMORY
					    : ERROR_INVALID;
}

enum error directory_add_domain(struct directory_builder *builder, struct view domain)
{
	struct view normal;
	enum error error = normalise(builder, domain, &normal);

	return error == OK ? add_flag(builder, normal, DIRECTORY_DOMAIN) : error;
}

enum error directory_add_account(struct directory_builder *builder, struct view address)
{
	struct address parsed;
	enum error error = parse_ours(builder, address, &parsed);

	return error == OK ? add_flag(builder, parsed.key, DIRECTORY_ACCOUNT) : error;
}

enum error directory_add_alias(struct directory_builder *builder, struct view address,
			       const struct view *targets, size_t target_count)
{
	struct address parsed;
	enum error error = parse_ours(builder, address, &parsed);

	return error == OK ? add_targets(builder, parsed.key, targets, target_count) : error;
}

enum error directory_set_catch_all(struct directory_builder *builder, struct view domain,
				   const struct view *targets, size_t target_count)
{
	struct view normal, key;
	enum error error = normalise(builder, domain, &normal);

	if (error != OK) {
		return error;
	}
	if (!is_ours(builder, normal)) {
		return ERROR_NOT_FOUND;
	}
	key = arena_printf(&builder->arena, "@%.*s", VIEW_ARG(normal));
	return key.data ? add_targets(builder, key, targets, target_count) : ERROR_NO_MEMORY;
}

enum error directory_set_postmaster(struct directory_builder *builder, struct view address)
{
	enum error error = parse(builder, address, &builder->postmaster);

	return error == OK ? add_targets(builder, VIEW(DIRECTORY_POSTMASTER_KEY), &address, 1)
			   : error;
}

static void add_item(struct buffer *out, const struct item *item)
{
	wire_add_u8(out, item->flags);
	wire_add_string(out, item->key);
	wire_add_u32(out, (uint32_t)item->target_count);
	for (size_t i = 0; i < item->target_count; i++) {
		wire_add_string(out, item->targets[i].text);
		wire_add_string(out, item->targets[i].key);
	}
}

static void add_header(struct buffer *out, const struct directory_builder *builder,
		       uint32_t slot_count)
{
	buffer_add_text(out, DIRECTORY_MAGIC);
	wire_add_u32(out, 0); // the size, once it is known
	wire_add_u32(out, slot_count);
	wire_add_u64(out, builder->items.key.k0);
	wire_add_u64(out, builder->items.key.k1);
	wire_add_u16(out, builder->settings.depth_max);
	wire_add_u16(out, builder->settings.recipients_max);
	wire_add_u8(out, (uint8_t)builder->settings.plus_separator);
}

static uint32_t slots_for(size_t items)
{
	uint32_t slots = 16;

	while (slots < items * 2) {
		slots *= 2;
	}
	return slots;
}

static void write_block(const struct directory_builder *builder, struct buffer *out)
{
	uint32_t slot_count = slots_for(builder->items.count);
	size_t slots = DIRECTORY_HEADER_SIZE;
	size_t position = 0, fixed = slots + (size_t)slot_count * sizeof(uint32_t);
	const struct item *item;

	add_header(out, builder, slot_count);
	while (buffer_error(out) == OK && out->len < fixed) {
		buffer_add_byte(out, 0);
	}
	while ((item = table_next(&builder->items, &position)) && buffer_error(out) == OK) {
		size_t i = hash_siphash(builder->items.key, item->key) & (slot_count - 1);

		while (wire_get_u32(out->data + slots + i * sizeof(uint32_t))) {
			i = (i + 1) & (slot_count - 1);
		}
		wire_put_u32(out->data + slots + i * sizeof(uint32_t), (uint32_t)out->len);
		add_item(out, item);
	}
	if (buffer_error(out) == OK) {
		wire_put_u32(out->data + sizeof DIRECTORY_MAGIC - 1, (uint32_t)out->len);
	}
}

enum error directory_build(struct directory_builder *builder, struct buffer *out)
{
	const struct address *postmaster = &builder->postmaster;
	enum error error;

	if (postmaster->key.len == 0) {
		return ERROR_INVALID;
	}
	if (is_ours(builder, postmaster->domain) && !table_get(&builder->items, postmaster->key)) {
		error = add_flag(builder, postmaster->key, DIRECTORY_ACCOUNT);
		if (error != OK) {
			return error;
		}
	}
	buffer_clear(out);
	write_block(builder, out);
	return buffer_error(out);
}
