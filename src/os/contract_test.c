// What both builds of os promise to the rooms above. See os/contract.h.
#include "os/contract.h"

#include <string.h>

#include "base/check.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/worker.h"

struct fixture {
	struct contract_world world;
	struct os_loop *loop;
	char order[64]; // letters, as things happen
	size_t order_len;
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ 0 };
	contract_world_begin(&fixture.world);
	assert_int_equal(os_loop_new(&fixture.loop), OK);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	os_loop_free(fixture->loop);
	contract_world_end(&fixture->world);
	return 0;
}

static void happened(struct fixture *fixture, char letter)
{
	assert_true(fixture->order_len < sizeof fixture->order - 1);
	fixture->order[fixture->order_len++] = letter;
}

// ---- loop and timers ------------------------------------------------------------------------

struct lettered {
	struct os_timer timer;
	struct fixture *fixture;
	char letter;
};

static void lettered_fire(void *context)
{
	struct lettered *each = context;

	happened(each->fixture, each->letter);
	if (each->letter == 'z') {
		os_loop_stop(each->fixture->loop);
	}
}

static void lettered_set(struct lettered *each, struct fixture *fixture, char letter,
			 uint64_t delay_ms)
{
	each->fixture = fixture;
	each->letter = letter;
	os_timer_init(&each->timer, fixture->loop, lettered_fire, each);
	os_timer_set(&each->timer, delay_ms);
}

static void timers_fire_in_order_of_due_time(void **state)
{
	static const struct {
		char letter;
		uint64_t delay_ms;
	} cases[] = { { 'd', 30 }, { 'a', 0 }, { 'c', 15 }, { 'b', 5 }, { 'z', 45 }, { 'e', 30 } };
	struct fixture *fixture = *state;
	struct lettered timers[COUNT_OF(cases)];
	uint64_t start_ms = os_clock_mono_ms();

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		lettered_set(&timers[i], fixture, cases[i].letter, cases[i].delay_ms);
	}
	os_loop_run(fixture->loop);
	assert_string_equal(fixture->order, "abcdez");
	assert_true(os_clock_mono_ms() >= start_ms + 44);
	assert_true(os_loop_now_ms(fixture->loop) <= os_clock_mono_ms());
}

static void stopped_timer_does_not_fire_and_one_set_again_fires_once(void **state)
{
	struct fixture *fixture = *state;
	struct lettered stopped, again, last;

	lettered_set(&stopped, fixture, 's', 5);
	lettered_set(&again, fixture, 'a', 5);
	lettered_set(&last, fixture, 'z', 40);
	os_timer_stop(&stopped.timer);
	os_timer_set(&again.timer, 20);
	assert_false(os_timer_is_set(&stopped.timer));
	assert_true(os_timer_is_set(&again.timer));
	os_loop_run(fixture->loop);
	assert_string_equal(fixture->order, "az");
	assert_false(os_timer_is_set(&again.timer));
}

static struct lettered *victim;

static void stop_victim(void *context)
{
	happened(context, 'k');
	os_timer_stop(&victim->timer);
}

static void timer_stopped_by_one_due_at_the_same_time_does_not_fire(void **state)
{
	struct fixture *fixture = *state;
	struct lettered other, last;
	struct os_timer killer;

	os_timer_init(&killer, fixture->loop, stop_victim, fixture);
	os_timer_set(&killer, 5);
	lettered_set(&other, fixture, 'v', 5);
	lettered_set(&last, fixture, 'z', 20);
	victim = &other;
	os_loop_run(fixture->loop);
	assert_string_equal(fixture->order, "kz");
}

static void hook_run(void *context)
{
	happened(context, 'h');
}

