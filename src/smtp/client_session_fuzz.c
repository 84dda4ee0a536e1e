// Whole sessions of the client machine with a server made of actions (base/fuzz.h). What the client
// sends is read as a server reads it: commands come in an order that is allowed, none before the
// reply that it must wait for, no login in clear or to a stranger. Every recipient has exactly one
// outcome, and it says what the replies said. Each session runs twice, its replies whole and byte
// by byte: both say and do the same.
#include <string.h>

#include "base/fuzz.h"
#include "base/list.h"
#include "base/text.h"
#include "smtp/client.h"

enum {
	MESSAGES = 4,
	RECIPIENTS = 3,
	ASKED_MAX = 64, // commands that wait for their replies
	BUFFER_MAX = 1 << 24,
	STEPS_MAX = 20000,
};

enum action {
	GOOD,  // the reply that the oldest open command hopes for
	CODE,  // a reply with one of codes, and this text
	EHLO,  // a greeting with these extensions
	RAW,   // these bytes
	CLOCK, // time goes by
	SLOW,  // so many bytes are sent at once from now on; 0: all
	LOST,  // the connection breaks
	LEAVE, // no more messages; QUIT when all is done
	ACTION_COUNT,
};

enum asked { BANNER, HELLO, TLS, LOGIN, MAIL, RCPT, DATA, END, RSET, QUIT };

struct command {
	enum asked asked;
	unsigned message, recipient;
};

struct letter {
	struct smtp_client_transaction transaction;
	struct smtp_client_recipient recipients[RECIPIENTS];
	char addresses[RECIPIENTS][32], sender[32];
	unsigned mail_code, rcpt_codes[RECIPIENTS], data_code, end_code;
	unsigned outcomes[RECIPIENTS];
	struct buffer body, sent_body; // as given; as it went over the wire
	unsigned chunks_left;
	bool begun, done;
};

struct session {
	struct smtp_client client;
	struct smtp_client_settings settings;
	struct letter letters[MESSAGES];
	struct command asked[ASKED_MAX];
	unsigned asked_count, given; // letters given to the machine
	unsigned mail_at;            // of the latest MAIL
	struct buffer wire;          // what the client sent, not yet a whole line
	struct buffer waiting;       // from the server, not taken
	struct buffer said, events;  // all that was sent and told, for comparing
	uint64_t now_ms;
	size_t slow;
	bool pieces, verified, in_body, lost, leaving, closed, failed;
	bool rude;       // the server spoke out of turn: replies cannot be matched any more
	bool uneven;     // what is sent in all depends on how often there is a turn
	bool pipelining; // as the latest greeting says
	bool eight_bit, smtputf8, size, starttls;
};

// ---- what the client sends

static void ask(struct session *s, enum asked asked, unsigned recipient)
{
	MUST(s->asked_count < ASKED_MAX);
	MUST(s->asked_count == 0 || s->pipelining);
	s->asked[s->asked_count++] = (struct command){ asked, s->mail_at, recipient };
}

// Which letter, and which recipient, an address is of: "m2r1@y.example".
static bool address_is(struct view text, struct view path)
{
	return text.len > path.len && view_starts(text, path) && text.data[path.len] == '>';
}

static void see_mail(struct session *s, struct view rest)
{
	struct view word;

	for (unsigned i = 0; i < s->given; i++) {
		struct letter *letter = &s->letters[i];

		if (address_is(rest, view_from_text(letter->sender))) {
			MUST(!letter->begun);
			MUST(i == 0 || s->letters[i - 1].begun || s->letters[i - 1].done);
			letter->begun = true;
			s->mail_at = i;
			ask(s, MAIL, 0);
			rest = view_from(rest, view_find(rest, '>') + 1);
			while (view_next_word(&rest, &word)) {
				MUST(s->size || !view_starts(word, VIEW("SIZE=")));
				MUST(s->eight_bit || !view_starts(word, VIEW("BODY=")));
				MUST(s->smtputf8 || !view_equal(word, VIEW("SMTPUTF8")));
			}
			return;
		}
	}
	MUST(!"MAIL of a letter that was given");
}

