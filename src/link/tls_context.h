// Inside of the TLS contexts, for stream_tls.c alone: what both kinds share, and the BIO that joins
// OpenSSL to an os socket. The BIO's data is a struct tls_socket that the stream owns.
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/error.h"
#include "link/tls.h"

struct tls_context {
	atomic_uint users;
	SSL_CTX *ssl;
	BIO_METHOD *method;
	void (*free)(struct tls_context *context);
};

struct tls_server {
	struct tls_context context; // the first identity's
	struct tls_chooser *chooser;
	struct tls_tickets *tickets;
};

struct tls_client {
	struct tls_context context;
};

void tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); // accepts NULL

struct tls_socket {
	int socket;
	enum error broken; // what ended it, OK before that
};

enum error tls_socket_method_new(BIO_METHOD **ret_method) must_check;

// The settings that every context of ours has, on either side. NULL: no memory.
SSL_CTX *tls_settings_new(const SSL_METHOD *method);

// One PEM block after another; NULL when there is no further one, or a broken one, which
// tls_pem_at_end tells apart.
BIO *tls_pem_open(struct view pem); // reads the view in place; NULL: no memory or too large
X509 *tls_pem_certificate(BIO *pem);
bool tls_pem_at_end(void);       // right after tls_pem_certificate gave NULL
EVP_PKEY *tls_pem_key(BIO *pem); // an encrypted key is none

// The keys of tickets, made for the time by derivation: no state, any thread.
struct tls_tickets *tls_tickets_new(const struct tls_server_options *options);
void tls_tickets_free(struct tls_tickets *tickets); // accepts NULL
int tls_tickets_use(const struct tls_tickets *tickets, SSL *ssl, unsigned char *name,
		    unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypting);
