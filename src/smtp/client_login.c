// AUTH PLAIN and LOGIN (RFC 4954, RFC 4616), to a verified TLS peer only (attack A36).
#include <string.h>

#include "base/base64.h"
#include "smtp/client_parts.h"

static void add_base64_line(struct smtp_client *client, struct view secret)
{
	base64_encode(&client->output, secret);
	buffer_add_text(&client->output, "\r\n");
}

static void begin_plain(struct smtp_client *client)
{
	const struct smtp_client_settings *settings = client->settings;
	struct buffer message = buffer_with_max(SIZE_MAX);

	buffer_add_byte(&message, '\0');
	buffer_add(&message, settings->username);
	buffer_add_byte(&message, '\0');
	buffer_add(&message, settings->password);
	if (buffer_error(&message) != OK) {
		client_fail(client, SMTP_CLIENT_NO_MEMORY, NULL);
	} else {
		buffer_add_text(&client->output, "AUTH PLAIN ");
		add_base64_line(client, buffer_view(&message));
	}
	if (message.data) {
		explicit_bzero(message.data, message.capacity);
	}
	buffer_done(&message);
}

void client_login_begin(struct smtp_client *client)
{
	if (!client->tls || !client->tls_verified) {
		client_fail(client, SMTP_CLIENT_UNVERIFIED, NULL);
	} else if (client->extensions.mechanisms & SMTP_MECHANISM_PLAIN) {
		client->state = SMTP_CLIENT_STATE_AUTH;
		begin_plain(client);
	} else if (client->extensions.mechanisms & SMTP_MECHANISM_LOGIN) {
		client->state = SMTP_CLIENT_STATE_AUTH_USER;
		buffer_add_text(&client->output, "AUTH LOGIN\r\n");
	} else {
		client_fail(client, SMTP_CLIENT_NO_LOGIN, NULL);
	}
}

void client_login_reply(struct smtp_client *client)
{
	struct smtp_outcome outcome = client_outcome_of_reply(&client->reader);
	uint16_t code = client->reader.code;

	if (client->state == SMTP_CLIENT_STATE_AUTH_USER && code == 334) {
		add_base64_line(client, client->settings->username);
		client->state = SMTP_CLIENT_STATE_AUTH_PASSWORD;
	} else if (client->state == SMTP_CLIENT_STATE_AUTH_PASSWORD && code == 334) {
		add_base64_line(client, client->settings->password);
		client->state = SMTP_CLIENT_STATE_AUTH;
	} else if (code == 235) {
		client->state = SMTP_CLIENT_STATE_READY;
		client->ready_due = true;
	} else {
		client_fail(client, SMTP_CLIENT_LOGIN_REFUSED, &outcome);
	}
}
