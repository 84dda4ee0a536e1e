// What life_sim_test.c and life_look_test.c know of each other.
#pragma once

#include "spool/life_sim_test.h"

#include "spool/body.h"
#include "spool/store_private.h"

enum {
	TICK_MS = 3,
	COPY_TICKS = 5,
	BODY_PART_BYTES = 20 * 1000,
	BOUNCE_BYTES = 100,
};

struct sending {
	struct life *life;
	struct family *family;
	uint64_t id;
	struct spool_append append;
	struct spool_body *body;
	uint64_t left;
	char bytes[LIFE_SMALL_BYTES_MAX];
	struct view text;
};

struct family {
	struct spool_commit_page commits;
	struct spool_writer *writer;
	struct spool_port *port;
	struct os_pool *pool;
	struct sending sendings[LIFE_MESSAGES_MAX];
	unsigned started, told;
};

struct ending {
	struct spool_wait wait;
	struct spool_submission submission;
	struct truth *truth;
	uint64_t id;
	bool is_used;
	char bytes[BOUNCE_BYTES]; // of the bounce
	struct view report;
};

enum { SEEN_BY_STORE = 1, SEEN_BEFORE = 2, SEEN_AFTER = 4 };

struct life {
	struct truth *truth;
	struct life_plan plan;
	struct sim_process *process;
	struct os_loop *loop;
	struct spool_queue_page queue;
	struct family families[LIFE_FAMILIES];
	struct spool_store *store;
	struct os_timer tick;
	unsigned ticks;
	struct ending endings[LIFE_IDS_MAX];
	uint8_t seen[LIFE_IDS_MAX], see; // SEEN_*
	bool is_thorough;
};

void life_violated(struct truth *truth, const char *what, uint64_t id);
// What the bytes and the envelope of a message must be.
bool life_is_filled(uint64_t id, uint64_t offset, struct view bytes);
struct letter {
	char sender[32], address[32];
	struct spool_recipient recipient;
	struct spool_envelope envelope;
};
// large_bytes 0: a small one.
void life_letter_of(uint64_t id, uint32_t large_bytes, struct letter *letter);

struct life *life_new(struct truth *truth);
// Runs fn as a process, then frees the life. False when it crashed.
bool life_run_process(struct sim_machine *machine, struct life *life, void (*fn)(void *context),
		      void (*before)(struct sim_process *process, uint64_t nth), uint64_t nth);
enum error life_open_store(struct life *life, const int parts[SPOOL_PARTS]);
// For spool_store_calls.
enum error life_on_message(void *context, struct spool_message *message,
			   const struct spool_envelope *envelope);
void life_on_fault(void *context, const char *what, struct spool_ref where);
