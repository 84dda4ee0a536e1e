// RFC 4954: auth-command = "AUTH" SP sasl-mech [SP (base64 / "=")] *(CRLF [base64]) [CRLF "*"] CRLF
// PLAIN is RFC 4616; LOGIN is what Outlook and old devices speak, and has no RFC. The role relay
// has no logins, and no role has them in clear (attack A33).
#include "smtp/server_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"

static const struct {
	struct view name;
	unsigned bit;
} mechanisms[] = {
	{ VIEW("PLAIN"), SMTP_AUTH_PLAIN },
	{ VIEW("LOGIN"), SMTP_AUTH_LOGIN },
};

enum { MECHANISMS_COUNT = sizeof mechanisms / sizeof *mechanisms };

bool smtp_auth_offered(const struct smtp_server *server)
{
	return server->settings->role == SMTP_ROLE_SUBMISSION && server->tls &&
	       server->settings->mechanisms != 0;
}

void smtp_auth_add_mechanisms(const struct smtp_server *server, struct buffer *out)
{
	for (size_t i = 0; i < MECHANISMS_COUNT; i++) {
		if (server->settings->mechanisms & mechanisms[i].bit) {
			buffer_add_byte(out, ' ');
			buffer_add(out, mechanisms[i].name);
		}
	}
}

static unsigned find_mechanism(const struct smtp_server *server, struct view name)
{
	for (size_t i = 0; i < MECHANISMS_COUNT; i++) {
		if (view_equal_nocase(name, mechanisms[i].name)) {
			return server->settings->mechanisms & mechanisms[i].bit;
		}
	}
	return 0;
}

static void wipe(struct buffer *secret)
{
	if (secret->data) {
		explicit_bzero(secret->data, secret->capacity);
	}
	buffer_done(secret);
}

void smtp_server_end_login(struct smtp_server *server)
{
	if (server->login) {
		wipe(&server->login->first);
		wipe(&server->login->second);
		free(server->login);
		server->login = NULL;
	}
}

static void fail(struct smtp_server *server, enum smtp_reply_id id)
{
	smtp_server_end_login(server);
	smtp_server_enter(server, SMTP_STATE_COMMAND);
	smtp_server_say_id(server, id);
}

static void challenge(struct smtp_server *server, struct view text)
{
	buffer_add(&server->output, VIEW("334 "));
	base64_encode(&server->output, text);
	buffer_add(&server->output, VIEW("\r\n"));
	if (server->state != SMTP_STATE_AUTH_LINE) {
		smtp_server_enter(server, SMTP_STATE_AUTH_LINE);
	}
}

// Section 4: "=" is the empty initial response. Room is made first, so that no copy of the secret
// is left behind by a growing buffer.
static bool decode(struct buffer *out, struct view text)
{
	if (view_equal(text, VIEW("="))) {
		text.len = 0;
	}
	*out = buffer_with_max(SMTP_AUTH_LINE_MAX);
	return buffer_reserve(out, text.len) && base64_decode(out, text) == OK;
}

// RFC 4616 section 2: message = [authzid] NUL authcid NUL passwd
static bool split_plain(struct view message, struct smtp_event_auth *auth)
{
	size_t first = view_find(message, '\0');
	struct view rest = view_from(message, first + 1);
	size_t second = view_find(rest, '\0');

	auth->identity = view_first(message, first);
	auth->user = view_first(rest, second);
	auth->password = view_from(rest, second + 1);
	return auth->user.len && auth->password.len &&
	       view_find(auth->password, '\0') == auth->password.len && text_is_utf8(message);
}

static bool split_login(const struct smtp_login *login, struct smtp_event_auth *auth)
{
	auth->user = buffer_view(&login->first);
	auth->password = buffer_view(&login->second);
	return auth->user.len && auth->password.len &&
	       view_find(auth->user, '\0') == auth->user.len &&
	       view_find(auth->password, '\0') == auth->password.len && text_is_utf8(auth->user) &&
	       text_is_utf8(auth->password);
}

static void take_response(struct smtp_server *server, struct view text, struct smtp_event *event)
{
	struct smtp_login *login = server->login;
	bool plain = login->mechanism == SMTP_AUTH_PLAIN;
	bool valid;

	if (!decode(login->first_done ? &login->second : &login->first, text)) {
		fail(server, SMTP_REPLY_BAD_BASE64);
		return;
	}
	if (!plain && !login->first_done) {
		login->first_done = true;
		challenge(server, VIEW("Password:"));
		return;
	}
	event->auth.mechanism = login->mechanism;
	valid = plain ? split_plain(buffer_view(&login->first), &event->auth)
		      : split_login(login, &event->auth);
	if (!valid) {
		fail(server, SMTP_REPLY_BAD_CREDENTIALS);
		return;
	}
	smtp_server_enter(server, SMTP_STATE_COMMAND);
	event->kind = SMTP_EVENT_AUTH;
}

static void begin(struct smtp_server *server, unsigned mechanism, struct view initial,
		  struct smtp_event *event)
{
	server->login = calloc(1, sizeof *server->login);
	if (!server->login) {
		smtp_server_say_id(server, SMTP_REPLY_NO_MEMORY);
		return;
	}
	server->login->mechanism = mechanism;
	if (initial.len) {
		take_response(server, initial, event);
	} else {
		challenge(server, mechanism == SMTP_AUTH_LOGIN ? VIEW("Username:") : VIEW(""));
	}
}

static enum smtp_reply_id check(const struct smtp_server *server)
{
	if (server->settings->role != SMTP_ROLE_SUBMISSION || !server->settings->mechanisms) {
		return SMTP_REPLY_NOT_OFFERED;
	}
	if (!server->tls) {
		return SMTP_REPLY_AUTH_NEEDS_TLS;
	}
	return server->authenticated ? SMTP_REPLY_AUTH_TWICE : SMTP_REPLY_OK;
}

void smtp_cmd_auth(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	struct view rest = arguments;
	struct view name = { 0 };
	enum smtp_reply_id refusal = check(server);
	unsigned mechanism;

	view_next_word(&rest, &name);
	rest = view_trim(rest);
	mechanism = find_mechanism(server, name);
	if (refusal != SMTP_REPLY_OK) {
		smtp_server_say_id(server, refusal);
	} else if (!name.len || view_find(rest, ' ') < rest.len) {
		smtp_command_say_syntax(server, VIEW("AUTH"));
	} else if (!mechanism) {
		smtp_server_say_id(server, SMTP_REPLY_UNKNOWN_MECHANISM);
	} else {
		begin(server, mechanism, rest, event);
	}
}

void smtp_auth_line(struct smtp_server *server, struct view line, struct smtp_event *event)
{
	if (view_equal(line, VIEW("*"))) {
		fail(server, SMTP_REPLY_AUTH_CANCELLED);
	} else {
		take_response(server, view_trim(line), event);
	}
}

void smtp_auth_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	smtp_server_end_login(server);
	if (smtp_reply_positive(reply)) {
		server->authenticated = true;
		smtp_server_say_id(server, SMTP_REPLY_AUTHENTICATED);
	} else {
		smtp_server_say(server, reply);
	}
}
