// Inside a transaction: shared by transaction.c and recipients.c.
#pragma once

#include "mail/header.h"
#include "receive/examine.h"
#include "receive/receiver_private.h"
#include "receive/transaction.h"

struct transaction {
	struct transaction_place place;
	struct arena arena;
	struct spool_envelope envelope;
	struct address sender;
	uint32_t recipient_capacity;
	uint32_t recipient_bytes; // of the record
	struct table known;       // recipient texts, once there are many
	struct buffer body;       // all of it, or what the file does not have yet
	size_t accounted;         // bytes of this in the receiver's count
	struct spool_body *file;
	uint64_t file_bytes;
	bool examined; // before the body went into a file
	struct examine_verdict verdict;
	struct spool_append append;
	struct view body_part;
	struct transaction_origin origin;
	bool appending;
	transaction_done_fn *done; // NULL: nobody waits any more
	void *context;
	void (*ready)(void *context);
	void *ready_context;
	uint64_t size_hint;
	struct trace_steps trace;
	bool trace_ended;             // how it ended is among them
	uint64_t begun_ms, append_us; // monotonic
};

// Keeps the receiver's count of memory for messages true.
void transaction_account(struct transaction *transaction);
bool transaction_is_over_budget(const struct transaction *transaction);
