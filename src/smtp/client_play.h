// For tests of the client machine: plays a written dialogue with it, cut in every way, and compares
// what it said and which events it gave.
#pragma once

#include "base/check.h"
#include "smtp/client.h"

// What the client must have sent since the turn before, and what the server then says. The text
// "(tls)" as wanted stands for the handshake, "(lost)" as reply for a broken connection, "(late)"
// for silence until the deadline.
struct turn {
	const char *wanted, *reply;
};

struct play {
	struct smtp_client_settings settings;
	struct smtp_client_transaction *transactions;
	size_t transaction_count;
	const char *body;
	const struct turn *turns;
	size_t turn_count;
	bool verified;
	size_t chunk;       // bytes of input and body at once
	size_t chunk_least; // smallest to play with
};

// Plays the dialogue with the input cut in every way; the events must be these, and the last words
// of the client last.
void assert_play(struct play play, const char *events, const char *last);

// These transactions with the standard settings and body.
struct play play_of(struct smtp_client_transaction *transactions, size_t count);

#define TURNS(...) \
	.turns = (const struct turn[]){ __VA_ARGS__ }, \
	.turn_count = COUNT_OF(((const struct turn[]){ __VA_ARGS__ }))
#define MESSAGE(...) \
	(struct smtp_client_transaction) \
	{ \
		.reverse_path = VIEW("a@x.example"), .size_bytes = 11, __VA_ARGS__ \
	}
#define TO(...) \
	.recipients = (struct smtp_client_recipient[]){ __VA_ARGS__ }, \
	.recipient_count = COUNT_OF(((struct smtp_client_recipient[]){ __VA_ARGS__ }))

#define SENT_BODY "A: b\r\n\r\n..c\r\n.\r\n"
#define FULL "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
#define RCPT_B "RCPT TO:<b@y.example>\r\n"
#define RCPT_C "RCPT TO:<c@y.example>\r\n"

#define PLAY(transactions_, events_, last_, ...) \
	do { \
		struct play play__ = play_of(transactions_, COUNT_OF(transactions_)); \
		struct play turns__ = { TURNS(__VA_ARGS__) }; \
		play__.turns = turns__.turns; \
		play__.turn_count = turns__.turn_count; \
		assert_play(play__, events_, last_); \
	} while (0)
