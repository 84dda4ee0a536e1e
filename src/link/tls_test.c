#include "link/tls_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const char *const names[] = { "mail.example.org", "*.example.com", "smtp.example.com" };

static struct tls_server *many_new(struct fixture_identity *made)
{
	struct tls_identity identities[COUNT_OF(names)];
	struct tls_server_options options = { identities, COUNT_OF(names), VIEW("relay"), { 0 } };
	struct tls_server *server;

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		made[i] = identity_new(names[i], os_clock_wall_ms());
		identities[i] = identity_of(&made[i]);
	}
	assert_int_equal(tls_server_new(&options, NULL, &server), OK);
	return server;
}

static void server_name_chooses_the_certificate(void **state)
{
	static const struct {
		const char *asked, *expected;
	} cases[] = {
		{ "mail.example.org", "mail.example.org" },
		{ "MAIL.Example.Org", "mail.example.org" },
		{ "smtp.example.com", "smtp.example.com" }, // exact before wildcard
		{ "imap.example.com", "*.example.com" },
		{ "example.com", "mail.example.org" },
		{ "a.b.example.com", "mail.example.org" }, // a wildcard is one label
		{ "other.example", "mail.example.org" },
		{ NULL, "mail.example.org" },
	};
	struct fixture_identity made[COUNT_OF(names)];
	struct tls_server *tls = many_new(made);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct raw_peer peer;
		struct stream server;
		char found[256];
		int sockets[2];

		sockets_connect(sockets);
		peer = raw_peer_new(sockets[0]);
		SSL_set_tlsext_host_name(peer.ssl, cases[i].asked);
		server = stream_of(sockets[1]);
		assert_int_equal(stream_start_tls_server(&server, tls), OK);
		assert_true(raw_peer_shake(&peer, &server));
		X509_NAME_get_text_by_NID(
			X509_get_subject_name(SSL_get0_peer_certificate(peer.ssl)), NID_commonName,
			found, sizeof found);
		assert_string_equal(found, cases[i].expected);
		raw_peer_done(&peer);
		stream_close(&server);
	}
	tls_server_unref(tls);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		identity_done(&made[i]);
	}
}

// An RSA pair for the name, as authorities still issue them.
static struct fixture_identity rsa_identity_new(const char *name)
{
	struct fixture_identity made = identity_new(name, os_clock_wall_ms()), rsa = made;
	BIO *pem = BIO_new_mem_buf(made.certificate.data, (int)made.certificate.len);
	X509 *x509 = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	BIO *certificate = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
	EVP_PKEY *pkey = EVP_RSA_gen(2048);
	char *data;
	long len;

	X509_set_pubkey(x509, pkey);
	X509_sign(x509, pkey, EVP_sha256());
	PEM_write_bio_X509(certificate, x509);
	PEM_write_bio_PrivateKey(key, pkey, NULL, NULL, 0, NULL, NULL);
	buffer_clear(&rsa.certificate);
	buffer_clear(&rsa.key);
	len = BIO_get_mem_data(certificate, &data);
	buffer_add(&rsa.certificate, view_of(data, (size_t)len));
	len = BIO_get_mem_data(key, &data);
	buffer_add(&rsa.key, view_of(data, (size_t)len));
	EVP_PKEY_free(pkey);
	X509_free(x509);
	BIO_free(pem);
	BIO_free(certificate);
	BIO_free(key);
	return rsa;
}

static void rsa_beside_ecdsa_serves_each_client_its_own(void **state)
{
	static const struct {
		const char *ciphers;
		int key_type;
	} cases[] = { { "ECDHE-RSA-AES128-GCM-SHA256", EVP_PKEY_RSA },
		      { "ECDHE-ECDSA-AES128-GCM-SHA256", EVP_PKEY_EC } };
	struct fixture_identity made[] = { identity_new("mail.example.org", os_clock_wall_ms()),
					   rsa_identity_new("mail.example.org") };
	struct tls_identity identities[] = { identity_of(&made[0]), identity_of(&made[1]) };
	struct tls_server_options options = { identities, 2, VIEW("relay"), { 0 } };
	struct tls_server *tls;

	(void)state;
	assert_int_equal(tls_server_new(&options, NULL, &tls), OK);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct raw_peer peer;
		struct stream server;
		int sockets[2];

		sockets_connect(sockets);
		peer = raw_peer_new(sockets[0]);
		SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
		SSL_set_cipher_list(peer.ssl, cases[i].ciphers);
		server = stream_of(sockets[1]);
		assert_int_equal(stream_start_tls_server(&server, tls), OK);
		assert_true(raw_peer_shake(&peer, &server));
		assert_int_equal(
			EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(peer.ssl))),
			cases[i].key_type);
		raw_peer_done(&peer);
		stream_close(&server);
	}
	tls_server_unref(tls);
	identity_done(&made[0]);
	identity_done(&made[1]);
}