static void see_rcpt(struct session *s, struct view rest)
{
	struct letter *letter = &s->letters[s->mail_at];

	for (unsigned k = 0; k < letter->transaction.recipient_count; k++) {
		if (address_is(rest, letter->recipients[k].address)) {
			MUST(s->smtputf8 || text_is_ascii(rest));
			ask(s, RCPT, k);
			return;
		}
	}
	MUST(!"RCPT of the letter in hand");
}

static void see_login(struct session *s, enum asked asked)
{
	MUST(s->client.tls && s->verified && s->settings.username.len);
	ask(s, asked, 0);
}

static void see_command(struct session *s, struct view line)
{
	if (view_starts(line, VIEW("EHLO ")) || view_starts(line, VIEW("HELO "))) {
		ask(s, HELLO, 0);
	} else if (view_equal(line, VIEW("STARTTLS"))) {
		MUST(!s->client.tls && (s->starttls || s->rude));
		ask(s, TLS, 0);
	} else if (view_starts(line, VIEW("MAIL FROM:<"))) {
		see_mail(s, view_from(line, 11));
	} else if (view_starts(line, VIEW("RCPT TO:<"))) {
		see_rcpt(s, view_from(line, 9));
	} else if (view_equal(line, VIEW("DATA"))) {
		ask(s, DATA, 0);
	} else if (view_equal(line, VIEW("RSET"))) {
		ask(s, RSET, 0);
	} else if (view_equal(line, VIEW("QUIT"))) {
		s->asked[s->asked_count++ % ASKED_MAX] = (struct command){ QUIT, 0, 0 };
	} else {
		see_login(s, LOGIN); // AUTH, and the lines behind it
	}
}

// A line of the body, or its end.
static void see_body(struct session *s, struct view line)
{
	struct letter *letter = &s->letters[s->mail_at];

	if (view_equal(line, VIEW("."))) {
		s->in_body = false;
		ask(s, END, 0);
		return;
	}
	buffer_add(&letter->sent_body, view_from(line, view_starts(line, VIEW("."))));
	buffer_add(&letter->sent_body, VIEW("\r\n"));
}

// When nobody can tell what is an answer to what: the login stays secret.
static void see_any(const struct session *s, struct view line)
{
	bool secret = view_find_text(line, VIEW("AHVzZXIAc2VjcmV0")) < line.len ||
		      view_find_text(line, VIEW("c2VjcmV0")) < line.len;

	MUST(!secret || (s->client.tls && s->verified));
}

static void see_lines(struct session *s)
{
	struct view rest = buffer_view(&s->wire);
	size_t lf;

	while ((lf = view_find(rest, '\n')) < rest.len) {
		struct view line = view_first(rest, lf ? lf - 1 : 0);

		MUST(lf && rest.data[lf - 1] == '\r' && view_find(line, '\r') == line.len);
		rest = view_from(rest, lf + 1);
		if (s->rude) {
			see_any(s, line);
		} else if (s->in_body) {
			see_body(s, line);
		} else {
			MUST(line.len > 0 && line.len < 512 && text_is_printable(line));
			see_command(s, line);
		}
	}
	buffer_consume(&s->wire, s->wire.len - rest.len);
}

static void send_output(struct session *s)
{
	struct buffer *output = &s->client.output;
	size_t len = s->slow && s->slow < output->len ? s->slow : output->len;
	struct view part = view_first(buffer_view(output), len);

	buffer_add(&s->wire, part);
	buffer_add(&s->said, part);
	see_lines(s);
	smtp_client_output_sent(&s->client, len);
}

// ---- what the server says

// Notes the reply to the oldest open command.
static void note_reply(struct session *s, unsigned code)
{
	struct command command = s->asked[0];
	struct letter *letter = &s->letters[command.message];

	if (s->asked_count == 0) {
		s->rude = true;
		return;
	}
	memmove(s->asked, s->asked + 1, --s->asked_count * sizeof *s->asked);
	switch (command.asked) {
	case MAIL: letter->mail_code = code; break;
	case RCPT: letter->rcpt_codes[command.recipient] = code; break;
	case DATA:
		letter->data_code = code;
		s->in_body = code == 354;
		s->rude |= code == 354 && s->asked_count > 0;
		break;
	case END: letter->end_code = code; break;
	case HELLO:
		s->pipelining = s->eight_bit = s->smtputf8 = s->size = s->starttls = false;
		break;
	default: break;
	}
}

