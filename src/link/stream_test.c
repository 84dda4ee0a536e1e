#include "link/tls_fixture.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "os/loop.h"

struct setting {
	struct fixture_identity identity;
	struct tls_server *server;
	struct tls_client *client; // trusts the identity
};

static int set_up(void **state)
{
	struct setting *setting = calloc(1, sizeof *setting);

	setting->identity = identity_new("mail.example.org", os_clock_wall_ms());
	setting->server = server_new(&setting->identity, "relay");
	assert_int_equal(
		tls_client_new(buffer_view(&setting->identity.certificate), &setting->client), OK);
	*state = setting;
	return 0;
}

static int tear_down(void **state)
{
	struct setting *setting = *state;

	tls_server_unref(setting->server);
	tls_client_unref(setting->client);
	identity_done(&setting->identity);
	free(setting);
	return 0;
}

static void start_pair(struct setting *setting, const struct stream_client_wish *wish,
		       struct stream *client, struct stream *server)
{
	int sockets[2];

	sockets_connect(sockets);
	*client = stream_of(sockets[0]);
	*server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_client(client, setting->client, wish), OK);
	assert_int_equal(stream_start_tls_server(server, setting->server), OK);
}

static void open_pair(struct setting *setting, struct stream *client, struct stream *server)
{
	struct stream_client_wish wish = { VIEW("mail.example.org"), true };

	start_pair(setting, &wish, client, server);
	assert_true(streams_shake(client, server));
}

static void open_raw(struct setting *setting, struct raw_peer *peer, struct stream *server)
{
	int sockets[2];

	sockets_connect(sockets);
	*peer = raw_peer_new(sockets[0]);
	*server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_server(server, setting->server), OK);
}

static void plain_bytes_pass_until_the_end(void **state)
{
	struct os_socket_part parts[] = { { "one ", 4 }, { "two", 3 } };
	struct stream client, server;
	int sockets[2];
	char bytes[16];
	size_t len;

	(void)state;
	sockets_connect(sockets);
	client = stream_of(sockets[0]);
	server = stream_of(sockets[1]);
	assert_int_equal(stream_receive(&server, bytes, sizeof bytes, &len), ERROR_AGAIN);
	assert_int_equal(stream_wants(&server), OS_READABLE);
	assert_int_equal(stream_send_parts(&client, parts, 2, &len), OK);
	assert_int_equal(receive_eventually(&server, bytes, sizeof bytes, &len), OK);
	assert_view(view_of(bytes, len), "one two");
	stream_shutdown(&client);
	assert_int_equal(receive_eventually(&server, bytes, sizeof bytes, &len), ERROR_CLOSED);
	stream_close(&client);
	stream_close(&server);
	stream_close(&server);
}

static void handshake_tells_both_ends_what_was_agreed(void **state)
{
	struct stream client, server;
	struct stream_tls_info info;

	open_pair(*state, &client, &server);
	assert_true(stream_tls_info(&server, &info));
	assert_string_equal(info.version, "TLSv1.3");
	assert_view(info.server_name, "mail.example.org");
	assert_false(info.resumed);
	assert_true(stream_tls_info(&client, &info));
	assert_true(info.verified);
	assert_string_equal(info.verify_result, "ok");
	assert_view(info.verified_name, "mail.example.org");
	stream_close(&client);
	stream_close(&server);
}

static void bytes_pass_under_tls_and_its_end_is_told_from_a_truncation(void **state)
{
	for (int truncated = 0; truncated < 2; truncated++) {
		struct stream client, server;
		char bytes[16];
		size_t len;

		open_pair(*state, &client, &server);
		assert_int_equal(stream_send(&client, VIEW("hello"), &len), OK);
		assert_int_equal(receive_eventually(&server, bytes, sizeof bytes, &len), OK);
		assert_view(view_of(bytes, len), "hello");
		if (truncated) {
			os_socket_shutdown_send(client.socket);
		} else {
			stream_shutdown(&client);
		}
		assert_int_equal(receive_eventually(&server, bytes, sizeof bytes, &len),
				 truncated ? ERROR_RESET : ERROR_CLOSED);
		assert_int_equal(stream_failure(&server) != NULL, truncated);
		stream_close_reset(&client);
		stream_close(&server);
	}
}

