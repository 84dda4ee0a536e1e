// The scripted SMTP server of the fixture.
#include <string.h>

#include "deliver/test_fixture.h"

enum { INPUT_MAX = 64 << 20, READ_MAX = 65536 };

static void session_end(struct peer_session *session)
{
	os_watch_free(session->watch);
	os_socket_close(session->socket);
	buffer_done(&session->input);
	session->watch = NULL;
	session->socket = -1;
}

static const struct peer_rule *rule_for(const struct peer *peer, struct view command)
{
	for (const struct peer_rule *rule = peer->rules; rule->start; rule++) {
		struct view start = view_from_text(rule->start);

		if (start.len ? view_starts(command, start) : command.len == 0) {
			return rule;
		}
	}
	return NULL;
}

static bool say(struct peer_session *session, const char *text)
{
	size_t len;

	if (os_socket_send(session->socket, view_from_text(text), &len) != OK ||
	    os_socket_send(session->socket, VIEW("\r\n"), &len) != OK) {
		session_end(session);
		return false;
	}
	return true;
}

static const char *usual(struct view command)
{
	return command.len == 0                     ? "220 peer"
	       : view_starts(command, VIEW("EHLO")) ? "250-peer\r\n250-PIPELINING\r\n250 8BITMIME"
	       : view_starts(command, VIEW("DATA")) ? "354 go on"
	       : view_starts(command, VIEW("QUIT")) ? "221 bye"
						    : "250 2.0.0 ok";
}

static bool answer(struct peer_session *session, struct view command)
{
	const struct peer_rule *rule = rule_for(session->peer, command);
	const char *reply = rule ? rule->reply : usual(command);

	if (!reply) {
		session_end(session);
		return false;
	}
	if (reply[0] == '\0') {
		return true; // silence
	}
	session->in_body = view_starts(command, VIEW("DATA")) && reply[0] == '3';
	return say(session, reply);
}

static size_t end_of_body(struct view input)
{
	return view_starts(input, VIEW(".\r\n")) ? 0 : view_find_text(input, VIEW("\r\n.\r\n")) + 2;
}

// False: nothing whole is left, or the session is over.
static bool take_line(struct peer_session *session)
{
	struct view input = buffer_view(&session->input), line;
	size_t end = session->in_body ? end_of_body(input) : view_find(input, '\n') - 1;
	struct peer *peer = session->peer;

	if (end + (session->in_body ? 3 : 2) > input.len) {
		return false;
	}
	line = view_first(input, end);
	if (session->in_body) {
		buffer_add(&peer->bodies, view_first(input, end + 3));
		buffer_consume(&session->input, end + 3);
		session->in_body = false;
		if (!answer(session, VIEW("."))) {
			return false;
		}
		peer->messages += end != 0; // nothing but the dot: no recipient was accepted
		return true;
	}
	buffer_add(&peer->commands, view_first(input, end + 2));
	if (!answer(session, line)) {
		return false;
	}
	buffer_consume(&session->input, end + 2);
	return true;
}

static void on_readable(void *context, int events)
{
	struct peer_session *session = context;
	char *room = buffer_reserve(&session->input, READ_MAX);
	size_t len = 0;
	enum error error;

	(void)events;
	assert_non_null(room);
	error = os_socket_receive(session->socket, room, READ_MAX, &len);
	if (error == ERROR_AGAIN) {
		return;
	}
	if (error != OK) {
		session_end(session);
		return;
	}
	session->input.len += len;
	while (session->watch && take_line(session)) {
	}
}

static bool is_one_too_many(const struct peer *peer)
{
	unsigned open = 0;

	for (unsigned i = 0; i < peer->session_count; i++) {
		open += peer->sessions[i].watch != NULL;
	}
	return peer->at_once && open > peer->at_once;
}

static void on_connection(void *context, int events)
{
	struct peer *peer = context;
	struct peer_session *session = &peer->sessions[peer->session_count];
	struct os_address from;
	int socket;

	(void)events;
	if (os_socket_accept(peer->listener, &socket, &from) != OK) {
		return;
	}
	assert_true(peer->session_count < PEER_SESSIONS_MAX);
	peer->session_count++;
	*session = (struct peer_session){ .peer = peer,
					  .socket = socket,
					  .input = buffer_with_max(INPUT_MAX) };
	assert_int_equal(os_watch_new(peer->loop, socket, on_readable, session, &session->watch),
			 OK);
	assert_int_equal(os_watch_set(session->watch, OS_READABLE), OK);
	if (is_one_too_many(peer)) {
		if (say(session, "421 4.7.0 too many connections")) {
			session_end(session);
		}
		return;
	}
	(void)answer(session, (struct view){ 0 });
}

void peer_open(struct peer *peer, struct os_loop *loop, const struct peer_rule *rules)
{
	struct os_address any;

	memset(peer, 0, sizeof *peer);
	peer->loop = loop;
	peer->rules = rules;
	peer->commands = buffer_with_max(INPUT_MAX);
	peer->bodies = buffer_with_max(INPUT_MAX);
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &any), OK);
	assert_int_equal(os_socket_listen(&any, (struct os_listen_options){ .backlog = 100 },
					  &peer->listener),
			 OK);
	assert_int_equal(os_socket_local_address(peer->listener, &peer->address), OK);
	assert_int_equal(os_watch_new(loop, peer->listener, on_connection, peer, &peer->watch), OK);
	assert_int_equal(os_watch_set(peer->watch, OS_READABLE), OK);
}

void peer_done(struct peer *peer)
{
	for (unsigned i = 0; i < peer->session_count; i++) {
		if (peer->sessions[i].watch) {
			session_end(&peer->sessions[i]);
		}
	}
	os_watch_free(peer->watch);
	os_socket_close(peer->listener);
	buffer_done(&peer->commands);
	buffer_done(&peer->bodies);
}
