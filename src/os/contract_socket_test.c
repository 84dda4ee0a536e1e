// What both builds of os promise: sockets.
#include "os/contract.h"

#include <string.h>

#include "base/check.h"
#include "os/socket.h"

enum { TRANSFER_BYTES = 300 * 1000 };

struct talk {
	struct contract *contract;
	int listener, server, client;
	struct os_watch *listener_watch, *server_watch, *client_watch;
	size_t sent, received;
	enum error client_end, server_end;
	bool reset_by_client;
};

static char pattern_byte(size_t place)
{
	return (char)(place * 31 + place / 251);
}

static void server_ready(void *context, int events)
{
	struct talk *talk = context;
	char bytes[5000];
	size_t len;

	(void)events;
	talk->server_end = os_socket_receive(talk->server, bytes, sizeof bytes, &len);
	if (talk->server_end == ERROR_AGAIN) {
		return;
	}
	if (talk->server_end) {
		os_loop_stop(talk->contract->loop);
		assert_int_equal(os_watch_set(talk->server_watch, 0), OK);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(bytes[i], pattern_byte(talk->received + i));
	}
	talk->received += len;
}

static void listener_ready(void *context, int events)
{
	struct talk *talk = context;
	struct os_address peer;

	assert_int_equal(events, OS_READABLE);
	if (talk->server != -1) {
		return;
	}
	assert_int_equal(os_socket_accept(talk->listener, &talk->server, &peer), OK);
	assert_int_equal(peer.family, 4);
	assert_int_equal(os_watch_new(talk->contract->loop, talk->server, server_ready, talk,
				      &talk->server_watch),
			 OK);
	assert_int_equal(os_watch_set(talk->server_watch, OS_READABLE), OK);
}

static void client_finish(struct talk *talk)
{
	os_watch_free(talk->client_watch);
	talk->client_watch = NULL;
	if (talk->reset_by_client) {
		os_socket_close_reset(talk->client);
		talk->client = -1;
	} else {
		os_socket_shutdown_send(talk->client);
	}
}

static void client_ready(void *context, int events)
{
	struct talk *talk = context;
	char bytes[7000];
	size_t len = sizeof bytes, room = TRANSFER_BYTES - talk->sent;

	(void)events;
	talk->client_end = os_socket_connect_result(talk->client);
	if (talk->client_end) {
		os_loop_stop(talk->contract->loop);
		return;
	}
	if (talk->sent == TRANSFER_BYTES) {
		client_finish(talk);
		return;
	}
	len = room < len ? room : len;
	for (size_t i = 0; i < len; i++) {
		bytes[i] = pattern_byte(talk->sent + i);
	}
	talk->client_end = os_socket_send(talk->client, view_of(bytes, len), &len);
	if (!talk->client_end) {
		talk->sent += len;
	}
}

static struct os_address loopback(void)
{
	struct os_address address;

	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	return address;
}

static void talk_begin(struct talk *talk, struct contract *contract)
{
	struct os_address address = loopback();

	*talk = (struct talk){ .contract = contract, .server = -1 };
	assert_int_equal(os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 },
					  &talk->listener),
			 OK);
	assert_int_equal(os_socket_local_address(talk->listener, &address), OK);
	assert_int_not_equal(address.port, 0);
	assert_int_equal(os_socket_connect(&address, NULL, &talk->client), OK);
	assert_int_equal(os_watch_new(contract->loop, talk->listener, listener_ready, talk,
				      &talk->listener_watch),
			 OK);
	assert_int_equal(os_watch_set(talk->listener_watch, OS_READABLE), OK);
	assert_int_equal(
		os_watch_new(contract->loop, talk->client, client_ready, talk, &talk->client_watch),
		OK);
	assert_int_equal(os_watch_set(talk->client_watch, OS_WRITABLE), OK);
}

static void talk_end(struct talk *talk)
{
	os_watch_free(talk->listener_watch);
	os_watch_free(talk->client_watch);
	os_watch_free(talk->server_watch);
	os_socket_close(talk->listener);
	os_socket_close(talk->client);
	os_socket_close(talk->server);
}

static void connection_delivers_the_same_bytes_then_the_end(void **state)
{
	struct talk talk;

	talk_begin(&talk, *state);
	os_loop_run(talk.contract->loop);
	assert_int_equal(talk.received, TRANSFER_BYTES);
	assert_int_equal(talk.server_end, ERROR_CLOSED);
	talk_end(&talk);
}

static void reset_is_seen_by_the_peer(void **state)
{
	struct talk talk;

	talk_begin(&talk, *state);
	talk.reset_by_client = true;
	os_loop_run(talk.contract->loop);
	assert_int_equal(talk.server_end, ERROR_RESET);
	talk_end(&talk);
}

static void nobody_listening_is_refused(void **state)
{
	struct os_address address = loopback();
	struct talk talk = { .contract = *state, .server = -1, .listener = -1 };
	int listener;

	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &listener),
		OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	os_socket_close(listener);
	assert_int_equal(os_socket_connect(&address, NULL, &talk.client), OK);
	assert_int_equal(os_watch_new(talk.contract->loop, talk.client, client_ready, &talk,
				      &talk.client_watch),
			 OK);
	assert_int_equal(os_watch_set(talk.client_watch, OS_WRITABLE), OK);
	os_loop_run(talk.contract->loop);
	assert_int_equal(talk.client_end, ERROR_REFUSED);
	talk_end(&talk);
}

static void address_in_use_is_busy(void **state)
{
	struct os_address address = loopback();
	struct os_listen_options options = { .backlog = 8 };
	int listener, second;

	(void)state;
	assert_int_equal(os_socket_listen(&address, options, &listener), OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	assert_int_equal(os_socket_listen(&address, options, &second), ERROR_BUSY);
	os_socket_close(listener);
}

static void accepting_with_nobody_waiting_is_again(void **state)
{
	struct os_address address = loopback();
	int listener, socket;

	(void)state;
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &listener),
		OK);
	assert_int_equal(os_socket_accept(listener, &socket, NULL), ERROR_AGAIN);
	os_socket_close(listener);
}

static void source_address_is_what_a_connection_would_come_from(void **state)
{
	struct os_address peer = loopback(), source;

	(void)state;
	peer.port = 25;
	assert_int_equal(os_socket_source_address(&peer, &source), OK);
	assert_int_equal(source.family, 4);
	assert_int_equal(source.port, 0);
	assert_memory_equal(source.ip4, "\x7f\0\0\1", 4);
}

static void own_addresses_are_known_from_those_of_others(void **state)
{
	static const struct {
		const char *text;
		bool is_local;
	} cases[] = {
		{ "127.0.0.1", true }, { "::1", true },          { "192.0.2.1", false },
		{ "8.8.8.8", false },  { "2001:db8::1", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct os_address address;

		assert_int_equal(os_address_parse(view_from_text(cases[i].text), 25, &address), OK);
		assert_int_equal(os_socket_address_is_local(&address), cases[i].is_local);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(connection_delivers_the_same_bytes_then_the_end),
		CONTRACT_TEST(reset_is_seen_by_the_peer),
		CONTRACT_TEST(nobody_listening_is_refused),
		CONTRACT_TEST(address_in_use_is_busy),
		CONTRACT_TEST(accepting_with_nobody_waiting_is_again),
		CONTRACT_TEST(own_addresses_are_known_from_those_of_others),
		CONTRACT_TEST(source_address_is_what_a_connection_would_come_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
