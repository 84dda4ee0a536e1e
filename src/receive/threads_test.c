// Several receivers, each on a thread of its own, seen by clients on the main loop. Which thread
// gets a connection is the kernel's choice; of 32 all go to one once in 10^18 runs.
#include <stdlib.h>
#include <string.h>

#include "config/test_material.h"
#include "receive/test_fixture.h"
#include "receive/threads.h"

enum { THREADS = 4, PEERS = 32, FAMILY = 2, PING_MS = 200 };

struct crowd {
	struct world world;
	struct receive_threads *threads;
	int listeners[PORT_COUNT][THREADS];
	struct peer peers[PEERS];
	unsigned peer_count, stopped, answered;
};

static struct crowd crowd;

// ---- the threads

static void listen_for_all(unsigned port)
{
	struct os_listen_options options = { .backlog = 100, .reuse_port = true, .is_first = true };
	struct os_address address;

	assert_int_equal(os_address_parse(VIEW("127.0.0.1"), 0, &address), OK);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(os_socket_listen(&address, options, &crowd.listeners[port][i]),
				 OK);
		assert_int_equal(os_socket_local_address(crowd.listeners[port][i], &address), OK);
		options.is_first = false;
	}
	crowd.world.addresses[port] = address;
}

// The threads from first on get their sockets.
static void configure(const char *config, unsigned first)
{
	struct receive_generation *generation = fixture_generation(config);
	struct receive_socket sockets[PORT_COUNT * THREADS];
	unsigned count = 0;

	for (unsigned i = 0; i < PORT_COUNT * THREADS; i++) {
		struct receive_socket socket = { .thread = i % THREADS,
						 .socket.index = i / THREADS };

		if (socket.thread >= first) {
			assert_int_equal(
				os_socket_duplicate(crowd.listeners[i / THREADS][i % THREADS],
						    &socket.socket.fd),
				OK);
			sockets[count++] = socket;
		}
	}
	assert_int_equal(receive_threads_configure(crowd.threads, generation, sockets, count), OK);
	receive_generation_unref(generation);
}

static void directory_of_world(void)
{
	struct directory directory;

	assert_int_equal(directory_open(buffer_view(&crowd.world.directory), &directory), OK);
	receive_threads_set_directory(crowd.threads, directory);
}

static void open_crowd(const char *config)
{
	struct receive_threads_parts parts = { .count = THREADS, .family = FAMILY };

	memset(&crowd, 0, sizeof crowd);
	world_open(&crowd.world, (struct world_options){ 0 });
	parts.loop = crowd.world.loop;
	parts.common = crowd.world.common;
	parts.writer = crowd.world.writer;
	parts.trace = crowd.world.trace;
	assert_int_equal(receive_threads_new(&parts, &crowd.threads), OK);
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		listen_for_all(i);
	}
	directory_of_world();
	configure(config, 0);
}

static int set_up(void **state)
{
	(void)state;
	open_crowd(NULL);
	return 0;
}

static int set_up_for_8_of_a_peer(void **state)
{
	(void)state;
	open_crowd("limits: { connections_per_address: 8 }\n");
	return 0;
}

static int set_up_for_8_in_all(void **state)
{
	(void)state;
	open_crowd("limits: { connections: 8 }\n");
	return 0;
}

static void on_stopped(void *context)
{
	(void)context;
	crowd.stopped++;
}

static bool have_stopped(void *context)
{
	(void)context;
	return crowd.stopped;
}

static void close_peers(void)
{
	while (crowd.peer_count) {
		peer_close(&crowd.peers[--crowd.peer_count]);
	}
}

static void stop(void)
{
	receive_threads_stop(crowd.threads, on_stopped, NULL);
	world_until(&crowd.world, have_stopped, NULL);
	assert_int_equal(crowd.stopped, 1);
	receive_threads_free(crowd.threads);
	crowd.threads = NULL;
}

static int tear_down(void **state)
{
	(void)state;
	close_peers();
	if (crowd.threads) {
		stop();
	}
	for (unsigned i = 0; i < PORT_COUNT * THREADS; i++) {
		os_socket_close(crowd.listeners[i / THREADS][i % THREADS]);
	}
	world_done(&crowd.world);
	return 0;
}

// ---- the clients

