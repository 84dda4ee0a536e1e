// From waiting bytes to command lines: limits on their length, bytes that no command may hold, and
// peers that speak another protocol.
#include "smtp/line.h"
#include "smtp/server_parts.h"

// Longer lines are for AUTH alone, and only where it is on offer.
static size_t line_max(const struct smtp_server *server, struct view input)
{
	bool auth = server->state == SMTP_STATE_AUTH_LINE ||
		    (view_starts_nocase(input, VIEW("AUTH ")) && smtp_auth_offered(server));

	return auth ? SMTP_AUTH_LINE_MAX : server->settings->line_bytes_max;
}

static void begin_long_line(struct smtp_server *server)
{
	if (server->state == SMTP_STATE_REFUSED) {
		smtp_server_close(server, SMTP_CLOSE_LINE, SMTP_REPLY_LINE_NEVER_ENDS);
		return;
	}
	smtp_server_end_login(server);
	server->verb = NULL;
	smtp_server_say_id(server, SMTP_REPLY_LINE_TOO_LONG);
	server->skipped = 0;
	smtp_server_enter(server, SMTP_STATE_LONG_LINE);
}

// Takes bytes of a line that is too long. True at its end; false when more are needed (a CR that
// may belong to its end stays in the input) or when the connection is closed.
static bool skip_long_line(struct smtp_server *server, struct view *input)
{
	size_t lf = view_find(*input, '\n');
	bool ended = lf < input->len;
	size_t len = ended ? lf + 1 : input->len;

	if (len > SMTP_LINE_SKIP_MAX - server->skipped) {
		smtp_server_close(server, SMTP_CLOSE_LINE, SMTP_REPLY_LINE_NEVER_ENDS);
		return false;
	}
	if (ended && (lf == 0 || input->data[lf - 1] != '\r')) {
		smtp_server_close(server, SMTP_CLOSE_BARE, SMTP_REPLY_BARE_IN_COMMAND);
		return false;
	}
	if (!ended && len && input->data[len - 1] == '\r') {
		len--;
	}
	server->skipped += (uint32_t)len;
	*input = view_from(*input, len);
	return ended;
}

// A command starts with a letter. TLS, RDP, SSH version 1 and other binary protocols do not, and
// may never send a line.
static bool begins_foreign(struct view input)
{
	return input.len && (unsigned char)input.data[0] < ' ' && input.data[0] != '\r' &&
	       input.data[0] != '\n' && input.data[0] != '\t';
}

bool smtp_input_take_line(struct smtp_server *server, struct view *input, struct view *ret_line,
			  bool *ret_again)
{
	*ret_again = true;
	if (server->state == SMTP_STATE_LONG_LINE) {
		*ret_again = skip_long_line(server, input);
		if (*ret_again) {
			smtp_server_enter(server, SMTP_STATE_COMMAND);
		}
		*ret_again |= server->state == SMTP_STATE_CLOSED;
		return false;
	}
	if (server->state == SMTP_STATE_COMMAND && begins_foreign(*input)) {
		smtp_server_close(server, SMTP_CLOSE_FOREIGN, SMTP_REPLY_FOREIGN_PROTOCOL);
		return false;
	}
	switch (smtp_line_take(input, line_max(server, *input), ret_line)) {
	case SMTP_LINE_WHOLE: return true;
	case SMTP_LINE_PART: *ret_again = false; return false;
	case SMTP_LINE_LONG: begin_long_line(server); return false;
	case SMTP_LINE_BARE:
		smtp_server_close(server, SMTP_CLOSE_BARE, SMTP_REPLY_BARE_IN_COMMAND);
		return false;
	}
	return false;
}

static bool has_controls(struct view line)
{
	for (size_t i = 0; i < line.len; i++) {
		if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') ||
		    line.data[i] == 0x7f) {
			return true;
		}
	}
	return false;
}

void smtp_input_run_line(struct smtp_server *server, struct view line, bool more,
			 struct smtp_event *event)
{
	server->verb = NULL;
	if (has_controls(line)) {
		smtp_server_end_login(server);
		smtp_server_say_id(server, SMTP_REPLY_BAD_LINE);
		if (server->state == SMTP_STATE_AUTH_LINE) {
			smtp_server_enter(server, SMTP_STATE_COMMAND);
		}
	} else if (server->state == SMTP_STATE_AUTH_LINE) {
		server->verb = "AUTH";
		smtp_auth_line(server, line, event);
	} else if (server->state == SMTP_STATE_COMMAND) {
		smtp_command_run(server, line, more, event);
	} else if (view_equal_nocase(view_trim(line), VIEW("QUIT"))) {
		smtp_server_close(server, SMTP_CLOSE_QUIT, SMTP_REPLY_BYE);
	} else {
		smtp_server_say_id(server, SMTP_REPLY_REFUSED_BEFORE);
	}
}
