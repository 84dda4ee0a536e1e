#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

// A part is handed to the kernel as it is.
_Static_assert(sizeof(struct os_socket_part) == sizeof(struct iovec), "part is an iovec");
_Static_assert(offsetof(struct os_socket_part, data) == offsetof(struct iovec, iov_base), "data");
_Static_assert(offsetof(struct os_socket_part, len) == offsetof(struct iovec, iov_len), "len");

enum { PARTS_MAX = 64 };

union any_address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
	struct sockaddr_un local;
};

static socklen_t to_system(const struct os_address *address, union any_address *ret_system)
{
	union any_address system;

	memset(&system, 0, sizeof system);
	switch (address->family) {
	case 4:
		system.ip4.sin_family = AF_INET;
		system.ip4.sin_port = htons(address->port);
		memcpy(&system.ip4.sin_addr, address->ip4, sizeof address->ip4);
		*ret_system = system;
		return sizeof system.ip4;
	case 6:
		system.ip6.sin6_family = AF_INET6;
		system.ip6.sin6_port = htons(address->port);
		memcpy(&system.ip6.sin6_addr, address->ip6, sizeof address->ip6);
		*ret_system = system;
		return sizeof system.ip6;
	default:
		system.local.sun_family = AF_UNIX;
		memcpy(system.local.sun_path, address->path, sizeof system.local.sun_path);
		*ret_system = system;
		return sizeof system.local;
	}
}

static struct os_address from_system(const union any_address *system, socklen_t len)
{
	struct os_address address = { .family = 1 };
	size_t path_at = offsetof(struct sockaddr_un, sun_path);

	if (system->any.sa_family == AF_INET) {
		address.family = 4;
		address.port = ntohs(system->ip4.sin_port);
		memcpy(address.ip4, &system->ip4.sin_addr, sizeof address.ip4);
	} else if (system->any.sa_family == AF_INET6) {
		address = os_address_from_ip6(system->ip6.sin6_addr.s6_addr,
					      ntohs(system->ip6.sin6_port));
	} else if (len > path_at) {
		memcpy(address.path, system->local.sun_path, len - path_at);
		address.path[sizeof address.path - 1] = '\0';
	}
	return address;
}

static enum error new_socket(const union any_address *system, int *ret_socket)
{
	int fd = socket(system->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return error_from_errno(errno);
	}
	*ret_socket = fd;
	return OK;
}

static enum error set_option(int fd, int level, int name)
{
	int on = 1;

	return setsockopt(fd, level, name, &on, sizeof on) < 0 ? error_from_errno(errno) : OK;
}

// The kernel hands TCP_NODELAY of a listener down to what it accepts: no call per connection.
static enum error set_listen_options(int fd, uint8_t family, struct os_listen_options options)
{
	enum error error = OK;

	if (family != 1) {
		error = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	}
	if (error == OK && family != 1) {
		error = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	}
	if (error == OK && options.reuse_port && !options.is_first) {
		error = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	}
	if (error == OK && family == 6) {
		error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	}
	return error;
}

enum error os_socket_listen(const struct os_address *address, struct os_listen_options options,
			    int *ret_listener)
{
	union any_address system;
	socklen_t len = to_system(address, &system);
	enum error error;
	int fd = -1;

	error = new_socket(&system, &fd);
	if (error != OK) {
		return error;
	}
	error = set_listen_options(fd, address->family, options);
	if (error == OK && bind(fd, &system.any, len) < 0) {
		error = error_from_errno(errno);
	}
	// One that shares only from here on was bound as the only one.
	if (error == OK && options.reuse_port && options.is_first) {
		error = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	}
	if (error == OK && listen(fd, options.backlog) < 0) {
		error = error_from_errno(errno);
	}
	if (error != OK) {
		close(fd);
		return error;
	}
	*ret_listener = fd;
	return OK;
}

enum error os_socket_accept(int listener, int *ret_socket, struct os_address *ret_peer)
{
	for (;;) {
		union any_address system;
		socklen_t len = sizeof system;
		int fd = accept4(listener, &system.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			*ret_socket = fd;
			*ret_peer = from_system(&system, len);
			return OK;
		}
		switch (errno) {
		case EMFILE:
		case ENFILE:
		case ENOMEM:
		case ENOBUFS: return ERROR_LIMIT;
		case EAGAIN: return ERROR_AGAIN;
		case EBADF:
		case ENOTSOCK:
		case EINVAL:
		case EOPNOTSUPP:
		case EPERM: return error_from_errno(errno);
		default: continue; // EINTR, or a connection that died while it waited
		}
	}
}