static struct peer *greet(unsigned port)
{
	struct peer *peer = &crowd.peers[crowd.peer_count++];

	peer_greet(peer, &crowd.world, port);
	return peer;
}

static void greet_many(unsigned port)
{
	while (crowd.peer_count < PEERS) {
		greet(port);
	}
}

static void ask_all(const char *text, const char *start)
{
	for (unsigned i = 0; i < crowd.peer_count; i++) {
		peer_say(&crowd.peers[i], text);
	}
	for (unsigned i = 0; i < crowd.peer_count; i++) {
		peer_expect(&crowd.peers[i], start);
	}
}

static void begin_all(void)
{
	ask_all("MAIL FROM:<joe@sender.example>\r\n", "250 ");
	ask_all("RCPT TO:<alice@example.org>\r\n", "250 ");
	ask_all("DATA\r\n", "354 ");
}

// ---- tests

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void every_thread_takes_mail_and_no_queue_id_comes_twice(void **state)
{
	uint64_t connections[THREADS];
	struct receiver_counters counters;
	const char *replies[PEERS];
	unsigned busy = 0;

	(void)state;
	greet_many(PORT_RELAY);
	begin_all();
	ask_all("Subject: x\r\n\r\nx\r\n.\r\n", "250 2.0.0 Queued as ");
	counters = receive_threads_counters(crowd.threads, connections);
	assert_int_equal(counters.connections, PEERS);
	assert_int_equal(counters.messages, PEERS);
	assert_int_equal(counters.sessions, PEERS);
	for (unsigned i = 0; i < THREADS; i++) {
		busy += connections[i] > 0;
		counters.connections -= connections[i];
	}
	assert_true(busy > 1);
	assert_int_equal(counters.connections, 0);
	for (unsigned i = 0; i < PEERS; i++) {
		replies[i] = crowd.peers[i].reply;
	}
	qsort(replies, PEERS, sizeof *replies, by_text);
	for (unsigned i = 1; i < PEERS; i++) {
		assert_string_not_equal(replies[i - 1], replies[i]);
	}
	close_peers();
	stop();
	world_close_spool(&crowd.world);
	assert_int_equal(world_records(&crowd.world), PEERS);
}

static void tls_is_spoken_on_every_thread(void **state)
{
	(void)state;
	greet_many(PORT_STARTTLS);
	ask_all("NOOP\r\n", "250 ");
}

static void nine_are_too_many(void)
{
	struct peer more;

	while (crowd.peer_count < 8) {
		greet(PORT_RELAY);
	}
	for (unsigned i = 0; i < THREADS * 4; i++) { // whichever thread they come to
		peer_open(&more, &crowd.world, PORT_RELAY);
		peer_expect(&more, "421 4.7.0 ");
		peer_expect_end(&more);
		peer_close(&more);
	}
}

static void a26_connections_of_a_peer_are_counted_over_all_threads(void **state)
{
	(void)state;
	nine_are_too_many();
}

static void a26_connections_in_all_are_counted_over_all_threads(void **state)
{
	(void)state;
	nine_are_too_many();
}

static void sessions_keep_the_configuration_they_began_with(void **state)
{
	(void)state;
	greet_many(PORT_RELAY);
	begin_all();
	for (unsigned i = 0; i < 3; i++) {
		configure("limits: { message_size: 1MiB }\n", 0);
	}
	ask_all("Subject: x\r\n\r\nx\r\n.\r\n", "250 2.0.0 Queued as ");
	ask_all("EHLO client.example\r\n", "250-mail.example.org\n");
	for (unsigned i = 0; i < PEERS; i++) {
		assert_non_null(strstr(crowd.peers[i].reply, "SIZE 52428800\n"));
	}
	close_peers();
	greet(PORT_RELAY);
	assert_non_null(strstr(crowd.peers[0].reply, "SIZE 1048576\n"));
}

static void nobody_looks_into_an_earlier_directory(void **state)
{
	struct directory directory;
	struct buffer earlier = crowd.world.directory;

	(void)state;
	greet_many(PORT_RELAY);
	ask_all("MAIL FROM:<joe@sender.example>\r\n", "250 ");
	test_directory_build(&crowd.world.directory, &directory);
	receive_threads_set_directory(crowd.threads, directory);
	receiver_set_directory(crowd.world.receiver, directory);
	memset(earlier.data, 0xff, earlier.len);
	buffer_done(&earlier);
	ask_all("RCPT TO:<alice@example.org>\r\n", "250 ");
	ask_all("RCPT TO:<nobody@example.org>\r\n", "550 ");
}

