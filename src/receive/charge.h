// What clients do wrong, charged to them, and what follows from it for their recipients: the
// effects of verdicts, applied (policy/conduct.h). One loop thread.
#pragma once

#include "policy/relay.h"
#include "receive/session.h"

// The verdict to give on a recipient in place of relay control's own; charges what that one wants.
// answer is the directory's.
struct verdict charge_recipient(struct session *session, const struct verdict *verdict,
				const struct address *recipient,
				const struct directory_answer *answer);
// The body so far came to nothing, through the client's own doing.
void charge_discarded(struct session *session);
// The message was taken.
void charge_credit(struct session *session, uint64_t bytes);
