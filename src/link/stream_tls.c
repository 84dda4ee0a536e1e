#include "link/stream_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "link/tls_context.h"
#include "os/clock.h"
#include "os/loop.h"

enum {
	RECORD_SIZE_MAX = SSL3_RT_MAX_PLAIN_LENGTH,
	SERVER_NAME_MAX = 253,
	SECURITY_LEVEL_VERIFIED = 2,
	// Where the certificate is not checked anyway, a weak key still beats no TLS.
	SECURITY_LEVEL_OPPORTUNISTIC = 1,
};

struct stream_tls {
	SSL *ssl;
	struct tls_context *context;
	struct tls_socket socket;
	const char *failure; // static text
	enum error error;    // once it failed
	bool done;           // the handshake
};

static enum error tls_new(int socket, struct tls_context *context, struct stream_tls **ret_tls)
{
	struct stream_tls *tls = calloc(1, sizeof *tls);
	BIO *bio = BIO_new(context->method);

	if (!tls || !bio || !(tls->ssl = SSL_new(context->ssl))) {
		BIO_free(bio);
		free(tls);
		return ERROR_NO_MEMORY;
	}
	tls->socket.socket = socket;
	BIO_set_data(bio, &tls->socket);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	tls->context = context;
	tls_context_ref(context);
	*ret_tls = tls;
	return OK;
}

void stream_tls_free(struct stream_tls *tls)
{
	if (tls) {
		SSL_free(tls->ssl);
		tls_context_unref(tls->context);
		free(tls);
	}
}

enum error stream_start_tls_server(struct stream *stream, struct tls_server *server)
{
	enum error error = tls_new(stream->socket, &server->context, &stream->tls);

	if (error == OK) {
		SSL_set_accept_state(stream->tls->ssl);
	}
	return error;
}

static bool set_peer_name(SSL *ssl, const struct stream_client_wish *wish)
{
	X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
	char name[SERVER_NAME_MAX + 1];
	size_t len = wish->server_name.len;

	if (len == 0 || len > SERVER_NAME_MAX || memchr(wish->server_name.data, 0, len)) {
		return false;
	}
	memcpy(name, wish->server_name.data, len);
	name[len] = 0;
	X509_VERIFY_PARAM_set_time(rules, (time_t)(os_clock_wall_ms() / 1000));
	X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(rules, name)) {
		return true;
	}
	ERR_clear_error();
	return X509_VERIFY_PARAM_set1_host(rules, name, len) && SSL_set_tlsext_host_name(ssl, name);
}

enum error stream_start_tls_client(struct stream *stream, struct tls_client *client,
				   const struct stream_client_wish *wish)
{
	struct stream_tls *tls;
	enum error error = tls_new(stream->socket, &client->context, &tls);

	if (error != OK) {
		return error;
	}
	if (!set_peer_name(tls->ssl, wish)) {
		ERR_clear_error();
		stream_tls_free(tls);
		return ERROR_INVALID;
	}
	SSL_set_verify(tls->ssl, wish->must_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_security_level(tls->ssl, wish->must_verify ? SECURITY_LEVEL_VERIFIED
							   : SECURITY_LEVEL_OPPORTUNISTIC);
	SSL_set_connect_state(tls->ssl);
	stream->tls = tls;
	return OK;
}

static const char *failure_text(const struct stream_tls *tls, unsigned long error)
{
	const char *text = ERR_reason_error_string(error);

	if (tls->socket.broken != OK) {
		return tls->socket.broken == ERROR_CLOSED ? "connection closed"
							  : "connection broken";
	}
	if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		return X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
	}
	return text ? text : "TLS failed";
}

// What OpenSSL's refusal means; notes what is waited for, or why it failed.
static enum error refusal(struct stream *stream, int result)
{
	struct stream_tls *tls = stream->tls;
	int kind = SSL_get_error(tls->ssl, result);

	switch (kind) {
	case SSL_ERROR_WANT_READ: stream->wants = OS_READABLE; return ERROR_AGAIN;
	case SSL_ERROR_WANT_WRITE: stream->wants = OS_WRITABLE; return ERROR_AGAIN;
	case SSL_ERROR_ZERO_RETURN: return ERROR_CLOSED;
	default: break;
	}
	tls->failure = failure_text(tls, ERR_peek_error());
	tls->error = tls->socket.broken == OK ? ERROR_CRYPTO : ERROR_RESET;
	ERR_clear_error();
	return tls->error;
}

