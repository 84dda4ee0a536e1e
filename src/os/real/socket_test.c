#include "base/check.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void wait_for(int fd, short events)
{
	struct pollfd wanted = { .fd = fd, .events = events };

	assert_int_equal(poll(&wanted, 1, 5000), 1);
}

struct pair {
	int listener, client, server;
	struct os_address peer;
};

static struct pair connected(const char *host)
{
	struct os_address address;
	struct pair pair;

	assert_int_equal(os_address_parse(view_from_text(host), 0, &address), OK);
	assert_int_equal(os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 },
					  &pair.listener),
			 OK);
	assert_int_equal(os_socket_accept(pair.listener, &pair.server, &pair.peer), ERROR_AGAIN);
	assert_int_equal(os_socket_local_address(pair.listener, &address), OK);
	assert_int_equal(os_socket_connect(&address, NULL, &pair.client), OK);
	wait_for(pair.client, POLLOUT);
	assert_int_equal(os_socket_connect_result(pair.client), OK);
	wait_for(pair.listener, POLLIN);
	assert_int_equal(os_socket_accept(pair.listener, &pair.server, &pair.peer), OK);
	return pair;
}

static void disconnect(struct pair *pair)
{
	os_socket_close(pair->listener);
	os_socket_close(pair->client);
	os_socket_close(pair->server);
}

static void bytes_cross_and_the_end_is_told(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		struct pair pair = connected(hosts[i]);
		const struct os_socket_part parts[] = { { "25", 2 }, { "", 0 }, { "0 ok", 4 } };
		struct os_address local;
		char bytes[16];
		size_t len;

		assert_int_equal(os_socket_local_address(pair.client, &local), OK);
		assert_true(os_address_equal(&local, &pair.peer));
		assert_int_equal(os_socket_receive(pair.client, bytes, sizeof bytes, &len),
				 ERROR_AGAIN);
		assert_int_equal(os_socket_send_parts(pair.server, parts, 3, &len), OK);
		assert_int_equal(len, 6);
		os_socket_shutdown_send(pair.server);
		wait_for(pair.client, POLLIN);
		assert_int_equal(os_socket_receive(pair.client, bytes, sizeof bytes, &len), OK);
		assert_view(view_of(bytes, len), "250 ok");
		wait_for(pair.client, POLLIN);
		assert_int_equal(os_socket_receive(pair.client, bytes, sizeof bytes, &len),
				 ERROR_CLOSED);
		assert_int_equal(os_socket_send(pair.client, VIEW("x"), &len), OK);
		disconnect(&pair);
	}
}

static void sockets_are_ready_for_small_writes_and_closed_on_exec(void **state)
{
	struct pair pair = connected("127.0.0.1");
	const int sockets[] = { pair.client, pair.server };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sockets); i++) {
		int on = 0;
		socklen_t len = sizeof on;

		assert_int_equal(getsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
		assert_int_equal(on, 1);
		assert_true(fcntl(sockets[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(sockets[i], F_GETFL) & O_NONBLOCK);
	}
	disconnect(&pair);
}

static void a_reset_is_told_and_raises_no_signal(void **state)
{
	struct pair pair = connected("127.0.0.1");
	char byte;
	size_t len;

	(void)state;
	os_socket_close_reset(pair.client);
	pair.client = -1;
	wait_for(pair.server, POLLIN);
	assert_int_equal(os_socket_receive(pair.server, &byte, 1, &len), ERROR_RESET);
	assert_int_equal(os_socket_send(pair.server, VIEW("x"), &len), ERROR_RESET);
	disconnect(&pair);
}

static void a_full_socket_says_again(void **state)
{
	static char bytes[1 << 16];
	struct pair pair = connected("127.0.0.1");
	enum error error = OK;
	size_t len, total = 0;

	(void)state;
	while (error == OK && total < 64 << 20) {
		error = os_socket_send(pair.client, view_of(bytes, sizeof bytes), &len);
		total += len;
	}
	assert_int_equal(error, ERROR_AGAIN);
	disconnect(&pair);
}

static void connecting_to_nobody_is_refused(void **state)
{
	struct os_address address;
	int listener, client;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 1 }, &listener),
		OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 1 }, &client),
		ERROR_BUSY);
	os_socket_close(listener);
	assert_int_equal(os_socket_connect(&address, NULL, &client), OK);
	wait_for(client, POLLOUT);
	assert_int_equal(os_socket_connect_result(client), ERROR_REFUSED);
	os_socket_close(client);
}

