#include "sim/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "os/socket.h"

enum {
	SCRIPT_MAX = 2 * LEDGER_RECIPIENTS_MAX + 8,
	IN_BYTES_MAX = 16 * 1024,
	OUT_BYTES_MAX = 3 * 1024 * 1024,
	PAUSE_MS_MAX = 5000,
	CONNECTIONS_MAX = 400, // so that every run ends
};

// What the next reply answers.
enum turn {
	TURN_BANNER,
	TURN_EHLO,
	TURN_STARTTLS,
	TURN_AUTH,
	TURN_MAIL,
	TURN_RCPT,
	TURN_STRANGER, // RCPT to nobody: 5xx
	TURN_NOOP,
	TURN_DATA,
	TURN_MESSAGE,
	TURN_RSET,
	TURN_QUIT,
};

struct command {
	enum turn turn;
	unsigned recipient;
};

struct client {
	struct client_parts parts;
	struct sim *sim;
	struct os_timer timer;
	struct os_watch *watch;
	struct stream stream;
	struct buffer in, out;
	struct command script[SCRIPT_MAX]; // of this letter
	unsigned script_count, sent, answered;
	enum turn turn; // when no script runs
	bool in_script, pipelines, mail_ok, any_ok, ended_body, busy;
	bool wants_tls, shakes_hands, wrong_password;
	unsigned login; // a box, or LEDGER_NO_LOGIN
	struct ledger_letter *letter;
	unsigned letters_left, connections;
};

static void connect_now(void *context);
static void next_letter(struct client *client);

static uint64_t below(struct client *client, uint64_t bound)
{
	return sim_random_below(client->sim, bound);
}

// ---- the connection

static void letter_is_over(struct client *client, enum letter_state state)
{
	if (client->letter) {
		ledger_end(client->parts.ledger, client->letter, state);
		client->letter = NULL;
		client->letters_left--;
	}
	client->in_script = false;
}

// Whatever was not answered: only a message whose end was sent may have been taken.
static void hang_up(struct client *client, bool reset)
{
	bool ended = client->ended_body && client->out.len == 0;

	os_watch_free(client->watch);
	client->watch = NULL;
	if (reset) {
		stream_close_reset(&client->stream);
	} else {
		stream_close(&client->stream);
	}
	client->shakes_hands = false;
	letter_is_over(client, ended ? LETTER_UNKNOWN : LETTER_UNSENT);
	client->ended_body = false;
	os_timer_stop(&client->timer);
	if (client->letters_left && client->connections < CONNECTIONS_MAX &&
	    ledger_takes_more(client->parts.ledger)) {
		os_timer_set(&client->timer, below(client, PAUSE_MS_MAX));
		client->timer.fn = connect_now;
	} else {
		client->busy = false;
	}
}

static void patience_ends(void *context)
{
	hang_up(context, false);
}

static void wait_for_peer(struct client *client)
{
	int events = client->shakes_hands ? client->stream.wants
					  : OS_READABLE | (client->out.len ? OS_WRITABLE : 0);

	client->timer.fn = patience_ends;
	os_timer_set(&client->timer, CLIENT_PATIENCE_MS);
	if (os_watch_set(client->watch, events) != OK) {
		abort();
	}
}

// False: the connection is gone.
static bool send_out(struct client *client)
{
	while (client->out.len) {
		size_t len = client->out.len;
		enum error error;

		if (weather_strikes(client->sim, client->parts.weather->client_vanishes)) {
			client->parts.ledger->deeds[DEED_CLIENT_VANISHED]++;
			ledger_mischief(client->parts.ledger, "client %u vanishes",
					client->parts.number);
			hang_up(client, true);
			return false;
		}
		error = stream_send(&client->stream, buffer_view(&client->out), &len);
		if (error == ERROR_AGAIN) {
			break;
		}
		if (error != OK) {
			hang_up(client, false);
			return false;
		}
		buffer_consume(&client->out, len);
	}
	return true;
}

// ---- commands

