// What both builds of os promise: messages, pages and randomness.
#include "os/contract.h"

#include <string.h>

#include "base/check.h"
#include "os/file.h"
#include "os/message.h"
#include "os/page.h"
#include "os/random.h"

static const char zeros[20000];

struct post {
	struct contract *contract;
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
	os_loop_stop(post->contract->loop);
}

static void ignore_closed(void *context, enum error reason)
{
	(void)context;
	(void)reason;
}

static void messages_keep_order_and_carry_descriptors(void **state)
{
	struct contract *contract = *state;
	struct post post = { .contract = contract, .fd = -1 };
	struct os_channel *channel;
	int fds[2], file;
	char bytes[3];

	assert_int_equal(os_file_open_at(contract->dir, "passed", OS_READ | OS_WRITE | OS_CREATE,
					 0600, &file),
			 OK);
	assert_int_equal(os_file_write_at(file, 0, VIEW("abc")), OK);
	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(
		os_channel_new(contract->loop, fds[0], 100, on_message, on_closed, &post, &channel),
		OK);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(
			os_message_send(fds[1], 7, i, view_of(zeros, i * 100), &file, i == 3), OK);
	}
	os_file_close(file);
	os_page_close(fds[1]);
	os_loop_run(contract->loop);
	assert_int_equal(post.received, 8);
	assert_int_equal(post.closed, ERROR_CLOSED);
	assert_int_equal(os_file_read_at(post.fd, 0, bytes, 3), OK);
	assert_memory_equal(bytes, "abc", 3);
	os_file_close(post.fd);
	os_channel_free(channel);
}

static void queue_of_a_channel_is_bounded_and_drains_in_order(void **state)
{
	struct contract *contract = *state;
	struct post post = { .contract = contract, .fd = -1 };
	struct os_channel *sender, *receiver;
	unsigned sent = 0;
	enum error error;
	int fds[2];

	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(os_channel_new(contract->loop, fds[0], 4, on_message, ignore_closed, &post,
					&sender),
			 OK);
	do {
		error = os_channel_send(sender, 7, sent, view_of(zeros, sent * 100), NULL, 0);
		sent += !error;
	} while (!error && sent < 200);
	assert_true(sent == 200 || error == ERROR_LIMIT);
	assert_int_equal(
		os_channel_new(contract->loop, fds[1], 4, on_message, on_closed, &post, &receiver),
		OK);
	while (post.received < sent) {
		struct contract_timer turn;

		contract_timer_set(&turn, contract, 'z', 1);
		contract->order_len = 0;
		os_loop_run(contract->loop);
	}
	os_channel_free(sender);
	os_loop_run(contract->loop);
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

// A process that fails at its start says why and leaves, whatever was still on its way to it.
static void last_words_of_an_end_that_left_without_reading_arrive(void **state)
{
	struct contract *contract = *state;
	struct post post = { .contract = contract, .fd = -1 };
	struct os_channel *channel;
	int fds[2];

	assert_int_equal(os_channel_pair(fds), OK);
	assert_int_equal(
		os_channel_new(contract->loop, fds[0], 100, on_message, on_closed, &post, &channel),
		OK);
	assert_int_equal(os_channel_send(channel, 1, 0, VIEW("never read"), NULL, 0), OK);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(os_message_send(fds[1], 7, i, view_of(zeros, i * 100), NULL, 0),
				 OK);
	}
	os_page_close(fds[1]);
	assert_int_equal(os_channel_send(channel, 1, 0, VIEW("too late"), NULL, 0), ERROR_CLOSED);
	os_loop_run(contract->loop);
	assert_int_equal(post.received, 12);
	assert_int_equal(post.closed, ERROR_CLOSED);
	os_channel_free(channel);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(messages_keep_order_and_carry_descriptors),
		CONTRACT_TEST(queue_of_a_channel_is_bounded_and_drains_in_order),
		CONTRACT_TEST(blocking_receive_ends_at_its_timeout_or_the_other_end),
		CONTRACT_TEST(last_words_of_an_end_that_left_without_reading_arrive),
		CONTRACT_TEST(page_shows_its_writers_bytes_to_its_readers),
		CONTRACT_TEST(sealed_page_is_mapped_whole_and_no_other_is),
		CONTRACT_TEST(random_numbers_stay_below_their_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
