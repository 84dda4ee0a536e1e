// Whole sessions of the server machine as a list of actions (base/fuzz.h) beside a model of the
// protocol (server_model.h), which says what each line may lead to. Every line gets exactly one
// reply, in its turn; an event comes only where the model allows it; what is refused changes
// nothing. Each session runs twice, in whole groups and in small pieces: both say and do the same.
#include <string.h>

#include "base/fuzz.h"
#include "base/text.h"
#include "smtp/server_model.h"
#include "smtp/server_said.h"

enum { WAITING_MAX = 1 << 20, TRANSCRIPT_MAX = 1 << 24, HOLD = 0x80, WHOLE_PIECES = 512 };

enum action {
	ANSWER = SERVER_SAID_COUNT, // how the next events are answered; and now, where one waits
	CLOCK,                      // time goes by
	SHUT,                       // an orderly stop is asked for
	REFUSE,                     // the body in hand finds no storage
	ACTION_COUNT,
};

enum { ANSWER_CODE = 3, ANSWER_LATE = 4 }; // bits of a choice; the first says 0: yes

struct session {
	struct smtp_server server;
	struct smtp_server_settings settings;
	struct server_model model;
	struct buffer gathered; // of a group that is not sent yet
	struct buffer waiting;  // sent, not taken
	struct buffer transcript;
	struct buffer choices;
	size_t choices_used;
	uint64_t now_ms;
	uint64_t body_bytes;           // kept
	unsigned line_count;           // since the last accepted message
	enum smtp_event_kind awaiting; // an answer that comes late
	char before;                   // the latest byte of the body that was taken
	bool pieces, long_line, refused_body;
	bool shut, timed_out, said_421; // reasons to close that are ours
	bool closed;
};

// The code of the next whole reply off *output; 0 at the end.
static unsigned next_reply(struct view *output)
{
	struct view line;

	while (view_next_part(output, '\n', &line)) {
		MUST(line.len > 4 && line.len < 512 && line.data[line.len - 1] == '\r');
		MUST(line.data[0] >= '2' && line.data[0] <= '5');
		MUST(line.data[3] == ' ' || line.data[3] == '-');
		MUST(text_is_printable(view_first(line, line.len - 1)));
		if (line.data[3] == ' ') {
			return (unsigned)(100 * (line.data[0] - '0') + 10 * (line.data[1] - '0') +
					  line.data[2] - '0');
		}
	}
	return 0;
}

static void send_output(struct session *s)
{
	struct buffer *output = &s->server.output;

	MUST(output->len <= s->settings.output_bytes_max + 8192u);
	MUST(output->len == 0 || output->data[output->len - 1] == '\n');
	buffer_add(&s->transcript, buffer_view(output));
	smtp_server_output_sent(&s->server, output->len);
}

// ---- events

static void check_login(const struct smtp_event_auth *auth)
{
	MUST(auth->user.len && auth->password.len);
	MUST(view_find(auth->user, '\0') == auth->user.len);
	MUST(view_find(auth->password, '\0') == auth->password.len);
	MUST(text_is_utf8(auth->user) && text_is_utf8(auth->password));
}

static void check_event(const struct session *s, const struct smtp_event *event)
{
	const struct server_model *model = &s->model;

	switch (event->kind) {
	case SMTP_EVENT_HELO:
		MUST(event->helo.name.len > 0 && event->helo.name.len <= SMTP_HELO_MAX);
		MUST(text_is_ascii(event->helo.name) && text_is_printable(event->helo.name));
		break;
	case SMTP_EVENT_AUTH: check_login(&event->auth); break;
	case SMTP_EVENT_MAIL:
		MUST(event->mail.size <= s->settings.size_bytes_max);
		MUST(text_is_printable(event->mail.sender.text));
		MUST(event->mail.smtputf8 || text_is_ascii(event->mail.sender.text));
		break;
	case SMTP_EVENT_RCPT:
		MUST(event->rcpt.recipient.text.len > 0);
		MUST(text_is_printable(event->rcpt.recipient.text));
		break;
	case SMTP_EVENT_MESSAGE:
		MUST(model->open && model->recipients && !s->refused_body);
		MUST(event->message.size == s->body_bytes);
		MUST(event->message.size <= s->settings.size_bytes_max);
		break;
	default: break;
	}
}

