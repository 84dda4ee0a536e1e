#include "smtp/server_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

enum { TEXT_MAX = 4 * 1024 * 1024, RULES_MAX = 8, SPLITS = 12 };

struct rule {
	struct view event;
	struct smtp_reply reply;
};

struct script {
	struct buffer sent;     // by the client
	struct buffer expected; // E: S: X: lines
	struct rule rules[RULES_MAX];
	size_t rules_count;
};

struct play {
	const struct script *script;
	struct smtp_server server;
	struct buffer seen;
	struct buffer waiting; // input not yet taken
	struct buffer message;
	uint64_t now_ms;
	bool closed;
};

static void add_unescaped(struct buffer *out, struct view text)
{
	for (size_t i = 0; i < text.len; i++) {
		const char *known = "rn0t\\", *bytes = "\r\n\0\t\\", *found;

		if (text.data[i] != '\\' || ++i == text.len) {
			buffer_add_byte(out, text.data[i]);
		} else if (text.data[i] == 'x' && i + 2 < text.len) {
			buffer_add_byte(out, (char)(ascii_hex_value(text.data[i + 1]) * 16 +
						    ascii_hex_value(text.data[i + 2])));
			i += 2;
		} else {
			found = strchr(known, text.data[i]);
			assert_non_null(found);
			buffer_add_byte(out, bytes[found - known]);
		}
	}
}

// "event = 550 5.1.1 text"
static void add_rule(struct script *script, struct view text)
{
	size_t equals = view_find_text(text, VIEW(" = "));
	struct view rest = view_from(text, equals + 3), word, part;
	struct smtp_status status = { 0 };
	uint64_t numbers[4] = { 0 };

	assert_true(script->rules_count < RULES_MAX && view_next_word(&rest, &word) &&
		    view_to_u64(word, 599, &numbers[0]) && view_next_word(&rest, &word));
	for (int i = 1; view_next_part(&word, '.', &part); i++) {
		assert_true(i < 4 && view_to_u64(part, 999, &numbers[i]));
	}
	status = (struct smtp_status){ (uint8_t)numbers[1], (uint16_t)numbers[2],
				       (uint16_t)numbers[3] };
	script->rules[script->rules_count++] = (struct rule){
		.event = view_first(text, equals),
		.reply = smtp_reply_of((unsigned)numbers[0], status, view_trim(rest)),
	};
}

static struct script script_read(const char *text)
{
	struct script script = { .sent = buffer_with_max(TEXT_MAX),
				 .expected = buffer_with_max(TEXT_MAX) };
	struct view rest = view_from_text(text), line;

	while (view_next_part(&rest, '\n', &line)) {
		struct view tail = view_from(line, 3);

		if (view_starts(line, VIEW("C:"))) {
			buffer_add(&script.sent, tail);
			buffer_add(&script.sent, VIEW("\r\n"));
		} else if (view_starts(line, VIEW("C~"))) {
			add_unescaped(&script.sent, tail);
		} else if (view_starts(line, VIEW("A:"))) {
			add_rule(&script, tail);
		} else {
			buffer_add(&script.expected, line);
			buffer_add_byte(&script.expected, '\n');
		}
	}
	return script;
}

static void script_done(struct script *script)
{
	buffer_done(&script->sent);
	buffer_done(&script->expected);
}

static void add_address(struct buffer *out, const struct address *address)
{
	buffer_add_text(out, " <");
	buffer_add(out, address->text);
	buffer_add_byte(out, '>');
}

static void describe(struct buffer *out, const struct smtp_event *event, struct view message)
{
	static const char *const names[] = { "none", "connect", "helo", "starttls", "auth",
					     "mail", "rcpt",    "data", "message",  "reset" };

	buffer_add_text(out, event->kind == SMTP_EVENT_HELO && event->helo.extended
				     ? "ehlo"
				     : names[event->kind]);
	if (event->kind == SMTP_EVENT_HELO) {
		buffer_printf(out, " %.*s", VIEW_ARG(event->helo.name));
	} else if (event->kind == SMTP_EVENT_AUTH) {
		buffer_printf(out, " %s '%.*s' '%.*s' '%.*s'",
			      event->auth.mechanism == SMTP_AUTH_PLAIN ? "plain" : "login",
			      VIEW_ARG(event->auth.identity), VIEW_ARG(event->auth.user),
			      VIEW_ARG(event->auth.password));
	} else if (event->kind == SMTP_EVENT_MAIL) {
		add_address(out, &event->mail.sender);
		if (event->mail.size) {
			buffer_printf(out, " size %u", (unsigned)event->mail.size);
		}
		buffer_add_text(out, event->mail.body == SMTP_BODY_8BITMIME ? " 8bit" : "");
		buffer_add_text(out, event->mail.smtputf8 ? " utf8" : "");
	} else if (event->kind == SMTP_EVENT_RCPT) {
		add_address(out, &event->rcpt.recipient);
	} else if (event->kind == SMTP_EVENT_MESSAGE) {
		assert_int_equal(event->message.size, message.len);
		buffer_printf(out, " %u ", (unsigned)message.len);
		text_add_escaped(out, message, 200);
	}
}

