// Simulated processes: their crashes, what is seen of them, and that a seed repeats a run.
#include "base/check.h"

#include <string.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/log.h"
#include "os/message.h"
#include "os/page.h"
#include "os/random.h"
#include "os/sim/sim.h"
#include "os/socket.h"
#include "os/worker.h"

// ---- a small server and its client ----------------------------------------------------------

// Echoes each byte back once a worker has written it to a synced file.
struct server {
	struct os_loop *loop;
	struct os_worker *worker;
	struct os_wake *wake;
	struct os_watch *listener_watch, *watch;
	int listener, socket, file;
	char bytes[4096];
	size_t received, stored, echoed;
};

static void server_store(void *context)
{
	struct server *server = context;
	size_t to = server->received;
	enum error error =
		os_file_write_at(server->file, server->stored,
				 view_of(server->bytes + server->stored, to - server->stored));

	if (!error) {
		error = os_file_sync_data(server->file);
	}
	if (!error) {
		server->stored = to;
		os_wake_send(server->wake);
	}
}

static void server_echo(void *context)
{
	struct server *server = context;
	size_t len;

	while (server->echoed < server->stored &&
	       !os_socket_send(
		       server->socket,
		       view_of(server->bytes + server->echoed, server->stored - server->echoed),
		       &len)) {
		server->echoed += len;
	}
}

static void server_ready(void *context, int events)
{
	struct server *server = context;
	size_t len, room = sizeof server->bytes - server->received;

	(void)events;
	if (os_socket_receive(server->socket, server->bytes + server->received, room, &len)) {
		assert_int_equal(os_watch_set(server->watch, 0), OK);
		return;
	}
	server->received += len;
	os_worker_kick(server->worker);
}

static void server_accept(void *context, int events)
{
	struct server *server = context;
	struct os_address peer;

	(void)events;
	if (os_socket_accept(server->listener, &server->socket, &peer)) {
		return;
	}
	LOG(LOG_INFO, "connect", LOG_NUMBER("port", peer.port));
	assert_int_equal(
		os_watch_new(server->loop, server->socket, server_ready, server, &server->watch),
		OK);
	assert_int_equal(os_watch_set(server->watch, OS_READABLE), OK);
}

static struct os_address server_address(void)
{
	struct os_address address;

	assert_int_equal(os_address_parse(VIEW("192.0.2.1"), 25, &address), OK);
	return address;
}

static void server_start(void *context)
{
	struct os_listen_options options = { .backlog = 4 };
	struct os_address address = server_address();
	struct server *server = context;

	*server = (struct server){ .socket = -1 };
	assert_int_equal(os_loop_new(&server->loop), OK);
	assert_int_equal(
		os_worker_new(server->loop, "store", server_store, server, &server->worker), OK);
	assert_int_equal(os_wake_new(server->loop, server_echo, server, &server->wake), OK);
	if (os_file_open_path("/stored", OS_READ | OS_WRITE | OS_CREATE, 0600, &server->file)) {
		return;
	}
	assert_int_equal(os_socket_listen(&address, options, &server->listener), OK);
	assert_int_equal(os_watch_new(server->loop, server->listener, server_accept, server,
				      &server->listener_watch),
			 OK);
	assert_int_equal(os_watch_set(server->listener_watch, OS_READABLE), OK);
}

struct client {
	struct os_loop *loop;
	struct os_watch *watch;
	int socket;
	size_t sent, echoed;
	enum error end;
};

enum { CLIENT_BYTES = 3000 };

static char client_byte(size_t place)
{
	return (char)('a' + place % 23);
}

static void client_receive(struct client *client)
{
	char bytes[700];
	size_t len;

	client->end = os_socket_receive(client->socket, bytes, sizeof bytes, &len);
	if (client->end == ERROR_AGAIN) {
		client->end = OK;
	} else if (client->end) {
		assert_int_equal(os_watch_set(client->watch, 0), OK);
	} else {
		for (size_t i = 0; i < len; i++) {
			assert_int_equal(bytes[i], client_byte(client->echoed + i));
		}
		client->echoed += len;
	}
}

