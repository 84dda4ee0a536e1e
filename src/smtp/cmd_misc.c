// Commands without an await point: NOOP RSET VRFY EXPN HELP QUIT.
#include "smtp/server_parts.h"

void smtp_cmd_noop(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	(void)event;
	smtp_server_say_id(server, SMTP_REPLY_OK);
}

void smtp_cmd_rset(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	(void)event;
	smtp_server_end_transaction(server);
	smtp_server_say_id(server, SMTP_REPLY_OK);
}

// Tells nobody who exists (attack A34), and touches no state whatever the name is (attack A5).
void smtp_cmd_vrfy(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)event;
	if (arguments.len == 0) {
		smtp_command_say_syntax(server, VIEW("VRFY"));
	} else {
		smtp_server_say_id(server, SMTP_REPLY_CANNOT_VERIFY);
	}
}

bool smtp_expn_offered(const struct smtp_server *server)
{
	(void)server;
	return false;
}

void smtp_cmd_expn(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	(void)event;
	smtp_server_say_id(server, SMTP_REPLY_NOT_OFFERED);
}

void smtp_cmd_help(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	struct buffer names = buffer_with_max(SMTP_REPLY_TEXT_MAX);

	(void)arguments;
	(void)event;
	smtp_command_list(server, &names);
	smtp_server_say_with(server, SMTP_REPLY_HELP, buffer_view(&names));
	buffer_done(&names);
}

void smtp_cmd_quit(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	(void)event;
	smtp_server_close(server, SMTP_CLOSE_QUIT, SMTP_REPLY_BYE);
}