static void take_effect(struct session *s, enum smtp_event_kind kind, bool accepted)
{
	struct server_model *model = &s->model;

	switch (kind) {
	case SMTP_EVENT_CONNECT: model->refused = !accepted; break;
	case SMTP_EVENT_HELO: model->greeted |= accepted; break;
	case SMTP_EVENT_AUTH: model->authenticated |= accepted; break;
	case SMTP_EVENT_MAIL:
		model->open = accepted;
		model->recipients = model->attempts = 0;
		break;
	case SMTP_EVENT_RCPT: model->recipients += accepted; break;
	case SMTP_EVENT_DATA:
		model->open = accepted;
		s->before = '\n';
		s->body_bytes = 0;
		s->refused_body = false;
		break;
	case SMTP_EVENT_MESSAGE:
		model->open = false;
		if (accepted) {
			model->errors = s->line_count = 0;
		}
		break;
	default: break;
	}
}

static unsigned code_of_yes(enum smtp_event_kind kind)
{
	switch (kind) {
	case SMTP_EVENT_CONNECT:
	case SMTP_EVENT_STARTTLS: return 220;
	case SMTP_EVENT_AUTH: return 235;
	case SMTP_EVENT_DATA: return 354;
	default: return 250;
	}
}

static void answer(struct session *s, enum smtp_event_kind kind, unsigned choice)
{
	static const enum smtp_reply_id refusals[] = { SMTP_REPLY_OK, SMTP_REPLY_POLICY,
						       SMTP_REPLY_RATE_LIMITED,
						       SMTP_REPLY_SHUTTING_DOWN };
	static const unsigned codes[] = { 0, 554, 450, 421 };
	unsigned code = choice & ANSWER_CODE;
	struct view said;

	s->awaiting = SMTP_EVENT_NONE;
	s->said_421 |= code == 3;
	if (code == 0) {
		smtp_server_accept(&s->server, s->now_ms);
	} else {
		smtp_server_answer_id(&s->server, refusals[code], s->now_ms);
	}
	said = buffer_view(&s->server.output);
	MUST(next_reply(&said) == (code ? codes[code] : code_of_yes(kind)) && said.len == 0);
	take_effect(s, kind, code == 0);
	s->model.errors += code == 1;
	send_output(s);
}

static void see_event(struct session *s, const struct smtp_event *event)
{
	unsigned choice = 0;

	buffer_printf(&s->transcript, "<%d>", event->kind);
	check_event(s, event);
	if (event->kind == SMTP_EVENT_RESET) {
		MUST(s->model.open);
		s->model.open = false;
		return;
	}
	if (s->choices_used < s->choices.len) {
		choice = (uint8_t)s->choices.data[s->choices_used++];
	}
	if (choice & ANSWER_LATE) {
		s->awaiting = event->kind;
	} else {
		answer(s, event->kind, choice);
	}
}

// ---- lines

// One line that was taken: its event, or its reply.
static void see_line(struct session *s, struct view line, bool more, const struct smtp_event *event,
		     struct view *replies)
{
	struct server_demand demand = server_model_demand(&s->model, line, more);
	struct server_model *model = &s->model;
	unsigned code;

	model->logging_in = false;
	s->line_count++;
	if (demand.event == SMTP_EVENT_RCPT || (demand.code == 452 && model->open)) {
		model->attempts++;
		model->errors += model->attempts > 2 * s->settings.recipients_max;
	}
	if (event) {
		MUST(event->kind == demand.event);
		return;
	}
	code = next_reply(replies);
	if (demand.event == SMTP_EVENT_NONE) {
		MUST(code == demand.code);
	} else {
		MUST(!demand.sure);
		MUST(code >= 400 || (demand.challenge && code == 334));
		model->logging_in = code == 334;
	}
	model->errors += code >= 500;
	MUST(!demand.closes || s->server.state == SMTP_STATE_CLOSED);
}

