// Questions that wait at one end of a channel (os/message.h) for another process to answer: each is
// sent under an id of its own and is answered once, given up at its deadline or with the channel,
// or forgotten. What a question and an answer say is its user's (facts.h, keeper.h). Embedded in
// its user; one owner, the loop's thread.
#pragma once

#include "base/table.h"
#include "os/message.h"

// A question that waits, embedded in its owner; zero-initialised at first.
struct inquiry {
	struct inquirer *inquirer; // NULL when it does not wait
	uint32_t id;
	struct os_timer deadline;
};

struct inquirer_calls {
	// The message that came for this inquiry; NULL where none waits for it any more. Judges it
	// and, where it fits, forgets the inquiry and tells its owner. False: it does not fit, so
	// the channel is closed, and all that waits is given up.
	bool (*answer)(struct inquiry *inquiry, const struct os_message *message);
	// No answer comes. The inquiry is forgotten already.
	void (*give_up)(struct inquiry *inquiry);
};

struct inquirer {
	struct os_loop *loop;
	struct os_channel *channel; // NULL: nobody to ask now
	struct table waiting;       // by id
	unsigned waiting_max;
	uint32_t next_id;
	const struct inquirer_calls *calls;
};

void inquirer_init(struct inquirer *inquirer, struct os_loop *loop, unsigned waiting_max,
		   const struct inquirer_calls *calls);
void inquirer_done(struct inquirer *inquirer); // drops what waits, without a call
// A new channel, taken; what waits on the old one is given up. After a failure the old one stays.
enum error inquirer_attach(struct inquirer *inquirer, int fd) must_check;

// ERROR_LIMIT: too many wait. ERROR_CLOSED: nobody to ask. Then there is no call; else one, and
// never before this returns.
enum error inquirer_ask(struct inquirer *inquirer, struct inquiry *inquiry, uint16_t type,
			struct view question, uint64_t deadline_ms) must_check;
void inquiry_forget(struct inquiry *inquiry); // does nothing when it does not wait
