#include "link/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "os/socket.h"

void tls_context_ref(struct tls_context *context)
{
	atomic_fetch_add(&context->users, 1);
}

void tls_context_unref(struct tls_context *context)
{
	if (context && atomic_fetch_sub(&context->users, 1) == 1) {
		context->free(context);
	}
}

// Notes what ends the connection: the first thing that does, since OpenSSL tries to send an alert
// after it. Returns what a BIO returns.
static int socket_result(BIO *bio, enum error error)
{
	struct tls_socket *tls = BIO_get_data(bio);

	if (error != OK && error != ERROR_AGAIN && tls->broken == OK) {
		tls->broken = error;
	}
	return error == OK;
}

static int socket_read(BIO *bio, char *bytes, size_t size, size_t *ret_len)
{
	struct tls_socket *tls = BIO_get_data(bio);
	enum error error;

	BIO_clear_retry_flags(bio);
	error = os_socket_receive(tls->socket, bytes, size, ret_len);
	if (error == ERROR_AGAIN) {
		BIO_set_retry_read(bio);
	}
	return socket_result(bio, error);
}

static int socket_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
	struct tls_socket *tls = BIO_get_data(bio);
	enum error error;

	BIO_clear_retry_flags(bio);
	error = os_socket_send(tls->socket, view_of(bytes, len), ret_len);
	if (error == ERROR_AGAIN) {
		BIO_set_retry_write(bio);
	}
	return socket_result(bio, error);
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	struct tls_socket *tls = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return tls->broken == ERROR_CLOSED;
	default: return 0;
	}
}

enum error tls_socket_method_new(BIO_METHOD **ret_method)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "os socket");

	if (!method || !BIO_meth_set_read_ex(method, socket_read) ||
	    !BIO_meth_set_write_ex(method, socket_write) ||
	    !BIO_meth_set_ctrl(method, socket_control)) {
		BIO_meth_free(method);
		return ERROR_NO_MEMORY;
	}
	*ret_method = method;
	return OK;
}

SSL_CTX *tls_settings_new(const SSL_METHOD *method)
{
	SSL_CTX *ssl = SSL_CTX_new(method);

	if (!ssl || !SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION)) {
		SSL_CTX_free(ssl);
		return NULL;
	}
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	// One call to the system per record instead of two; the buffer is given back when empty.
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	return ssl;
}

BIO *tls_pem_open(struct view pem)
{
	return pem.len <= TLS_PEM_SIZE_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
}

X509 *tls_pem_certificate(BIO *pem)
{
	return PEM_read_bio_X509(pem, NULL, NULL, NULL);
}

bool tls_pem_at_end(void)
{
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

// Without this OpenSSL would ask at the terminal.
static int no_password(char *password, int size, int writing, void *context)
{
	(void)password;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

EVP_PKEY *tls_pem_key(BIO *pem)
{
	return PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
}
