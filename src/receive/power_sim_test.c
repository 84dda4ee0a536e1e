// A55 over the simulation: clients send to a whole receiver, which crashes or loses power at a
// seeded call, again and again. Every message that was answered 250 is in the spool with its bytes,
// and none is there twice.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/test_material.h"
#include "os/file.h"
#include "os/sim/sim.h"
#include "receive/test_fixture.h"
#include "spool/store.h"

enum {
	CLIENTS = 4,
	MESSAGES = 36,
	LIVES = 4, // of the receiver; the last one is left alone
	SEEDS = 12,
	LARGE_BYTES = 300 * 1024, // goes into a file of its own
	LINE_BYTES = 32,          // about
	BODY_BYTES_MAX = 1024 * 1024,
	PATIENCE_MS = 20000,
	RETRY_MS = 100,
	STEPS_MAX = 3000000,
};

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0"; // a crashed process frees nothing
}

// ---- what is sent

static size_t body_size(unsigned message)
{
	return message % 9 == 4 ? LARGE_BYTES : message % 5 * 700;
}

// stuffed: as it goes over the wire.
static void add_body(struct buffer *out, unsigned message, bool stuffed)
{
	buffer_printf(out, "Subject: %u\r\n\r\n", message);
	for (unsigned line = 0; line < body_size(message) / LINE_BYTES; line++) {
		buffer_printf(out, "%s%u of %u ......................\r\n",
			      line % 3  ? ""
			      : stuffed ? ".."
					: ".",
			      line, message);
	}
}

// ---- the receiver

struct life {
	struct os_loop *loop;
	struct os_pool *pool;
	struct spool_commit_page commit;
	struct spool_queue_page queue;
	struct spool_writer *writer;
	struct receive_common *common;
	struct receiver *receiver;
	struct receive_generation *generation;
	struct buffer directory;
};

static struct os_address address_of_receiver(void)
{
	struct os_address address;

	assert_int_equal(os_address_parse(VIEW("192.0.2.1"), 25, &address), OK);
	return address;
}

static bool open_parts(struct life *life, int receive_dir)
{
	struct spool_writer_settings settings = spool_writer_defaults(1);
	struct receiver_parts parts = { .node = 16 };

	settings.segment_bytes = 512 * 1024;
	settings.reserve_bytes = settings.reserve_inodes = 0;
	settings.retry_ms = 50;
	settings.commit = &life->commit;
	settings.queue = &life->queue;
	if (os_pool_new(life->loop, "bodies", 2, 1000, &life->pool) != OK ||
	    receive_common_new(&life->common) != OK ||
	    spool_writer_open(receive_dir, life->loop, &settings, &life->writer) != OK) {
		return false;
	}
	parts.loop = life->loop;
	parts.common = life->common;
	parts.writer = life->writer;
	parts.pool = life->pool;
	return receiver_new(&parts, &life->receiver) == OK;
}

static void live(void *context)
{
	struct life *life = context;
	struct receiver_socket socket = { .index = PORT_RELAY };
	struct os_address address = address_of_receiver();
	struct directory directory;
	int dir, parts[SPOOL_PARTS];

	if (os_dir_open("/spool", &dir) != OK || spool_layout_make(dir, NULL, parts) != OK ||
	    os_loop_new(&life->loop) != OK || !open_parts(life, parts[SPOOL_RECEIVE])) {
		return;
	}
	test_directory_build(&life->directory, &directory);
	receiver_set_directory(life->receiver, directory);
	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 16 }, &socket.fd),
		OK);
	assert_int_equal(receiver_configure(life->receiver, life->generation, &socket, 1), OK);
}

// ---- the clients

enum step { STEP_BANNER, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_END };

