#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "link/tls_context.h"
#include "os/random.h"

// Mozilla's intermediate set without finite-field Diffie-Hellman.
static const char CIPHERS[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
			      "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
			      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
#if OPENSSL_VERSION_NUMBER >= 0x30500000L
static const char GROUPS[] = "X25519MLKEM768:X25519:P-256:P-384";
#else
static const char GROUPS[] = "X25519:P-256:P-384";
#endif

enum {
	TICKET_LIFETIME_S = 12 * 3600,
	SERVER_NAME_MAX = 255,
	KEY_TYPES_MAX = 4,
	NAMES_BYTES_MAX = 64 * 1024 * 1024,
};

// One or more certificates for the same names, with keys of different types.
struct tls_choice {
	SSL_CTX *ssl;
	struct tls_certificate *certificate; // of the first
	int key_types[KEY_TYPES_MAX];
	unsigned key_type_count;
};

struct tls_chooser {
	struct arena arena;
	struct table names; // to struct tls_choice
	struct tls_choice choices[TLS_IDENTITIES_MAX];
	unsigned count;
};

static struct tls_choice *choice_for(const struct tls_chooser *chooser, const char *server_name)
{
	char lower[SERVER_NAME_MAX + 1];
	struct view name = view_from_text(server_name);
	struct tls_choice *choice;
	size_t dot;

	if (name.len > 0 && name.data[name.len - 1] == '.') {
		name.len--;
	}
	if (name.len == 0 || name.len > SERVER_NAME_MAX) {
		return NULL;
	}
	for (size_t i = 0; i < name.len; i++) {
		lower[i] = ascii_lower(name.data[i]);
	}
	name.data = lower;
	choice = table_get(&chooser->names, name);
	dot = view_find(name, '.');
	if (choice || dot == 0 || dot == name.len) {
		return choice;
	}
	lower[dot - 1] = '*';
	return table_get(&chooser->names, view_from(name, dot - 1));
}

// Those that name none of our names get the first identity: mail clients often name the domain.
static int on_server_name(SSL *ssl, int *alert, void *context)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_choice *choice = name ? choice_for(context, name) : NULL;

	(void)alert;
	if (!choice) {
		return SSL_TLSEXT_ERR_NOACK;
	}
	SSL_set_SSL_CTX(ssl, choice->ssl);
	return SSL_TLSEXT_ERR_OK;
}

// Attack A7: a browser, or any other program that was led to a mail port, names its own protocol.
static bool is_other_protocol(struct view name)
{
	static const char *const others[] = { "h2",         "http/", "h3",   "imap",  "pop3",
					      "ftp",        "xmpp-", "irc",  "nntp",  "managesieve",
					      "postgresql", "mqtt",  "dot",  "stun.", "coap",
					      "webrtc",     "sip",   "spdy/" };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (view_starts(name, view_from_text(others[i]))) {
			return true;
		}
	}
	return false;
}

static int on_protocols(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
			const unsigned char *offered, unsigned len, void *context)
{
	bool other = false;

	(void)ssl;
	(void)context;
	for (unsigned i = 0; i < len; i += 1u + offered[i]) {
		struct view name = view_of(offered + i + 1, offered[i]);

		if (view_equal(name, VIEW("smtp"))) {
			*ret_name = offered + i + 1;
			*ret_len = offered[i];
			return SSL_TLSEXT_ERR_OK;
		}
		other = other || is_other_protocol(name);
	}
	return other ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int encrypting)
{
	const struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return tls_tickets_use(server->tickets, ssl, name, iv, cipher, mac, encrypting);
}

static SSL_CTX *settings_new(struct tls_server *server, struct view role)
{
	SSL_CTX *ssl = tls_settings_new(TLS_server_method());

	if (!ssl || !SSL_CTX_set_cipher_list(ssl, CIPHERS) ||
	    !SSL_CTX_set1_groups_list(ssl, GROUPS) ||
	    !SSL_CTX_set_session_id_context(ssl, (const uint8_t *)role.data, (unsigned)role.len) ||
	    !SSL_CTX_set_num_tickets(ssl, 1) || !SSL_CTX_set_app_data(ssl, server) ||
	    !SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket)) {
		SSL_CTX_free(ssl);
		return NULL;
	}
	// The chain is what the file holds. Without this each handshake looks for more of it: a
	// tenth of its CPU.
	SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_timeout(ssl, TICKET_LIFETIME_S);
	SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ssl, server->chooser);
	SSL_CTX_set_alpn_select_cb(ssl, on_protocols, NULL);
	return ssl;
}

// What is wrong with it, or NULL.
static const char *use_chain(SSL_CTX *ssl, BIO *pem, X509 *leaf)
{
	X509 *next;

	if (SSL_CTX_use_certificate(ssl, leaf) != 1) {
		return ERR_reason_error_string(ERR_peek_last_error());
	}
	while ((next = tls_pem_certificate(pem))) {
		if (!SSL_CTX_add0_chain_cert(ssl, next)) {
			X509_free(next);
			return "its chain cannot be used";
		}
	}
	return tls_pem_at_end() ? NULL : "a certificate of its chain is broken";
}

static const char *use_key(SSL_CTX *ssl, struct view pem)
{
	BIO *bio = tls_pem_open(pem);
	EVP_PKEY *key = bio ? tls_pem_key(bio) : NULL;
	const char *problem = NULL;

	BIO_free(bio);
	if (!key) {
		return "no private key that can be read (encrypted ones cannot)";
	}
	if (SSL_CTX_use_PrivateKey(ssl, key) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
		problem = "the key is not the certificate's";
	}
	EVP_PKEY_free(key);
	return problem;
}

