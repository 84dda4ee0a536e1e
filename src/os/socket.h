// Stream sockets: TCP over IPv4 and IPv6, and local (Unix) ones. Always non-blocking and
// close-on-exec. A socket is an int; in the simulation it is a number in the simulated network.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct os_address {
	uint8_t family; // 4, 6, or 1 for a local path
	uint16_t port;
	union {
		uint8_t ip4[4];
		uint8_t ip6[16];
		char path[108]; // NUL-terminated
	};
};

// "192.0.2.1", "2001:db8::1" (brackets are refused), or "unix:/path". An IPv4-mapped IPv6 address
// becomes IPv4, so that one peer has one name.
enum error os_address_parse(struct view text, uint16_t port,
			    struct os_address *ret_address) must_check;
// From the 16 bytes in network order, with the same rule for mapped ones.
struct os_address os_address_from_ip6(const uint8_t ip6[16], uint16_t port);
void os_address_add_text(struct buffer *out, const struct os_address *address); // without the port
bool os_address_equal(const struct os_address *a, const struct os_address *b);  // with the port

struct os_listen_options {
	int backlog;
	bool reuse_port; // one socket per thread on the same port; all of one user
	bool is_first;   // of these: ERROR_BUSY where anybody listens there, who shares or not
};

enum error os_socket_listen(const struct os_address *address, struct os_listen_options options,
			    int *ret_listener) must_check;
// Who listens where os_socket_listen said ERROR_BUSY, as far as this process may know. For people.
struct os_socket_holder {
	int32_t pid;
	char name[16]; // of the program; printable
};
enum error os_socket_find_holder(const struct os_address *address,
				 struct os_socket_holder *ret_holder) must_check; // ERROR_NOT_FOUND
// ERROR_AGAIN when nobody waits; ERROR_LIMIT when descriptors ran out (pause accepting).
// TCP_NODELAY is set on what it returns.
enum error os_socket_accept(int listener, int *ret_socket, struct os_address *ret_peer) must_check;
// Begins; writable tells the end, os_socket_connect_result how. source may be NULL.
enum error os_socket_connect(const struct os_address *address, const struct os_address *source,
			     int *ret_socket) must_check;
enum error os_socket_connect_result(int socket) must_check;
enum error os_socket_local_address(int socket, struct os_address *ret_address) must_check;
// What a connection to the peer would come from where no source is given; no packet is sent. An
// error: nowhere from.
enum error os_socket_source_address(const struct os_address *peer,
				    struct os_address *ret_address) must_check;
// An address of this machine, as the system knows it now; no packet is sent.
bool os_socket_address_is_local(const struct os_address *address);

// At most size bytes. ERROR_AGAIN: not now. ERROR_CLOSED: the peer has sent its end.
enum error os_socket_receive(int socket, void *bytes, size_t size, size_t *ret_len) must_check;
// As many as the system takes; *ret_len may be less than asked. Never raises SIGPIPE.
enum error os_socket_send(int socket, struct view bytes, size_t *ret_len) must_check;
struct os_socket_part {
	const void *data;
	size_t len;
};
enum error os_socket_send_parts(int socket, const struct os_socket_part *parts, unsigned count,
				size_t *ret_len) must_check; // at most 64 parts
void os_socket_shutdown_send(int socket); // the peer sees our end; receiving goes on
// Another descriptor of the same socket.
enum error os_socket_duplicate(int socket, int *ret_socket) must_check;
void os_socket_close(int socket);       // at once; -1 is accepted
void os_socket_close_reset(int socket); // with RST: for peers that must not linger