static void client_ready(void *context, int events)
{
	struct client *client = context;
	char bytes[CLIENT_BYTES];
	size_t len;

	if (events & OS_READABLE) {
		client_receive(client);
	}
	if (client->end || !(events & OS_WRITABLE)) {
		return;
	}
	for (size_t i = client->sent; i < CLIENT_BYTES; i++) {
		bytes[i] = client_byte(i);
	}
	len = CLIENT_BYTES - client->sent < 100 ? CLIENT_BYTES - client->sent : 100;
	if (!os_socket_send(client->socket, view_of(bytes + client->sent, len), &len)) {
		client->sent += len;
	}
	if (client->sent == CLIENT_BYTES) {
		assert_int_equal(os_watch_set(client->watch, OS_READABLE), OK);
	}
}

static void client_start(struct client *client)
{
	struct os_address address = server_address();

	*client = (struct client){ 0 };
	assert_int_equal(os_loop_new(&client->loop), OK);
	assert_int_equal(os_socket_connect(&address, NULL, &client->socket), OK);
	assert_int_equal(
		os_watch_new(client->loop, client->socket, client_ready, client, &client->watch),
		OK);
	assert_int_equal(os_watch_set(client->watch, OS_READABLE | OS_WRITABLE), OK);
}

static struct sim_process *server_process(struct sim *sim, struct server *server)
{
	struct sim_process *process = sim_process_new(sim_machine_new(sim, "mx"), "server");

	assert_true(sim_process_run(process, server_start, server));
	return process;
}

// ---- the same seed --------------------------------------------------------------------------

static uint64_t run_once(uint64_t seed, size_t *ret_echoed)
{
	struct sim *sim = sim_new(seed);
	struct server server;
	struct client client;
	uint64_t hash;

	sim_faults(sim)->transfer_short = 500000;
	sim_faults(sim)->sync_slow = 100000;
	sim_trace_keep(sim, 1 << 20);
	server_process(sim, &server);
	client_start(&client);
	assert_true(sim_run_until_quiet(sim, 0, 1000000));
	*ret_echoed = client.echoed;
	assert_true(view_find_text(sim_trace_text(sim), VIEW("syncs file")) <
		    sim_trace_text(sim).len);
	hash = sim_trace_hash(sim);
	sim_free(sim);
	return hash;
}

static void same_seed_gives_the_same_trace_and_another_one_another(void **state)
{
	uint64_t previous = 0;
	size_t echoed;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t hash = run_once(seed, &echoed);

		assert_int_equal(echoed, CLIENT_BYTES);
		assert_true(hash == run_once(seed, &echoed));
		assert_true(hash != previous);
		previous = hash;
	}
}

// ---- crashes --------------------------------------------------------------------------------

static void crash_of_a_process_resets_its_peers_and_stops_all_of_it(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct sim *sim = sim_new(seed);
		struct sim_process *process;
		struct server server;
		struct client client;
		size_t received;

		process = server_process(sim, &server);
		client_start(&client);
		sim_run_steps(sim, 10 + seed);
		sim_process_crash(process);
		received = server.received;
		assert_true(sim_run_until_quiet(sim, 0, 100000));
		assert_int_equal(client.end, client.sent ? ERROR_RESET : client.end);
		assert_true(client.end == ERROR_RESET || client.end == ERROR_REFUSED);
		assert_int_equal(server.received, received);
		sim_free(sim);
	}
}

// False when the server made fewer calls than that.
static bool crash_at_call(uint64_t seed, uint64_t nth)
{
	struct sim *sim = sim_new(seed);
	struct sim_machine *machine = sim_machine_new(sim, "mx");
	struct sim_process *process = sim_process_new(machine, "server");
	char bytes[CLIENT_BYTES];
	struct server server;
	struct client client;
	bool crashed;
	int file, root;

	sim_process_enter(process);
	assert_int_equal(os_dir_open("/", &root), OK);
	assert_int_equal(os_file_replace_at(root, "stored", VIEW(""), 0600), OK);
	sim_process_leave(sim);
	sim_plan_crash(process, SIM_ANY, nth);
	sim_process_run(process, server_start, &server);
	client_start(&client);
	assert_true(sim_run_until_quiet(sim, 0, 100000));
	crashed = !sim_process_is_alive(process);
	sim_machine_lose_power(machine);
	sim_process_enter(sim_process_new(machine, "reader"));
	assert_int_equal(os_file_open_path("/stored", OS_READ, 0, &file), OK);
	assert_int_equal(os_file_read_at(file, 0, bytes, client.echoed), OK);
	for (size_t i = 0; i < client.echoed; i++) {
		assert_int_equal(bytes[i], client_byte(i));
	}
	sim_process_leave(sim);
	sim_free(sim);
	return crashed;
}

