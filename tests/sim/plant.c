#include "sim/plant.h"

#include <string.h>

#include "os/file.h"
#include "os/random.h"
#include "spool/store.h"

enum plant {
	PLANT_NONE,
	PLANT_SYNC_LIES,
	PLANT_FOLDER_SYNC_LIES,
	PLANT_OUTCOME_LOST,
	PLANT_BODY_DAMAGED,
	PLANT_COUNT,
};

static const struct {
	const char *name, *words;
} plants[PLANT_COUNT] = {
	[PLANT_SYNC_LIES] = { "reply-before-sync",
			      "fdatasync returns at once, having done nothing" },
	[PLANT_FOLDER_SYNC_LIES] = { "folder-not-synced", "a sync of a folder does nothing" },
	[PLANT_OUTCOME_LOST] = { "outcome-lost", "one outcome in eight is forgotten" },
	[PLANT_BODY_DAMAGED] = { "body-damaged", "a byte of a large body is read wrong" },
};

static enum plant planted;

void plant_list(FILE *out)
{
	for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++) {
		fprintf(out, "%-20s %s\n", plants[i].name, plants[i].words);
	}
}

static enum plant find(const char *name)
{
	for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++) {
		if (strcmp(plants[i].name, name) == 0) {
			return i;
		}
	}
	return PLANT_NONE;
}

bool plant_exists(const char *name)
{
	return find(name) != PLANT_NONE;
}

void plant_set(const char *name)
{
	planted = name ? find(name) : PLANT_NONE;
}

// ---- the calls

enum error __real_os_file_sync_data(int file) must_check;
enum error __wrap_os_file_sync_data(int file) must_check;
enum error __wrap_os_file_sync_data(int file)
{
	return planted == PLANT_SYNC_LIES ? OK : __real_os_file_sync_data(file);
}

enum error __real_os_dir_sync(int dir) must_check;
enum error __wrap_os_dir_sync(int dir) must_check;
enum error __wrap_os_dir_sync(int dir)
{
	return planted == PLANT_FOLDER_SYNC_LIES ? OK : __real_os_dir_sync(dir);
}

static bool is_final(const struct spool_change *change)
{
	for (uint32_t i = 0; i < change->outcome_count; i++) {
		if (change->outcomes[i].state.status == SPOOL_DELIVERED) {
			return true;
		}
	}
	return false;
}

enum error __real_spool_store_note(struct spool_store *store,
				   const struct spool_change *change) must_check;
enum error __wrap_spool_store_note(struct spool_store *store,
				   const struct spool_change *change) must_check;
enum error __wrap_spool_store_note(struct spool_store *store, const struct spool_change *change)
{
	bool forgets = planted == PLANT_OUTCOME_LOST && is_final(change) && os_random_below(8) == 0;

	return forgets ? OK : __real_spool_store_note(store, change);
}

enum error __real_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len) must_check;
enum error __wrap_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len) must_check;
enum error __wrap_spool_source_read_body(const struct spool_source *source, uint64_t offset,
					 void *bytes, size_t len)
{
	enum error error = __real_spool_source_read_body(source, offset, bytes, len);

	if (planted == PLANT_BODY_DAMAGED && error == OK && len) {
		((char *)bytes)[len / 2] ^= 1;
	}
	return error;
}
