// A whole session with any server: every recipient given to the machine gets exactly one outcome
// and every transaction its DONE; accepted is only what was sent whole.
#include <stdlib.h>

#include "base/fuzz.h"
#include "smtp/client.h"

enum { MESSAGES = 4, RECIPIENTS = 3, STEPS_MAX = 100000, BODY_CHUNKS = 3 };

struct session {
	struct smtp_client client;
	struct smtp_client_transaction messages[MESSAGES];
	struct smtp_client_recipient recipients[MESSAGES][RECIPIENTS];
	unsigned outcomes[MESSAGES][RECIPIENTS];
	unsigned done[MESSAGES];
	unsigned sent, body_chunks;
};

static void prepare(struct session *s, uint8_t options)
{
	for (size_t i = 0; i < MESSAGES; i++) {
		s->recipients[i][0].address = VIEW("b@y.example");
		s->recipients[i][1].address = VIEW("\xc3\xa9@y.example");
		s->recipients[i][2].address = VIEW("c@y.example");
		s->messages[i] = (struct smtp_client_transaction){
			.reverse_path = VIEW("a@x.example"),
			.recipients = s->recipients[i],
			.recipient_count = options & 1 ? RECIPIENTS : 1,
			.size_bytes = 100 * i,
			.eight_bit = options & 2,
			.smtputf8 = i == 1 && options & 4,
		};
	}
}

static void send_more(struct session *s)
{
	while (s->sent < MESSAGES && smtp_client_can_send(&s->client)) {
		smtp_client_send(&s->client, &s->messages[s->sent++], 0);
	}
}

static void take_event(struct session *s, const struct smtp_client_event *event)
{
	size_t message = event->transaction ? (size_t)(event->transaction - s->messages) : 0;

	if (event->kind == SMTP_CLIENT_EVENT_OUTCOME) {
		s->outcomes[message][event->recipient]++;
		if (event->outcome->kind == SMTP_OUTCOME_ACCEPTED &&
		    (!event->outcome->body_sent || event->outcome->code / 100 != 2)) {
			abort();
		}
	} else if (event->kind == SMTP_CLIENT_EVENT_DONE) {
		s->done[message]++;
		if (s->sent == MESSAGES && !s->client.current) {
			smtp_client_quit(&s->client, 0);
		}
	}
	send_more(s);
}

static void give_body(struct session *s)
{
	if (s->body_chunks++ % BODY_CHUNKS) {
		smtp_client_body(&s->client, VIEW("A: b\r\n\r\n.\r\n"), 0);
	} else if (s->body_chunks > 1) {
		smtp_client_body_end(&s->client, 0);
	}
}

static void check(const struct session *s)
{
	for (size_t i = 0; i < MESSAGES; i++) {
		if (s->done[i] != (i < s->sent)) {
			abort();
		}
		for (size_t k = 0; k < s->messages[i].recipient_count; k++) {
			if (s->outcomes[i][k] != s->done[i]) {
				abort();
			}
		}
	}
}

static void run(struct session *s, struct view server, size_t chunk)
{
	struct view seen = view_of(server.data, 0);

	for (unsigned i = 0; i < STEPS_MAX; i++) {
		struct view input = seen;
		struct smtp_client_event event = { 0 };
		enum smtp_client_step step = smtp_client_step(&s->client, &input, 0, &event);
		size_t taken = seen.len - input.len;

		server = view_from(server, taken);
		seen = view_first(server, input.len);
		switch (step) {
		case SMTP_CLIENT_STEP_EVENT: take_event(s, &event); break;
		case SMTP_CLIENT_STEP_BODY: give_body(s); break;
		case SMTP_CLIENT_STEP_TLS: smtp_client_tls_started(&s->client, true, 0); break;
		case SMTP_CLIENT_STEP_CLOSE: return;
		case SMTP_CLIENT_STEP_INPUT:
			smtp_client_output_sent(&s->client, s->client.output.len);
			if (seen.len == server.len) {
				smtp_client_lost(&s->client);
			}
			seen = view_first(server, seen.len + chunk);
			break;
		}
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_client_settings settings = smtp_client_settings_default(VIEW("me.example"));
	struct session session = { 0 };
	uint8_t options = size ? data[0] : 0;

	settings.tls = (enum smtp_client_tls)(options >> 3 & 3);
	settings.output_bytes_max = options & 32 ? 20 : 64 << 10;
	if (options & 64) {
		settings.username = VIEW("user");
		settings.password = VIEW("secret");
	}
	prepare(&session, options);
	smtp_client_init(&session.client, &settings, 0);
	if (settings.tls == SMTP_CLIENT_TLS_IMPLICIT) {
		smtp_client_tls_started(&session.client, true, 0);
	}
	run(&session, view_from(view_of(data, size), 1), options & 128 ? 1 : 50);
	check(&session);
	smtp_client_done(&session.client);
	return 0;
}