static void crash_at_every_call_loses_nothing_that_was_answered(void **state)
{
	uint64_t crashes = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t nth = 1;

		while (crash_at_call(seed, nth)) {
			nth++;
		}
		crashes += nth - 1;
	}
	assert_in_range(crashes, 200, 2000);
}

static void crash_in_a_write_leaves_a_part_of_it(void **state)
{
	bool seen_part = false;

	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct sim *sim = sim_new(seed);
		struct sim_machine *machine = sim_machine_new(sim, "mx");
		struct sim_process *process = sim_process_new(machine, "server");
		struct server server;
		struct client client;
		uint64_t size;
		int file;

		assert_true(sim_process_run(process, server_start, &server));
		sim_plan_crash(process, SIM_WRITE, 1);
		client_start(&client);
		assert_true(sim_run_until_quiet(sim, 0, 100000));
		assert_false(sim_process_is_alive(process));
		assert_int_equal(client.echoed, 0);
		sim_process_enter(sim_process_new(machine, "reader"));
		assert_int_equal(os_file_open_path("/stored", OS_READ, 0, &file), OK);
		assert_int_equal(os_file_size(file, &size), OK);
		assert_true(size <= server.received);
		seen_part = seen_part || (size && size < server.received);
		sim_process_leave(sim);
		sim_free(sim);
	}
	assert_true(seen_part);
}

struct blocked {
	int fd;
	bool answered;
};

static void wait_for_ever(void *context)
{
	struct buffer buffer = buffer_with_max(100);
	struct blocked *blocked = context;
	struct os_message message;

	blocked->answered = os_message_receive(blocked->fd, 0, &buffer, &message) == OK;
}

static void process_that_waits_can_be_crashed(void **state)
{
	struct sim *sim = sim_new(1);
	struct sim_process *process = sim_process_new(sim_machine_new(sim, "mx"), "waits");
	struct os_loop *loop;
	struct os_worker *worker;
	struct blocked blocked = { 0 };
	int fds[2];

	(void)state;
	sim_process_enter(process);
	assert_int_equal(os_channel_pair(fds), OK);
	blocked.fd = fds[0];
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(os_worker_new(loop, "wait", wait_for_ever, &blocked, &worker), OK);
	os_worker_kick(worker);
	sim_process_leave(sim);
	sim_run_for(sim, 10);
	sim_process_crash(process);
	assert_true(sim_run_until_quiet(sim, 1000, 10));
	assert_false(blocked.answered);
	sim_free(sim);
}

static void peer_of_a_machine_without_power_learns_of_it_when_it_sends(void **state)
{
	int silent = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct sim *sim = sim_new(seed);
		struct sim_machine *machine = sim_machine_new(sim, "mx");
		struct sim_process *process = sim_process_new(machine, "server");
		struct server server;
		struct client client;
		size_t len;

		assert_true(sim_process_run(process, server_start, &server));
		client_start(&client);
		assert_true(sim_run_until_quiet(sim, 0, 100000));
		sim_machine_lose_power(machine);
		assert_true(sim_run_until_quiet(sim, 0, 100000));
		silent += client.end == OK;
		if (client.end == OK) {
			assert_int_equal(os_socket_send(client.socket, VIEW("x"), &len), OK);
		}
		assert_true(sim_run_until_quiet(sim, 0, 100000));
		assert_int_equal(client.end, ERROR_RESET);
		sim_free(sim);
	}
	assert_in_range(silent, 1, 19);
}

struct told {
	char *memory;
	unsigned messages;
	enum error closed;
};

static void told_message(void *context, struct os_message *message)
{
	struct told *told = context;
	void *memory;

	told->messages++;
	if (message->fd_count) {
		assert_int_equal(os_page_map(message->fds[0], 100, false, &memory), OK);
		told->memory = memory;
		os_page_close(message->fds[0]);
	}
}

static void told_closed(void *context, enum error reason)
{
	struct told *told = context;

	told->closed = reason;
}