enum stream_handshake stream_handshake(struct stream *stream)
{
	struct stream_tls *tls = stream->tls;
	int result;

	if (tls->failure) {
		return STREAM_HANDSHAKE_FAILED;
	}
	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	if (result == 1) {
		tls->done = true;
		return STREAM_HANDSHAKE_DONE;
	}
	if (refusal(stream, result) != ERROR_AGAIN) {
		tls->failure = tls->failure ? tls->failure : "connection closed";
		return STREAM_HANDSHAKE_FAILED;
	}
	return stream->wants == OS_READABLE ? STREAM_HANDSHAKE_WANTS_READ
					    : STREAM_HANDSHAKE_WANTS_WRITE;
}

enum error stream_tls_receive(struct stream *stream, void *bytes, size_t size, size_t *ret_len)
{
	struct stream_tls *tls = stream->tls;

	if (tls->failure) {
		return tls->error;
	}
	ERR_clear_error();
	return SSL_read_ex(tls->ssl, bytes, size, ret_len) ? OK : refusal(stream, 0);
}

// The next record's bytes from the parts after skipping some: in place where one part holds them.
static struct view gather(const struct os_socket_part *parts, unsigned count, size_t skip,
			  char *record)
{
	size_t len = 0;

	while (count > 0 && skip >= parts->len) {
		skip -= parts->len;
		parts++;
		count--;
	}
	if (count == 1 || (count > 1 && parts->len - skip >= RECORD_SIZE_MAX)) {
		return view_first(view_of((const char *)parts->data + skip, parts->len - skip),
				  RECORD_SIZE_MAX);
	}
	for (; count > 0 && len < RECORD_SIZE_MAX; parts++, count--, skip = 0) {
		size_t room = RECORD_SIZE_MAX - len;
		size_t part = parts->len - skip < room ? parts->len - skip : room;

		memcpy(record + len, (const char *)parts->data + skip, part);
		len += part;
	}
	return view_of(record, len);
}

enum error stream_tls_send_parts(struct stream *stream, const struct os_socket_part *parts,
				 unsigned count, size_t *ret_len)
{
	struct stream_tls *tls = stream->tls;
	char record[RECORD_SIZE_MAX];
	size_t sent = 0;
	enum error error = tls->failure ? tls->error : OK;

	ERR_clear_error();
	while (error == OK) {
		struct view bytes = gather(parts, count, sent, record);
		size_t len;

		if (bytes.len == 0) {
			break;
		}
		if (SSL_write_ex(tls->ssl, bytes.data, bytes.len, &len)) {
			sent += len;
		} else {
			error = refusal(stream, 0);
		}
	}
	if (sent > 0) {
		error = OK;
	}
	if (error == OK) {
		*ret_len = sent;
	}
	return error;
}

bool stream_tls_has_pending(const struct stream_tls *tls)
{
	return !tls->failure && SSL_has_pending(tls->ssl);
}

const char *stream_failure(const struct stream *stream)
{
	return stream->tls ? stream->tls->failure : NULL;
}

bool stream_tls_info(const struct stream *stream, struct stream_tls_info *ret_info)
{
	const struct stream_tls *tls = stream->tls;
	long verify;

	if (!tls || !tls->done) {
		return false;
	}
	verify = SSL_get_verify_result(tls->ssl);
	*ret_info = (struct stream_tls_info){
		.version = SSL_get_version(tls->ssl),
		.cipher = SSL_get_cipher_name(tls->ssl),
		.server_name =
			view_from_text(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name)),
		.resumed = SSL_session_reused(tls->ssl),
		.verify_result = verify == X509_V_OK ? "ok" : X509_verify_cert_error_string(verify),
	};
	if (!SSL_is_server(tls->ssl)) {
		ret_info->verified = verify == X509_V_OK && SSL_get0_peer_certificate(tls->ssl);
		ret_info->verified_name = view_from_text(SSL_get0_peername(tls->ssl));
	}
	return true;
}

void stream_tls_shutdown(struct stream_tls *tls)
{
	if (tls->done && !tls->failure) {
		ERR_clear_error();
		(void)SSL_shutdown(tls->ssl);
		ERR_clear_error();
	}
}