static void hook_runs_after_the_callbacks_of_a_turn(void **state)
{
	struct fixture *fixture = *state;
	struct os_hook hook = { .fn = hook_run, .context = fixture };
	struct lettered first, last;
	const char *a;

	os_hook_add_before_sleep(fixture->loop, &hook);
	lettered_set(&first, fixture, 'a', 5);
	lettered_set(&last, fixture, 'z', 20);
	os_loop_run(fixture->loop);
	os_hook_remove(fixture->loop, &hook);
	a = strchr(fixture->order, 'a');
	assert_non_null(a);
	assert_int_equal(a[1], 'h');
}

static void wake_run(void *context)
{
	struct fixture *fixture = context;

	happened(fixture, 'w');
	os_loop_stop(fixture->loop);
}

static void several_wakes_before_the_loop_runs_call_once(void **state)
{
	struct fixture *fixture = *state;
	struct os_wake *wake;

	assert_int_equal(os_wake_new(fixture->loop, wake_run, fixture, &wake), OK);
	os_wake_send(wake);
	os_wake_send(wake);
	os_loop_run(fixture->loop);
	os_wake_free(wake);
	assert_string_equal(fixture->order, "w");
}

// ---- workers --------------------------------------------------------------------------------

struct work {
	struct fixture *fixture;
	struct os_wake *wake;
	struct os_worker *worker;
	int runs;
};

static void work_run(void *context)
{
	struct work *work = context;

	work->runs++;
	os_wake_send(work->wake);
}

static void wake_from_a_worker_arrives(void **state)
{
	struct work work = { .fixture = *state };

	assert_int_equal(os_wake_new(work.fixture->loop, wake_run, work.fixture, &work.wake), OK);
	assert_int_equal(os_worker_new(work.fixture->loop, "worker", work_run, &work, &work.worker),
			 OK);
	os_worker_kick(work.worker);
	os_loop_run(work.fixture->loop);
	os_worker_free(work.worker);
	os_wake_free(work.wake);
	assert_true(work.runs >= 1);
}

struct counted_job {
	struct os_job job;
	struct fixture *fixture;
	bool worked;
	int *left;
};

static void job_work(struct os_job *job)
{
	CONTAINER_OF(job, struct counted_job, job)->worked = true;
}

static void job_done(struct os_job *job)
{
	struct counted_job *counted = CONTAINER_OF(job, struct counted_job, job);

	assert_true(counted->worked);
	if (!--*counted->left) {
		os_loop_stop(counted->fixture->loop);
	}
}

static void every_job_of_a_pool_is_worked_on_then_done(void **state)
{
	struct counted_job jobs[9];
	struct os_pool *pool;
	int left = COUNT_OF(jobs);
	struct fixture *fixture = *state;

	assert_int_equal(os_pool_new(fixture->loop, "pool", 3, COUNT_OF(jobs), &pool), OK);
	for (size_t i = 0; i < COUNT_OF(jobs); i++) {
		jobs[i] = (struct counted_job){ .job = { .work = job_work, .done = job_done },
						.fixture = fixture,
						.left = &left };
		assert_int_equal(os_pool_submit(pool, &jobs[i].job), OK);
	}
	os_loop_run(fixture->loop);
	os_pool_free(pool);
	assert_int_equal(left, 0);
}

// ---- sockets --------------------------------------------------------------------------------

enum { TRANSFER_BYTES = 300 * 1000 };

