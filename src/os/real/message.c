#include "os/message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "os/clock.h"
#include "os/real/datagram.h"

// Before each payload: type u16, count of descriptors u16, id u32.
enum { FDS_SPACE = CMSG_SPACE(OS_MESSAGE_FDS_MAX * sizeof(int)) };

union fds_control {
	struct cmsghdr header;
	char space[FDS_SPACE];
};

void os_datagram_put_header(char header[OS_DATAGRAM_HEADER_SIZE], uint16_t type, uint32_t id,
			    unsigned fd_count)
{
	wire_put_u32(header, type | (uint32_t)fd_count << 16);
	wire_put_u32(header + 4, id);
}

enum error os_datagram_send(int fd, struct view header, struct view payload, const int *fds,
			    unsigned fd_count)
{
	union fds_control control = { 0 };
	struct iovec parts[2] = {
		{ (void *)header.data, header.len },
		{ (void *)payload.data, payload.len },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t sent;

	if (fd_count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	do {
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return errno == EPIPE || errno == ECONNRESET ? ERROR_CLOSED
							     : error_from_errno(errno);
	}
	return OK;
}

void os_datagram_close_fds(const int *fds, unsigned fd_count)
{
	for (unsigned i = 0; i < fd_count; i++) {
		close(fds[i]);
	}
}

// Every descriptor that the kernel put into our table, whatever became of the rest. The space for
// them bounds their number: those that did not fit were never ours, and set MSG_CTRUNC.
static unsigned take_fds(struct msghdr *message, int fds[OS_MESSAGE_FDS_MAX])
{
	unsigned count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
			count = (unsigned)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(part), count * sizeof(int));
		}
	}
	return count;
}

enum error os_datagram_receive(int fd, char bytes[OS_DATAGRAM_SIZE_MAX],
			       struct os_message *ret_message)
{
	union fds_control control;
	struct iovec part = { bytes, OS_DATAGRAM_SIZE_MAX };
	struct msghdr system = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct os_message message = { 0 };
	uint32_t first;
	ssize_t got;

	// ECONNRESET, told once, only says that the other end left without reading all from us.
	// What it said itself still waits, and then the end.
	do {
		got = recvmsg(fd, &system, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0) {
		return error_from_errno(errno);
	}
	message.fd_count = take_fds(&system, message.fds);
	if (got == 0 && message.fd_count == 0) {
		return ERROR_CLOSED;
	}
	first = got >= OS_DATAGRAM_HEADER_SIZE ? wire_get_u32(bytes) : UINT32_MAX;
	if (system.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || first >> 16 != message.fd_count) {
		os_datagram_close_fds(message.fds, message.fd_count);
		return ERROR_INVALID;
	}
	message.type = first & UINT16_MAX;
	message.id = wire_get_u32(bytes + 4);
	message.payload =
		view_of(bytes + OS_DATAGRAM_HEADER_SIZE, (size_t)got - OS_DATAGRAM_HEADER_SIZE);
	*ret_message = message;
	return OK;
}

enum error os_channel_pair(int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		return error_from_errno(errno);
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return OK;
}

// ERROR_AGAIN from the descriptor means waiting here; deadline_ms 0: for ever.
static enum error wait_until(int fd, short events, uint64_t deadline_ms)
{
	for (;;) {
		struct pollfd wanted = { .fd = fd, .events = events };
		uint64_t now_ms = os_clock_mono_ms();
		int timeout_ms = -1, status;

		if (deadline_ms) {
			uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;

			timeout_ms = left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
		}
		status = poll(&wanted, 1, timeout_ms);
		if (status > 0) {
			return OK;
		}
		if (status == 0) {
			return ERROR_TIMEOUT;
		}
		if (errno != EINTR) {
			return error_from_errno(errno);
		}
	}
}

enum error os_message_send(int fd, uint16_t type, uint32_t id, struct view payload, const int *fds,
			   unsigned fd_count)
{
	char header[OS_DATAGRAM_HEADER_SIZE];
	enum error error;

	if (payload.len > OS_MESSAGE_SIZE_MAX || fd_count > OS_MESSAGE_FDS_MAX) {
		return ERROR_LIMIT;
	}
	os_datagram_put_header(header, type, id, fd_count);
	for (;;) {
		error = os_datagram_send(fd, view_of(header, sizeof header), payload, fds,
					 fd_count);
		if (error != ERROR_AGAIN) {
			return error;
		}
		error = wait_until(fd, POLLOUT, 0);
		if (error != OK) {
			return error;
		}
	}
}

enum error os_message_receive(int fd, uint64_t timeout_ms, struct buffer *buffer,
			      struct os_message *ret_message)
{
	uint64_t deadline_ms = timeout_ms ? os_clock_mono_ms() + timeout_ms : 0;
	char bytes[OS_DATAGRAM_SIZE_MAX];
	struct os_message message;
	enum error error;

	while ((error = os_datagram_receive(fd, bytes, &message)) == ERROR_AGAIN) {
		error = wait_until(fd, POLLIN, deadline_ms);
		if (error != OK) {
			return error;
		}
	}
	if (error != OK) {
		return error;
	}
	buffer_clear(buffer);
	buffer_add(buffer, message.payload);
	if (buffer_error(buffer) != OK) {
		os_datagram_close_fds(message.fds, message.fd_count);
		return buffer_error(buffer);
	}
	message.payload = buffer_view(buffer);
	*ret_message = message;
	return OK;
}