static void identities_that_cannot_serve_are_named(void **state)
{
	struct fixture_identity a = identity_new("a.example", os_clock_wall_ms());
	struct fixture_identity b = identity_new("b.example", os_clock_wall_ms());
	struct buffer both = buffer_with_max(65536), broken = buffer_with_max(65536);
	struct view certificate = buffer_view(&a.certificate), key = buffer_view(&a.key);
	struct {
		struct tls_identity identity;
		enum error error;
		const char *problem;
	} cases[] = {
		{ { certificate, key }, OK, "" },
		{ { VIEW(""), key },
		  ERROR_INVALID,
		  "certificate 2: no certificate that can be read" },
		{ { VIEW("nonsense"), key },
		  ERROR_INVALID,
		  "certificate 2: no certificate that can be read" },
		{ { certificate, certificate },
		  ERROR_INVALID,
		  "certificate 2: no private key that can be read (encrypted ones cannot)" },
		{ { certificate, buffer_view(&b.key) },
		  ERROR_INVALID,
		  "certificate 2: the key is not the certificate's" },
		{ { { NULL, 0 }, key },
		  ERROR_INVALID,
		  "certificate 2: a certificate of its chain is broken" },
		{ { { NULL, 1 }, { NULL, 1 } }, OK, "" }, // both in one text
	};

	(void)state;
	buffer_add(&broken, certificate);
	buffer_add(&broken, view_first(certificate, certificate.len / 2));
	buffer_add_text(&broken, "\n-----END CERTIFICATE-----\n");
	cases[5].identity.certificate = buffer_view(&broken);
	buffer_add(&both, key);
	buffer_add(&both, certificate);
	cases[6].identity = (struct tls_identity){ buffer_view(&both), buffer_view(&both) };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_identity identities[] = { identity_of(&b), cases[i].identity };
		struct tls_server_options options = { identities, 2, VIEW("relay"), { 0 } };
		struct buffer problem = buffer_with_max(1024);
		struct tls_server *server = NULL;

		assert_int_equal(tls_server_new(&options, &problem, &server), cases[i].error);
		assert_string_equal(buffer_text(&problem), cases[i].problem);
		assert_int_equal(server != NULL, cases[i].error == OK);
		assert_int_equal(tls_identity_fits(&cases[i].identity),
				 cases[i].error == OK || i == 5);
		tls_server_unref(server);
		buffer_done(&problem);
	}
	identity_done(&a);
	identity_done(&b);
	buffer_done(&both);
	buffer_done(&broken);
}

// The curve of the key inside becomes one that nobody knows.
static void spoil_curve(struct buffer *pem)
{
	static const struct view p256 = VIEW("\x2a\x86\x48\xce\x3d\x03\x01\x07");
	BIO *in = BIO_new_mem_buf(pem->data, (int)pem->len), *out = BIO_new(BIO_s_mem());
	X509 *x509 = PEM_read_bio_X509(in, NULL, NULL, NULL);
	unsigned char *der = NULL;
	const unsigned char *start;
	int len = i2d_X509(x509, &der);
	size_t at = view_find_text(view_of(der, (size_t)len), p256);
	char *text;

	assert_true(at < (size_t)len);
	der[at + p256.len - 1] = 0x63;
	X509_free(x509);
	start = der;
	x509 = d2i_X509(NULL, &start, len);
	assert_true(PEM_write_bio_X509(out, x509));
	buffer_clear(pem);
	len = (int)BIO_get_mem_data(out, &text);
	buffer_add(pem, view_of(text, (size_t)len));
	OPENSSL_free(der);
	X509_free(x509);
	BIO_free(in);
	BIO_free(out);
}

static void a_certificate_with_an_unknown_key_cannot_serve(void **state)
{
	struct fixture_identity made = identity_new("a.example", os_clock_wall_ms());
	struct buffer problem = buffer_with_max(1024);
	struct tls_identity identity;
	struct tls_server_options options = { &identity, 1, VIEW("relay"), { 0 } };
	struct tls_server *server = NULL;

	(void)state;
	spoil_curve(&made.certificate);
	identity = identity_of(&made);
	assert_false(tls_identity_fits(&identity));
	assert_int_equal(tls_server_new(&options, &problem, &server), ERROR_INVALID);
	assert_string_equal(buffer_text(&problem), "certificate 1: its public key cannot be read");
	identity_done(&made);
	buffer_done(&problem);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **kept = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(*kept);
	*kept = session;
	return 1;
}