static void answer(struct play *play, struct view event)
{
	for (size_t i = 0; i < play->script->rules_count; i++) {
		if (view_starts(event, play->script->rules[i].event)) {
			smtp_server_answer(&play->server, &play->script->rules[i].reply,
					   play->now_ms);
			return;
		}
	}
	smtp_server_accept(&play->server, play->now_ms);
}

static void see_event(struct play *play, const struct smtp_event *event)
{
	struct buffer text = buffer_with_max(TEXT_MAX);

	describe(&text, event, buffer_view(&play->message));
	buffer_add_text(&play->seen, "E: ");
	buffer_add(&play->seen, buffer_view(&text));
	buffer_add_byte(&play->seen, '\n');
	if (event->kind != SMTP_EVENT_RESET) {
		answer(play, buffer_view(&text));
	} else {
		buffer_clear(&play->message);
	}
	if (event->kind == SMTP_EVENT_MESSAGE) {
		buffer_clear(&play->message);
	}
	buffer_done(&text);
}

static void see_output(struct play *play)
{
	struct view rest = buffer_view(&play->server.output), line;

	while (view_next_part(&rest, '\n', &line)) {
		assert_true(line.len > 3 && line.data[line.len - 1] == '\r');
		buffer_add_text(&play->seen, "S: ");
		buffer_add(&play->seen, view_first(line, line.len - 1));
		buffer_add_byte(&play->seen, '\n');
	}
	smtp_server_output_sent(&play->server, play->server.output.len);
}

// The waiting bytes go into the message's buffer, as the shell reads them there.
static enum smtp_step play_body(struct play *play, struct smtp_event *ret_event)
{
	struct view input = buffer_view(&play->waiting);
	char *bytes = buffer_reserve(&play->message, input.len + 1);
	struct smtp_data_chunk chunk;
	enum smtp_step step;

	assert_non_null(bytes);
	memcpy(bytes, input.data, input.len);
	step = smtp_server_body(&play->server, bytes, input.len, play->now_ms, &chunk, ret_event);
	play->message.len += chunk.kept;
	assert_true(chunk.kept <= chunk.taken && chunk.taken <= input.len);
	buffer_consume(&play->waiting, chunk.taken);
	return step;
}

static bool play_step(struct play *play)
{
	struct view input = buffer_view(&play->waiting);
	struct smtp_event event;
	enum smtp_step step = smtp_server_step(&play->server, &input, play->now_ms, &event);

	buffer_consume(&play->waiting, play->waiting.len - input.len);
	if (step == SMTP_STEP_BODY && play->waiting.len) {
		step = play_body(play, &event);
	} else if (step == SMTP_STEP_BODY) {
		step = SMTP_STEP_INPUT;
	}
	if (step == SMTP_STEP_EVENT) {
		see_output(play);
		see_event(play, &event);
	}
	see_output(play);
	if (step == SMTP_STEP_TLS) {
		buffer_add_text(&play->seen, "E: tls\n");
		smtp_server_tls_started(&play->server, play->now_ms);
	}
	if (step == SMTP_STEP_CLOSE) {
		buffer_printf(&play->seen, "X: %s\n",
			      smtp_close_reason_text(play->server.close_reason));
		play->closed = true;
	}
	assert_int_not_equal(step, SMTP_STEP_WAIT);
	return step != SMTP_STEP_INPUT && step != SMTP_STEP_CLOSE;
}

// Where the client waits for a reply before it goes on: behind this line.
static bool waits_behind(struct view line)
{
	static const struct view words[] = { VIEW("HELO"), VIEW("EHLO"), VIEW("STARTTLS"),
					     VIEW("DATA") };

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (view_starts_nocase(line, words[i])) {
			return true;
		}
	}
	return false;
}