static void a_stop_lets_every_thread_finish_what_is_in_hand(void **state)
{
	(void)state;
	greet_many(PORT_RELAY);
	begin_all();
	receive_threads_stop(crowd.threads, on_stopped, NULL);
	ask_all("Subject: x\r\n\r\nx\r\n.\r\n", "250 2.0.0 Queued as ");
	world_until(&crowd.world, have_stopped, NULL);
	assert_int_equal(crowd.stopped, 1);
	receive_threads_free(crowd.threads);
	crowd.threads = NULL;
	close_peers();
	world_close_spool(&crowd.world);
	assert_int_equal(world_records(&crowd.world), PEERS);
}

static void on_answered(void *context)
{
	(void)context;
	crowd.answered++;
}

static bool has_answered(void *context)
{
	(void)context;
	return crowd.answered;
}

static void a_ping_is_answered_once_every_loop_has_turned(void **state)
{
	int sockets[PEERS];
	unsigned count = 0;

	(void)state;
	receive_threads_ping(crowd.threads, on_answered, NULL);
	world_until(&crowd.world, has_answered, NULL);
	configure(NULL, 1); // our own thread takes none
	pthread_mutex_lock(&crowd.world.common->lock);
	while (count < PEERS) {
		assert_int_equal(os_socket_connect(&crowd.world.addresses[PORT_RELAY], NULL,
						   &sockets[count++]),
				 OK);
	}
	while (atomic_load(&crowd.world.common->sessions) == 0) {
		world_turn(&crowd.world, 1); // until another thread is about to take the lock
	}
	crowd.answered = 0;
	receive_threads_ping(crowd.threads, on_answered, NULL);
	receive_threads_ping(crowd.threads, on_answered, NULL);
	world_turn(&crowd.world, PING_MS);
	assert_int_equal(crowd.answered, 0);
	pthread_mutex_unlock(&crowd.world.common->lock);
	world_until(&crowd.world, has_answered, NULL);
	assert_int_equal(crowd.answered, 1);
	while (count) {
		os_socket_close(sockets[--count]);
	}
}

static void a_socket_or_channel_for_a_thread_that_is_not_there_is_closed(void **state)
{
	struct receive_generation *generation = fixture_generation(NULL);
	struct receive_socket socket = { .thread = THREADS };
	struct os_address address;
	int ends[2];

	(void)state;
	assert_int_equal(os_socket_duplicate(crowd.listeners[0][0], &socket.socket.fd), OK);
	assert_int_equal(receive_threads_configure(crowd.threads, generation, &socket, 1), OK);
	receive_generation_unref(generation);
	assert_int_equal(os_channel_pair(ends), OK);
	assert_int_equal(receive_threads_attach_keeper(crowd.threads, THREADS, ends[0]),
			 ERROR_INVALID);
	assert_int_not_equal(os_socket_local_address(socket.socket.fd, &address), OK);
	assert_int_not_equal(os_socket_local_address(ends[0], &address), OK);
	os_socket_close(ends[1]);
}

#define TEST(fn_, set_up_) cmocka_unit_test_setup_teardown(fn_, set_up_, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_thread_takes_mail_and_no_queue_id_comes_twice, set_up),
		TEST(tls_is_spoken_on_every_thread, set_up),
		TEST(a26_connections_of_a_peer_are_counted_over_all_threads,
		     set_up_for_8_of_a_peer),
		TEST(a26_connections_in_all_are_counted_over_all_threads, set_up_for_8_in_all),
		TEST(sessions_keep_the_configuration_they_began_with, set_up),
		TEST(nobody_looks_into_an_earlier_directory, set_up),
		TEST(a_stop_lets_every_thread_finish_what_is_in_hand, set_up),
		TEST(a_ping_is_answered_once_every_loop_has_turned, set_up),
		TEST(a_socket_or_channel_for_a_thread_that_is_not_there_is_closed, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