static bool same_names(const struct tls_certificate *a, const struct tls_certificate *b)
{
	bool same = a->name_count == b->name_count;

	for (unsigned i = 0; same && i < a->name_count; i++) {
		same = view_equal(a->names[i], b->names[i]);
	}
	return same;
}

static bool has_key_type(const struct tls_choice *choice, int key_type)
{
	for (unsigned i = 0; i < choice->key_type_count; i++) {
		if (choice->key_types[i] == key_type) {
			return true;
		}
	}
	return choice->key_type_count == KEY_TYPES_MAX;
}

// The choice that this certificate joins, or a new one; NULL: no memory.
static struct tls_choice *choice_take(struct tls_server *server, struct view role,
				      struct tls_certificate *certificate, int key_type)
{
	struct tls_chooser *chooser = server->chooser;
	struct tls_choice *choice;

	for (unsigned i = 0; i < chooser->count; i++) {
		choice = &chooser->choices[i];
		if (same_names(choice->certificate, certificate) &&
		    !has_key_type(choice, key_type)) {
			return choice;
		}
	}
	choice = &chooser->choices[chooser->count];
	choice->ssl = settings_new(server, role);
	choice->certificate = certificate;
	chooser->count += choice->ssl != NULL;
	return choice->ssl ? choice : NULL;
}

static const char *add_names(struct tls_chooser *chooser, struct tls_choice *choice)
{
	for (unsigned i = 0; i < choice->certificate->name_count; i++) {
		enum error error =
			table_add(&chooser->names, choice->certificate->names[i], choice);

		if (error != OK && error != ERROR_EXISTS) {
			return error_text(error);
		}
	}
	return NULL;
}

static const char *add_identity(struct tls_server *server, struct view role,
				const struct tls_identity *identity, BIO *pem, X509 *leaf)
{
	struct tls_chooser *chooser = server->chooser;
	struct tls_certificate *certificate = ARENA_NEW(&chooser->arena, struct tls_certificate);
	const EVP_PKEY *public_key = X509_get0_pubkey(leaf);
	struct tls_choice *choice;
	const char *problem;
	int key_type;

	if (!public_key) {
		return "its public key cannot be read";
	}
	key_type = EVP_PKEY_get_base_id(public_key);
	if (!certificate ||
	    tls_certificate_read(identity->certificate, &chooser->arena, certificate) != OK) {
		return "its names cannot be read";
	}
	choice = choice_take(server, role, certificate, key_type);
	if (!choice) {
		return error_text(ERROR_NO_MEMORY);
	}
	problem = use_chain(choice->ssl, pem, leaf);
	problem = problem ? problem : use_key(choice->ssl, identity->key);
	if (problem) {
		return problem;
	}
	choice->key_types[choice->key_type_count++] = key_type;
	return add_names(chooser, choice);
}

static const char *load_identity(struct tls_server *server, struct view role,
				 const struct tls_identity *identity)
{
	BIO *pem = tls_pem_open(identity->certificate);
	X509 *leaf = pem ? tls_pem_certificate(pem) : NULL;
	const char *problem = leaf ? add_identity(server, role, identity, pem, leaf)
				   : "no certificate that can be read";

	X509_free(leaf);
	BIO_free(pem);
	ERR_clear_error();
	return problem;
}

static void server_free(struct tls_context *context)
{
	struct tls_server *server = (struct tls_server *)context;

	if (server->chooser) {
		for (unsigned i = 0; i < server->chooser->count; i++) {
			SSL_CTX_free(server->chooser->choices[i].ssl);
		}
		table_done(&server->chooser->names);
		arena_done(&server->chooser->arena);
	}
	free(server->chooser);
	tls_tickets_free(server->tickets);
	BIO_meth_free(context->method);
	free(server);
}

static enum error server_init(struct tls_server *server, const struct tls_server_options *options)
{
	server->context.users = 1;
	server->context.free = server_free;
	server->tickets = tls_tickets_new(options);
	server->chooser = calloc(1, sizeof *server->chooser);
	if (!server->tickets || !server->chooser) {
		return ERROR_NO_MEMORY;
	}
	server->chooser->arena = arena_with_max(NAMES_BYTES_MAX);
	server->chooser->names =
		table_with_max(os_random_hash_key(), (size_t)TLS_IDENTITIES_MAX * TLS_NAMES_MAX);
	return tls_socket_method_new(&server->context.method);
}

static enum error load_identities(struct tls_server *server,
				  const struct tls_server_options *options, struct buffer *problem)
{
	for (size_t i = 0; i < options->identity_count; i++) {
		const char *wrong = load_identity(server, options->role, &options->identities[i]);

		if (wrong && problem) {
			buffer_printf(problem, "certificate %zu: %s", i + 1, wrong);
		}
		if (wrong) {
			return ERROR_INVALID;
		}
	}
	server->context.ssl = server->chooser->choices[0].ssl;
	return OK;
}

enum error tls_server_new(const struct tls_server_options *options, struct buffer *problem,
			  struct tls_server **ret_server)
{
	struct tls_server *server;
	enum error error;

	if (options->identity_count == 0 || options->identity_count > TLS_IDENTITIES_MAX ||
	    options->role.len == 0 || options->role.len > SSL_MAX_SID_CTX_LENGTH) {
		return ERROR_INVALID;
	}
	server = calloc(1, sizeof *server);
	if (!server) {
		return ERROR_NO_MEMORY;
	}
	error = server_init(server, options);
	error = error == OK ? load_identities(server, options, problem) : error;
	if (error != OK) {
		tls_server_unref(server);
		return error;
	}
	*ret_server = server;
	return OK;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
	tls_context_ref(&server->context);
	return server;
}

void tls_server_unref(struct tls_server *server)
{
	tls_context_unref(server ? &server->context : NULL);
}