// Connects, offering the session where there is one. Returns whether it was resumed, and keeps the
// session that the server gave.
static bool connect_and_keep(struct tls_server *tls, SSL_SESSION *session, int version,
			     SSL_SESSION **kept)
{
	struct stream_tls_info info;
	struct raw_peer peer;
	struct stream server;
	int sockets[2];
	char byte;
	size_t len;

	sockets_connect(sockets);
	peer = raw_peer_new(sockets[0]);
	SSL_CTX_set_session_cache_mode(peer.context,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(peer.context, keep_session);
	SSL_CTX_set_app_data(peer.context, kept);
	SSL_set_max_proto_version(peer.ssl, version);
	if (session) {
		SSL_SESSION *copy = SSL_SESSION_dup(session); // OpenSSL lets each be used once

		SSL_set_session(peer.ssl, copy);
		SSL_SESSION_free(copy);
	}
	server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_server(&server, tls), OK);
	assert_true(raw_peer_shake(&peer, &server));
	assert_int_equal(stream_send(&server, VIEW("x"), &len), OK);
	assert_int_equal(raw_peer_read(&peer, &byte, 1), 1);
	assert_true(stream_tls_info(&server, &info));
	SSL_shutdown(peer.ssl);
	raw_peer_done(&peer);
	stream_close(&server);
	return info.resumed;
}

static void a8_ticket_is_good_for_its_own_role_only(void **state)
{
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_server *relay = server_new(&made, "relay");
	struct tls_server *reloaded = server_new(&made, "relay");
	struct tls_server *submission = server_new(&made, "submission");
	SSL_SESSION *session = NULL, *later = NULL;

	(void)state;
	assert_false(connect_and_keep(relay, NULL, TLS1_3_VERSION, &session));
	assert_non_null(session);
	assert_false(connect_and_keep(submission, session, TLS1_3_VERSION, &later));
	assert_true(connect_and_keep(relay, session, TLS1_3_VERSION, &later));
	assert_true(connect_and_keep(reloaded, session, TLS1_3_VERSION, &later));
	SSL_SESSION_free(session);
	SSL_SESSION_free(later);
	tls_server_unref(relay);
	tls_server_unref(reloaded);
	tls_server_unref(submission);
	identity_done(&made);
}

static void a9_no_early_data_and_no_ticket_before_tls_1_3(void **state)
{
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_server *relay = server_new(&made, "relay");
	SSL_SESSION *session = NULL, *older = NULL;

	(void)state;
	assert_false(connect_and_keep(relay, NULL, TLS1_3_VERSION, &session));
	assert_non_null(session);
	assert_int_equal(SSL_SESSION_get_max_early_data(session), 0);
	assert_false(connect_and_keep(relay, NULL, TLS1_2_VERSION, &older));
	assert_true(!older || !SSL_SESSION_has_ticket(older));
	SSL_SESSION_free(session);
	SSL_SESSION_free(older);
	tls_server_unref(relay);
	identity_done(&made);
}

static void a7_other_protocols_are_refused(void **state)
{
	static const struct {
		struct view offered;
		bool works;
		const char *selected;
	} cases[] = {
		{ { "\4smtp", 5 }, true, "smtp" },        { { "\2h2\4smtp", 8 }, true, "smtp" },
		{ { "\2h2\10http/1.1", 12 }, false, "" }, { { "\4imap", 5 }, false, "" },
		{ { "\7unknown", 8 }, true, "" },
	};
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_server *relay = server_new(&made, "relay");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const unsigned char *selected;
		struct raw_peer peer;
		struct stream server;
		int sockets[2];
		unsigned len;

		sockets_connect(sockets);
		peer = raw_peer_new(sockets[0]);
		SSL_set_alpn_protos(peer.ssl, (const unsigned char *)cases[i].offered.data,
				    (unsigned)cases[i].offered.len);
		server = stream_of(sockets[1]);
		assert_int_equal(stream_start_tls_server(&server, relay), OK);
		assert_int_equal(raw_peer_shake(&peer, &server), cases[i].works);
		SSL_get0_alpn_selected(peer.ssl, &selected, &len);
		assert_view(view_of(selected, len), cases[i].selected);
		raw_peer_done(&peer);
		stream_close(&server);
	}
	tls_server_unref(relay);
	identity_done(&made);
}