static bool is_of_line(const struct smtp_event *event)
{
	switch (event->kind) {
	case SMTP_EVENT_NONE:
	case SMTP_EVENT_CONNECT:
	case SMTP_EVENT_RESET:
	case SMTP_EVENT_MESSAGE: return false;
	default: return true;
	}
}

// What is left to say when all lines have their replies: of a line that is too long already, and
// the last word.
static void see_rest(struct session *s, struct view replies)
{
	unsigned code;

	if (s->server.state == SMTP_STATE_LONG_LINE && !s->long_line) {
		MUST(next_reply(&replies) == 500);
		s->long_line = true;
		s->model.logging_in = false;
		s->model.errors++;
		s->line_count++;
	}
	for (unsigned i = 0; (code = next_reply(&replies)); i++) {
		MUST(s->server.state == SMTP_STATE_CLOSED && i < 2);
		MUST(code == 421 || code == 500 || code == 550 || code == 554);
		s->model.errors += code >= 500;
	}
}

static void see_taken(struct session *s, struct view taken, size_t left,
		      const struct smtp_event *event)
{
	struct view replies = buffer_view(&s->server.output);
	size_t lf;

	while ((lf = view_find(taken, '\n')) < taken.len) {
		struct view line = view_first(taken, lf ? lf - 1 : 0);

		MUST(lf && taken.data[lf - 1] == '\r');
		taken = view_from(taken, lf + 1);
		if (s->long_line) {
			s->long_line = false;
		} else {
			see_line(s, line, taken.len + left > 0,
				 taken.len == 0 && is_of_line(event) ? event : NULL, &replies);
		}
	}
	see_rest(s, replies);
	MUST(taken.len == 0 || s->long_line || s->server.state == SMTP_STATE_CLOSED);
}

// ---- steps

static bool has_bare(char before, struct view sent)
{
	if (before == '\r' && sent.len && sent.data[0] != '\n') {
		return true;
	}
	for (size_t i = 0; i < sent.len; i++) {
		bool cr = sent.data[i] == '\r', lf = sent.data[i] == '\n';

		if ((lf && (i ? sent.data[i - 1] : before) != '\r') ||
		    (cr && i + 1 < sent.len && sent.data[i + 1] != '\n')) {
			return true;
		}
	}
	return false;
}

static void check_closed(const struct session *s)
{
	switch ((enum smtp_close_reason)s->server.close_reason) {
	case SMTP_CLOSE_ANSWERED: MUST(s->said_421 || s->shut); break;
	case SMTP_CLOSE_TIMEOUT:
	case SMTP_CLOSE_SLOW:
	case SMTP_CLOSE_UNREAD: MUST(s->timed_out); break;
	case SMTP_CLOSE_ERRORS: MUST(s->model.errors > s->settings.errors_max); break;
	case SMTP_CLOSE_COMMANDS: MUST(s->line_count > s->settings.commands_max); break;
	case SMTP_CLOSE_BARE: MUST(has_bare(s->before, buffer_view(&s->waiting))); break;
	case SMTP_CLOSE_NONE:
	case SMTP_CLOSE_MEMORY: MUST(!"closed without a reason"); break;
	default: break;
	}
	MUST(!s->server.transaction && !s->server.login);
	MUST(smtp_server_deadline_ms(&s->server) == UINT64_MAX);
}

// With all taken, the machine is where the model is.
static void check_quiet(const struct session *s)
{
	const struct server_model *model = &s->model;

	MUST(s->server.tls == model->tls && s->server.authenticated == model->authenticated);
	MUST((s->server.helo != NULL) == model->greeted);
	MUST((s->server.transaction != NULL) == model->open);
	MUST(model->errors <= s->settings.errors_max);
	MUST(smtp_server_deadline_ms(&s->server) < UINT64_MAX);
}