static void add_command(struct client *client, const struct command *command)
{
	const struct ledger_letter *letter = client->letter;
	struct buffer *out = &client->out;

	switch (command->turn) {
	case TURN_MAIL:
		buffer_printf(out, "MAIL FROM:<%s> BODY=8BITMIME\r\n", letter->sender);
		break;
	case TURN_RCPT:
		buffer_printf(out, "RCPT TO:<%s>\r\n",
			      letter->recipients[command->recipient].address);
		break;
	case TURN_STRANGER:
		buffer_printf(out, "RCPT TO:<nobody%u@example.org>\r\n", command->recipient);
		break;
	case TURN_NOOP: buffer_add_text(out, "NOOP\r\n"); break;
	case TURN_DATA: buffer_add_text(out, "DATA\r\n"); break;
	default: abort();
	}
}

static void add_to_script(struct client *client, enum turn turn, unsigned recipient)
{
	if (client->script_count == SCRIPT_MAX) {
		abort();
	}
	client->script[client->script_count++] = (struct command){ turn, recipient };
}

static void next_letter(struct client *client)
{
	client->letter = client->letters_left && below(client, 6)
				 ? ledger_write(client->parts.ledger, client->login)
				 : NULL;
	if (!client->letter) {
		client->turn = TURN_QUIT;
		buffer_add_text(&client->out, "QUIT\r\n");
		return;
	}
	client->script_count = client->sent = client->answered = 0;
	client->in_script = true;
	client->mail_ok = client->any_ok = client->ended_body = false;
	add_to_script(client, TURN_MAIL, 0);
	for (unsigned i = 0; i < client->letter->recipient_count; i++) {
		add_to_script(client, TURN_RCPT, i);
		if (below(client, 12) == 0) {
			add_to_script(client, below(client, 2) ? TURN_NOOP : TURN_STRANGER, i);
		}
	}
	add_to_script(client, TURN_DATA, 0);
	do {
		add_command(client, &client->script[client->sent++]);
	} while (client->pipelines && client->sent < client->script_count);
}

static void send_body(struct client *client)
{
	letter_add_stuffed(&client->out, buffer_view(&client->letter->bytes));
	if (buffer_error(&client->letter->bytes) != OK || buffer_error(&client->out) != OK) {
		abort();
	}
	client->in_script = false;
	client->turn = TURN_MESSAGE;
	client->ended_body = true;
}

// ---- replies

static void out_of_order(struct client *client, const char *command, struct view reply)
{
	unsigned letter = client->letter ? client->letter->letter.number : LEDGER_ALL;

	ledger_violation(client->parts.ledger, PROMISE_ORDER, letter, "client %u got '%.*s' for %s",
			 client->parts.number, VIEW_ARG(reply), command);
}

// Every reply says of what command it speaks: by its code and its enhanced status code.
static void check_order(struct client *client, enum turn turn, struct view reply)
{
	static const struct {
		const char *name;
		struct view good; // what its replies begin with, besides 4xx
	} turns[] = {
		[TURN_BANNER] = { "the banner", VIEW("220 ") },
		[TURN_EHLO] = { "EHLO", VIEW("250 ") },
		[TURN_STARTTLS] = { "STARTTLS", VIEW("220 2.0.0 ") },
		[TURN_AUTH] = { "AUTH", VIEW("235 2.7.0 ") },
		[TURN_MAIL] = { "MAIL", VIEW("250 2.1.0 ") },
		[TURN_RCPT] = { "RCPT", VIEW("250 2.1.5 ") },
		[TURN_STRANGER] = { "RCPT of nobody", VIEW("550 5.1.1 ") },
		[TURN_NOOP] = { "NOOP", VIEW("250 2.0.0 ") },
		[TURN_DATA] = { "DATA", VIEW("354 ") },
		[TURN_MESSAGE] = { "the message", VIEW("250 2.0.0 Queued as ") },
		[TURN_RSET] = { "RSET", VIEW("250 2.0.0 ") },
		[TURN_QUIT] = { "QUIT", VIEW("221 2.0.0 ") },
	};
	bool out_of_turn = (turn == TURN_RCPT || turn == TURN_STRANGER) ? !client->mail_ok
			   : turn == TURN_DATA                          ? !client->any_ok
									: false;

	struct view due = out_of_turn                                   ? VIEW("503 5.5.1 ")
			  : turn == TURN_AUTH && client->wrong_password ? VIEW("535 5.7.8 ")
									: turns[turn].good;

	if (!view_starts(reply, due) && !view_starts(reply, VIEW("4"))) {
		out_of_order(client, turns[turn].name, reply);
	}
}