static void listeners_may_share_a_port_and_a_source_be_chosen(void **state)
{
	const struct os_listen_options shared = { .backlog = 8, .reuse_port = true };
	struct os_address address, source, peer;
	int first, second, client, server;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(os_address_parse(VIEW("127.0.0.7"), 0, &source), OK);
	assert_int_equal(os_socket_listen(&address, shared, &first), OK);
	assert_int_equal(os_socket_local_address(first, &address), OK);
	assert_int_equal(os_socket_listen(&address, shared, &second), OK);
	os_socket_close(first);
	assert_int_equal(os_socket_connect(&address, &source, &client), OK);
	wait_for(second, POLLIN);
	assert_int_equal(os_socket_accept(second, &server, &peer), OK);
	source.port = peer.port;
	assert_true(os_address_equal(&source, &peer));
	os_socket_close(second);
	os_socket_close(client);
	os_socket_close(server);
}

static void the_first_of_those_who_share_takes_a_port_that_nobody_has(void **state)
{
	const struct os_listen_options first = { .backlog = 8,
						 .reuse_port = true,
						 .is_first = true };
	const struct os_listen_options next = { .backlog = 8, .reuse_port = true };
	struct os_address address;
	int mine, second, other;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(os_socket_listen(&address, next, &other), OK);
	assert_int_equal(os_socket_local_address(other, &address), OK);
	assert_int_equal(os_socket_listen(&address, first, &mine), ERROR_BUSY); // who shares
	os_socket_close(other);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &other), OK);
	assert_int_equal(os_socket_listen(&address, first, &mine), ERROR_BUSY); // who does not
	os_socket_close(other);
	assert_int_equal(os_socket_listen(&address, first, &mine), OK);
	assert_int_equal(os_socket_listen(&address, next, &second), OK);
	assert_int_equal(os_socket_listen(&address, first, &other), ERROR_BUSY);
	os_socket_close(mine);
	os_socket_close(second);
}

static void local_sockets_work_alike(void **state)
{
	struct os_address address = { .family = 1 };
	int listener, client, server;
	struct os_address peer;
	char byte;
	size_t len;

	(void)state;
	snprintf(address.path, sizeof address.path, "/tmp/os-socket-test-%d", (int)getpid());
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &listener),
		OK);
	assert_int_equal(os_socket_connect(&address, NULL, &client), OK);
	assert_int_equal(os_socket_accept(listener, &server, &peer), OK);
	assert_int_equal(peer.family, 1);
	assert_int_equal(os_socket_send(client, VIEW("x"), &len), OK);
	assert_int_equal(os_socket_receive(server, &byte, 1, &len), OK);
	unlink(address.path);
	os_socket_close(listener);
	os_socket_close(client);
	os_socket_close(server);
}

static void who_holds_a_port_is_found(void **state)
{
	struct os_address address;
	struct os_socket_holder holder = { 0 };
	int listener, second;

	(void)state;
	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &listener),
		OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &second),
		ERROR_BUSY);
	assert_int_equal(os_socket_find_holder(&address, &holder), OK);
	assert_int_equal(holder.pid, getpid());
	assert_true(view_starts(VIEW("os-socket_test"), view_from_text(holder.name)));
	assert_int_equal(os_address_parse(VIEW("0.0.0.0"), address.port, &address), OK);
	assert_int_equal(os_socket_find_holder(&address, &holder), OK);
	os_socket_close(listener);
	assert_int_equal(os_socket_find_holder(&address, &holder), ERROR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_cross_and_the_end_is_told),
		cmocka_unit_test(sockets_are_ready_for_small_writes_and_closed_on_exec),
		cmocka_unit_test(a_reset_is_told_and_raises_no_signal),
		cmocka_unit_test(a_full_socket_says_again),
		cmocka_unit_test(connecting_to_nobody_is_refused),
		cmocka_unit_test(listeners_may_share_a_port_and_a_source_be_chosen),
		cmocka_unit_test(the_first_of_those_who_share_takes_a_port_that_nobody_has),
		cmocka_unit_test(local_sockets_work_alike),
		cmocka_unit_test(who_holds_a_port_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