static void take_event(struct session *s, const struct smtp_client_event *event);

static void give_letters(struct session *s)
{
	while (!s->leaving && s->given < MESSAGES && smtp_client_can_send(&s->client)) {
		smtp_client_send(&s->client, &s->letters[s->given++].transaction, s->now_ms);
	}
	if (s->leaving && !s->client.current) {
		smtp_client_quit(&s->client, s->now_ms);
	}
}

static struct letter *letter_in_hand(struct session *s)
{
	return CONTAINER_OF(s->client.current, struct letter, transaction);
}

static void give_body(struct session *s)
{
	static const struct view chunks[] = { VIEW("A: b\r\n\r\n.\r\n"), VIEW("..x\r\n.y"),
					      VIEW("z\r\n") };
	struct letter *letter = letter_in_hand(s);

	if (letter->chunks_left == 0) {
		smtp_client_body_end(&s->client, s->now_ms);
		return;
	}
	letter->chunks_left--;
	buffer_add(&letter->body, chunks[letter->chunks_left % 3]);
	smtp_client_body(&s->client, chunks[letter->chunks_left % 3], s->now_ms);
}

static void start_tls(struct session *s)
{
	MUST(s->waiting.len == 0 || s->rude);
	s->slow = 0;
	send_output(s);
	buffer_clear(&s->waiting);
	smtp_client_tls_started(&s->client, s->verified, s->now_ms);
}

// True: go on.
static bool step(struct session *s)
{
	size_t len = s->waiting.len;
	char *bytes = fuzz_copy(buffer_view(&s->waiting));
	struct view input = view_of(bytes, len);
	struct smtp_client_event event = { 0 };
	enum smtp_client_step step = smtp_client_step(&s->client, &input, s->now_ms, &event);

	buffer_consume(&s->waiting, len - input.len);
	free(bytes);
	switch (step) {
	case SMTP_CLIENT_STEP_EVENT: take_event(s, &event); return true;
	case SMTP_CLIENT_STEP_BODY: give_body(s); return true;
	case SMTP_CLIENT_STEP_TLS: start_tls(s); return true;
	case SMTP_CLIENT_STEP_CLOSE: s->closed = true; return false;
	case SMTP_CLIENT_STEP_INPUT:
		len = s->client.output.len;
		send_output(s);
		return len > 0 && s->slow == 0;
	}
	return false;
}

static void pump(struct session *s)
{
	for (unsigned i = 0; !s->closed && step(s); i++) {
		MUST(i < STEPS_MAX);
	}
}

static void hear(struct session *s, struct view bytes)
{
	size_t piece = s->pieces ? 1 : bytes.len;

	while (bytes.len && !s->closed) {
		buffer_add(&s->waiting, view_first(bytes, piece));
		bytes = view_from(bytes, piece);
		pump(s);
	}
}

static void hear_reply(struct session *s, unsigned code, struct view text)
{
	struct buffer reply = buffer_with_max(BUFFER_MAX);

	s->rude |= view_find(text, '\n') < text.len || s->asked_count == 0;
	note_reply(s, code);
	buffer_printf(&reply, "%u ", code);
	buffer_add(&reply, text);
	buffer_add(&reply, VIEW("\r\n"));
	hear(s, buffer_view(&reply));
	buffer_done(&reply);
}

static void hear_greeting(struct session *s, unsigned bits, struct view more)
{
	struct buffer reply = buffer_with_max(BUFFER_MAX);
	bool hello = s->asked_count && s->asked[0].asked == HELLO;

	s->rude |= !hello || more.len > 0;
	note_reply(s, 250);
	s->pipelining = bits & 1;
	s->eight_bit = bits & 2;
	s->smtputf8 = bits & 4;
	s->size = bits & 8;
	s->starttls = bits & 16;
	buffer_add_text(&reply, "250-mx.example\r\n");
	buffer_add_text(&reply, bits & 1 ? "250-PIPELINING\r\n" : "");
	buffer_add_text(&reply, bits & 2 ? "250-8BITMIME\r\n" : "");
	buffer_add_text(&reply, bits & 4 ? "250-SMTPUTF8\r\n" : "");
	buffer_add_text(&reply, bits & 8 ? "250-SIZE 250\r\n" : "");
	buffer_add_text(&reply, bits & 16 ? "250-STARTTLS\r\n" : "");
	buffer_add_text(&reply, bits & 32 ? "250-AUTH PLAIN\r\n" : "");
	buffer_add_text(&reply, bits & 64 ? "250-AUTH LOGIN\r\n" : "");
	buffer_add(&reply, more);
	buffer_add_text(&reply, "250 HELP\r\n");
	hear(s, buffer_view(&reply));
	buffer_done(&reply);
}

