// The notification protocol of systemd, which others speak as well: a datagram of NAME=VALUE lines.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/process.h"

enum error os_process_notify(struct view state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	enum error error = OK;
	int fd;

	if (len == 0) {
		return OK; // nobody wants to know
	}
	if (len >= sizeof address.sun_path || (*path != '/' && *path != '@')) {
		return ERROR_INVALID;
	}
	memcpy(address.sun_path, path, len);
	if (*path == '@') {
		address.sun_path[0] = '\0'; // an abstract name
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return error_from_errno(errno);
	}
	if (sendto(fd, state.data, state.len, MSG_NOSIGNAL, (struct sockaddr *)&address, size) <
	    0) {
		error = error_from_errno(errno);
	}
	close(fd);
	return error;
}
