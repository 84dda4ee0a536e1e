// What a child takes for its supervisor's messages: any datagrams, with any number of descriptors.
// Each action is one; its kind says whether it is whole as it stands or framed, and what comes with
// it. No descriptor is lost and none is closed twice.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "link/supervision.h"
#include "os/socket.h"

enum { FD_LIMIT = 256, RAW = 0x80, MESSAGES_MAX = 60 };

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < FD_LIMIT; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

// One end at SUPERVISION_FD, where nothing else of the fuzzer's may lie.
static int open_pair(void)
{
	int ends[2];

	MUST(os_channel_pair(ends) == OK);
	if (ends[0] == SUPERVISION_FD) {
		ends[0] = dup(ends[0]);
	}
	if (ends[1] != SUPERVISION_FD) {
		MUST(dup2(ends[1], SUPERVISION_FD) == SUPERVISION_FD);
		os_socket_close(ends[1]);
	}
	return ends[0];
}

static void send_action(int fd, const struct fuzz_action *action)
{
	unsigned fd_count = action->kind >> 3 & 3;
	int fds[3] = { fd, fd, fd };
	enum error error;

	if (action->kind & RAW) {
		ssize_t sent = write(fd, action->bytes.data, action->bytes.len);

		(void)sent;
		return;
	}
	error = os_message_send(fd, action->kind & 7, 1, action->bytes, fds, fd_count);
	MUST(error == OK);
}

static void check_handles(struct supervision *supervision)
{
	struct view page;

	MUST(supervision->count <= SUPERVISION_HANDLES_MAX);
	for (unsigned kind = 1; kind < HANDLE_KIND_COUNT; kind++) {
		unsigned position = 0;
		struct handle *handle;

		while ((handle = supervision_next(supervision, kind, &position))) {
			MUST(handle->fd >= 0 && handle->fresh);
			MUST(supervision_get(supervision, kind, handle->number) == handle->fd);
			// A socket is no sealed page.
			MUST(supervision_map(supervision, kind, handle->number, &page) != OK);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = view_of(data, size);
	struct supervision supervision;
	struct fuzz_action action;
	unsigned messages = 0, before;
	int fd = open_pair();

	before = count_open();
	while (messages++ < MESSAGES_MAX && fuzz_action_next(&rest, &action)) {
		send_action(fd, &action);
	}
	shutdown(fd, SHUT_WR);
	if (supervision_receive_first(&supervision) == OK) {
		check_handles(&supervision);
	}
	supervision_done(&supervision);
	// What was sent and not read goes with the socket.
	os_socket_close(SUPERVISION_FD);
	MUST(count_open() == before - 1);
	os_socket_close(fd);
	return 0;
}
