// The TLS half of a stream, for stream.c alone.
#pragma once

#include "link/stream.h"

enum error stream_tls_receive(struct stream *stream, void *bytes, size_t size,
			      size_t *ret_len) must_check;
enum error stream_tls_send_parts(struct stream *stream, const struct os_socket_part *parts,
				 unsigned count, size_t *ret_len) must_check;
bool stream_tls_has_pending(const struct stream_tls *tls);
void stream_tls_shutdown(struct stream_tls *tls);
void stream_tls_free(struct stream_tls *tls); // accepts NULL
