// For unit tests only: dialogues with the server machine as text. A script is made of lines:
//     C: text      the client sends the text and CR LF
//     C~ text      the client sends the text alone; \r \n \0 \t \\ and \xHH are bytes
//     A: event = 550 5.1.1 text      how the shell answers each event that begins so (default: yes)
//     E: S: X:     expected, in this order: an event, a line sent, the end and its reason
// The client waits for the replies to HELO, EHLO, STARTTLS and DATA, and nothing else. The script
// is played with many splits of the client's bytes, and all must give what is expected.
#pragma once

#include "smtp/server.h"

void script_check(const struct smtp_server_settings *settings, const char *script);
// The client waits for nothing: all its bytes come in one piece behind the banner.
void script_check_rude(const struct smtp_server_settings *settings, const char *script);

// A session to which the lines were said, one by one, each event accepted and the output taken; the
// last line may leave an await point open. For tests that look closer than a script does.
struct smtp_server script_session(const struct smtp_server_settings *settings,
				  const char *const *lines, size_t count);
// Says text (CR LF included) at now_ms.
enum smtp_step script_say(struct smtp_server *server, const char *text, uint64_t now_ms);

// mx.example as relay without TLS, and with STARTTLS in role submission.
struct smtp_server_settings script_relay(void);
struct smtp_server_settings script_submission(void);

#define SCRIPT_BANNER \
	"E: connect\n" \
	"S: 220 mx.example ESMTP\n"
#define SCRIPT_HELO \
	SCRIPT_BANNER "C: HELO c.example\n" \
		      "E: helo c.example\n" \
		      "S: 250 mx.example\n"
#define SCRIPT_MAIL \
	"C: MAIL FROM:<a@c.example>\n" \
	"E: mail <a@c.example>\n" \
	"S: 250 2.1.0 Sender ok\n"
#define SCRIPT_RCPT \
	"C: RCPT TO:<b@mx.example>\n" \
	"E: rcpt <b@mx.example>\n" \
	"S: 250 2.1.5 Recipient ok\n"
#define SCRIPT_DATA \
	SCRIPT_HELO SCRIPT_MAIL SCRIPT_RCPT "C: DATA\n" \
					    "E: data\n" \
					    "S: 354 End data with <CR><LF>.<CR><LF>\n"
#define SCRIPT_QUIT \
	"C: QUIT\n" \
	"S: 221 2.0.0 Bye\n" \
	"X: quit\n"
// TLS and EHLO in role submission.
#define SCRIPT_TLS \
	SCRIPT_HELO \
	"C: STARTTLS\n" \
	"E: starttls\n" \
	"S: 220 2.0.0 Ready to start TLS\n" \
	"E: tls\n" \
	"C: HELO c.example\n" \
	"E: helo c.example\n" \
	"S: 250 mx.example\n"
