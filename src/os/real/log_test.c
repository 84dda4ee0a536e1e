#include "base/check.h"
#include "os/log.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void one_line_is_written_per_event_at_its_level(void **state)
{
	char bytes[4096];
	ssize_t len;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	log_setup("keeper", (struct log_settings){ .level = LOG_INFO, .fd = ends[1] });
	LOG(LOG_DEBUG, "detail", LOG_NUMBER("n", 1));
	LOG(LOG_INFO, "login", LOG_TEXT("user", VIEW("a\nb")), LOG_NUMBER("n", 2));
	len = read(ends[0], bytes, sizeof bytes);
	assert_true(len > 0);
	assert_non_null(memmem(bytes, (size_t)len, " info keeper login user=a\\x0ab n=2\n", 35));
	assert_ptr_equal(memchr(bytes, '\n', (size_t)len), bytes + len - 1);
	close(ends[0]);
	close(ends[1]);
}

static void syslog_gets_a_priority_and_no_line_feed(void **state)
{
	char bytes[4096] = "", expected[200];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	log_setup("receive",
		  (struct log_settings){ .level = LOG_INFO, .fd = -1, .syslog_fd = ends[1] });
	LOG(LOG_WARNING, "refused", LOG_TEXT("reason", VIEW("too many")));
	assert_true(read(ends[0], bytes, sizeof bytes - 1) > 0);
	snprintf(expected, sizeof expected,
		 "<20>packetboat/receive[%d]: warning receive refused reason=\"too many\"",
		 (int)getpid());
	assert_string_equal(bytes, expected);
	close(ends[0]);
	close(ends[1]);
}

enum { LINES_PER_THREAD = 200, THREADS = 4 };

static void *write_lines(void *context)
{
	(void)context;
	for (unsigned i = 0; i < LINES_PER_THREAD; i++) {
		LOG(LOG_INFO, "line", LOG_TEXT("a", VIEW("0123456789")));
	}
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	FILE *file = tmpfile();
	pthread_t threads[THREADS];
	char line[200];
	unsigned count = 0;

	(void)state;
	log_setup("x", (struct log_settings){ .level = LOG_INFO, .fd = fileno(file) });
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	rewind(file);
	while (fgets(line, sizeof line, file)) {
		assert_string_equal(line + 24, " info x line a=0123456789\n");
		count++;
	}
	assert_int_equal(count, THREADS * LINES_PER_THREAD);
	fclose(file);
}

enum { RELOADS = 300 };

// What the descriptor of an earlier log becomes is somebody else's, such as a client's connection.
static void no_line_goes_to_who_got_the_descriptor_of_an_earlier_log(void **state)
{
	FILE *files[2] = { tmpfile(), tmpfile() }, *stranger = tmpfile();
	pthread_t threads[THREADS];
	struct stat status;
	int now = -1;

	(void)state;
	for (unsigned i = 0; i < RELOADS; i++) {
		int before = now;

		now = dup(fileno(files[i % 2]));
		log_setup("x", (struct log_settings){ .level = LOG_INFO, .fd = now });
		for (unsigned j = 0; i == 0 && j < THREADS; j++) {
			assert_int_equal(pthread_create(&threads[j], NULL, write_lines, NULL), 0);
		}
		if (before >= 0) {
			assert_int_equal(dup2(fileno(stranger), before), before);
			sched_yield();
			close(before);
		}
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(fstat(fileno(stranger), &status), 0);
	assert_int_equal(status.st_size, 0);
	close(now);
	fclose(stranger);
	fclose(files[0]);
	fclose(files[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_is_written_per_event_at_its_level),
		cmocka_unit_test(syslog_gets_a_priority_and_no_line_feed),
		cmocka_unit_test(lines_of_threads_do_not_mix),
		cmocka_unit_test(no_line_goes_to_who_got_the_descriptor_of_an_earlier_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