static void processes_share_pages_and_lose_their_channel_in_a_crash(void **state)
{
	struct sim *sim = sim_new(1);
	struct sim_machine *machine = sim_machine_new(sim, "mx");
	struct sim_process *a = sim_process_new(machine, "a"), *b = sim_process_new(machine, "b");
	struct told told = { 0 };
	struct os_channel *channel;
	struct os_loop *loop;
	int fds[2], a_end, b_end, page;
	void *memory;

	(void)state;
	assert_int_equal(os_channel_pair(fds), OK);
	a_end = sim_process_give(a, fds[0]);
	b_end = sim_process_give(b, fds[1]);
	os_page_close(fds[0]);
	os_page_close(fds[1]);
	sim_process_enter(b);
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(
		os_channel_new(loop, b_end, 10, told_message, told_closed, &told, &channel), OK);
	sim_process_leave(sim);
	sim_process_enter(a);
	assert_int_equal(os_page_new("page", 100, &page, &memory), OK);
	assert_int_equal(os_message_send(a_end, 1, 0, VIEW("hello"), &page, 1), OK);
	sim_process_leave(sim);
	assert_true(sim_run_until_quiet(sim, 0, 1000));
	assert_int_equal(told.messages, 1);
	((char *)memory)[7] = 'x';
	assert_int_equal(told.memory[7], 'x');
	sim_process_crash(a);
	assert_true(sim_run_until_quiet(sim, 0, 1000));
	assert_int_equal(told.closed, ERROR_CLOSED);
	assert_int_equal(told.memory[7], 'x');
	sim_free(sim);
}

// ---- time, log, faults ----------------------------------------------------------------------

static void time_is_virtual_and_the_wall_clock_may_jump(void **state)
{
	struct sim *sim = sim_new(1);
	uint64_t mono_ms = os_clock_mono_ms(), wall_ms = os_clock_wall_ms();

	(void)state;
	sim_run_for(sim, 86400 * 1000);
	assert_int_equal(os_clock_mono_ms(), mono_ms + 86400 * 1000);
	assert_int_equal(os_clock_wall_ms(), wall_ms + 86400 * 1000);
	sim_clock_jump_wall(sim, -3600 * 1000);
	assert_int_equal(os_clock_mono_ms(), mono_ms + 86400 * 1000);
	assert_int_equal(os_clock_wall_ms(), wall_ms + (86400 - 3600) * 1000);
	sim_free(sim);
}

static void log_lines_are_kept_by_machine(void **state)
{
	struct sim *sim = sim_new(1);
	struct sim_machine *machine = sim_machine_new(sim, "mx");

	(void)state;
	sim_process_enter(sim_process_new(machine, "receive"));
	LOG(LOG_NOTICE, "hello", LOG_TEXT("from", VIEW("a@b")));
	sim_process_leave(sim);
	assert_true(view_find_text(sim_machine_log(machine), VIEW("receive hello from=a@b\n")) <
		    sim_machine_log(machine).len);
	sim_free(sim);
}

static void connection_ends_as_the_faults_say(void **state)
{
	struct server server;
	struct client client;
	struct sim *sim = sim_new(1);

	(void)state;
	server_process(sim, &server);
	sim_faults(sim)->connect_refused = 1000000;
	client_start(&client);
	assert_true(sim_run_until_quiet(sim, 0, 10000));
	assert_int_equal(os_socket_connect_result(client.socket), ERROR_REFUSED);
	sim_faults(sim)->connect_refused = 0;
	sim_faults(sim)->connect_lost = 1000000;
	client_start(&client);
	assert_true(sim_run_until_quiet(sim, 0, 10000));
	assert_int_equal(os_socket_connect_result(client.socket), ERROR_AGAIN);
	sim_faults(sim)->connect_lost = 0;
	sim_faults(sim)->send_reset = 1000000;
	client_start(&client);
	assert_true(sim_run_until_quiet(sim, 0, 10000));
	assert_int_equal(client.end, ERROR_RESET);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed_gives_the_same_trace_and_another_one_another),
		cmocka_unit_test(crash_of_a_process_resets_its_peers_and_stops_all_of_it),
		cmocka_unit_test(crash_at_every_call_loses_nothing_that_was_answered),
		cmocka_unit_test(crash_in_a_write_leaves_a_part_of_it),
		cmocka_unit_test(process_that_waits_can_be_crashed),
		cmocka_unit_test(peer_of_a_machine_without_power_learns_of_it_when_it_sends),
		cmocka_unit_test(processes_share_pages_and_lose_their_channel_in_a_crash),
		cmocka_unit_test(time_is_virtual_and_the_wall_clock_may_jump),
		cmocka_unit_test(log_lines_are_kept_by_machine),
		cmocka_unit_test(connection_ends_as_the_faults_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
