#include "base/check.h"
#include "os/message.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned count_open_fds(void)
{
	DIR *walk = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(walk)) {
		count++;
	}
	closedir(walk);
	return count;
}

static void a_message_arrives_whole_with_its_descriptors(void **state)
{
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
	unsigned before = count_open_fds();
	struct os_message message;
	int fds[2], pipes[2];
	char byte;

	(void)state;
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(os_message_send(fds[0], 7, 42, VIEW("hello"), pipes, 2), OK);
	assert_int_equal(os_message_send(fds[0], 8, 0, (struct view){ 0 }, NULL, 0), OK);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(os_message_receive(fds[1], 1000, &buffer, &message), OK);
	assert_int_equal(message.type, 7);
	assert_int_equal(message.id, 42);
	assert_view(message.payload, "hello");
	assert_int_equal(message.fd_count, 2);
	assert_true(fcntl(message.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(message.fds[1], "x", 1), 1);
	assert_int_equal(read(message.fds[0], &byte, 1), 1);
	close(message.fds[0]);
	close(message.fds[1]);
	assert_int_equal(os_message_receive(fds[1], 1000, &buffer, &message), OK);
	assert_int_equal(message.type, 8);
	assert_int_equal(message.payload.len, 0);
	assert_int_equal(os_message_receive(fds[1], 10, &buffer, &message), ERROR_TIMEOUT);
	close(fds[0]);
	assert_int_equal(os_message_receive(fds[1], 0, &buffer, &message), ERROR_CLOSED);
	close(fds[1]);
	assert_int_equal(count_open_fds(), before);
	buffer_done(&buffer);
}

static void what_is_too_large_is_not_sent(void **state)
{
	static char bytes[OS_MESSAGE_SIZE_MAX + 1];
	struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX), small = buffer_with_max(10);
	int none[OS_MESSAGE_FDS_MAX + 1] = { 0 }, fds[2];
	struct os_message message;

	(void)state;
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(os_message_send(fds[0], 1, 0, view_of(bytes, sizeof bytes), NULL, 0),
			 ERROR_LIMIT);
	assert_int_equal(os_message_send(fds[0], 1, 0, VIEW(""), none, COUNT_OF(none)),
			 ERROR_LIMIT);
	assert_int_equal(
		os_message_send(fds[0], 1, 0, view_of(bytes, OS_MESSAGE_SIZE_MAX), NULL, 0), OK);
	assert_int_equal(os_message_receive(fds[1], 1000, &buffer, &message), OK);
	assert_int_equal(message.payload.len, OS_MESSAGE_SIZE_MAX);
	assert_int_equal(os_message_send(fds[0], 1, 0, VIEW("eleven bytes"), none, 1), OK);
	assert_int_equal(os_message_receive(fds[1], 1000, &small, &message), ERROR_LIMIT);
	close(fds[0]);
	close(fds[1]);
	buffer_done(&buffer);
	buffer_done(&small);
}

// What a hostile process may write into its end.
static void send_raw(int fd, const void *bytes, size_t len, unsigned fd_count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(100 * sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)bytes, len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int)); // all of them: 0
	}
	assert_int_equal(sendmsg(fd, &message, 0), len);
}