// What the client sends before it waits for a reply.
static struct view next_group(struct view rest, bool rude)
{
	size_t len = 0;
	bool waits = false;

	while (len < rest.len && !waits) {
		struct view line = view_from(rest, len);
		size_t lf = view_find(line, '\n');

		len += lf < line.len ? lf + 1 : lf;
		waits = !rude && waits_behind(line);
	}
	return view_first(rest, len);
}

// How much of it comes at once: all with seed 0, one byte with 1, else by chance.
static size_t next_piece(size_t len, unsigned seed, unsigned *random)
{
	size_t piece;

	*random = *random * 1103515245u + 12345u;
	piece = seed == 0 ? len : seed == 1 ? 1 : 1 + (*random >> 16) % (seed * 7);
	return piece < len ? piece : len;
}

static void play_group(struct play *play, struct view group, unsigned seed, unsigned *random)
{
	while (group.len && !play->closed) {
		size_t piece = next_piece(group.len, seed, random);

		buffer_add(&play->waiting, view_first(group, piece));
		group = view_from(group, piece);
		play->now_ms++;
		while (play_step(play)) {
		}
	}
}

static void play_script(const struct smtp_server_settings *settings, const struct script *script,
			bool rude, unsigned seed)
{
	struct play play = { .script = script,
			     .seen = buffer_with_max(TEXT_MAX),
			     .waiting = buffer_with_max(TEXT_MAX),
			     .message = buffer_with_max(TEXT_MAX) };
	struct view rest = buffer_view(&script->sent);
	unsigned random = seed;
	bool same;

	smtp_server_init(&play.server, settings, 0);
	while (play_step(&play)) {
	}
	while (rest.len && !play.closed) {
		struct view group = next_group(rest, rude);

		rest = view_from(rest, group.len);
		play_group(&play, group, seed, &random);
	}
	same = view_equal(buffer_view(&play.seen), buffer_view(&script->expected));
	if (!same) {
		print_error("split %u gives\n%.*sexpected\n%.*s", seed,
			    VIEW_ARG(buffer_view(&play.seen)),
			    VIEW_ARG(buffer_view(&script->expected)));
	}
	smtp_server_done(&play.server);
	buffer_done(&play.seen);
	buffer_done(&play.waiting);
	buffer_done(&play.message);
	assert_true(same);
}

void script_check(const struct smtp_server_settings *settings, const char *text)
{
	struct script script = script_read(text);

	for (unsigned seed = 0; seed < SPLITS; seed++) {
		play_script(settings, &script, false, seed);
	}
	script_done(&script);
}

void script_check_rude(const struct smtp_server_settings *settings, const char *text)
{
	struct script script = script_read(text);

	play_script(settings, &script, true, 0);
	script_done(&script);
}

enum smtp_step script_say(struct smtp_server *server, const char *text, uint64_t now_ms)
{
	struct view input = view_from_text(text);
	struct smtp_event event;

	return smtp_server_step(server, &input, now_ms, &event);
}

struct smtp_server script_session(const struct smtp_server_settings *settings,
				  const char *const *lines, size_t count)
{
	struct smtp_server server;

	smtp_server_init(&server, settings, 0);
	assert_int_equal(script_say(&server, "", 0), SMTP_STEP_EVENT);
	for (size_t i = 0; i < count; i++) {
		smtp_server_accept(&server, 0);
		smtp_server_output_sent(&server, server.output.len);
		assert_int_equal(script_say(&server, lines[i], 0), SMTP_STEP_EVENT);
	}
	smtp_server_accept(&server, 0);
	smtp_server_output_sent(&server, server.output.len);
	return server;
}

struct smtp_server_settings script_relay(void)
{
	struct smtp_server_settings settings = smtp_server_settings_default(VIEW("mx.example"));

	settings.banner = VIEW("ESMTP");
	settings.tls = SMTP_TLS_OFF;
	settings.errors_max = 5;
	settings.commands_max = 30;
	settings.line_bytes_max = SMTP_LINE_MIN;
	settings.recipients_max = 3;
	settings.size_bytes_max = 2000;
	return settings;
}

struct smtp_server_settings script_submission(void)
{
	struct smtp_server_settings settings = script_relay();

	settings.role = SMTP_ROLE_SUBMISSION;
	settings.tls = SMTP_TLS_STARTTLS;
	return settings;
}