static void certificate_is_checked_when_it_must_be(void **state)
{
	struct setting *setting = *state;
	static const struct {
		const char *name;
		bool must_verify, trusts, works;
		const char *result;
	} cases[] = {
		{ "mail.example.org", true, true, true, "ok" },
		{ "other.example.org", true, true, false, "hostname mismatch" },
		{ "192.0.2.1", true, true, false, "IP address mismatch" },
		{ "mail.example.org", true, false, false, "self-signed certificate" },
		{ "mail.example.org", false, false, true, "self-signed certificate" },
		{ "other.example.org", false, true, true, "hostname mismatch" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct stream_client_wish wish = { view_from_text(cases[i].name),
						   cases[i].must_verify };
		struct setting trusting = *setting;
		struct stream client, server;
		struct stream_tls_info info;

		if (!cases[i].trusts) {
			assert_int_equal(tls_client_new(VIEW(""), &trusting.client), OK);
		}
		start_pair(&trusting, &wish, &client, &server);
		assert_int_equal(streams_shake(&client, &server), cases[i].works);
		if (cases[i].works) {
			assert_true(stream_tls_info(&client, &info));
			assert_string_equal(info.verify_result, cases[i].result);
			assert_int_equal(info.verified, !strcmp(cases[i].result, "ok"));
		} else {
			assert_string_equal(stream_failure(&client), cases[i].result);
			assert_false(stream_tls_info(&client, &info));
		}
		stream_close(&client);
		stream_close(&server);
		if (!cases[i].trusts) {
			tls_client_unref(trusting.client);
		}
	}
}

static void expired_certificate_is_refused(void **state)
{
	struct setting old = {
		identity_new("mail.example.org", os_clock_wall_ms() - 4000ull * DAY_MS), NULL, NULL
	};
	struct stream_client_wish wish = { VIEW("mail.example.org"), true };
	struct stream client, server;

	(void)state;
	old.server = server_new(&old.identity, "relay");
	assert_int_equal(tls_client_new(buffer_view(&old.identity.certificate), &old.client), OK);
	start_pair(&old, &wish, &client, &server);
	assert_false(streams_shake(&client, &server));
	assert_string_equal(stream_failure(&client), "certificate has expired");
	stream_close(&client);
	stream_close(&server);
	tls_server_unref(old.server);
	tls_client_unref(old.client);
	identity_done(&old.identity);
}

static void impossible_server_names_are_refused(void **state)
{
	struct setting *setting = *state;
	static const struct view names[] = { { "", 0 }, { "a\0b", 3 } };
	struct stream stream = stream_of(-1);

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct stream_client_wish wish = { names[i], false };

		assert_int_equal(stream_start_tls_client(&stream, setting->client, &wish),
				 ERROR_INVALID);
		assert_null(stream.tls);
	}
}

static void parts_leave_in_one_record(void **state)
{
	struct os_socket_part parts[] = { { "250-a\r\n", 7 }, { "", 0 }, { "250 b\r\n", 7 } };
	struct raw_peer peer;
	struct stream server;
	char byte;
	size_t len;

	open_raw(*state, &peer, &server);
	assert_true(raw_peer_shake(&peer, &server));
	assert_int_equal(stream_send_parts(&server, parts, 3, &len), OK);
	assert_int_equal(len, 14);
	assert_int_equal(raw_peer_read(&peer, &byte, 1), 1);
	assert_int_equal(SSL_pending(peer.ssl), 13);
	raw_peer_done(&peer);
	stream_close(&server);
}

static void pending_bytes_are_told(void **state)
{
	struct stream client, server;
	char bytes[8];
	size_t len;

	open_pair(*state, &client, &server);
	assert_int_equal(stream_send(&client, VIEW("12345"), &len), OK);
	assert_int_equal(receive_eventually(&server, bytes, 2, &len), OK);
	assert_true(stream_has_pending(&server));
	assert_int_equal(stream_receive(&server, bytes, sizeof bytes, &len), OK);
	assert_view(view_of(bytes, len), "345");
	assert_false(stream_has_pending(&server));
	stream_close(&client);
	stream_close(&server);
}

// A peer that does not read stops us; what follows comes from other memory and arrives unharmed.
static void full_socket_resumes_with_the_same_bytes(void **state)
{
	enum { TOTAL = 32 * 1024 * 1024 };
	struct stream client, server;
	char *sent = malloc(TOTAL), *received = malloc(TOTAL);
	size_t out = 0, in = 0, stalls = 0;

	for (size_t i = 0; i < TOTAL; i++) {
		sent[i] = (char)(i * 31 + i / 251);
	}
	open_pair(*state, &client, &server);
	while (in < TOTAL) {
		enum error error = OK;
		size_t len;

		while (out < TOTAL && error == OK) {
			error = stream_send(&server, view_of(sent + out, TOTAL - out), &len);
			out += error == OK ? len : 0;
		}
		if (error == ERROR_AGAIN) {
			char *moved = malloc(TOTAL);

			stalls++;
			assert_int_equal(stream_wants(&server), OS_WRITABLE);
			memcpy(moved, sent, TOTAL);
			free(sent);
			sent = moved;
		}
		while (stream_receive(&client, received + in, TOTAL - in, &len) == OK) {
			in += len;
		}
	}
	assert_true(stalls > 0);
	assert_memory_equal(sent, received, TOTAL);
	free(sent);
	free(received);
	stream_close(&client);
	stream_close(&server);
}

// What a client sends in clear behind STARTTLS is never taken for a command under TLS.
static void a6_plain_text_left_on_the_socket_breaks_the_handshake(void **state)
{
	static const char *const texts[] = { "MAIL FROM:<a@example.org>\r\n",
					     "GET / HTTP/1.1\r\n\r\n",
					     "\x16\x03\x01\xff\xff garbage",
					     "\0\0\0\0\0\0\0\0\0\0\0\0" };
	struct setting *setting = *state;

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct stream server;
		int sockets[2];

		sockets_connect(sockets);
		server = stream_of(sockets[1]);
		assert_int_equal(stream_start_tls_server(&server, setting->server), OK);
		socket_send_all(sockets[0], view_of(texts[i], 12));
		os_socket_shutdown_send(sockets[0]);
		assert_int_equal(handshake_until_settled(&server), STREAM_HANDSHAKE_FAILED);
		assert_non_null(stream_failure(&server));
		stream_close(&server);
		os_socket_close(sockets[0]);
	}
}