static void hostile_messages_are_refused_and_leave_no_descriptor(void **state)
{
	static char large[OS_MESSAGE_SIZE_MAX + 100];
	static const struct {
		size_t len;
		uint32_t first; // type, count of descriptors << 16
		unsigned fd_count;
	} cases[] = {
		{ 1, 0, 0 },
		{ 7, 0, 1 },
		{ 8, 1 << 16, 0 },
		{ 8, 0, 1 },
		{ 8, 8 << 16, 20 },
		{ 8, 20 << 16, 20 },
		{ sizeof large, 0, 0 },
		{ sizeof large, 1 << 16, 1 },
		{ 0, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buffer buffer = buffer_with_max(OS_MESSAGE_SIZE_MAX);
		unsigned before = count_open_fds();
		struct os_message message;
		int fds[2];

		assert_int_equal(os_channel_pair(fds), OK);
		memcpy(large, &cases[i].first, sizeof cases[i].first);
		send_raw(fds[0], large, cases[i].len, cases[i].fd_count);
		assert_int_equal(os_message_receive(fds[1], 1000, &buffer, &message),
				 ERROR_INVALID);
		close(fds[0]);
		close(fds[1]);
		assert_int_equal(count_open_fds(), before);
		buffer_done(&buffer);
	}
}

struct end {
	struct os_loop *loop;
	struct os_channel *channel;
	unsigned received, wanted;
	bool frees_itself;
	enum error closed;
};

static void on_message(void *context, struct os_message *message)
{
	struct end *end = context;

	assert_int_equal(message->id, end->received);
	end->received++;
	for (unsigned i = 0; i < message->fd_count; i++) {
		close(message->fds[i]);
	}
	if (end->frees_itself) {
		os_channel_free(end->channel);
		end->channel = NULL;
	}
	if (end->received == end->wanted || end->frees_itself) {
		os_loop_stop(end->loop);
	}
}

static void on_closed(void *context, enum error reason)
{
	struct end *end = context;

	end->closed = reason;
	os_channel_free(end->channel);
	end->channel = NULL;
	os_loop_stop(end->loop);
}

struct two_ends {
	struct os_loop *loop;
	struct end a, b;
};

static void open_ends(struct two_ends *ends, unsigned queue_max)
{
	int fds[2];

	*ends = (struct two_ends){ 0 };
	assert_int_equal(os_loop_new(&ends->loop), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	ends->a.loop = ends->b.loop = ends->loop;
	assert_int_equal(os_channel_new(ends->loop, fds[0], queue_max, on_message, on_closed,
					&ends->a, &ends->a.channel),
			 OK);
	assert_int_equal(os_channel_new(ends->loop, fds[1], queue_max, on_message, on_closed,
					&ends->b, &ends->b.channel),
			 OK);
}

static void close_ends(struct two_ends *ends)
{
	os_channel_free(ends->a.channel);
	os_channel_free(ends->b.channel);
	os_loop_free(ends->loop);
}

static void a_channel_queues_in_order_and_says_when_it_is_full(void **state)
{
	static char bytes[4000];
	unsigned before, sent = 0;
	enum error error = OK;
	struct two_ends ends;

	(void)state;
	open_ends(&ends, 100);
	close_ends(&ends); // the first loop of a process opens a pipe that stays
	before = count_open_fds();
	open_ends(&ends, 100);
	while (error == OK) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		error = os_channel_send(ends.a.channel, 1, sent, view_of(bytes, sizeof bytes), &fd,
					sent % 10 == 0);
		sent += error == OK;
		close(fd);
	}
	assert_int_equal(error, ERROR_LIMIT);
	assert_true(sent > 100);
	ends.b.wanted = sent;
	os_loop_run(ends.loop);
	assert_int_equal(ends.b.received, sent);
	for (unsigned i = 0; i < 120; i++) { // and the rest is dropped with its descriptors
		int fd = 0;

		if (os_channel_send(ends.a.channel, 1, 0, view_of(bytes, sizeof bytes), &fd, 1)) {
			break;
		}
	}
	close_ends(&ends);
	assert_int_equal(count_open_fds(), before);
}

static void a_closed_channel_tells_once(void **state)
{
	struct two_ends ends;

	(void)state;
	open_ends(&ends, 4);
	assert_int_equal(os_channel_send(ends.a.channel, 1, 0, VIEW("last"), NULL, 0), OK);
	os_channel_free(ends.a.channel);
	ends.a.channel = NULL;
	os_loop_run(ends.loop);
	assert_int_equal(ends.b.received, 1);
	assert_int_equal(ends.b.closed, ERROR_CLOSED);
	close_ends(&ends);
}

static void what_still_waits_to_be_sent_does_not_hide_what_was_said(void **state)
{
	static char bytes[4000];
	struct two_ends ends;
	enum error error = OK;
	int fds[2];

	(void)state;
	open_ends(&ends, 4);
	os_channel_free(ends.a.channel);
	os_channel_free(ends.b.channel);
	ends.b.channel = NULL;
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(os_channel_new(ends.loop, fds[0], 4, on_message, on_closed, &ends.a,
					&ends.a.channel),
			 OK);
	for (unsigned i = 0; error == OK; i++) {
		error = os_channel_send(ends.a.channel, 1, i, view_of(bytes, sizeof bytes), NULL,
					0);
	}
	assert_int_equal(error, ERROR_LIMIT);
	for (unsigned i = 0; i < 40; i++) { // more than are taken in one turn
		assert_int_equal(os_message_send(fds[1], 1, i, VIEW("said"), NULL, 0), OK);
	}
	close(fds[1]);
	os_loop_run(ends.loop);
	assert_int_equal(ends.a.received, 40);
	assert_int_equal(ends.a.closed, ERROR_CLOSED);
	close_ends(&ends);
}

static void a_channel_may_be_freed_by_its_own_callback(void **state)
{
	struct two_ends ends;

	(void)state;
	open_ends(&ends, 4);
	ends.b.frees_itself = true;
	assert_int_equal(os_channel_send(ends.a.channel, 1, 0, VIEW("x"), NULL, 0), OK);
	assert_int_equal(os_channel_send(ends.a.channel, 1, 1, VIEW("y"), NULL, 0), OK);
	os_loop_run(ends.loop);
	assert_int_equal(ends.b.received, 1);
	close_ends(&ends);
}

static void a_named_socket_knows_its_peer_and_replaces_a_stale_one(void **state)
{
	struct stat status;
	struct os_peer peer;
	int listener, client, server;
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "/tmp/os-message-test-%d", (int)getpid());
	assert_int_equal(os_channel_connect(path, &client), ERROR_NOT_FOUND);
	assert_int_equal(os_channel_listen(path, 0660, &listener), OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	assert_int_equal(os_channel_listen(path, 0660, &server), ERROR_BUSY);
	assert_int_equal(os_channel_accept(listener, &server, &peer), OK); // that try
	close(server);
	assert_int_equal(os_channel_accept(listener, &server, &peer), ERROR_AGAIN);
	assert_int_equal(os_channel_connect(path, &client), OK);
	assert_int_equal(os_channel_accept(listener, &server, &peer), OK);
	assert_int_equal(peer.uid, getuid());
	assert_int_equal(peer.pid, getpid());
	close(listener);
	close(client);
	close(server);
	assert_int_equal(os_channel_connect(path, &client), ERROR_REFUSED);
	assert_int_equal(os_channel_listen(path, 0600, &listener), OK);
	close(listener);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_whole_with_its_descriptors),
		cmocka_unit_test(what_is_too_large_is_not_sent),
		cmocka_unit_test(hostile_messages_are_refused_and_leave_no_descriptor),
		cmocka_unit_test(a_channel_queues_in_order_and_says_when_it_is_full),
		cmocka_unit_test(a_closed_channel_tells_once),
		cmocka_unit_test(what_still_waits_to_be_sent_does_not_hide_what_was_said),
		cmocka_unit_test(a_channel_may_be_freed_by_its_own_callback),
		cmocka_unit_test(a_named_socket_knows_its_peer_and_replaces_a_stale_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
