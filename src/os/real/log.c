#include "os/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "os/clock.h"

enum {
	LINE_MAX_BYTES = 32 * 1024,
	LINE_FIRST_BYTES = 512,
	SYSLOG_FACILITY_MAIL = 2 << 3,
};

// The one state of the process as a whole: where its lines go. log_setup writes it, at the start
// and at a reload; any thread reads it. The lock is held while a line is written: after log_setup
// nobody uses the earlier descriptors, which are closed then, and no line is cut by another.
static struct {
	pthread_mutex_t lock;
	atomic_int level;
	const char *process;
	struct log_settings settings;
} setup = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.level = LOG_INFO,
	.process = "packetboat",
	.settings = { .level = LOG_INFO, .fd = STDERR_FILENO, .syslog_fd = -1 },
};

void log_setup(const char *process, struct log_settings settings)
{
	pthread_mutex_lock(&setup.lock);
	setup.process = process;
	setup.settings = settings;
	atomic_store(&setup.level, (int)settings.level);
	pthread_mutex_unlock(&setup.lock);
}

// One write; the loop is for what a full pipe or disk cut off. A log that cannot be written must
// not stop the mail.
static void write_line(int fd, struct view line)
{
	while (line.len) {
		ssize_t written = write(fd, line.data, line.len);

		if (written < 0 && errno == EINTR) {
			continue;
		}
		if (written <= 0) {
			return;
		}
		line = view_from(line, (size_t)written);
	}
}

// RFC 3164 as the local daemon takes it: it adds the time itself.
static void send_syslog(int fd, const char *process, enum log_level level, bool json,
			struct view line)
{
	static const int severities[] = { 3, 4, 5, 6, 7 };
	struct view body = json ? line : view_from(line, view_find(line, ' ') + 1);
	struct buffer datagram = buffer_with_max(LINE_MAX_BYTES + 64);

	buffer_printf(&datagram,
		      "<%d>packetboat/%s[%d]: ", SYSLOG_FACILITY_MAIL | severities[level], process,
		      (int)getpid());
	buffer_add(&datagram, view_first(body, body.len - 1)); // without the line feed
	if (buffer_error(&datagram) == OK) {
		send(fd, datagram.data, datagram.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	buffer_done(&datagram);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
	       unsigned count)
{
	struct buffer line = buffer_with_max(LINE_MAX_BYTES);
	const char *process;
	bool json;

	if ((int)level > atomic_load_explicit(&setup.level, memory_order_relaxed)) {
		return;
	}
	pthread_mutex_lock(&setup.lock);
	json = setup.settings.json;
	process = setup.process;
	pthread_mutex_unlock(&setup.lock);
	buffer_reserve(&line, LINE_FIRST_BYTES);
	log_format(&line, json, os_clock_wall_ms(), process, level, event, fields, count);
	if (buffer_error(&line) == OK) {
		pthread_mutex_lock(&setup.lock);
		if (setup.settings.fd >= 0) {
			write_line(setup.settings.fd, buffer_view(&line));
		} else {
			send_syslog(setup.settings.syslog_fd, process, level, json,
				    buffer_view(&line));
		}
		pthread_mutex_unlock(&setup.lock);
	}
	buffer_done(&line);
}

enum error log_open_syslog(int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return error_from_errno(errno);
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		enum error error = error_from_errno(errno);

		close(fd);
		return error;
	}
	*ret_fd = fd;
	return OK;
}