struct talk {
	struct fixture *fixture;
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
		os_loop_stop(talk->fixture->loop);
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
	assert_int_equal(os_watch_new(talk->fixture->loop, talk->server, server_ready, talk,
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
		os_loop_stop(talk->fixture->loop);
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

static void talk_begin(struct talk *talk, struct fixture *fixture)
{
	struct os_address address = loopback();

	*talk = (struct talk){ .fixture = fixture, .server = -1 };
	assert_int_equal(os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 },
					  &talk->listener),
			 OK);
	assert_int_equal(os_socket_local_address(talk->listener, &address), OK);
	assert_int_not_equal(address.port, 0);
	assert_int_equal(os_socket_connect(&address, NULL, &talk->client), OK);
	assert_int_equal(os_watch_new(fixture->loop, talk->listener, listener_ready, talk,
				      &talk->listener_watch),
			 OK);
	assert_int_equal(os_watch_set(talk->listener_watch, OS_READABLE), OK);
	assert_int_equal(
		os_watch_new(fixture->loop, talk->client, client_ready, talk, &talk->client_watch),
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
	os_loop_run(talk.fixture->loop);
	assert_int_equal(talk.received, TRANSFER_BYTES);
	assert_int_equal(talk.server_end, ERROR_CLOSED);
	talk_end(&talk);
}

static void reset_is_seen_by_the_peer(void **state)
{
	struct talk talk;

	talk_begin(&talk, *state);
	talk.reset_by_client = true;
	os_loop_run(talk.fixture->loop);
	assert_int_equal(talk.server_end, ERROR_RESET);
	talk_end(&talk);
}

static void nobody_listening_is_refused(void **state)
{
	struct os_address address = loopback();
	struct talk talk = { .fixture = *state, .server = -1, .listener = -1 };
	int listener;

	assert_int_equal(
		os_socket_listen(&address, (struct os_listen_options){ .backlog = 8 }, &listener),
		OK);
	assert_int_equal(os_socket_local_address(listener, &address), OK);
	os_socket_close(listener);
	assert_int_equal(os_socket_connect(&address, NULL, &talk.client), OK);
	assert_int_equal(os_watch_new(talk.fixture->loop, talk.client, client_ready, &talk,
				      &talk.client_watch),
			 OK);
	assert_int_equal(os_watch_set(talk.client_watch, OS_WRITABLE), OK);
	os_loop_run(talk.fixture->loop);
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

// ---- files ----------------------------------------------------------------------------------

static void file_holds_what_was_written(void **state)
{
	struct fixture *fixture = *state;
	struct os_file_part parts[] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };
	char bytes[8] = { 0 };
	uint64_t size;
	size_t len;
	int file;

	assert_int_equal(os_file_open_at(fixture->world.dir, "f",
					 OS_READ | OS_WRITE | OS_CREATE | OS_EXCLUSIVE, 0600,
					 &file),
			 OK);
	assert_int_equal(os_file_write_parts_at(file, 3, parts, COUNT_OF(parts)), OK);
	assert_int_equal(os_file_write_at(file, 4, VIEW("B")), OK);
	assert_int_equal(os_file_size(file, &size), OK);
	assert_int_equal(size, 8);
	assert_int_equal(os_file_read_at(file, 0, bytes, 8), OK);
	assert_memory_equal(bytes, "\0\0\0aBcde", 8);
	assert_int_equal(os_file_read_at(file, 4, bytes, 5), ERROR_CORRUPT);
	assert_int_equal(os_file_read_some(file, 4, bytes, 8, &len), OK);
	assert_int_equal(len, 4);
	assert_int_equal(os_file_read_some(file, 100, bytes, 8, &len), OK);
	assert_int_equal(len, 0);
	assert_int_equal(os_file_resize(file, 4), OK);
	assert_int_equal(os_file_resize(file, 6), OK);
	assert_int_equal(os_file_read_at(file, 0, bytes, 6), OK);
	assert_memory_equal(bytes, "\0\0\0a\0\0", 6);
	assert_int_equal(os_file_sync_data(file), OK);
	os_file_close(file);
}

static void names_follow_the_rules(void **state)
{
	struct fixture *fixture = *state;
	int dir = fixture->world.dir, flags = OS_WRITE | OS_CREATE, file, sub;
	struct os_file_info info;

	assert_int_equal(os_file_open_at(dir, "none", OS_READ, 0, &file), ERROR_NOT_FOUND);
	assert_int_equal(os_file_open_at(dir, "../x", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "..", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "", flags, 0600, &file), ERROR_INVALID);
	assert_int_equal(os_file_open_at(dir, "a", flags, 0640, &file), OK);
	os_file_close(file);
	assert_int_equal(os_file_open_at(dir, "a", flags | OS_EXCLUSIVE, 0600, &file),
			 ERROR_EXISTS);
	assert_int_equal(os_dir_make_at(dir, "sub", 0700), OK);
	assert_int_equal(os_dir_make_at(dir, "sub", 0700), ERROR_EXISTS);
	assert_int_equal(os_dir_open_at(dir, "sub", &sub), OK);
	assert_int_equal(os_file_rename_at(dir, "a", sub, "b"), OK);
	assert_int_equal(os_file_info_at(dir, "a", &info), ERROR_NOT_FOUND);
	assert_int_equal(os_file_info_at(sub, "b", &info), OK);
	assert_true(info.is_regular && !info.is_dir && !info.is_link);
	assert_int_equal(info.mode, 0640);
	assert_int_equal(os_file_link_at(sub, "b", dir, "c"), OK);
	assert_int_equal(os_file_link_at(sub, "b", dir, "c"), ERROR_EXISTS);
	assert_int_equal(os_file_remove_at(sub, "b"), OK);
	assert_int_equal(os_file_remove_at(sub, "b"), ERROR_NOT_FOUND);
	assert_int_equal(os_dir_sync(sub), OK);
	os_dir_close(sub);
	assert_int_equal(os_dir_remove_at(dir, "sub"), OK);
	assert_int_equal(os_dir_open_at(dir, "sub", &sub), ERROR_NOT_FOUND);
}

static bool count_names(void *context, const char *name)
{
	assert_true(name[0] != '.');
	return ++*(int *)context < 3;
}

static void walk_of_a_folder_shows_each_name_until_told_to_end(void **state)
{
	struct fixture *fixture = *state;
	int count = 0, file;

	for (const char *name = "abcde"; *name; name++) {
		assert_int_equal(os_file_open_at(fixture->world.dir, (char[]){ *name, 0 },
						 OS_WRITE | OS_CREATE, 0600, &file),
				 OK);
		os_file_close(file);
	}
	assert_int_equal(os_dir_list(fixture->world.dir, count_names, &count), OK);
	assert_int_equal(count, 3);
	count = -10;
	assert_int_equal(os_dir_list(fixture->world.dir, count_names, &count), OK);
	assert_int_equal(count, -5);
}

static void lock_is_held_by_one_descriptor(void **state)
{
	struct fixture *fixture = *state;
	int a, b, dir = fixture->world.dir;

	assert_int_equal(os_file_open_at(dir, "lock", OS_WRITE | OS_CREATE, 0600, &a), OK);
	assert_int_equal(os_file_open_at(dir, "lock", OS_WRITE, 0600, &b), OK);
	assert_int_equal(os_file_lock(a), OK);
	assert_int_equal(os_file_lock(b), ERROR_BUSY);
	os_file_close(a);
	assert_int_equal(os_file_lock(b), OK);
	os_file_close(b);
}

static void whole_file_is_replaced_and_read(void **state)
{
	struct fixture *fixture = *state;
	struct buffer path = buffer_with_max(200), out = buffer_with_max(5);

	buffer_printf(&path, "%s/whole", fixture->world.path);
	for (const char *text = "12345"; *text; text++) {
		assert_int_equal(
			os_file_replace_at(fixture->world.dir, "whole", view_from_text(text), 0600),
			OK);
		buffer_clear(&out);
		assert_int_equal(os_file_read_whole(buffer_text(&path), &out), OK);
		assert_view(buffer_view(&out), text);
	}
	assert_int_equal(os_file_read_whole(buffer_text(&path), &out), OK);
	buffer_done(&out);
	out.max = 0;
	assert_int_equal(os_file_read_whole(buffer_text(&path), &out), ERROR_LIMIT);
	buffer_done(&path);
}

static void appended_bytes_follow_each_other(void **state)
{
	struct fixture *fixture = *state;
	char bytes[6];
	int file;

	assert_int_equal(os_file_open_at(fixture->world.dir, "log",
					 OS_READ | OS_WRITE | OS_CREATE | OS_APPEND, 0600, &file),
			 OK);
	assert_int_equal(os_file_append(file, VIEW("one")), OK);
	assert_int_equal(os_file_append(file, VIEW("two")), OK);
	assert_int_equal(os_file_read_at(file, 0, bytes, 6), OK);
	assert_memory_equal(bytes, "onetwo", 6);
	os_file_close(file);
}

// ---- messages -------------------------------------------------------------------------------

struct post {
	struct fixture *fixture;
	unsigned received, expected;
	int fd;
	enum error closed;
};

static void on_message(void *context, struct os_message *message)
{
	struct post *post = context;

	assert_int_equal(message->type, 7);
	assert_int_equal(message->id, post->received);
	assert_int_equal(message->payload.len, post->received * 100);
	post->received++;
	if (message->fd_count) {
		assert_int_equal(message->fd_count, 1);
		post->fd = message->fds[0];
	}
}

static void on_closed(void *context, enum error reason)
{
	struct post *post = context;

	post->closed = reason;
	os_loop_stop(post->fixture->loop);
}

static void ignore_closed(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static void messages_keep_order_and_carry_descriptors(void **state)
{
	static const char zeros[20000];
	struct fixture *fixture = *state;
	struct post post = { .fixture = fixture, .fd = -1 };
	struct os_channel *channel;
	int fds[2], file;
	char bytes[3];

	assert_int_equal(os_file_open_at(fixture->world.dir, "passed",
					 OS_READ | OS_WRITE | OS_CREATE, 0600, &file),
			 OK);
	assert_int_equal(os_file_write_at(file, 0, VIEW("abc")), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(
		os_channel_new(fixture->loop, fds[0], 100, on_message, on_closed, &post, &channel),
		OK);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(
			os_message_send(fds[1], 7, i, view_of(zeros, i * 100), &file, i == 3), OK);
	}
	os_file_close(file);
	os_page_close(fds[1]);
	os_loop_run(fixture->loop);
	assert_int_equal(post.received, 8);
	assert_int_equal(post.closed, ERROR_CLOSED);
	assert_int_equal(os_file_read_at(post.fd, 0, bytes, 3), OK);
	assert_memory_equal(bytes, "abc", 3);
	os_file_close(post.fd);
	os_channel_free(channel);
}

static void queue_of_a_channel_is_bounded_and_drains_in_order(void **state)
{
	static const char zeros[20000];
	struct fixture *fixture = *state;
	struct post post = { .fixture = fixture, .fd = -1 };
	struct os_channel *sender, *receiver;
	unsigned sent = 0;
	enum error error;
	int fds[2];

	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(
		os_channel_new(fixture->loop, fds[0], 4, on_message, ignore_closed, &post, &sender),
		OK);
	do {
		error = os_channel_send(sender, 7, sent, view_of(zeros, sent * 100), NULL, 0);
		sent += !error;
	} while (!error && sent < 200);
	assert_true(sent == 200 || error == ERROR_LIMIT);
	assert_int_equal(
		os_channel_new(fixture->loop, fds[1], 4, on_message, on_closed, &post, &receiver),
		OK);
	while (post.received < sent) {
		struct lettered turn;

		lettered_set(&turn, fixture, 'z', 1);
		fixture->order_len = 0;
		os_loop_run(fixture->loop);
	}
	os_channel_free(sender);
	os_loop_run(fixture->loop);
	assert_int_equal(post.received, sent);
	os_channel_free(receiver);
}

static void blocking_receive_ends_at_its_timeout_or_the_other_end(void **state)
{
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	struct os_message message;
	int fds[2];

	(void)state;
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(os_message_receive(fds[0], 20, &buffer, &message), ERROR_TIMEOUT);
	assert_int_equal(os_message_send(fds[1], 9, 5, VIEW("hello"), NULL, 0), OK);
	assert_int_equal(os_message_receive(fds[0], 1000, &buffer, &message), OK);
	assert_int_equal(message.type, 9);
	assert_int_equal(message.id, 5);
	assert_view(message.payload, "hello");
	os_page_close(fds[1]);
	assert_int_equal(os_message_receive(fds[0], 1000, &buffer, &message), ERROR_CLOSED);
	os_page_close(fds[0]);
	buffer_done(&buffer);
}

// ---- pages, randomness ----------------------------------------------------------------------

static void page_shows_its_writers_bytes_to_its_readers(void **state)
{
	char *writer, *reader;
	int fd, reader_fd;
	void *memory;

	(void)state;
	assert_int_equal(os_page_new("page", 5000, &fd, &memory), OK);
	writer = memory;
	assert_int_equal(os_page_reader(fd, &reader_fd), OK);
	assert_int_equal(os_page_map(reader_fd, 5000, false, &memory), OK);
	reader = memory;
	writer[4999] = 'x';
	assert_int_equal(reader[4999], 'x');
	assert_int_equal(reader[0], 0);
	assert_int_equal(os_page_map(reader_fd, 500000, false, &memory), ERROR_INVALID);
	assert_int_equal(os_page_map(reader_fd, 5000, true, &memory), ERROR_PERMISSION);
	os_page_unmap(writer, 5000);
	os_page_unmap(reader, 5000);
	os_page_close(reader_fd);
	os_page_close(fd);
}

static void sealed_page_is_mapped_whole_and_no_other_is(void **state)
{
	struct view bytes;
	void *memory;
	int fd;

	(void)state;
	assert_int_equal(os_page_sealed("table", VIEW("sealed bytes"), &fd), OK);
	assert_int_equal(os_page_map_sealed(fd, &bytes), OK);
	assert_view(bytes, "sealed bytes");
	os_page_unmap((void *)(uintptr_t)bytes.data, bytes.len);
	os_page_close(fd);
	assert_int_equal(os_page_new("open", 100, &fd, &memory), OK);
	assert_int_equal(os_page_map_sealed(fd, &bytes), ERROR_INVALID);
	os_page_unmap(memory, 100);
	os_page_close(fd);
}

static void random_numbers_stay_below_their_bound(void **state)
{
	uint64_t seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t number = os_random_below(7);

		assert_true(number < 7);
		seen |= 1u << number;
	}
	assert_int_equal(seen, 0x7f);
}

#define CONTRACT(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT(timers_fire_in_order_of_due_time),
		CONTRACT(stopped_timer_does_not_fire_and_one_set_again_fires_once),
		CONTRACT(timer_stopped_by_one_due_at_the_same_time_does_not_fire),
		CONTRACT(hook_runs_after_the_callbacks_of_a_turn),
		CONTRACT(several_wakes_before_the_loop_runs_call_once),
		CONTRACT(wake_from_a_worker_arrives),
		CONTRACT(every_job_of_a_pool_is_worked_on_then_done),
		CONTRACT(connection_delivers_the_same_bytes_then_the_end),
		CONTRACT(reset_is_seen_by_the_peer),
		CONTRACT(nobody_listening_is_refused),
		CONTRACT(address_in_use_is_busy),
		CONTRACT(accepting_with_nobody_waiting_is_again),
		CONTRACT(file_holds_what_was_written),
		CONTRACT(names_follow_the_rules),
		CONTRACT(walk_of_a_folder_shows_each_name_until_told_to_end),
		CONTRACT(lock_is_held_by_one_descriptor),
		CONTRACT(whole_file_is_replaced_and_read),
		CONTRACT(appended_bytes_follow_each_other),
		CONTRACT(messages_keep_order_and_carry_descriptors),
		CONTRACT(queue_of_a_channel_is_bounded_and_drains_in_order),
		CONTRACT(blocking_receive_ends_at_its_timeout_or_the_other_end),
		CONTRACT(page_shows_its_writers_bytes_to_its_readers),
		CONTRACT(sealed_page_is_mapped_whole_and_no_other_is),
		CONTRACT(random_numbers_stay_below_their_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
