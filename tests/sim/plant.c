#include "sim/plant.h"

#include <string.h>

static const struct {
	const char *name;
	unsigned seeds; // from seed 1 on: found within so many
	const char *words;
} plants[PLANT_COUNT] = {
	[PLANT_DATA_SYNC_LIES] = { "data-sync-lies", 20, "a sync of a file does nothing" },
	[PLANT_SYNC_LEFT_OUT] = { "sync-left-out", 40, "every other sync of a file does nothing" },
	[PLANT_SYNC_ERROR_IGNORED] = { "sync-error-ignored", 60,
				       "a failed sync is taken for good" },
	[PLANT_SYNC_TRIED_AGAIN] = { "sync-tried-again", 200,
				     "a failed sync is tried once more, and believed then" },
	[PLANT_FOLDER_SYNC_LIES] = { "folder-sync-lies", 20, "a sync of a folder does nothing" },
	[PLANT_CRC_UNCHECKED] = { "crc-unchecked", 100, "any record passes for whole" },
	[PLANT_EPOCH_UNCHECKED] = { "epoch-unchecked", 100,
				    "all uses of a segment have one epoch and one tag" },
	[PLANT_ABANDONED_IGNORED] = { "abandoned-ignored", 200,
				      "a header's abandoned ranges are not read" },
	[PLANT_CHECKPOINT_COVERS_MORE] = { "checkpoint-covers-more", 60,
					   "a checkpoint covers 4 KiB more than it knows" },
	[PLANT_JOURNAL_SKIPPED] = { "journal-skipped", 20,
				    "one journal record in four says nothing" },
	[PLANT_OUTCOME_LOST] = { "outcome-lost", 20, "one delivery in eight is not noted" },
	[PLANT_BODY_REMOVED_EARLY] = { "body-removed-early", 200,
				       "a body's file goes before its outcome is durable" },
	[PLANT_BODY_DAMAGED] = { "body-damaged", 20, "a byte of a large body is read wrong" },
	[PLANT_RECIPIENT_LOST] = { "recipient-lost", 20,
				   "the last recipient of many is not stored" },
	[PLANT_NULL_SENDER_TOLD] = { "null-sender-told", 40,
				     "a bounce that fails is bounced to somebody" },
	[PLANT_BODY_MEMORY_KEPT] = { "body-memory-kept", 20,
				     "the memory of one body in sixteen is not given back" },
	[PLANT_REPLY_EARLY] = { "reply-early", 40, "250 leaves before the record is written" },
	[PLANT_REPLIES_SWAPPED] = { "replies-swapped", 20, "two replies change places" },
	[PLANT_BOUNCE_NOT_ATOMIC] = { "bounce-not-atomic", 200,
				      "a bounce is a record of its own, its outcome another" },
	[PLANT_BOUNCE_HAS_SENDER] = { "bounce-has-sender", 20,
				      "bounces go out from a sender that is not null" },
	[PLANT_RETRY_FORGOTTEN] = { "retry-forgotten", 40, "one retry in sixteen is not planned" },
	[PLANT_PRESSURE_IGNORED] = { "pressure-ignored", 200,
				     "receive goes on though the queue is full" },
};

static enum plant planted;

void plant_list(FILE *out)
{
	for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++) {
		fprintf(out, "%-24s within %3u seeds: %s\n", plants[i].name, plants[i].seeds,
			plants[i].words);
	}
}

bool plant_set(const char *name)
{
	for (int i = PLANT_NONE + 1; i < PLANT_COUNT; i++) {
		if (strcmp(plants[i].name, name) == 0) {
			planted = i;
			return true;
		}
	}
	return false;
}

bool plant_is(enum plant plant)
{
	return planted == plant;
}
