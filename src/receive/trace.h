// What receive tells the trace about one transaction, from its id to its end: the connection, each
// command with its verdict and reply, the header, the storing. A record for the trace ring is added
// when the transaction is freed, whatever its end was. No password, no AUTH line and nothing of
// the body ever goes in (attack A54). One loop thread; where tracing is off, nothing happens here.
#pragma once

#include "policy/relay.h"
#include "receive/session.h"

// MAIL was accepted, and the transaction begins. reason: the verdict's, may be empty.
void receive_trace_mail(struct session *session, const struct smtp_event_mail *mail,
			const char *reason, const struct smtp_reply *reply);
// expanded: what an accepted recipient stands for; NULL: itself.
void receive_trace_recipient(struct session *session, const struct address *recipient,
			     const struct relay_verdict *verdict,
			     const struct directory_answer *expanded,
			     const struct smtp_reply *reply);
// Refused by the machine. verb: NULL for what is no command.
void receive_trace_command(struct session *session, const char *verb,
			   const struct smtp_reply *reply);
void receive_trace_data(struct session *session); // the body may begin
// Accepted or refused as a whole.
void receive_trace_reply(struct session *session, const struct smtp_reply *reply);
// It ended without a reply to the message: "reset", "closed", "lost".
void receive_trace_end(struct transaction *transaction, const char *event, const char *reason);

// For transaction.c.
void receive_trace_header(struct transaction *transaction);
void receive_trace_stored(struct transaction *transaction, enum error error, uint64_t took_us);
void receive_trace_done(struct transaction *transaction); // adds the record
