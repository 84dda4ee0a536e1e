#include "config/reload.h"

#include "config/encode.h"

static bool same_socket(const struct config_listener *a, const struct config_listener *b)
{
	if (a->port != b->port || a->addresses.count != b->addresses.count) {
		return false;
	}
	for (size_t i = 0; i < a->addresses.count; i++) {
		if (!ip_address_equal(&a->addresses.items[i], &b->addresses.items[i])) {
			return false;
		}
	}
	return true;
}

static bool has_listener(const struct config *config, const struct config_listener *wanted)
{
	for (size_t i = 0; i < config->listeners.count; i++) {
		if (same_socket(&config->listeners.items[i], wanted)) {
			return true;
		}
	}
	return false;
}

static enum config_reader changed_readers(const struct config *old, const struct config *new,
					  enum error *error)
{
	struct buffer before = buffer_with_max(CONFIG_ENCODED_MAX);
	struct buffer after = buffer_with_max(CONFIG_ENCODED_MAX);
	unsigned changed = 0;

	for (unsigned reader = 1; reader < CONFIG_ALL; reader <<= 1) {
		buffer_clear(&before);
		buffer_clear(&after);
		config_encode(old, reader, &before);
		config_encode(new, reader, &after);
		if (buffer_error(&before) || buffer_error(&after)) {
			*error = ERROR_NO_MEMORY;
		}
		if (!view_equal(buffer_view(&before), buffer_view(&after))) {
			changed |= reader;
		}
	}
	buffer_done(&before);
	buffer_done(&after);
	return changed;
}

enum { RESTART_KEYS = 5 };

static void add_restart(struct config_difference *difference, bool changed, struct view key)
{
	if (changed) {
		difference->restart.items[difference->restart.count++] = key;
	}
}

// Where things lie, how they are divided into files, and what is set up once at the start.
static void compare_fixed(const struct config *old, const struct config *new,
			  struct config_difference *difference)
{
	add_restart(difference, !view_equal(old->data_dir, new->data_dir), VIEW("data_dir"));
	add_restart(difference, !view_equal(old->spool_dir, new->spool_dir), VIEW("spool_dir"));
	add_restart(difference, !view_equal(old->mail_dir, new->mail_dir), VIEW("mail_dir"));
	add_restart(difference, old->threads != new->threads, VIEW("threads"));
	add_restart(difference, old->queue.segment_size_bytes != new->queue.segment_size_bytes,
		    VIEW("queue.segment_size"));
}

enum error config_compare(const struct config *old, const struct config *new, struct arena *arena,
			  struct config_difference *ret_difference)
{
	struct config_difference difference = { 0 };
	enum error error = OK;

	difference.removed.items = arena_alloc_array(arena, old->listeners.count + 1,
						     sizeof *difference.removed.items);
	difference.added.items =
		arena_alloc_array(arena, new->listeners.count + 1, sizeof *difference.added.items);
	difference.restart.items =
		arena_alloc_array(arena, RESTART_KEYS, sizeof *difference.restart.items);
	if (!difference.removed.items || !difference.added.items || !difference.restart.items) {
		return ERROR_NO_MEMORY;
	}
	for (size_t i = 0; i < old->listeners.count; i++) {
		if (!has_listener(new, &old->listeners.items[i])) {
			difference.removed.items[difference.removed.count++] =
				&old->listeners.items[i];
		}
	}
	for (size_t i = 0; i < new->listeners.count; i++) {
		if (!has_listener(old, &new->listeners.items[i])) {
			difference.added.items[difference.added.count++] = &new->listeners.items[i];
		}
	}
	compare_fixed(old, new, &difference);
	difference.changed = changed_readers(old, new, &error);
	if (!error) {
		*ret_difference = difference;
	}
	return error;
}