// What the oldest open command hopes for.
static void hear_good(struct session *s, const struct fuzz_action *action)
{
	static const unsigned codes[] = {
		[BANNER] = 220, [HELLO] = 250, [TLS] = 220, [LOGIN] = 235, [MAIL] = 250,
		[RCPT] = 250,   [DATA] = 354,  [END] = 250, [RSET] = 250,  [QUIT] = 221
	};

	for (unsigned i = 0; i <= fuzz_action_byte(action, 0) % 8u; i++) {
		if (s->asked_count && !s->closed) {
			enum asked asked = s->asked[0].asked;
			bool more = asked == LOGIN && fuzz_action_byte(action, 1);

			hear_reply(s, more ? 334 : codes[asked], VIEW("2.0.0 ok"));
		}
	}
}

// ---- outcomes

static bool all_said_yes(const struct letter *letter, size_t recipient)
{
	return letter->mail_code / 100 == 2 && letter->rcpt_codes[recipient] / 100 == 2 &&
	       letter->data_code == 354 && letter->end_code / 100 == 2;
}

static void see_outcome(struct session *s, struct letter *letter, size_t recipient,
			const struct smtp_outcome *outcome)
{
	bool accepted = outcome->kind == SMTP_OUTCOME_ACCEPTED;

	MUST(recipient < letter->transaction.recipient_count && !letter->done);
	MUST(++letter->outcomes[recipient] == 1);
	MUST(text_is_printable(view_from_text(outcome->text)));
	MUST(outcome->by_peer == (outcome->code != 0));
	MUST(!accepted || (outcome->by_peer && outcome->body_sent && outcome->code / 100 == 2));
	if (s->rude) {
		return;
	}
	MUST(accepted == all_said_yes(letter, recipient));
	MUST(outcome->kind != SMTP_OUTCOME_LOST || s->failed || s->lost || s->client.failure);
	if (accepted) {
		MUST(view_starts(buffer_view(&letter->sent_body), buffer_view(&letter->body)));
		MUST(letter->sent_body.len <= letter->body.len + 2);
	}
}

static void take_event(struct session *s, const struct smtp_client_event *event)
{
	struct letter *letter =
		event->transaction ? CONTAINER_OF(event->transaction, struct letter, transaction)
				   : NULL;

	buffer_printf(&s->events, "<%d", event->kind);
	switch (event->kind) {
	case SMTP_CLIENT_EVENT_OUTCOME:
		buffer_printf(&s->events, " %zu %d %u", event->recipient, event->outcome->kind,
			      event->outcome->code);
		see_outcome(s, letter, event->recipient, event->outcome);
		break;
	case SMTP_CLIENT_EVENT_DONE:
		MUST(!letter->done);
		letter->done = true;
		for (size_t k = 0; k < letter->transaction.recipient_count; k++) {
			MUST(letter->outcomes[k] == 1);
		}
		break;
	case SMTP_CLIENT_EVENT_FAILED:
		MUST(!s->failed && event->failure != SMTP_CLIENT_OK);
		buffer_printf(&s->events, " %d", event->failure);
		s->failed = true;
		break;
	case SMTP_CLIENT_EVENT_READY:
		MUST(s->settings.tls < SMTP_CLIENT_TLS_MUST || s->client.tls);
		break;
	case SMTP_CLIENT_EVENT_NEXT: break;
	}
	give_letters(s);
}

// ---- actions