struct scenario {
	struct sim *sim;
	struct sim_machine *machine;
	struct sim_process *process;
	struct receive_generation *generation;
	struct os_loop *loop; // of the clients
	struct client {
		struct scenario *scenario;
		struct os_watch *watch;
		struct os_timer timer;
		struct buffer in, out;
		int socket;
		enum step step;
		unsigned message;
		bool connected, done;
	} clients[CLIENTS];
	unsigned next, acked, refused;
	bool is_acked[MESSAGES];
	unsigned seen[MESSAGES];
};

static void client_connect(struct client *client);

static void client_leave(struct client *client, uint64_t retry_ms)
{
	os_watch_free(client->watch);
	os_socket_close(client->socket);
	client->watch = NULL;
	client->socket = -1;
	buffer_clear(&client->in);
	buffer_clear(&client->out);
	os_timer_set(&client->timer, retry_ms);
}

static void client_next_message(struct client *client)
{
	struct scenario *scenario = client->scenario;

	if (scenario->next == MESSAGES) {
		client->done = true;
		return;
	}
	client->message = scenario->next++;
	buffer_printf(&client->out,
		      "MAIL FROM:<%u@a.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n",
		      client->message);
	client->step = STEP_MAIL;
}

static void client_finished(struct client *client, bool accepted)
{
	struct scenario *scenario = client->scenario;

	scenario->is_acked[client->message] = accepted;
	scenario->acked += accepted;
	scenario->refused += !accepted;
	client_next_message(client);
}

// False: it gives up on this connection.
static bool client_reply(struct client *client, unsigned code)
{
	static const unsigned wanted[] = { 220, 250, 250, 250, 354 };

	if (client->step == STEP_END) {
		client_finished(client, code == 250);
		return code == 250 || code == 452;
	}
	if (code != wanted[client->step]) {
		return false;
	}
	if (client->step == STEP_BANNER) {
		buffer_add_text(&client->out, "EHLO client.example\r\n");
	} else if (client->step == STEP_DATA) {
		add_body(&client->out, client->message, true);
		buffer_add_text(&client->out, ".\r\n");
	}
	if (client->step == STEP_EHLO) {
		client_next_message(client);
	} else {
		client->step++;
	}
	return true;
}

static bool client_read(struct client *client)
{
	char bytes[4096];
	size_t len = 0, end;
	enum error error = os_socket_receive(client->socket, bytes, sizeof bytes, &len);

	if (error == ERROR_AGAIN) {
		return true;
	}
	buffer_add(&client->in, view_of(bytes, len));
	while (error == OK && (end = view_find(buffer_view(&client->in), '\n')) < client->in.len) {
		uint64_t code = 0;

		assert_true(view_to_u64(view_first(buffer_view(&client->in), 3), 999, &code));
		if (client->in.data[3] != '-' && !client_reply(client, (unsigned)code)) {
			return false;
		}
		buffer_consume(&client->in, end + 1);
	}
	return error == OK;
}

static bool client_write(struct client *client)
{
	enum error error = OK;

	while (error == OK && client->out.len) {
		size_t sent = 0;

		error = os_socket_send(client->socket, buffer_view(&client->out), &sent);
		buffer_consume(&client->out, error == OK ? sent : 0);
	}
	return error == OK || error == ERROR_AGAIN;
}

static void client_ready(void *context, int events)
{
	struct client *client = context;
	bool goes_on = true;

	if (!client->connected) {
		client->connected = os_socket_connect_result(client->socket) == OK;
		goes_on = client->connected;
	}
	if (goes_on && events & OS_READABLE) {
		goes_on = client_read(client);
	}
	if (!goes_on || !client_write(client)) {
		client_leave(client, RETRY_MS);
		return;
	}
	os_timer_set(&client->timer, PATIENCE_MS);
	assert_int_equal(
		os_watch_set(client->watch, OS_READABLE | (client->out.len ? OS_WRITABLE : 0)), OK);
}

static void client_timer(void *context)
{
	struct client *client = context;

	if (client->socket >= 0) {
		client_leave(client, RETRY_MS);
	} else if (!client->done && client->scenario->next < MESSAGES) {
		client_connect(client);
	} else {
		client->done = true;
	}
}

