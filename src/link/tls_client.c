#include <openssl/err.h>
#include <stdlib.h>

#include "link/tls_context.h"

static void client_free(struct tls_context *context)
{
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->method);
	free(context);
}

static enum error add_authorities(X509_STORE *store, struct view authorities)
{
	BIO *pem = tls_pem_open(authorities);
	X509 *x509;
	bool added = true;

	if (!pem) {
		return ERROR_LIMIT;
	}
	while (added && (x509 = tls_pem_certificate(pem))) {
		added = X509_STORE_add_cert(store, x509);
		X509_free(x509);
	}
	BIO_free(pem);
	if (!added) {
		return ERROR_NO_MEMORY;
	}
	return tls_pem_at_end() ? OK : ERROR_INVALID;
}

enum error tls_client_new(struct view authorities, struct tls_client **ret_client)
{
	struct tls_client *client = calloc(1, sizeof *client);
	enum error error;

	if (!client) {
		return ERROR_NO_MEMORY;
	}
	client->context.users = 1;
	client->context.free = client_free;
	client->context.ssl = tls_settings_new(TLS_client_method());
	error = client->context.ssl ? tls_socket_method_new(&client->context.method)
				    : ERROR_NO_MEMORY;
	if (error == OK && authorities.len > 0) {
		error = add_authorities(SSL_CTX_get_cert_store(client->context.ssl), authorities);
	}
	ERR_clear_error();
	if (error != OK) {
		tls_client_unref(client);
		return error;
	}
	// A trusted certificate is trusted, whoever signed it: a private authority's issuing
	// certificate, or the one that a smarthost signed itself.
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(client->context.ssl),
				    X509_V_FLAG_PARTIAL_CHAIN);
	*ret_client = client;
	return OK;
}

void tls_client_unref(struct tls_client *client)
{
	tls_context_unref(client ? &client->context : NULL);
}