static enum smtp_step give_body(struct session *s, struct smtp_event *ret_event)
{
	size_t len = s->waiting.len;
	char *bytes = fuzz_copy(buffer_view(&s->waiting));
	struct smtp_data_chunk chunk;
	enum smtp_step step =
		smtp_server_body(&s->server, bytes, len, s->now_ms, &chunk, ret_event);
	struct view replies = buffer_view(&s->server.output);

	MUST(chunk.kept <= chunk.taken && chunk.taken <= len);
	MUST(step != SMTP_STEP_BODY || chunk.taken == len);
	MUST(chunk.kept == 0 || !s->refused_body);
	s->body_bytes += chunk.kept;
	s->refused_body |= smtp_server_body_refused(&s->server);
	if (step == SMTP_STEP_EVENT && ret_event->kind == SMTP_EVENT_RESET) {
		MUST(next_reply(&replies) >= 400);
		s->model.errors += s->server.output.data[0] == '5';
	}
	if (step == SMTP_STEP_CLOSE) {
		check_closed(s);
	}
	s->before = chunk.taken ? s->waiting.data[chunk.taken - 1] : s->before;
	buffer_consume(&s->waiting, chunk.taken);
	free(bytes);
	return step;
}

static enum smtp_step take(struct session *s, struct smtp_event *ret_event)
{
	size_t len = s->waiting.len;
	char *bytes = fuzz_copy(buffer_view(&s->waiting));
	struct view input = view_of(bytes, len);
	enum smtp_step step = smtp_server_step(&s->server, &input, s->now_ms, ret_event);

	MUST(input.len == 0 || input.data == bytes + (len - input.len));
	see_taken(s, view_of(bytes, len - input.len), input.len, ret_event);
	if (step == SMTP_STEP_CLOSE) {
		check_closed(s);
	}
	buffer_consume(&s->waiting, len - input.len);
	free(bytes);
	return step;
}

static void start_tls(struct session *s)
{
	MUST(s->waiting.len == 0 && !s->model.open && !s->model.tls);
	smtp_server_tls_started(&s->server, s->now_ms);
	s->model.tls = true;
	s->model.greeted = s->model.authenticated = false;
}

// True: go on.
static bool step(struct session *s)
{
	struct smtp_event event = { 0 };
	enum smtp_step step = take(s, &event);

	if (step == SMTP_STEP_BODY) {
		step = s->waiting.len ? give_body(s, &event) : SMTP_STEP_INPUT;
	}
	send_output(s);
	MUST(s->awaiting == SMTP_EVENT_NONE ? step != SMTP_STEP_WAIT
					    : step == SMTP_STEP_WAIT || step == SMTP_STEP_CLOSE);
	switch (step) {
	case SMTP_STEP_EVENT: see_event(s, &event); return true;
	case SMTP_STEP_TLS: start_tls(s); return true;
	case SMTP_STEP_FLUSH:
	case SMTP_STEP_BODY: return true;
	case SMTP_STEP_WAIT:
		MUST(smtp_server_deadline_ms(&s->server) == UINT64_MAX);
		MUST(!smtp_server_shut(&s->server));
		return false;
	case SMTP_STEP_INPUT: check_quiet(s); return false;
	case SMTP_STEP_CLOSE:
		s->closed = true;
		s->awaiting = SMTP_EVENT_NONE;
		return false;
	}
	return false;
}

static void pump(struct session *s)
{
	while (!s->closed && step(s)) {
	}
}

static void deliver(struct session *s)
{
	struct view rest = buffer_view(&s->gathered);
	size_t piece = s->pieces ? 1 + rest.len / WHOLE_PIECES : rest.len;

	while (rest.len && !s->closed) {
		buffer_add(&s->waiting, view_first(rest, piece));
		rest = view_from(rest, piece);
		pump(s);
	}
	buffer_clear(&s->gathered);
}

// ---- actions

