// Messages between processes: one datagram each over a local socket pair that keeps order and
// boundaries, with descriptors riding along. What arrives is untrusted: the receiver decodes it
// with base/wire.h and closes the channel when it does not fit.
#pragma once

#include "base/buffer.h"
#include "os/loop.h"

enum {
	OS_MESSAGE_SIZE_MAX = 64 * 1024, // bytes of payload
	OS_MESSAGE_FDS_MAX = 8,
};

struct os_channel;

struct os_message {
	uint16_t type;       // of the protocol spoken on this channel
	uint32_t id;         // a request's number, returned in its answer; 0 where there is none
	struct view payload; // valid during the callback only
	int fds[OS_MESSAGE_FDS_MAX];
	unsigned fd_count; // the callback owns the descriptors: it takes or closes them
};

typedef void os_channel_message_fn(void *context, struct os_message *message);
typedef void os_channel_closed_fn(void *context,
				  enum error reason); // once; then only os_channel_free

enum error os_channel_pair(int ret_fds[2]) must_check;
// Takes fd. queue_max: messages that may wait unsent before os_channel_send says ERROR_LIMIT.
enum error os_channel_new(struct os_loop *loop, int fd, unsigned queue_max,
			  os_channel_message_fn *on_message, os_channel_closed_fn *on_closed,
			  void *context, struct os_channel **ret_channel) must_check;
// Copies the payload. fds stay the caller's and may be closed at once after it. Order is kept.
enum error os_channel_send(struct os_channel *channel, uint16_t type, uint32_t id,
			   struct view payload, const int *fds, unsigned fd_count) must_check;
void os_channel_free(struct os_channel *channel); // accepts NULL

// The same without a loop, blocking: for start-up and command-line programs.
enum error os_message_send(int fd, uint16_t type, uint32_t id, struct view payload, const int *fds,
			   unsigned fd_count) must_check;
// payload goes into buffer (cleared first). timeout_ms 0 waits for ever.
enum error os_message_receive(int fd, uint64_t timeout_ms, struct buffer *buffer,
			      struct os_message *ret_message) must_check;

// A named local socket for such channels (the control socket). peer credentials come from the
// kernel.
struct os_peer {
	uint32_t uid, gid;
	int32_t pid;
};
enum error os_channel_listen(const char *path, uint32_t mode, int *ret_listener) must_check;
enum error os_channel_accept(int listener, int *ret_fd, struct os_peer *ret_peer) must_check;
enum error os_channel_connect(const char *path, int *ret_fd) must_check;
