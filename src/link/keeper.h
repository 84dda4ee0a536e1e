// What keeper is asked by the processes that face the network, and its answers. One channel
// (os/message.h) per asking process; an asker holds a struct keeper_client per thread. A question
// is embedded in its owner and answered once, on the loop's thread, by its deadline at the latest.
// Both ends check what they read; a message that does not fit closes the channel. RFC 4954.
//
// Passwords are wiped from every buffer here once they are sent or judged.
#pragma once

#include "link/inquiry.h"
#include "policy/networks.h"
#include "policy/pattern.h"
#include "policy/sender.h"

enum {
	KEEPER_USER_MAX = 320,       // bytes of a user name as given
	KEEPER_PASSWORD_MAX = 512,   // bytes; longer ones are wrong
	KEEPER_QUESTIONS_MAX = 4096, // that wait at one client
};

enum keeper_message { KEEPER_LOGIN = 1 };

struct keeper_login {
	struct ip_address client; // family 0: local
	struct view user;
	struct view password;
};

enum keeper_result {
	KEEPER_GOOD = 1,
	KEEPER_WRONG,     // 535 5.7.8: unknown, wrong or disabled; it is not said which
	KEEPER_LATER,     // 454 4.7.0: too many failures
	KEEPER_TEMPORARY, // 454 4.7.0: busy, no answer in time, or our own trouble
};

struct keeper_answer {
	enum keeper_result result;
	struct view account;        // normalised address; where GOOD
	const struct view *senders; // patterns besides its own address; where GOOD
	size_t sender_count;
};

// The same in the form that sender_decide takes, copied into the arena. ERROR_NO_MEMORY,
// ERROR_INVALID.
enum error keeper_answer_rights(const struct keeper_answer *answer, struct arena *arena,
				struct address *ret_login,
				struct patterns *ret_patterns) must_check;

// The answer is valid during the call only, and never NULL.
typedef void keeper_answer_fn(void *context, const struct keeper_answer *answer);

// A question that waits, embedded in its owner; zero-initialised at first. The owner may free it in
// the answer's call, or after keeper_request_cancel.
struct keeper_request {
	struct inquiry inquiry;
	keeper_answer_fn *fn;
	void *context;
};

struct keeper_client;

// fd: a channel to keeper, taken; -1 for none yet.
enum error keeper_client_new(struct os_loop *loop, int fd,
			     struct keeper_client **ret_client) must_check;
// A new channel, after keeper was started anew. What waits on the old one is answered TEMPORARY.
enum error keeper_client_attach(struct keeper_client *client, int fd) must_check;
void keeper_client_free(struct keeper_client *client); // drops what waits, unanswered; accepts NULL

// ERROR_LIMIT: too many wait. ERROR_CLOSED: no keeper now. Then fn is never called; else once, and
// never before this returns. A user or password that is too long is asked as an empty one, which is
// wrong.
enum error keeper_ask_login(struct keeper_client *client, struct keeper_request *request,
			    const struct keeper_login *login, uint64_t deadline_ms,
			    keeper_answer_fn *fn, void *context) must_check;
void keeper_request_cancel(struct keeper_request *request); // does nothing when it does not wait

// The messages, for both ends. Decoded views lie in the payload; senders in the arena.
void keeper_login_encode(struct buffer *out, const struct keeper_login *login);
enum error keeper_login_decode(struct view payload, struct keeper_login *ret_login) must_check;
void keeper_answer_encode(struct buffer *out, const struct keeper_answer *answer);
enum error keeper_answer_decode(struct view payload, struct arena *arena,
				struct keeper_answer *ret_answer) must_check;
