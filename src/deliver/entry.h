// A queued message as deliver holds it: one block of memory with its recipients and the addresses
// that routing needs. The record itself stays on disk. One loop thread.
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "policy/retry.h"
#include "spool/store.h"

struct deliverer;
struct lane;
struct sender_queue;

enum recipient_place {
	RECIPIENT_IDLE,      // waits for its time, or is final
	RECIPIENT_RESOLVING, // in a destination's list
	RECIPIENT_WAITING,   // in a lane
	RECIPIENT_IN_HAND,   // in a delivery
	RECIPIENT_FAILED,    // for good; the sender is to be told
};

struct recipient {
	struct list link;           // in what its place says
	struct sender_queue *queue; // WAITING
	struct entry *entry;
	uint32_t address_offset;
	uint16_t address_len;
	uint8_t place; // enum recipient_place
};

// Why recipients have failed, until their sender is told.
struct failure {
	struct failure *next;
	uint32_t recipient;
	bool expired;
	char status[16];
	uint16_t remote_len, text_len;
	char text[]; // name of the remote host, then what it said
};

struct entry {
	struct heap_entry due; // wall clock ms
	struct list link;      // among all of the deliverer
	struct deliverer *deliverer;
	struct spool_message *message;
	struct failure *failures;
	uint64_t arrival_ms;
	uint64_t size_bytes;
	uint32_t in_hand; // deliveries, and a report
	uint16_t reverse_path_len, login_len;
	bool reporting; // a report is being submitted: nothing else may be noted
	bool warn_due;
	bool urgent;                   // flushed by the operator
	struct recipient recipients[]; // then the texts
};

// NULL: no memory.
struct entry *entry_new(struct deliverer *deliverer, struct spool_message *message,
			const struct spool_envelope *envelope);
void entry_free(struct entry *entry);

struct view entry_reverse_path(const struct entry *entry);
struct view entry_login(const struct entry *entry);
// Mail of one login, or else of one reverse-path, is one sender's.
struct view entry_sender(const struct entry *entry);
struct view recipient_address(const struct recipient *recipient);
static inline uint32_t recipient_index(const struct recipient *recipient)
{
	return (uint32_t)(recipient - recipient->entry->recipients);
}
static inline struct spool_recipient_state *recipient_state(const struct recipient *recipient)
{
	return &recipient->entry->message->recipients[recipient_index(recipient)];
}
// Takes a recipient that waits somewhere out of there: it is idle then. All of them.
void recipient_withdraw(struct recipient *recipient);
void entry_withdraw(struct entry *entry);
