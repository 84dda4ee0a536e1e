#include "link/stream.h"

#include "link/stream_tls.h"
#include "os/loop.h"

enum error stream_receive(struct stream *stream, void *bytes, size_t size, size_t *ret_len)
{
	stream->wants = OS_READABLE;
	return stream->tls ? stream_tls_receive(stream, bytes, size, ret_len)
			   : os_socket_receive(stream->socket, bytes, size, ret_len);
}

bool stream_has_pending(const struct stream *stream)
{
	return stream->tls && stream_tls_has_pending(stream->tls);
}

enum error stream_send(struct stream *stream, struct view bytes, size_t *ret_len)
{
	struct os_socket_part part = { bytes.data, bytes.len };

	stream->wants = OS_WRITABLE;
	return stream->tls ? stream_tls_send_parts(stream, &part, 1, ret_len)
			   : os_socket_send(stream->socket, bytes, ret_len);
}

enum error stream_send_parts(struct stream *stream, const struct os_socket_part *parts,
			     unsigned count, size_t *ret_len)
{
	stream->wants = OS_WRITABLE;
	return stream->tls ? stream_tls_send_parts(stream, parts, count, ret_len)
			   : os_socket_send_parts(stream->socket, parts, count, ret_len);
}

void stream_shutdown(struct stream *stream)
{
	if (stream->tls) {
		stream_tls_shutdown(stream->tls);
	}
	os_socket_shutdown_send(stream->socket);
}

void stream_close(struct stream *stream)
{
	stream_tls_free(stream->tls);
	os_socket_close(stream->socket);
	*stream = stream_of(-1);
}

void stream_close_reset(struct stream *stream)
{
	stream_tls_free(stream->tls);
	os_socket_close_reset(stream->socket);
	*stream = stream_of(-1);
}
