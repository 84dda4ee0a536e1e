#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/message.h"

enum { BACKLOG = 64 };

static enum error local_address(const char *path, struct sockaddr_un *ret_address)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof address.sun_path) {
		return ERROR_INVALID;
	}
	memcpy(address.sun_path, path, len);
	*ret_address = address;
	return OK;
}

static enum error new_socket(int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return error_from_errno(errno);
	}
	*ret_fd = fd;
	return OK;
}

// A socket file stays behind when its owner is killed. One that nobody listens on is removed.
static enum error remove_stale(const char *path)
{
	struct stat status;
	enum error error;
	int fd = -1;

	if (lstat(path, &status) < 0) {
		return errno == ENOENT ? OK : error_from_errno(errno);
	}
	if (!S_ISSOCK(status.st_mode)) {
		return ERROR_EXISTS;
	}
	error = os_channel_connect(path, &fd);
	if (error == OK) {
		close(fd);
	}
	if (error != ERROR_REFUSED) {
		return ERROR_BUSY;
	}
	return unlink(path) < 0 ? error_from_errno(errno) : OK;
}

// The mode of the descriptor becomes that of the file, less the umask, so that it is never wider
// than asked; chmod then gives back what the umask took.
static enum error bind_with_mode(int fd, const struct sockaddr_un *address, uint32_t mode)
{
	if (fchmod(fd, (mode_t)mode) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
	    chmod(address->sun_path, (mode_t)mode) < 0 || listen(fd, BACKLOG) < 0) {
		return error_from_errno(errno);
	}
	return OK;
}

enum error os_channel_listen(const char *path, uint32_t mode, int *ret_listener)
{
	struct sockaddr_un address;
	enum error error;
	int fd = -1;

	error = local_address(path, &address);
	if (error == OK) {
		error = remove_stale(path);
	}
	if (error == OK) {
		error = new_socket(&fd);
	}
	if (error != OK) {
		return error;
	}
	error = bind_with_mode(fd, &address, mode);
	if (error != OK) {
		close(fd);
		return error;
	}
	*ret_listener = fd;
	return OK;
}

enum error os_channel_accept(int listener, int *ret_fd, struct os_peer *ret_peer)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	enum error error;
	int fd;

	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		return error_from_errno(errno);
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		error = error_from_errno(errno);
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_peer = (struct os_peer){ .uid = peer.uid, .gid = peer.gid, .pid = peer.pid };
	return OK;
}

enum error os_channel_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un address;
	enum error error;
	int fd = -1;

	error = local_address(path, &address);
	if (error == OK) {
		error = new_socket(&fd);
	}
	if (error != OK) {
		return error;
	}
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		error = errno == EAGAIN ? ERROR_BUSY : error_from_errno(errno);
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return OK;
}