static void pass_time(struct session *s, const struct fuzz_action *action)
{
	uint64_t ms = 1000ull * fuzz_action_byte(action, 0) * (1u + fuzz_action_byte(action, 1));

	s->now_ms += ms;
	if (s->now_ms >= smtp_server_deadline_ms(&s->server)) {
		s->timed_out = true;
		smtp_server_timeout(&s->server);
	}
	pump(s);
}

static void act(struct session *s, const struct fuzz_action *action)
{
	enum action kind = (enum action)((action->kind & ~HOLD) % ACTION_COUNT);
	struct smtp_reply no_storage = smtp_reply(SMTP_REPLY_NO_STORAGE);

	switch (kind) {
	case ANSWER:
		buffer_add(&s->choices, action->bytes);
		if (s->awaiting != SMTP_EVENT_NONE) {
			answer(s, s->awaiting, fuzz_action_byte(action, 0));
			pump(s);
		}
		break;
	case CLOCK: pass_time(s, action); break;
	case SHUT:
		s->shut |= smtp_server_shut(&s->server);
		pump(s);
		break;
	case REFUSE:
		if (s->server.state == SMTP_STATE_BODY) {
			smtp_server_body_refuse(&s->server, &no_storage);
			s->refused_body = true;
		}
		break;
	default:
		server_said_add(&s->gathered, (enum server_said)kind, action);
		if (!(action->kind & HOLD)) {
			deliver(s);
		}
		break;
	}
}

static struct smtp_server_settings settings_of(uint8_t choice)
{
	struct smtp_server_settings settings = smtp_server_settings_default(VIEW("mx.example"));

	settings.role = choice & 1 ? SMTP_ROLE_SUBMISSION : SMTP_ROLE_RELAY;
	settings.tls = (enum smtp_tls)(((choice >> 1) + 1) % 3);
	settings.size_bytes_max = choice & 8 ? 64 : 4096;
	settings.recipients_max = choice & 16 ? 2 : 100;
	settings.output_bytes_max = choice & 32 ? 64 : 4096;
	settings.errors_max = choice & 64 ? 3 : 1000;
	settings.commands_max = choice & 128 ? 5 : 1000;
	settings.line_bytes_max = SMTP_LINE_MIN;
	return settings;
}

static struct session run(struct view actions, bool pieces)
{
	struct session s = { .gathered = buffer_with_max(WAITING_MAX),
			     .waiting = buffer_with_max(WAITING_MAX),
			     .transcript = buffer_with_max(TRANSCRIPT_MAX),
			     .choices = buffer_with_max(WAITING_MAX),
			     .pieces = pieces };
	struct fuzz_action action = { 0 };

	(void)fuzz_action_next(&actions, &action);
	s.settings = settings_of(fuzz_action_byte(&action, 0));
	smtp_server_init(&s.server, &s.settings, 0);
	s.model.settings = &s.settings;
	s.model.tls = s.settings.tls == SMTP_TLS_IMPLICIT;
	if (fuzz_action_byte(&action, 1)) {
		buffer_add_byte(&s.choices, (char)fuzz_action_byte(&action, 1)); // at CONNECT
	}
	pump(&s);
	while (!s.closed && fuzz_action_next(&actions, &action)) {
		act(&s, &action);
	}
	if (s.awaiting != SMTP_EVENT_NONE) {
		answer(&s, s.awaiting, 0);
		pump(&s);
	}
	smtp_server_done(&s.server);
	buffer_done(&s.gathered);
	buffer_done(&s.waiting);
	buffer_done(&s.choices);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session whole, pieces;

	if (size > 16 * 1024) {
		return 0;
	}
	whole = run(view_of(data, size), false);
	pieces = run(view_of(data, size), true);
	// Only who sends a group at once is seen to go on without waiting.
	if (whole.server.close_reason != SMTP_CLOSE_STEP &&
	    whole.server.close_reason != SMTP_CLOSE_INJECTION) {
		MUST(view_equal(buffer_view(&whole.transcript), buffer_view(&pieces.transcript)));
		MUST(whole.server.close_reason == pieces.server.close_reason);
	}
	buffer_done(&whole.transcript);
	buffer_done(&pieces.transcript);
	return 0;
}
