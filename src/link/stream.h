// One connection over an os socket, plain or under TLS, used in one way: bytes in, bytes out. It
// never blocks and has no loop inside: the owner watches the socket (stream.socket) and calls
// again. It keeps no plain text: what was received is the caller's, so that nothing read before
// TLS can be taken for something read under it (attack A6) as long as the caller drops its own
// input when it starts TLS. A plain stream is these words; one under TLS gives its buffers back
// whenever it is idle. RFC 3207, RFC 8314, RFC 8446.
//
// One owner, one thread. The struct may move, even under TLS.
#pragma once

#include "link/tls.h"
#include "os/socket.h"

struct stream_tls;

struct stream {
	int socket;             // the stream's own until stream_close; -1 when closed
	int wants;              // after ERROR_AGAIN: OS_READABLE or OS_WRITABLE (os/loop.h)
	struct stream_tls *tls; // NULL while plain
};

static inline struct stream stream_of(int socket)
{
	return (struct stream){ .socket = socket };
}

// At most size bytes. ERROR_AGAIN: nothing now, see stream_wants. ERROR_CLOSED: the peer ended in
// order (under TLS: with close_notify). ERROR_RESET: it broke off; under TLS also an end without
// close_notify, so that a truncation is told from an end. ERROR_CRYPTO: TLS failed, see
// stream_failure.
enum error stream_receive(struct stream *stream, void *bytes, size_t size,
			  size_t *ret_len) must_check;

// True when bytes were taken off the socket already and wait inside TLS: receive again, since the
// socket may never become readable for them. (They may be part of a record: then ERROR_AGAIN
// comes.)
bool stream_has_pending(const struct stream *stream);

// As many bytes as the socket takes: *ret_len is at least 1, and may be less than asked. After
// ERROR_AGAIN the next call must begin with the same bytes (from anywhere in memory), and offer no
// fewer. Same errors as above.
enum error stream_send(struct stream *stream, struct view bytes, size_t *ret_len) must_check;

// The same for several parts, at most 64: they leave together, in one call to the system; under TLS
// in one record where 16 KiB hold them.
enum error stream_send_parts(struct stream *stream, const struct os_socket_part *parts,
			     unsigned count, size_t *ret_len) must_check;

// What the last call that said ERROR_AGAIN waits for. For a receive nearly always OS_READABLE, for
// a send OS_WRITABLE; TLS may turn them round.
static inline int stream_wants(const struct stream *stream)
{
	return stream->wants;
}

// Starts TLS on a plain stream; then call stream_handshake until it is done. The context is kept
// alive by the stream: a reload does not touch connections that began before it.
enum error stream_start_tls_server(struct stream *stream, struct tls_server *server) must_check;

struct stream_client_wish {
	struct view server_name; // the peer's name: for SNI, and what the certificate must say; an
				 // address as text is matched but not sent
	bool must_verify;        // the handshake fails unless the certificate is trusted and fits
};

// ERROR_INVALID: a server name that cannot be one.
enum error stream_start_tls_client(struct stream *stream, struct tls_client *client,
				   const struct stream_client_wish *wish) must_check;

enum stream_handshake {
	STREAM_HANDSHAKE_DONE,
	STREAM_HANDSHAKE_WANTS_READ,  // call again when the socket is readable
	STREAM_HANDSHAKE_WANTS_WRITE, // ... writable
	STREAM_HANDSHAKE_FAILED,      // see stream_failure; then only close
};

enum stream_handshake stream_handshake(struct stream *stream);

// Why TLS failed, for logs and replies: "wrong version number", "certificate has expired",
// "connection closed"; NULL when it did not. Ours or OpenSSL's words, never the peer's.
const char *stream_failure(const struct stream *stream);

struct stream_tls_info {
	const char *version;       // "TLSv1.3"
	const char *cipher;        // "TLS_AES_256_GCM_SHA384"
	struct view server_name;   // server: what the client asked for, may be empty; remote text
	bool resumed;              // from a ticket
	bool verified;             // client: the certificate is trusted and fits the name
	const char *verify_result; // client: why not ("self-signed certificate"), or "ok"
	struct view verified_name; // client: the name in the certificate that did, may be empty
};

// Once the handshake is done; false otherwise. The views live as long as the stream.
bool stream_tls_info(const struct stream *stream, struct stream_tls_info *ret_info);

// Our end: close_notify where TLS runs (tried once), then the socket's. Receiving goes on.
void stream_shutdown(struct stream *stream);
void stream_close(struct stream *stream);       // frees TLS, closes the socket; closed is accepted
void stream_close_reset(struct stream *stream); // the same with RST, without a word of TLS
