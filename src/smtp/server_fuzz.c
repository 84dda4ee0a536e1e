// Whole sessions of the server machine against a shell that keeps its own account of the
// transaction. Input: byte 0 the settings, byte 1 how the rest is cut, byte 2 which answers refuse;
// the rest is what the client sends. The handshake of STARTTLS always succeeds.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "smtp/server.h"

struct shell {
	struct smtp_server server;
	struct smtp_server_settings settings;
	struct buffer waiting;
	unsigned refusals; // one bit for each of eight events in turn
	unsigned events;
	bool open; // a transaction
	unsigned recipients;
	bool logged_in;
	bool closed;
};

static void check_output(struct shell *shell)
{
	struct view rest = buffer_view(&shell->server.output), line;

	MUST(rest.len <= shell->settings.output_bytes_max + 8192u);
	while (view_next_part(&rest, '\n', &line)) {
		MUST(line.len > 4 && line.len < 512 && line.data[line.len - 1] == '\r');
		MUST(line.data[0] >= '2' && line.data[0] <= '5');
		MUST(view_find(line, '\r') == line.len - 1 && view_find(line, '\0') == line.len);
	}
	smtp_server_output_sent(&shell->server, shell->server.output.len);
}

static void account(struct shell *shell, const struct smtp_event *event, bool accept)
{
	bool submission = shell->settings.role == SMTP_ROLE_SUBMISSION;

	switch (event->kind) {
	case SMTP_EVENT_AUTH:
		MUST(submission && shell->server.tls && !shell->logged_in);
		MUST(event->auth.user.len && event->auth.password.len);
		shell->logged_in = accept;
		break;
	case SMTP_EVENT_MAIL:
		MUST(!shell->open && (!submission || shell->logged_in));
		MUST(event->mail.size <= shell->settings.size_bytes_max);
		shell->open = accept;
		shell->recipients = 0;
		break;
	case SMTP_EVENT_RCPT:
		MUST(shell->open && event->rcpt.recipient.text.len > 0);
		shell->recipients += accept;
		MUST(shell->recipients <= shell->settings.recipients_max);
		break;
	case SMTP_EVENT_DATA:
		MUST(shell->open && shell->recipients > 0);
		shell->open = accept;
		break;
	case SMTP_EVENT_MESSAGE:
		MUST(shell->open && event->message.size <= shell->settings.size_bytes_max);
		shell->open = false;
		break;
	case SMTP_EVENT_RESET:
		MUST(shell->open);
		shell->open = false;
		break;
	case SMTP_EVENT_HELO: MUST(event->helo.name.len > 0); break;
	case SMTP_EVENT_STARTTLS: MUST(!shell->open && !shell->server.tls); break;
	case SMTP_EVENT_CONNECT: break;
	case SMTP_EVENT_NONE: MUST(false); break;
	}
}

static void see_event(struct shell *shell, const struct smtp_event *event)
{
	unsigned bit = shell->events++ % 8;
	bool accept = !(shell->refusals & 1u << bit);

	account(shell, event, accept);
	if (event->kind == SMTP_EVENT_RESET) {
		return;
	}
	if (accept) {
		smtp_server_accept(&shell->server, shell->events);
	} else {
		smtp_server_answer_id(&shell->server, SMTP_REPLY_POLICY, shell->events);
	}
}

static enum smtp_step body(struct shell *shell, struct smtp_event *ret_event)
{
	size_t len = shell->waiting.len;
	char *bytes = malloc(len); // exact, so that ASan sees a step too far
	struct smtp_data_chunk chunk;
	enum smtp_step step;

	MUST(bytes != NULL);
	memcpy(bytes, shell->waiting.data, len);
	step = smtp_server_body(&shell->server, bytes, len, shell->events, &chunk, ret_event);
	MUST(chunk.kept <= chunk.taken && chunk.taken <= len);
	MUST(step != SMTP_STEP_BODY || chunk.taken == len);
	buffer_consume(&shell->waiting, chunk.taken);
	free(bytes);
	return step;
}

static bool step(struct shell *shell)
{
	struct view input = buffer_view(&shell->waiting);
	struct smtp_event event;
	enum smtp_step step = smtp_server_step(&shell->server, &input, shell->events, &event);

	buffer_consume(&shell->waiting, shell->waiting.len - input.len);
	if (step == SMTP_STEP_BODY) {
		step = shell->waiting.len ? body(shell, &event) : SMTP_STEP_INPUT;
	}
	if (step == SMTP_STEP_EVENT) {
		see_event(shell, &event);
	} else if (step == SMTP_STEP_TLS) {
		smtp_server_tls_started(&shell->server, shell->events);
		MUST(!shell->server.helo && !shell->server.transaction);
	}
	MUST(step != SMTP_STEP_WAIT);
	shell->closed = step == SMTP_STEP_CLOSE;
	check_output(shell);
	return step != SMTP_STEP_INPUT && !shell->closed;
}

static struct smtp_server_settings settings_of(uint8_t choice)
{
	struct smtp_server_settings settings = smtp_server_settings_default(VIEW("mx.example"));

	settings.role = choice & 1 ? SMTP_ROLE_SUBMISSION : SMTP_ROLE_RELAY;
	settings.tls = (enum smtp_tls)((choice >> 1) % 3);
	settings.size_bytes_max = choice & 8 ? 64 : 4096;
	settings.recipients_max = choice & 16 ? 2 : 100;
	settings.output_bytes_max = choice & 32 ? 64 : 4096;
	return settings;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shell shell = { .waiting = buffer_with_max(1024 * 1024) };
	struct view rest = view_from(view_of(data, size), 3);
	size_t piece;

	if (size < 3 || size > 64 * 1024) {
		return 0;
	}
	piece = data[1] ? data[1] : size;
	shell.refusals = data[2];
	shell.settings = settings_of(data[0]);
	smtp_server_init(&shell.server, &shell.settings, 0);
	while (step(&shell)) {
	}
	while (rest.len && !shell.closed) {
		// Up to the end of a line, so that whole groups and lone lines are both seen.
		size_t len = data[1] & 128 ? view_find(rest, '\n') + 1 : piece;

		buffer_add(&shell.waiting, view_first(rest, len));
		rest = view_from(rest, len);
		while (step(&shell)) {
		}
		MUST(smtp_server_deadline_ms(&shell.server) > 0);
	}
	smtp_server_done(&shell.server);
	buffer_done(&shell.waiting);
	return 0;
}