// The other side of A6: a server's reply behind its 220 is not part of TLS either.
static void a6_reply_left_on_the_socket_breaks_the_handshake(void **state)
{
	struct setting *setting = *state;
	struct stream_client_wish wish = { VIEW("mail.example.org"), false };
	struct stream client;
	int sockets[2];

	sockets_connect(sockets);
	client = stream_of(sockets[0]);
	assert_int_equal(stream_start_tls_client(&client, setting->client, &wish), OK);
	socket_send_all(sockets[1], VIEW("250 injected\r\n"));
	assert_int_equal(handshake_until_settled(&client), STREAM_HANDSHAKE_FAILED);
	assert_string_equal(stream_failure(&client), "wrong version number");
	stream_close(&client);
	os_socket_close(sockets[1]);
}

static void peer_that_leaves_in_the_handshake_is_reported(void **state)
{
	struct setting *setting = *state;
	struct stream server;
	int sockets[2];

	sockets_connect(sockets);
	server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_server(&server, setting->server), OK);
	assert_int_equal(stream_handshake(&server), STREAM_HANDSHAKE_WANTS_READ);
	os_socket_close(sockets[0]);
	assert_int_equal(handshake_until_settled(&server), STREAM_HANDSHAKE_FAILED);
	assert_string_equal(stream_failure(&server), "connection closed");
	stream_close(&server);
}

static void a9_client_hello_in_single_bytes_is_accepted(void **state)
{
	struct raw_peer peer;
	struct stream server;
	BIO *memory = BIO_new(BIO_s_mem());
	char *hello;
	long len;

	open_raw(*state, &peer, &server);
	SSL_set0_wbio(peer.ssl, memory);
	assert_int_equal(SSL_do_handshake(peer.ssl), -1);
	len = BIO_get_mem_data(memory, &hello);
	assert_true(len > 100);
	for (long i = 0; i < len; i++) {
		socket_send_all(peer.socket, view_of(hello + i, 1));
		assert_int_not_equal(stream_handshake(&server), STREAM_HANDSHAKE_FAILED);
	}
	SSL_set0_wbio(peer.ssl, BIO_new_socket(peer.socket, BIO_NOCLOSE));
	assert_true(raw_peer_shake(&peer, &server));
	raw_peer_done(&peer);
	stream_close(&server);
}

static void a9_renegotiation_is_refused(void **state)
{
	struct raw_peer peer;
	struct stream server;
	char bytes[8];
	size_t len;

	open_raw(*state, &peer, &server);
	SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
	assert_true(raw_peer_shake(&peer, &server));
	assert_int_equal(SSL_renegotiate(peer.ssl), 1);
	(void)SSL_do_handshake(peer.ssl);
	(void)receive_eventually(&server, bytes, sizeof bytes, &len);
	assert_int_equal(raw_peer_read(&peer, bytes, sizeof bytes), -1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
	ERR_clear_error();
	raw_peer_done(&peer);
	stream_close(&server);
}

static void a9_old_versions_are_refused(void **state)
{
	struct raw_peer peer;
	struct stream server;

	open_raw(*state, &peer, &server);
	SSL_set_security_level(peer.ssl, 0);
	SSL_set_min_proto_version(peer.ssl, TLS1_VERSION);
	SSL_set_max_proto_version(peer.ssl, TLS1_1_VERSION);
	assert_false(raw_peer_shake(&peer, &server));
	assert_string_equal(stream_failure(&server), "unsupported protocol");
	ERR_clear_error();
	raw_peer_done(&peer);
	stream_close(&server);
}

int main(void)
{
#define WITH_SETTING(test_) cmocka_unit_test_setup_teardown(test_, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_bytes_pass_until_the_end),
		WITH_SETTING(handshake_tells_both_ends_what_was_agreed),
		WITH_SETTING(bytes_pass_under_tls_and_its_end_is_told_from_a_truncation),
		WITH_SETTING(certificate_is_checked_when_it_must_be),
		cmocka_unit_test(expired_certificate_is_refused),
		WITH_SETTING(impossible_server_names_are_refused),
		WITH_SETTING(parts_leave_in_one_record),
		WITH_SETTING(pending_bytes_are_told),
		WITH_SETTING(full_socket_resumes_with_the_same_bytes),
		WITH_SETTING(a6_plain_text_left_on_the_socket_breaks_the_handshake),
		WITH_SETTING(a6_reply_left_on_the_socket_breaks_the_handshake),
		WITH_SETTING(peer_that_leaves_in_the_handshake_is_reported),
		WITH_SETTING(a9_client_hello_in_single_bytes_is_accepted),
		WITH_SETTING(a9_renegotiation_is_refused),
		WITH_SETTING(a9_old_versions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