static enum error connect_from(int fd, const struct os_address *address,
			       const struct os_address *source)
{
	union any_address system;
	socklen_t len;

	if (address->family != 1) {
		enum error error = set_option(fd, IPPROTO_TCP, TCP_NODELAY);

		if (error != OK) {
			return error;
		}
	}
	if (source) {
		len = to_system(source, &system);
		if (bind(fd, &system.any, len) < 0) {
			return error_from_errno(errno);
		}
	}
	len = to_system(address, &system);
	if (connect(fd, &system.any, len) == 0 || errno == EINPROGRESS || errno == EINTR) {
		return OK;
	}
	// A local socket says EAGAIN when its backlog is full; no event would tell when to go on.
	return errno == EAGAIN ? ERROR_BUSY : error_from_errno(errno);
}

enum error os_socket_connect(const struct os_address *address, const struct os_address *source,
			     int *ret_socket)
{
	union any_address system;
	enum error error;
	int fd = -1;

	to_system(address, &system);
	error = new_socket(&system, &fd);
	if (error != OK) {
		return error;
	}
	// The port is chosen at connect, so that one source address serves more than 28,000 peers.
	if (source && source->port == 0 && source->family != 1) {
		error = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	}
	if (error == OK) {
		error = connect_from(fd, address, source);
	}
	if (error != OK) {
		close(fd);
		return error;
	}
	*ret_socket = fd;
	return OK;
}

enum error os_socket_connect_result(int socket)
{
	int result = 0;
	socklen_t len = sizeof result;

	if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &result, &len) < 0) {
		return error_from_errno(errno);
	}
	return error_from_errno(result);
}

enum error os_socket_local_address(int socket, struct os_address *ret_address)
{
	union any_address system;
	socklen_t len = sizeof system;

	if (getsockname(socket, &system.any, &len) < 0) {
		return error_from_errno(errno);
	}
	*ret_address = from_system(&system, len);
	return OK;
}

enum error os_socket_source_address(const struct os_address *peer, struct os_address *ret_address)
{
	union any_address system;
	socklen_t len = to_system(peer, &system);
	int fd = socket(system.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enum error error;

	if (fd < 0) {
		return error_from_errno(errno);
	}
	error = connect(fd, &system.any, len) == 0 ? os_socket_local_address(fd, ret_address)
						   : error_from_errno(errno);
	close(fd);
	if (error == OK) {
		ret_address->port = 0;
	}
	return error;
}

// Where the system lets everybody have any address (ip_nonlocal_bind) a binding alone says nothing:
// from one that is not here there is no way to it either.
bool os_socket_address_is_local(const struct os_address *address)
{
	struct os_address any_port = *address;
	union any_address system;
	socklen_t len;
	int fd;
	bool is_local;

	any_port.port = 0;
	len = to_system(&any_port, &system);
	fd = socket(system.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return false;
	}
	is_local = bind(fd, &system.any, len) == 0;
	len = to_system(address, &system);
	is_local = is_local && connect(fd, &system.any, len) == 0;
	close(fd);
	return is_local;
}

enum error os_socket_receive(int socket, void *bytes, size_t size, size_t *ret_len)
{
	ssize_t got;

	do {
		got = recv(socket, bytes, size, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return error_from_errno(errno);
	}
	if (got == 0 && size > 0) {
		return ERROR_CLOSED;
	}
	*ret_len = (size_t)got;
	return OK;
}

enum error os_socket_send(int socket, struct view bytes, size_t *ret_len)
{
	ssize_t sent;

	do {
		sent = send(socket, bytes.data, bytes.len, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return error_from_errno(errno);
	}
	*ret_len = (size_t)sent;
	return OK;
}

enum error os_socket_send_parts(int socket, const struct os_socket_part *parts, unsigned count,
				size_t *ret_len)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)parts,
		.msg_iovlen = count,
	};
	ssize_t sent;

	if (count > PARTS_MAX) {
		return ERROR_LIMIT;
	}
	do {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return error_from_errno(errno);
	}
	*ret_len = (size_t)sent;
	return OK;
}

void os_socket_shutdown_send(int socket)
{
	shutdown(socket, SHUT_WR);
}

enum error os_socket_duplicate(int socket, int *ret_socket)
{
	int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);

	if (copy < 0) {
		return error_from_errno(errno);
	}
	*ret_socket = copy;
	return OK;
}

void os_socket_close(int socket)
{
	if (socket >= 0) {
		close(socket);
	}
}

void os_socket_close_reset(int socket)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(socket);
}