static void client_connect(struct client *client)
{
	struct os_address address = address_of_receiver();

	client->step = STEP_BANNER;
	client->connected = false;
	if (os_socket_connect(&address, NULL, &client->socket) != OK) {
		client->socket = -1;
		os_timer_set(&client->timer, RETRY_MS);
		return;
	}
	assert_int_equal(os_watch_new(client->scenario->loop, client->socket, client_ready, client,
				      &client->watch),
			 OK);
	assert_int_equal(os_watch_set(client->watch, OS_READABLE | OS_WRITABLE), OK);
	os_timer_set(&client->timer, PATIENCE_MS);
}

// ---- the check

static enum error on_message(void *context, struct spool_message *message,
			     const struct spool_envelope *envelope)
{
	struct scenario *scenario = context;
	uint64_t number;

	(void)message;
	assert_true(view_to_u64(
		view_first(envelope->reverse_path, view_find(envelope->reverse_path, '@')),
		MESSAGES - 1, &number));
	assert_int_equal(envelope->recipient_count, 1);
	assert_view(envelope->recipients[0].address, "alice@example.org");
	scenario->seen[number]++;
	return OK;
}

static void on_fault(void *context, const char *what, struct spool_ref where)
{
	(void)context;
	(void)where;
	fail_msg("the spool is damaged: %s", what);
}

static unsigned read_message(struct spool_store *store, struct spool_message *message,
			     struct buffer *body)
{
	struct buffer bytes = buffer_with_max(BODY_BYTES_MAX);
	struct arena arena = arena_with_max(BODY_BYTES_MAX);
	struct spool_envelope envelope;
	struct spool_source source;
	struct view small;
	uint64_t number;
	char *room;

	assert_int_equal(spool_source_open(store, message, &source), OK);
	assert_int_equal(spool_source_read_envelope(&source, &bytes, &arena, &envelope, &small),
			 OK);
	buffer_clear(body);
	room = buffer_reserve(body, source.body_bytes);
	assert_non_null(room);
	assert_int_equal(spool_source_read_body(&source, 0, room, source.body_bytes), OK);
	body->len = source.body_bytes;
	assert_true(view_to_u64(
		view_first(envelope.reverse_path, view_find(envelope.reverse_path, '@')),
		MESSAGES - 1, &number));
	spool_source_close(&source);
	buffer_done(&bytes);
	arena_done(&arena);
	return (unsigned)number;
}

static void look(void *context)
{
	struct scenario *scenario = context;
	static struct spool_queue_page queue;
	struct spool_store_settings settings = { .segment_bytes = 512 * 1024, .queue = &queue };
	struct spool_store_calls calls = { on_message, on_fault, scenario };
	struct buffer body = buffer_with_max(BODY_BYTES_MAX);
	struct buffer wanted = buffer_with_max(BODY_BYTES_MAX);
	struct spool_message *message = NULL;
	struct spool_store *store;
	struct os_loop *loop;
	int dir, parts[SPOOL_PARTS];

	assert_int_equal(os_dir_open("/spool", &dir), OK);
	assert_int_equal(spool_layout_make(dir, NULL, parts), OK);
	assert_int_equal(os_loop_new(&loop), OK);
	assert_int_equal(spool_store_open(parts, loop, &settings, calls, &store), OK);
	while ((message = spool_store_next(store, message))) {
		unsigned number = read_message(store, message, &body);

		buffer_clear(&wanted);
		add_body(&wanted, number, false);
		assert_int_equal(body.len, wanted.len);
		assert_memory_equal(body.data, wanted.data, wanted.len);
	}
	buffer_done(&body);
	buffer_done(&wanted);
}

// ---- a run