static void answer_in_script(struct client *client, const struct command *command, bool good)
{
	switch (command->turn) {
	case TURN_MAIL: client->mail_ok = good; break;
	case TURN_RCPT:
		client->letter->recipients[command->recipient].taken = good;
		client->any_ok = client->any_ok || good;
		break;
	case TURN_DATA:
		if (good) {
			send_body(client);
		} else {
			letter_is_over(client, LETTER_UNSENT);
			client->turn = TURN_RSET;
			buffer_add_text(&client->out, "RSET\r\n");
		}
		return;
	default: break;
	}
	if (client->sent < client->script_count) {
		add_command(client, &client->script[client->sent++]);
	}
}

static void say_ehlo(struct client *client)
{
	client->turn = TURN_EHLO;
	buffer_add_text(&client->out, "EHLO client.example\r\n");
}

static void log_in(struct client *client)
{
	struct buffer words = buffer_with_max(256);

	client->turn = TURN_AUTH;
	client->wrong_password = below(client, 8) == 0;
	buffer_add_byte(&words, 0);
	buffer_printf(&words, "box%u@example.org", client->login);
	buffer_add_byte(&words, 0);
	buffer_printf(&words, "secret of box%u@example.org%s", client->login,
		      client->wrong_password ? "!" : "");
	buffer_add_text(&client->out, "AUTH PLAIN ");
	base64_encode(&client->out, buffer_view(&words));
	buffer_add_text(&client->out, "\r\n");
	buffer_done(&words);
}

// After a good reply to one of the steps that come before letters, or to a letter. False: it cannot
// go on.
static bool greet_or_write(struct client *client, enum turn turn)
{
	if (turn == TURN_BANNER) {
		say_ehlo(client);
	} else if (turn == TURN_STARTTLS) {
		struct stream_client_wish wish = { .server_name = VIEW("mail.example.org") };

		client->shakes_hands = true;
		return stream_start_tls_client(&client->stream, client->parts.tls, &wish) == OK;
	} else if (turn == TURN_EHLO && client->wants_tls && !client->stream.tls) {
		client->turn = TURN_STARTTLS;
		buffer_add_text(&client->out, "STARTTLS\r\n");
	} else if (turn == TURN_EHLO && client->login != LEDGER_NO_LOGIN) {
		log_in(client);
	} else {
		next_letter(client);
	}
	return true;
}

// False: the connection is over.
static bool take_reply(struct client *client, struct view reply)
{
	bool good = reply.len && (reply.data[0] == '2' || reply.data[0] == '3');
	const struct command *command = &client->script[client->answered];
	enum turn turn = client->in_script ? command->turn : client->turn;

	check_order(client, turn, reply);
	if (turn == TURN_AUTH) {
		client->parts.ledger->deeds[good ? DEED_LOGIN : DEED_LOGIN_REFUSED]++;
	}
	if (turn == TURN_MESSAGE) {
		client->ended_body = false;
		letter_is_over(client, good ? LETTER_ACCEPTED : LETTER_REFUSED);
	}
	if (turn == TURN_QUIT || view_starts(reply, VIEW("421 ")) || (turn <= TURN_AUTH && !good)) {
		return false;
	}
	if (client->in_script) {
		client->answered++;
		answer_in_script(client, command, good);
		return true;
	}
	return greet_or_write(client, turn);
}

static bool take_lines(struct client *client)
{
	struct view rest = buffer_view(&client->in), line;
	size_t end, taken = 0;
	bool alive = true;

	while (alive && (end = view_find(rest, '\n')) < rest.len) {
		line = view_first(rest, end);
		line.len -= line.len && line.data[line.len - 1] == '\r';
		rest = view_from(rest, end + 1);
		taken += end + 1;
		if (line.len < 4 || line.data[3] != '-') {
			alive = take_reply(client, line);
		}
	}
	buffer_consume(&client->in, taken);
	return alive;
}

