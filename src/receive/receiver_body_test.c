// Bodies: large ones, those that are too large, memory, the disk, and headers without an end.
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "os/file.h"
#include "receive/test_fixture.h"

static struct world world;

static const char small_limits[] = "limits: { message_size: 2MiB, body_memory: 1MiB }\n";

static int set_up(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ .config = small_limits });
	return 0;
}

static int set_up_with_memory(void **state)
{
	(void)state;
	world_open(&world, (struct world_options){ .config = "limits: { data_stall: 1s }\n" });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_done(&world);
	return 0;
}

#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, set_up, tear_down)

// A header and lines of 100 bytes, every byte told from its neighbours'.
static void make_body(struct buffer *out, size_t size)
{
	*out = buffer_with_max(size + 1000);
	buffer_add_text(out, "Subject: large\r\n\r\n");
	for (unsigned line = 0; out->len < size; line++) {
		buffer_printf(out, "%08u ", line);
		for (unsigned i = 0; i < 89; i++) {
			buffer_add_byte(out, (char)('a' + (line + i) % 26));
		}
		buffer_add_text(out, "\r\n");
	}
}

static void begin_message(struct peer *peer, const char *mail)
{
	peer_ask(peer, mail, "250 ");
	peer_ask(peer, "RCPT TO:<alice@example.org>\r\n", "250 ");
	peer_ask(peer, "DATA\r\n", "354 ");
}

static void is_kept_byte_for_byte(size_t size, unsigned files)
{
	struct peer peer;
	struct record record;
	struct buffer body;

	make_body(&body, size);
	peer_greet(&peer, &world, PORT_RELAY);
	begin_message(&peer, "MAIL FROM:<big@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	peer_ask(&peer, ".\r\n", "250 2.0.0 Queued as ");
	peer_ask(&peer, "NOOP\r\n", "250 ");
	peer_close(&peer);
	world_until_sessions(&world, 0);
	assert_int_equal(world_body_bytes(&world), 0);
	world_close_spool(&world);
	world_read(&world, "big@a.example", &record);
	assert_int_equal(record.body.len, body.len);
	assert_memory_equal(record.body.data, body.data, body.len);
	assert_int_equal(world_body_files(&world), files);
	record_done(&record);
	buffer_done(&body);
}

static void a_body_of_200_kib_is_kept_in_the_log(void **state)
{
	(void)state;
	is_kept_byte_for_byte(200 * 1024, 0);
}

static void a_body_of_one_mib_is_kept_in_a_file(void **state)
{
	(void)state;
	is_kept_byte_for_byte(1024 * 1024, 1);
}

static void a_body_near_the_limit_is_kept(void **state)
{
	(void)state;
	is_kept_byte_for_byte(2 * 1024 * 1024 - 4096, 1);
}

static void a_body_over_the_limit_is_refused_and_the_connection_goes_on(void **state)
{
	struct peer peer;
	struct buffer body;

	(void)state;
	make_body(&body, 3 * 1024 * 1024);
	peer_greet(&peer, &world, PORT_RELAY);
	peer_ask(&peer, "MAIL FROM:<big@a.example> SIZE=3000000\r\n", "552 5.3.4");
	begin_message(&peer, "MAIL FROM:<big@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	peer_ask(&peer, ".\r\n", "552 5.3.4");
	assert_int_equal(receiver_counters(world.receiver).refused_messages, 1);
	begin_message(&peer, "MAIL FROM:<small@a.example>\r\n");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	world_until_sessions(&world, 0);
	assert_int_equal(world_body_bytes(&world), 0);
	world_close_spool(&world);
	assert_int_equal(world_records(&world), 1);
	assert_int_equal(world_body_files(&world), 0);
	buffer_done(&body);
}

static void a_header_without_end_is_refused(void **state)
{
	struct peer peer;
	struct buffer body = buffer_with_max(4 << 20);

	(void)state;
	while (body.len < (1 << 20) + 70000) {
		buffer_add_text(&body, "X-Field: and so on and on and on and on and on\r\n");
	}
	peer_greet(&peer, &world, PORT_RELAY);
	begin_message(&peer, "MAIL FROM:<big@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	peer_ask(&peer, ".\r\n", "554 5.6.0");
	begin_message(&peer, "MAIL FROM:<small@a.example>\r\n");
	peer_ask(&peer, "x\r\n.\r\n", "250 ");
	peer_close(&peer);
	buffer_done(&body);
}

static bool holds_no_memory(void *context)
{
	(void)context;
	return world_body_bytes(&world) == 0;
}

// Many that send half a body and wait: memory stays within its budget, and comes back.
static void a26_memory_for_bodies_is_bounded(void **state)
{
	static struct peer peers[40];
	struct buffer body;

	(void)state;
	make_body(&body, 100 * 1024);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		struct peer *peer = &peers[i];

		peer_greet(peer, &world, PORT_RELAY);
		peer_ask(peer, "MAIL FROM:<a@a.example>\r\n", "250 ");
		peer_say(peer, "RCPT TO:<alice@example.org>\r\n");
		peer_expect(peer, "");
		peer_say(peer, "DATA\r\n");
		peer_expect(peer, "");
		if (strncmp(peer->reply, "354", 3) == 0) {
			peer_send(peer, buffer_view(&body));
		}
		world_turn(&world, 2);
		assert_true(world_body_bytes(&world) < 1536 * 1024);
	}
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_close(&peers[i]);
	}
	world_until_sessions(&world, 0);
	world_until(&world, holds_no_memory, NULL); // a file under way gives its buffers back later
	peer_greet(&peers[0], &world, PORT_RELAY);
	begin_message(&peers[0], "MAIL FROM:<a@a.example>\r\n");
	peer_ask(&peers[0], "x\r\n.\r\n", "250 ");
	peer_close(&peers[0]);
	buffer_done(&body);
}

// At each turn of the loop.
static bool has_spilled_within_the_budget(void *context)
{
	(void)context;
	assert_true(world_body_bytes(&world) <= 1024 * 1024);
	return receiver_counters(world.receiver).spilled > 0;
}

// Six of 150 KiB (in buffers of 256) do not fit into 1 MiB: above half of it they go into files.
static void bodies_spill_when_memory_is_short(void **state)
{
	static struct peer peers[6];
	struct record record;
	struct buffer body;

	(void)state;
	make_body(&body, 150 * 1024);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_greet(&peers[i], &world, PORT_RELAY);
		begin_message(&peers[i], i == 5 ? "MAIL FROM:<last@a.example>\r\n"
						: "MAIL FROM:<a@a.example>\r\n");
		peer_send(&peers[i], buffer_view(&body));
	}
	world_until(&world, has_spilled_within_the_budget, NULL);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_ask(&peers[i], ".\r\n", "250 2.0.0 Queued as ");
		assert_true(has_spilled_within_the_budget(NULL));
		peer_close(&peers[i]);
	}
	world_until_sessions(&world, 0);
	assert_int_equal(world_body_bytes(&world), 0);
	world_close_spool(&world);
	assert_int_equal(world_records(&world), COUNT_OF(peers));
	assert_in_range(world_body_files(&world), 1, 5);
	world_read(&world, "last@a.example", &record);
	assert_int_equal(record.body.len, body.len);
	assert_memory_equal(record.body.data, body.data, body.len);
	record_done(&record);
	buffer_done(&body);
}

