// One message on its way in: the envelope as MAIL and RCPT built it, the body as it arrives, what
// its header says, and the record for the spool. It is made at MAIL and freed as a whole when the
// session's transaction ends (attack A5), but for one whose record is being committed: that one
// outlives its session and frees itself (the message may have become durable). One loop thread.
//
// A body stays in memory up to limits.body_memory_per_message, then goes into a file of its own.
// What all of them hold in memory, the files' buffers too, is bounded by limits.body_memory. Above
// half of it a body goes into its file (with smaller buffers) once it is past
// TRANSACTION_READ_BYTES. Above all of it recipients, bodies at their begin, and bodies past
// TRANSACTION_READ_BYTES for which a file would still be too much get 452.
#pragma once

#include "base/table.h"
#include "policy/directory.h"
#include "receive/receiver.h"

struct transaction;

enum {
	TRANSACTION_READ_BYTES = 32 * 1024, // room that a session reads a body into, at most
	TRANSACTION_ENVELOPE_BYTES_MAX = 8 * 1024 * 1024,
};

// What the parts of a session share with its transaction; constant for the session.
struct transaction_place {
	struct receiver *receiver;
	const struct receive_listener *listener;
	const struct config *config;
};

// What is known about the sender when the body begins.
struct transaction_origin {
	struct view helo;
	struct ip_address peer;
	struct view tls_version, tls_cipher;
	const struct address *login; // NULL: not logged in
	struct patterns login_senders;
	bool extended;
};

typedef void transaction_done_fn(void *context, struct smtp_reply reply);

// NULL: no memory.
struct transaction *transaction_new(const struct transaction_place *place,
				    const struct smtp_event_mail *mail);
void transaction_free(struct transaction *transaction); // accepts NULL

const struct address *transaction_sender(const struct transaction *transaction);
// Adds what a recipient stands for; one that is there already is not added again. ERROR_LIMIT: too
// many; ERROR_NO_MEMORY: or the budget is used up. Then nothing was added.
enum error transaction_add_recipient(struct transaction *transaction,
				     const struct address *original,
				     const struct directory_answer *expanded) must_check;

// The body may begin: OK, or ERROR_LIMIT where the memory for bodies is used up. What origin views
// must stay until the transaction is finished or left.
enum error transaction_begin_body(struct transaction *transaction,
				  const struct transaction_origin *origin) must_check;
// How much to read at once: little at first, since most messages are small.
size_t transaction_read_size(const struct transaction *transaction);
// Room behind the body so far: at least wanted bytes; NULL: none.
char *transaction_room(struct transaction *transaction, size_t wanted);
// The first kept bytes of the room belong to the body, and end it or not. false: the body cannot be
// taken, with why.
bool transaction_keep(struct transaction *transaction, size_t kept, bool ended,
		      struct smtp_reply *ret_why);
// It will not be kept: gives its memory and its file back.
void transaction_discard_body(struct transaction *transaction);
// The file is behind: stop reading until ready is called.
bool transaction_is_full(const struct transaction *transaction);
void transaction_on_ready(struct transaction *transaction, void (*ready)(void *context),
			  void *context);

// The body is complete: checks its header and puts the message into the log. done is called once,
// now or later, unless the transaction is left before: then the message may still become durable,
// and nobody is told.
void transaction_finish(struct transaction *transaction, transaction_done_fn *done, void *context);
// The session goes away. Frees the transaction, now or when its record is committed.
void transaction_leave(struct transaction *transaction); // accepts NULL

// For the log.
uint64_t transaction_id(const struct transaction *transaction);
uint64_t transaction_bytes(const struct transaction *transaction);
unsigned transaction_recipient_count(const struct transaction *transaction);
struct view transaction_first_recipient(const struct transaction *transaction);
