#include <stdio.h>
#include <string.h>

#include "receive/test_fixture.h"

enum { PEER_BYTES_MAX = 128 * 1024 * 1024, CHUNK_BYTES = 16 * 1024 };

static void on_ready(void *context, int events);

static void set_watch(struct peer *peer)
{
	int events = peer->is_deaf ? 0 : OS_READABLE;

	if (peer->handshaking) {
		events = OS_READABLE;
	} else if (peer->out.len) {
		events |= OS_WRITABLE;
	}
	if (peer->ended || peer->broken) {
		events = 0;
	}
	assert_int_equal(os_watch_set(peer->watch, events), OK);
}

static void flush(struct peer *peer)
{
	while (peer->out.len && !peer->handshaking) {
		size_t sent = 0;
		enum error error = stream_send(&peer->stream, buffer_view(&peer->out), &sent);

		if (error == ERROR_AGAIN) {
			return;
		}
		if (error != OK) {
			peer->broken = true;
			buffer_clear(&peer->out);
			return;
		}
		buffer_consume(&peer->out, sent);
	}
}

static void receive(struct peer *peer)
{
	enum error error = OK;

	while (error == OK) {
		char bytes[CHUNK_BYTES];
		size_t len = 0;

		error = stream_receive(&peer->stream, bytes, sizeof bytes, &len);
		buffer_add(&peer->in, view_of(bytes, error == OK ? len : 0));
	}
	peer->ended = error == ERROR_CLOSED;
	peer->broken |= error != ERROR_CLOSED && error != ERROR_AGAIN;
}

static void on_ready(void *context, int events)
{
	struct peer *peer = context;

	if (peer->handshaking) {
		enum stream_handshake step = stream_handshake(&peer->stream);

		peer->broken = step == STREAM_HANDSHAKE_FAILED;
		peer->handshaking =
			step == STREAM_HANDSHAKE_WANTS_READ || step == STREAM_HANDSHAKE_WANTS_WRITE;
	} else {
		if (events & OS_READABLE && !peer->is_deaf) {
			receive(peer);
		}
		flush(peer);
	}
	set_watch(peer);
}

static bool is_connected(void *context)
{
	struct peer *peer = context;

	return os_socket_connect_result(peer->stream.socket) == OK;
}

void peer_open(struct peer *peer, struct world *world, unsigned port)
{
	int socket;

	memset(peer, 0, sizeof *peer);
	peer->world = world;
	peer->in = peer->out = buffer_with_max(PEER_BYTES_MAX);
	assert_int_equal(os_socket_connect(&world->addresses[port], NULL, &socket), OK);
	peer->stream = stream_of(socket);
	assert_int_equal(os_watch_new(world->loop, socket, on_ready, peer, &peer->watch), OK);
	world_until(world, is_connected, peer);
	set_watch(peer);
}

void peer_close(struct peer *peer)
{
	os_watch_free(peer->watch);
	peer->watch = NULL;
	stream_close(&peer->stream);
	buffer_done(&peer->in);
	buffer_done(&peer->out);
}

void peer_reset(struct peer *peer)
{
	os_watch_free(peer->watch);
	peer->watch = NULL;
	stream_close_reset(&peer->stream);
	buffer_done(&peer->in);
	buffer_done(&peer->out);
}

void peer_send(struct peer *peer, struct view bytes)
{
	buffer_add(&peer->out, bytes);
	assert_int_equal(buffer_error(&peer->out), OK);
	flush(peer);
	set_watch(peer);
}

void peer_say(struct peer *peer, const char *text)
{
	peer_send(peer, view_from_text(text));
}

// The length of the first whole reply in in; 0: not yet there.
static size_t reply_len(const struct peer *peer)
{
	struct view rest = buffer_view(&peer->in);
	size_t len = 0;

	for (;;) {
		size_t end = view_find(rest, '\n');

		if (end == rest.len) {
			return 0;
		}
		len += end + 1;
		if (end < 4 || rest.data[3] != '-') {
			return len;
		}
		rest = view_from(rest, end + 1);
	}
}

static bool has_reply(void *context)
{
	const struct peer *peer = context;

	return peer->ended || peer->broken || reply_len(peer) > 0;
}

void peer_expect(struct peer *peer, const char *start)
{
	size_t len, kept = 0;

	world_until(peer->world, has_reply, peer);
	len = reply_len(peer);
	for (size_t i = 0; i < len && kept + 1 < sizeof peer->reply; i++) {
		if (peer->in.data[i] != '\r') {
			peer->reply[kept++] = peer->in.data[i];
		}
	}
	peer->reply[kept] = 0;
	buffer_consume(&peer->in, len);
	if (strncmp(peer->reply, start, strlen(start)) != 0) {
		print_error("expected \"%s\", got \"%s\"%s\n", start, peer->reply,
			    peer->ended    ? " (ended)"
			    : peer->broken ? " (broken)"
					   : "");
		fail();
	}
}

void peer_ask(struct peer *peer, const char *text, const char *start)
{
	peer_say(peer, text);
	peer_expect(peer, start);
}

static bool has_ended(void *context)
{
	const struct peer *peer = context;

	return peer->ended || peer->broken;
}

void peer_expect_end(struct peer *peer)
{
	world_until(peer->world, has_ended, peer);
	assert_int_equal(peer->in.len, 0);
}

static bool has_tls(void *context)
{
	const struct peer *peer = context;

	return !peer->handshaking;
}

void peer_start_tls(struct peer *peer)
{
	struct stream_client_wish wish = { .server_name = VIEW("mail.example.org") };
	struct tls_client *client;

	assert_int_equal(tls_client_new((struct view){ 0 }, &client), OK);
	assert_int_equal(stream_start_tls_client(&peer->stream, client, &wish), OK);
	tls_client_unref(client);
	peer->handshaking = true;
	on_ready(peer, 0);
	world_until(peer->world, has_tls, peer);
	assert_false(peer->broken);
}

void peer_greet(struct peer *peer, struct world *world, unsigned port)
{
	peer_open(peer, world, port);
	if (port == PORT_IMPLICIT) {
		peer_start_tls(peer);
	}
	peer_expect(peer, "220 mail.example.org ");
	peer_ask(peer, "EHLO client.example\r\n", "250-mail.example.org\n");
	if (port == PORT_STARTTLS) {
		peer_ask(peer, "STARTTLS\r\n", "220 ");
		peer_start_tls(peer);
		peer_ask(peer, "EHLO client.example\r\n", "250-mail.example.org\n");
	}
}

void peer_log_in(struct peer *peer)
{
	// NUL alice@example.org NUL secret
	peer_ask(peer, "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n", "235 ");
}