// False: the connection is over.
static bool receive(struct client *client)
{
	char bytes[4096];
	size_t len;
	enum error error;

	do {
		error = stream_receive(&client->stream, bytes, sizeof bytes, &len);
		if (error == OK) {
			buffer_add(&client->in, view_of(bytes, len));
		}
		if (error == OK && !take_lines(client)) {
			return false;
		}
	} while (error == OK && !client->shakes_hands && stream_has_pending(&client->stream));
	return error == OK || error == ERROR_AGAIN;
}

// False: the connection is over.
static bool shake_hands(struct client *client)
{
	switch (stream_handshake(&client->stream)) {
	case STREAM_HANDSHAKE_DONE:
		client->shakes_hands = false;
		client->parts.ledger->deeds[DEED_CLIENT_TLS]++;
		say_ehlo(client);
		return true;
	case STREAM_HANDSHAKE_WANTS_READ: client->stream.wants = OS_READABLE; return true;
	case STREAM_HANDSHAKE_WANTS_WRITE: client->stream.wants = OS_WRITABLE; return true;
	default: return false;
	}
}

static void on_ready(void *context, int events)
{
	struct client *client = context;
	bool lives = true;

	if (!client->shakes_hands && (events & OS_READABLE)) {
		lives = receive(client);
	}
	if (lives && client->shakes_hands) {
		lives = shake_hands(client);
	}
	if (!lives) {
		hang_up(client, false);
	} else if (client->shakes_hands || send_out(client)) {
		wait_for_peer(client);
	}
}

static void connect_now(void *context)
{
	struct client *client = context;
	struct os_address to, from;
	uint16_t port;
	int socket;

	client->connections++;
	buffer_clear(&client->in);
	buffer_clear(&client->out);
	client->in_script = client->ended_body = false;
	client->turn = TURN_BANNER;
	client->pipelines = below(client, 3) != 0;
	client->login = client->parts.may_log_in && below(client, 3) == 0
				? (unsigned)below(client, LEDGER_BOXES)
				: LEDGER_NO_LOGIN;
	client->wants_tls =
		client->login != LEDGER_NO_LOGIN || (client->parts.may_use_tls && below(client, 2));
	port = client->login == LEDGER_NO_LOGIN ? 25 : 587;
	if (os_address_parse(VIEW("192.0.2.25"), port, &to) != OK ||
	    os_address_parse(VIEW("10.0.0.1"), 0, &from) != OK) {
		abort();
	}
	from.ip4[3] = (uint8_t)client->parts.number;
	if (os_socket_connect(&to, &from, &socket) != OK) {
		os_timer_set(&client->timer, PAUSE_MS_MAX); // no descriptors
		return;
	}
	client->stream = stream_of(socket);
	if (os_watch_new(client->parts.loop, socket, on_ready, client, &client->watch) != OK) {
		abort();
	}
	wait_for_peer(client);
}

struct client *client_new(const struct client_parts *parts, uint64_t start_ms)
{
	struct client *client = calloc(1, sizeof *client);

	if (!client) {
		abort();
	}
	client->parts = *parts;
	client->sim = parts->ledger->sim;
	client->letters_left = parts->letters;
	client->busy = true;
	client->stream = stream_of(-1);
	client->in = buffer_with_max(IN_BYTES_MAX);
	client->out = buffer_with_max(OUT_BYTES_MAX);
	os_timer_init(&client->timer, parts->loop, connect_now, client);
	os_timer_set(&client->timer, start_ms);
	return client;
}

void client_free(struct client *client)
{
	os_timer_stop(&client->timer);
	os_watch_free(client->watch);
	stream_close(&client->stream);
	buffer_done(&client->in);
	buffer_done(&client->out);
	free(client);
}

bool client_is_done(const struct client *client)
{
	return !client->busy;
}