static bool is_over(void *context)
{
	const struct scenario *scenario = context;

	if (!sim_process_is_alive(scenario->process)) {
		return true;
	}
	for (int i = 0; i < CLIENTS; i++) {
		if (!scenario->clients[i].done) {
			return false;
		}
	}
	return true;
}

static void begin(struct scenario *scenario, uint64_t seed)
{
	memset(scenario, 0, sizeof *scenario);
	scenario->sim = sim_new(seed);
	scenario->machine = sim_machine_new(scenario->sim, "mx");
	sim_machine_make_path(scenario->machine, "/spool");
	scenario->generation = fixture_generation(NULL);
	assert_int_equal(os_loop_new(&scenario->loop), OK);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *client = &scenario->clients[i];

		client->scenario = scenario;
		client->in = client->out = buffer_with_max(BODY_BYTES_MAX);
		client->socket = -1;
		os_timer_init(&client->timer, scenario->loop, client_timer, client);
		os_timer_set(&client->timer, (uint64_t)i * 3);
	}
}

static void run_life(struct scenario *scenario, bool is_last, const struct sim_faults *faults)
{
	struct life *life = calloc(1, sizeof *life);

	assert_non_null(life);
	life->generation = scenario->generation;
	scenario->process = sim_process_new(scenario->machine, "receive");
	if (!is_last) {
		sim_plan_crash(scenario->process, SIM_ANY,
			       1 + sim_random_below(scenario->sim, 600));
	}
	if (sim_process_run(scenario->process, live, life)) {
		struct sim_faults none = *sim_faults(scenario->sim);

		if (faults) {
			*sim_faults(scenario->sim) = *faults;
		}
		assert_true(sim_run_until(scenario->sim, is_over, scenario, STEPS_MAX));
		*sim_faults(scenario->sim) = none;
	}
	if (is_last || sim_random_below(scenario->sim, 3)) {
		sim_machine_lose_power(scenario->machine);
	} else {
		sim_process_crash(scenario->process);
	}
}

static void check(struct scenario *scenario, uint64_t seed)
{
	struct sim_process *process = sim_process_new(scenario->machine, "checker");

	assert_true(sim_process_run(process, look, scenario));
	for (unsigned i = 0; i < MESSAGES; i++) {
		if (scenario->is_acked[i] && scenario->seen[i] != 1) {
			fail_msg("seed %u: message %u was answered 250 and is there %u times",
				 (unsigned)seed, i, scenario->seen[i]);
		}
		assert_true(scenario->seen[i] <= 1);
	}
	for (int i = 0; i < CLIENTS; i++) {
		buffer_done(&scenario->clients[i].in);
		buffer_done(&scenario->clients[i].out);
	}
}

static void a55_what_was_answered_250_outlives_crashes_and_losses_of_power(void **state)
{
	static struct scenario scenario;
	unsigned acked = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(&scenario, seed);
		for (int life = 0; life < LIVES; life++) {
			run_life(&scenario, life + 1 == LIVES, NULL);
		}
		check(&scenario, seed);
		acked += scenario.acked;
		sim_free(scenario.sim);
	}
	assert_true(acked > SEEDS * MESSAGES / 2);
}

static void a55_a_disk_that_fails_or_is_full_is_never_answered_250(void **state)
{
	static struct scenario scenario;
	struct sim_faults faults = {
		.write_no_space = 20000,
		.write_io = 10000,
		.sync_io = 30000,
		.latency_us_max = 2000,
		.sync_us_max = 2000,
	};
	unsigned acked = 0, refused = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(&scenario, seed);
		run_life(&scenario, true, &faults);
		check(&scenario, seed);
		acked += scenario.acked;
		refused += scenario.refused;
		sim_free(scenario.sim);
	}
	assert_true(acked > SEEDS * MESSAGES / 2);
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a55_what_was_answered_250_outlives_crashes_and_losses_of_power),
		cmocka_unit_test(a55_a_disk_that_fails_or_is_full_is_never_answered_250),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