static int note_question(SSL *ssl, X509 **ret_certificate, EVP_PKEY **ret_key)
{
	bool *asked = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	(void)ret_certificate;
	(void)ret_key;
	*asked = true;
	return 0;
}

// So that one made for servers alone, which many send, breaks nothing.
static void a51_no_peer_is_asked_for_a_certificate(void **state)
{
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_server *relay = server_new(&made, "relay");
	struct stream server;
	struct raw_peer peer;
	bool asked = false;
	int sockets[2];

	(void)state;
	sockets_connect(sockets);
	peer = raw_peer_new(sockets[0]);
	SSL_CTX_set_app_data(peer.context, &asked);
	SSL_CTX_set_client_cert_cb(peer.context, note_question);
	SSL_set_SSL_CTX(peer.ssl, peer.context);
	server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_server(&server, relay), OK);
	assert_true(raw_peer_shake(&peer, &server));
	assert_false(asked);
	raw_peer_done(&peer);
	stream_close(&server);
	tls_server_unref(relay);
	identity_done(&made);
}

static void context_outlives_its_reload_while_a_stream_uses_it(void **state)
{
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_server *relay = server_new(&made, "relay");
	struct raw_peer peer;
	struct stream server;
	int sockets[2];

	(void)state;
	sockets_connect(sockets);
	peer = raw_peer_new(sockets[0]);
	server = stream_of(sockets[1]);
	assert_int_equal(stream_start_tls_server(&server, relay), OK);
	tls_server_unref(relay);
	assert_true(raw_peer_shake(&peer, &server));
	raw_peer_done(&peer);
	stream_close(&server);
	identity_done(&made);
}

static void self_signed_pair_says_what_it_is(void **state)
{
	uint64_t now_ms = 1800000000000;
	struct fixture_identity made = identity_new("Mail.Example.ORG", now_ms);
	struct arena arena = arena_with_max(65536);
	struct tls_identity identity = identity_of(&made);
	struct tls_certificate certificate;

	(void)state;
	assert_true(tls_identity_fits(&identity));
	assert_int_equal(tls_certificate_read(identity.certificate, &arena, &certificate), OK);
	assert_int_equal(certificate.name_count, 1);
	assert_view(certificate.names[0], "mail.example.org");
	assert_true(certificate.self_signed);
	assert_true(certificate.not_before_ms == now_ms - DAY_MS);
	assert_true(certificate.not_after_ms == now_ms + 3650ull * DAY_MS);
	assert_int_equal(tls_certificate_read(identity.key, &arena, &certificate), ERROR_INVALID);
	arena_done(&arena);
	identity_done(&made);
}

static void self_signed_names_are_names(void **state)
{
	static const char *const bad[] = { "", "a,DNS:b", "a b", "a\nb", "caf\xc3\xa9.example" };
	struct buffer certificate = buffer_with_max(65536), key = buffer_with_max(65536);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(tls_self_signed(view_from_text(bad[i]), 0, &certificate, &key),
				 ERROR_INVALID);
	}
	buffer_done(&certificate);
	buffer_done(&key);
}

static void broken_authorities_are_refused(void **state)
{
	struct fixture_identity made = identity_new("mail.example.org", os_clock_wall_ms());
	struct tls_client *client = NULL;

	(void)state;
	made.certificate.data[40] = '!';
	assert_int_equal(tls_client_new(buffer_view(&made.certificate), &client), ERROR_INVALID);
	assert_null(client);
	identity_done(&made);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_name_chooses_the_certificate),
		cmocka_unit_test(rsa_beside_ecdsa_serves_each_client_its_own),
		cmocka_unit_test(identities_that_cannot_serve_are_named),
		cmocka_unit_test(a_certificate_with_an_unknown_key_cannot_serve),
		cmocka_unit_test(a8_ticket_is_good_for_its_own_role_only),
		cmocka_unit_test(a9_no_early_data_and_no_ticket_before_tls_1_3),
		cmocka_unit_test(a7_other_protocols_are_refused),
		cmocka_unit_test(a51_no_peer_is_asked_for_a_certificate),
		cmocka_unit_test(context_outlives_its_reload_while_a_stream_uses_it),
		cmocka_unit_test(self_signed_pair_says_what_it_is),
		cmocka_unit_test(self_signed_names_are_names),
		cmocka_unit_test(broken_authorities_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