static void act(struct session *s, const struct fuzz_action *action)
{
	static const unsigned codes[] = { 250, 550, 450, 421, 354, 334, 235, 220,
					  221, 500, 554, 251, 452, 503, 535, 299 };
	uint8_t first = fuzz_action_byte(action, 0);

	switch ((enum action)(action->kind % ACTION_COUNT)) {
	case GOOD: hear_good(s, action); break;
	case CODE: hear_reply(s, codes[first % 16], view_from(action->bytes, 1)); break;
	case EHLO: hear_greeting(s, first, view_from(action->bytes, 1)); break;
	case RAW:
		s->rude |= action->bytes.len > 0;
		hear(s, action->bytes);
		break;
	case CLOCK:
		s->now_ms += 1000ull * first;
		pump(s);
		break;
	case SLOW:
		s->slow = first;
		s->uneven = true;
		pump(s);
		break;
	case LOST:
		s->lost = true;
		smtp_client_lost(&s->client);
		pump(s);
		break;
	case LEAVE:
		s->leaving = true;
		give_letters(s);
		pump(s);
		break;
	case ACTION_COUNT: break;
	}
}

static void prepare(struct session *s, uint8_t options, uint8_t more)
{
	s->settings = smtp_client_settings_default(VIEW("me.example"));
	s->settings.tls = (enum smtp_client_tls)(options & 3);
	s->settings.output_bytes_max = options & 4 ? 20 : 64 << 10;
	s->verified = options & 8;
	if (options & 16) {
		s->settings.username = VIEW("user");
		s->settings.password = VIEW("secret");
	}
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct letter *letter = &s->letters[i];

		snprintf(letter->sender, sizeof letter->sender, "m%u@x.example", i);
		for (unsigned k = 0; k < RECIPIENTS; k++) {
			snprintf(letter->addresses[k], sizeof letter->addresses[k],
				 k == 1 && more & 1 ? "m%u\xc3\xa9r%u@y.example"
						    : "m%ur%u@y.example",
				 i, k);
			letter->recipients[k].address = view_from_text(letter->addresses[k]);
		}
		letter->body = letter->sent_body = buffer_with_max(BUFFER_MAX);
		letter->chunks_left = i + (more >> 4);
		letter->transaction = (struct smtp_client_transaction){
			.reverse_path = view_from_text(letter->sender),
			.recipients = letter->recipients,
			.recipient_count = more & 2 ? RECIPIENTS : 1,
			.size_bytes = 100ull * i,
			.eight_bit = more & 4,
			.smtputf8 = i == 1 && more & 8,
		};
	}
}

static void run(struct session *s, struct view actions, bool pieces)
{
	struct fuzz_action action = { 0 };

	*s = (struct session){ .wire = buffer_with_max(BUFFER_MAX),
			       .waiting = buffer_with_max(BUFFER_MAX),
			       .said = buffer_with_max(BUFFER_MAX),
			       .events = buffer_with_max(BUFFER_MAX),
			       .pieces = pieces };
	(void)fuzz_action_next(&actions, &action);
	prepare(s, fuzz_action_byte(&action, 0), fuzz_action_byte(&action, 1));
	smtp_client_init(&s->client, &s->settings, 0);
	if (s->settings.tls == SMTP_CLIENT_TLS_IMPLICIT) {
		smtp_client_tls_started(&s->client, s->verified, 0);
	}
	ask(s, BANNER, 0);
	pump(s);
	while (!s->closed && fuzz_action_next(&actions, &action)) {
		act(s, &action);
	}
	smtp_client_lost(&s->client);
	s->lost = true;
	pump(s);
	MUST(s->closed);
	for (unsigned i = 0; i < MESSAGES; i++) {
		MUST(s->letters[i].done == (i < s->given));
	}
}

static void finish(struct session *s)
{
	smtp_client_done(&s->client);
	for (unsigned i = 0; i < MESSAGES; i++) {
		buffer_done(&s->letters[i].body);
		buffer_done(&s->letters[i].sent_body);
	}
	buffer_done(&s->wire);
	buffer_done(&s->waiting);
	buffer_done(&s->said);
	buffer_done(&s->events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session whole, pieces;

	if (size > 16 * 1024) {
		return 0;
	}
	run(&whole, view_of(data, size), false);
	run(&pieces, view_of(data, size), true);
	if (!whole.rude && !whole.uneven) {
		MUST(!pieces.rude);
		MUST(view_equal(buffer_view(&whole.said), buffer_view(&pieces.said)));
		MUST(view_equal(buffer_view(&whole.events), buffer_view(&pieces.events)));
	}
	finish(&whole);
	finish(&pieces);
	return 0;
}
