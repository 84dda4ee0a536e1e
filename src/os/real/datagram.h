// One message as it crosses a local socket, for channels with and without a loop.
#pragma once

#include "os/message.h"

enum {
	OS_DATAGRAM_HEADER_SIZE = 8,
	OS_DATAGRAM_SIZE_MAX = OS_DATAGRAM_HEADER_SIZE + OS_MESSAGE_SIZE_MAX,
};

void os_datagram_put_header(char header[OS_DATAGRAM_HEADER_SIZE], uint16_t type, uint32_t id,
			    unsigned fd_count);
// header and payload leave as one datagram, or ERROR_AGAIN.
enum error os_datagram_send(int fd, struct view header, struct view payload, const int *fds,
			    unsigned fd_count) must_check;
// Never waits. The payload lies in bytes; the descriptors are the caller's. ERROR_INVALID: a
// message that was cut off or contradicts itself; its descriptors are closed already.
enum error os_datagram_receive(int fd, char bytes[OS_DATAGRAM_SIZE_MAX],
			       struct os_message *ret_message) must_check;
void os_datagram_close_fds(const int *fds, unsigned fd_count);
