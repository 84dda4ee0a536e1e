// RFC 3207. The handshake itself is the shell's: smtp_server_tls_started forgets what came before.
#include "smtp/server_parts.h"

bool smtp_starttls_offered(const struct smtp_server *server)
{
	return server->settings->tls == SMTP_TLS_STARTTLS && !server->tls;
}

void smtp_cmd_starttls(struct smtp_server *server, struct view arguments, struct smtp_event *event)
{
	(void)arguments;
	if (server->tls) {
		smtp_server_say_id(server, SMTP_REPLY_TLS_TWICE);
	} else if (!smtp_starttls_offered(server)) {
		smtp_server_say_id(server, SMTP_REPLY_NOT_OFFERED);
	} else {
		event->kind = SMTP_EVENT_STARTTLS;
	}
}

void smtp_starttls_answered(struct smtp_server *server, const struct smtp_reply *reply)
{
	if (smtp_reply_positive(reply)) {
		smtp_server_say_id(server, SMTP_REPLY_TLS_READY);
		smtp_server_enter(server, SMTP_STATE_TLS);
	} else {
		smtp_server_say(server, reply);
	}
}