struct blockage {
	struct os_job job;
	sem_t go;
};

static void wait_for_go(struct os_job *job)
{
	struct blockage *blockage = CONTAINER_OF(job, struct blockage, job);

	while (sem_wait(&blockage->go) < 0) {
	}
}

static void job_done(struct os_job *job)
{
	(void)job;
}

static bool a_file_is_open(void *context)
{
	(void)context;
	return world_body_bytes(&world) > 2 * SPOOL_BODY_BUFFER_BYTES;
}

static bool memory_is_back(void *context)
{
	(void)context;
	return world_body_bytes(&world) == 0;
}

// Who breaks off again and again while the disk is slow does not fill the memory behind our back.
static void a27_what_a_dropped_body_still_holds_is_counted(void **state)
{
	struct blockage blockage = { .job = { .work = wait_for_go, .done = job_done } };
	struct peer peer;
	struct buffer body;
	uint64_t held;

	(void)state;
	sem_init(&blockage.go, 0, 0);
	make_body(&body, 500 * 1024);
	assert_int_equal(os_pool_submit(world.pool, &blockage.job), OK);
	peer_greet(&peer, &world, PORT_RELAY);
	begin_message(&peer, "MAIL FROM:<a@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	world_until(&world, a_file_is_open, NULL);
	peer_reset(&peer);
	world_until_sessions(&world, 0);
	held = world_body_bytes(&world);
	sem_post(&blockage.go);
	world_until(&world, memory_is_back, NULL);
	assert_int_equal(held, 2 * SPOOL_BODY_BUFFER_BYTES);
	sem_destroy(&blockage.go);
	buffer_done(&body);
}

// While it is the disk that does not go on, the client is let go, but not blamed.
static void who_waits_for_our_disk_is_not_charged(void **state)
{
	struct blockage blockage = { .job = { .work = wait_for_go, .done = job_done } };
	struct peer peer;
	struct buffer body;
	uint64_t discarded;

	(void)state;
	sem_init(&blockage.go, 0, 0);
	make_body(&body, 4 << 20);
	assert_int_equal(os_pool_submit(world.pool, &blockage.job), OK);
	peer_greet(&peer, &world, PORT_RELAY);
	begin_message(&peer, "MAIL FROM:<a@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	world_until(&world, a_file_is_open, NULL);
	world_until_sessions(&world, 0);
	discarded = receiver_counters(world.receiver).discarded_bytes;
	sem_post(&blockage.go);
	world_until(&world, memory_is_back, NULL);
	assert_int_equal(discarded, 0);
	peer_close(&peer);
	sem_destroy(&blockage.go);
	buffer_done(&body);
}

static void a_body_that_grows_past_the_budget_gets_452(void **state)
{
	static struct peer peers[20];
	struct buffer body;
	unsigned refused = 0;

	(void)state;
	make_body(&body, 200 * 1024);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_greet(&peers[i], &world, PORT_RELAY);
		begin_message(&peers[i], "MAIL FROM:<a@a.example>\r\n");
	}
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_send(&peers[i], buffer_view(&body));
	}
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peer_say(&peers[i], ".\r\n");
		peer_expect(&peers[i], "");
		refused += strncmp(peers[i].reply, "452 4.3.1", 9) == 0;
		peer_close(&peers[i]);
	}
	assert_true(refused > 0 && refused < COUNT_OF(peers));
	assert_int_equal(receiver_counters(world.receiver).discarded_bytes, 0); // our own doing
	buffer_done(&body);
}

