// Replies: a code, an enhanced status code and one line of text (RFC 5321 section 4.2, RFC 2034,
// RFC 3463, RFC 5248). Everything that the server can say stands in SMTP_REPLIES, once. A reply is
// a value without pointers. Pure; any thread.
#pragma once

#include "base/buffer.h"

enum {
	SMTP_REPLY_TEXT_MAX = 480, // with code, status and CR LF the line stays below 512 (RFC 5321
				   // section 4.5.3.1.5)
};

struct smtp_status {
	uint8_t class; // 2, 4 or 5; 0: no enhanced status code
	uint16_t subject;
	uint16_t detail;
};

struct smtp_reply {
	uint16_t code;
	struct smtp_status status;
	char text[SMTP_REPLY_TEXT_MAX + 1];
};

// X(id, code, subject, detail, text); the class is the first digit of the code, and there is no
// enhanced code where subject and detail are both NONE (RFC 2034 section 3).
#define SMTP_STATUS_NONE 0xffff
// clang-format off
#define SMTP_REPLIES(X) \
	/* what the machine itself says */ \
	X(OK, 250, 0, 0, "Ok") \
	X(GREETING, 220, SMTP_STATUS_NONE, SMTP_STATUS_NONE, "") \
	X(HELO, 250, SMTP_STATUS_NONE, SMTP_STATUS_NONE, "") \
	X(HELP, 214, 0, 0, "Commands:") \
	X(BYE, 221, 0, 0, "Bye") \
	X(TLS_READY, 220, 0, 0, "Ready to start TLS") \
	X(AUTHENTICATED, 235, 7, 0, "Authentication succeeded") \
	X(CHALLENGE, 334, SMTP_STATUS_NONE, SMTP_STATUS_NONE, "") \
	X(SENDER_OK, 250, 1, 0, "Sender ok") \
	X(RECIPIENT_OK, 250, 1, 5, "Recipient ok") \
	X(CANNOT_VERIFY, 252, 5, 0, "Cannot verify; send a message and see") \
	X(SEND_DATA, 354, SMTP_STATUS_NONE, SMTP_STATUS_NONE, "End data with <CR><LF>.<CR><LF>") \
	X(UNKNOWN_COMMAND, 500, 5, 1, "Unknown command") \
	X(BAD_LINE, 500, 5, 2, "Control characters have no place in a command") \
	X(LINE_TOO_LONG, 500, 5, 6, "Line too long") \
	X(BAD_ARGUMENTS, 501, 5, 4, "Syntax:") \
	X(BAD_HELO, 501, 5, 4, "Not a host name or an address literal") \
	X(BAD_BASE64, 501, 5, 2, "Not base 64") \
	X(BAD_CREDENTIALS, 501, 5, 2, "Not a valid login message") \
	X(AUTH_CANCELLED, 501, 5, 0, "Login cancelled") \
	X(BAD_SIZE, 501, 5, 4, "SIZE takes a decimal number") \
	X(BAD_BODY, 501, 5, 4, "BODY takes 7BIT or 8BITMIME") \
	X(BAD_SMTPUTF8, 501, 5, 4, "SMTPUTF8 takes no value") \
	X(BAD_AUTH_PARAMETER, 501, 5, 4, "AUTH takes <> or an address in xtext") \
	X(REPEATED_PARAMETER, 501, 5, 4, "Parameter given twice") \
	X(NOT_OFFERED, 502, 5, 1, "Not offered here") \
	X(HELO_FIRST, 503, 5, 1, "Say EHLO first") \
	X(MAIL_FIRST, 503, 5, 1, "Say MAIL first") \
	X(RCPT_FIRST, 503, 5, 1, "No recipient was accepted") \
	X(IN_TRANSACTION, 503, 5, 1, "A transaction is open: finish it or say RSET") \
	X(AUTH_TWICE, 503, 5, 1, "Already authenticated") \
	X(TLS_TWICE, 503, 5, 1, "TLS is already on") \
	X(REFUSED_BEFORE, 503, 5, 1, "This connection was refused; say QUIT") \
	X(UNKNOWN_MECHANISM, 504, 5, 4, "Unknown login mechanism") \
	X(TLS_FIRST, 530, 7, 0, "Say STARTTLS first") \
	X(AUTH_FIRST, 530, 7, 0, "Log in first") \
	X(AUTH_NEEDS_TLS, 538, 7, 11, "Login needs encryption: say STARTTLS first") \
	X(BAD_ADDRESS, 501, 1, 3, "Bad address:") \
	X(BAD_REVERSE_PATH, 501, 1, 7, "Bad address:") \
	X(NEEDS_SMTPUTF8, 553, 6, 7, "Such an address needs the parameter SMTPUTF8") \
	X(UNKNOWN_PARAMETER, 555, 5, 4, "Unknown parameter") \
	X(TOO_MANY_RECIPIENTS, 452, 5, 3, "Too many recipients") \
	X(TOO_BIG, 552, 3, 4, "Message too big") \
	X(BARE_CR, 550, 5, 2, "Bare CR in the data: lines end with CR LF") \
	X(BARE_LF, 550, 5, 2, "Bare LF in the data: lines end with CR LF") \
	X(BARE_IN_COMMAND, 500, 5, 2, "Bare CR or LF: commands end with CR LF") \
	X(EARLY_TALKER, 554, 5, 1, "You spoke before your turn") \
	X(OUT_OF_STEP, 554, 5, 0, "You went on without waiting for the reply") \
	X(TLS_INJECTION, 554, 5, 0, "Bytes behind STARTTLS") \
	X(FOREIGN_PROTOCOL, 554, 5, 1, "This is an SMTP server") \
	X(LINE_NEVER_ENDS, 421, 5, 6, "Line far too long, closing") \
	X(TOO_MANY_ERRORS, 421, 7, 0, "Too many errors, closing") \
	X(TOO_MANY_COMMANDS, 421, 7, 0, "Too many commands without a message, closing") \
	X(TIMEOUT, 421, 4, 2, "Timeout, closing") \
	X(TOO_SLOW, 421, 4, 2, "Data comes too slowly, closing") \
	X(NO_MEMORY, 452, 3, 1, "Out of memory, try again later") \
	/* what the process that holds the session answers with */ \
	X(QUEUED, 250, 0, 0, "Queued as") \
	X(SHUTTING_DOWN, 421, 3, 2, "Shutting down, try again") \
	X(TOO_MANY_CONNECTIONS, 421, 7, 0, "Too many connections, try again later") \
	X(RATE_LIMITED, 450, 7, 0, "Too much at once, try again later") \
	X(LOCAL_ERROR, 451, 3, 0, "Local error, try again later") \
	X(NO_STORAGE, 452, 3, 1, "No storage, try again later") \
	X(AUTH_UNAVAILABLE, 454, 7, 0, "Logins cannot be checked now, try again later") \
	X(TLS_UNAVAILABLE, 454, 7, 0, "TLS is not available now") \
	X(AUTH_FAILED, 535, 7, 8, "Wrong user name or password") \
	X(UNKNOWN_RECIPIENT, 550, 1, 1, "No such recipient here") \
	X(RELAY_DENIED, 550, 7, 1, "Relaying denied") \
	X(BAD_ROUTING, 550, 7, 1, "Addresses with routing in them are not relayed") \
	X(NULL_MX, 556, 1, 10, "The domain accepts no mail") \
	X(SENDER_NOT_YOURS, 553, 7, 1, "That sender does not belong to your login") \
	X(FROM_NOT_YOURS, 550, 7, 1, "That From does not belong to your login") \
	X(BAD_HEADER, 554, 6, 0, "Malformed header") \
	X(LOOP, 554, 4, 6, "Too many hops: a mail loop") \
	X(POLICY, 554, 7, 1, "Refused by policy")
// clang-format on

enum smtp_reply_id {
#define X(id, code, subject, detail, text) SMTP_REPLY_##id,
	SMTP_REPLIES(X)
#undef X
		SMTP_REPLY_COUNT,
};

struct smtp_reply smtp_reply(enum smtp_reply_id id);
// The same, with a blank and the detail behind the text; bytes that a reply may not hold become
// '?', and what is too long is cut.
struct smtp_reply smtp_reply_with(enum smtp_reply_id id, struct view detail);
// A reply that was decided elsewhere (a verdict). code is 200 to 599; the text is treated as above.
struct smtp_reply smtp_reply_of(unsigned code, struct smtp_status status, struct view text);

static inline bool smtp_reply_positive(const struct smtp_reply *reply)
{
	return reply->code < 400;
}

// "250 2.1.0 Sender ok" CR LF.
void smtp_reply_write(struct buffer *out, const struct smtp_reply *reply);
