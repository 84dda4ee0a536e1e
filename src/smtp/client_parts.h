// What the files of the client machine share; nobody else includes this.
#pragma once

#include "smtp/client.h"

// A reply or our own words as an outcome.
struct smtp_outcome client_outcome_of_reply(const struct smtp_reply_reader *reader);
struct smtp_outcome client_outcome_of_ours(enum smtp_outcome_kind kind, struct smtp_status status,
					   const char *text);

// Ends the session; outcome is what the peer said, or NULL where it said nothing.
void client_fail(struct smtp_client *client, enum smtp_client_failure failure,
		 const struct smtp_outcome *outcome);

// client_login.c
void client_login_begin(struct smtp_client *client);
void client_login_reply(struct smtp_client *client);

// client_transaction.c
void client_transaction_write(struct smtp_client *client); // commands that may be sent now
// No reply is due: what it would answer has not left yet, or nothing has been asked.
bool client_transaction_expects_none(struct smtp_client *client);
// Takes in the reply that was just read; early: it began while none was due. True with an event.
bool client_transaction_reply(struct smtp_client *client, bool early,
			      struct smtp_client_event *event);
// The next event that transactions owe: an OUTCOME or DONE; false when there is none.
bool client_transaction_tell(struct smtp_client *client, struct smtp_client_event *event);
uint32_t client_transaction_time_ms(const struct smtp_client *client); // for what is awaited now
uint64_t
client_transaction_whole_ms(const struct smtp_client *client); // for all of the current one