static void peers_that_vanish_leave_no_file(void **state)
{
	struct peer peer;
	struct buffer body;

	(void)state;
	make_body(&body, 900 * 1024);
	for (int i = 0; i < 5; i++) {
		peer_greet(&peer, &world, PORT_RELAY);
		begin_message(&peer, "MAIL FROM:<a@a.example>\r\n");
		peer_send(&peer, buffer_view(&body));
		world_turn(&world, (uint64_t)i * 3);
		peer_reset(&peer);
		world_until_sessions(&world, 0);
	}
	world_turn(&world, 50); // for the pool to remove them
	world_close_spool(&world);
	assert_int_equal(world_body_files(&world), 0);
	assert_int_equal(world_records(&world), 0);
	buffer_done(&body);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL), 0);
}

// A crash may bring the record back, and it names the file.
static void a55_the_file_of_a_record_that_failed_stays(void **state)
{
	struct peer peer;
	struct buffer body;

	(void)state;
	make_body(&body, 200 * 1024);
	peer_greet(&peer, &world, PORT_RELAY);
	for (int i = 0; i < 3; i++) {
		begin_message(&peer, "MAIL FROM:<earlier@a.example>\r\n");
		peer_send(&peer, buffer_view(&body));
		peer_ask(&peer, ".\r\n", "250 ");
	}
	buffer_done(&body);
	make_body(&body, 300 * 1024);
	begin_message(&peer, "MAIL FROM:<big@a.example>\r\n");
	peer_send(&peer, buffer_view(&body));
	limit_files(450 * 1024); // room for the file, none for the record at the end of the log
	peer_ask(&peer, ".\r\n", "452 4.3.1");
	limit_files(RLIM_INFINITY);
	assert_true(spool_writer_status(world.writer).failures > 0);
	peer_close(&peer);
	world_until_sessions(&world, 0);
	world_close_spool(&world);
	assert_int_equal(world_body_files(&world), 1);
	buffer_done(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_of_200_kib_is_kept_in_the_log),
		TEST(a_body_of_one_mib_is_kept_in_a_file),
		TEST(a_body_near_the_limit_is_kept),
		TEST(a_body_over_the_limit_is_refused_and_the_connection_goes_on),
		TEST(a_header_without_end_is_refused),
		TEST(a26_memory_for_bodies_is_bounded),
		TEST(bodies_spill_when_memory_is_short),
		cmocka_unit_test_setup_teardown(a27_what_a_dropped_body_still_holds_is_counted,
						set_up_with_memory, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_for_our_disk_is_not_charged,
						set_up_with_memory, tear_down),
		TEST(a_body_that_grows_past_the_budget_gets_452),
		TEST(a55_the_file_of_a_record_that_failed_stays),
		TEST(peers_that_vanish_leave_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
