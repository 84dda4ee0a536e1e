// For the tests of this room: identities, a connected pair of sockets, and a peer that is OpenSSL
// itself, so that it can do what our own streams never would.
#pragma once

#include "base/check.h"

#include <openssl/ssl.h>
#include <sched.h>
#include <string.h>

#include "link/stream.h"
#include "os/clock.h"

enum { ROUNDS_MAX = 100000, DAY_MS = 24 * 3600 * 1000 };

struct fixture_identity {
	struct buffer certificate, key;
};

static inline struct fixture_identity identity_new(const char *name, uint64_t wall_ms)
{
	struct fixture_identity made = { buffer_with_max(65536), buffer_with_max(65536) };

	assert_int_equal(
		tls_self_signed(view_from_text(name), wall_ms, &made.certificate, &made.key), OK);
	return made;
}

static inline void identity_done(struct fixture_identity *identity)
{
	buffer_done(&identity->certificate);
	buffer_done(&identity->key);
}

static inline struct tls_identity identity_of(const struct fixture_identity *made)
{
	return (struct tls_identity){ buffer_view(&made->certificate), buffer_view(&made->key) };
}

// One identity under this role, with the secret of a process that is always the same.
static inline struct tls_server *server_new(const struct fixture_identity *made, const char *role)
{
	struct tls_identity identity = identity_of(made);
	struct tls_server_options options = { &identity, 1, view_from_text(role), { 7 } };
	struct tls_server *server;

	assert_int_equal(tls_server_new(&options, NULL, &server), OK);
	return server;
}

static inline void sockets_connect(int ret_sockets[2])
{
	struct os_address address;
	int listener, round = 0;

	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 1 }, &listener),
		OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	assert_int_equal(os_socket_connect(&address, NULL, &ret_sockets[0]), OK);
	while (os_socket_accept(listener, &ret_sockets[1], &address) != OK) {
		assert_true(round++ < ROUNDS_MAX);
		sched_yield();
	}
	os_socket_close(listener);
}

// Sends all of it on a plain socket that has room.
static inline void socket_send_all(int socket, struct view bytes)
{
	size_t len;

	assert_int_equal(os_socket_send(socket, bytes, &len), OK);
	assert_int_equal(len, bytes.len);
}

// Moves one side until it is done or failed, or the other has to act.
static inline enum stream_handshake handshake_until_settled(struct stream *stream)
{
	enum stream_handshake state;
	int round = 0;

	do {
		state = stream_handshake(stream);
		sched_yield();
	} while (state != STREAM_HANDSHAKE_DONE && state != STREAM_HANDSHAKE_FAILED &&
		 round++ < ROUNDS_MAX);
	return state;
}

// Both ends in turn; true when both are done.
static inline bool streams_shake(struct stream *client, struct stream *server)
{
	enum stream_handshake a, b;
	int round = 0;

	do {
		a = stream_handshake(client);
		b = stream_handshake(server);
		sched_yield();
	} while (a != STREAM_HANDSHAKE_FAILED && b != STREAM_HANDSHAKE_FAILED &&
		 (a != STREAM_HANDSHAKE_DONE || b != STREAM_HANDSHAKE_DONE) &&
		 round++ < ROUNDS_MAX);
	return a == STREAM_HANDSHAKE_DONE && b == STREAM_HANDSHAKE_DONE;
}

static inline enum error receive_eventually(struct stream *stream, void *bytes, size_t size,
					    size_t *ret_len)
{
	enum error error;
	int round = 0;

	do {
		error = stream_receive(stream, bytes, size, ret_len);
		sched_yield();
	} while (error == ERROR_AGAIN && round++ < ROUNDS_MAX);
	return error;
}

// A raw OpenSSL client on a socket, against a server stream.
struct raw_peer {
	SSL_CTX *context;
	SSL *ssl;
	int socket;
};

static inline struct raw_peer raw_peer_new(int socket)
{
	struct raw_peer peer = { SSL_CTX_new(TLS_client_method()), NULL, socket };

	peer.ssl = SSL_new(peer.context);
	assert_non_null(peer.ssl);
	SSL_set_fd(peer.ssl, socket);
	SSL_set_connect_state(peer.ssl);
	return peer;
}

static inline void raw_peer_done(struct raw_peer *peer)
{
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->context);
	os_socket_close(peer->socket);
}

static inline bool raw_peer_shake(struct raw_peer *peer, struct stream *server)
{
	enum stream_handshake state;
	int result, round = 0;

	do {
		result = SSL_do_handshake(peer->ssl);
		state = stream_handshake(server);
		sched_yield();
	} while ((result != 1 || state != STREAM_HANDSHAKE_DONE) &&
		 state != STREAM_HANDSHAKE_FAILED &&
		 (result == 1 || SSL_get_error(peer->ssl, result) == SSL_ERROR_WANT_READ) &&
		 round++ < ROUNDS_MAX);
	return result == 1 && state == STREAM_HANDSHAKE_DONE;
}

static inline int raw_peer_read(struct raw_peer *peer, void *bytes, int size)
{
	int result, round = 0;

	do {
		result = SSL_read(peer->ssl, bytes, size);
		sched_yield();
	} while (result <= 0 && SSL_get_error(peer->ssl, result) == SSL_ERROR_WANT_READ &&
		 round++ < ROUNDS_MAX);
	return result;
}
