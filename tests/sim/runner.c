#include "sim/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	WORKERS_MAX = 16,
	TEXT_BYTES_MAX = 1024 * 1024,
	READ_BYTES = 4096,
	PATIENCE_S = 300, // of real time, for one run
};

struct worker {
	pid_t pid; // 0: none
	int pipe;
	struct spec spec;
	struct buffer bytes; // that it has said so far
};

struct runner {
	const struct scenario_setup *setup;
	struct worker workers[WORKERS_MAX];
	unsigned count;
};

struct runner *runner_new(const struct scenario_setup *setup)
{
	struct runner *runner = child_alloc(sizeof *runner);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	runner->setup = setup;
	runner->count = processors < 1             ? 1
			: processors > WORKERS_MAX ? WORKERS_MAX
						   : (unsigned)processors;
	return runner;
}

static void worker_done(struct worker *worker)
{
	close(worker->pipe);
	buffer_done(&worker->bytes);
	worker->pid = 0;
}

void runner_free(struct runner *runner)
{
	for (unsigned i = 0; i < runner->count; i++) {
		struct worker *worker = &runner->workers[i];

		if (worker->pid) {
			kill(worker->pid, SIGKILL);
			waitpid(worker->pid, NULL, 0);
			worker_done(worker);
		}
	}
	free(runner);
}

static struct worker *find_room(const struct runner *runner)
{
	for (unsigned i = 0; i < runner->count; i++) {
		if (!runner->workers[i].pid) {
			return (struct worker *)&runner->workers[i];
		}
	}
	return NULL;
}

bool runner_has_room(const struct runner *runner)
{
	return find_room(runner) != NULL;
}

bool runner_is_idle(const struct runner *runner)
{
	for (unsigned i = 0; i < runner->count; i++) {
		if (runner->workers[i].pid) {
			return false;
		}
	}
	return true;
}

// ---- in the worker

static void write_all(int fd, const void *bytes, size_t len)
{
	const char *rest = bytes;

	while (len) {
		ssize_t done = write(fd, rest, len);

		if (done <= 0) {
			_exit(EX_IOERR);
		}
		rest += done;
		len -= (size_t)done;
	}
}

// All that it says goes into the pipe; the result comes last, and only at a proper end.
static void work(const struct scenario_setup *setup, const struct spec *spec, int pipe)
{
	struct buffer text = buffer_with_max(TEXT_BYTES_MAX);
	const struct sigaction deaf = { .sa_handler = SIG_IGN };
	struct scenario_result result;

	sigaction(SIGINT, &deaf, NULL); // the one who started us ends us
	alarm(PATIENCE_S);
	dup2(pipe, STDERR_FILENO);
	result = scenario_run(spec, setup, &text);
	write_all(pipe, text.data, text.len);
	write_all(pipe, &result, sizeof result);
	close(pipe);
	_exit(0); // the memory of crashed processes is nobody's: no look for leaks
}

void runner_start(struct runner *runner, const struct spec *spec)
{
	struct worker *worker = find_room(runner);
	int ends[2];

	fflush(stdout);
	if (!worker || pipe(ends) != 0 || (worker->pid = fork()) < 0) {
		perror("sim");
		exit(EX_OSERR);
	}
	if (worker->pid == 0) {
		close(ends[0]);
		work(runner->setup, spec, ends[1]);
	}
	close(ends[1]);
	worker->pipe = ends[0];
	worker->spec = *spec;
	worker->bytes =
		buffer_with_max(TEXT_BYTES_MAX + sizeof(struct scenario_result) + READ_BYTES);
}

// ---- what came of it

static void finish(struct worker *worker, struct run *ret_run)
{
	struct scenario_result result = { .spec = worker->spec };
	struct buffer *bytes = &worker->bytes;
	int status;

	waitpid(worker->pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && bytes->len >= sizeof result) {
		bytes->len -= sizeof result;
		memcpy(&result, bytes->data + bytes->len, sizeof result);
	} else {
		result.violations = 1;
		result.broken = 1u << PROMISE_SOUND;
		buffer_printf(bytes, "VIOLATION (sound): the run %s\n",
			      WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "does not end"
										 : "breaks off");
	}
	*ret_run = (struct run){ result, *bytes };
	*bytes = buffer_with_max(0);
	worker_done(worker);
}

// True: it has ended.
static bool read_some(struct worker *worker)
{
	char bytes[READ_BYTES];
	ssize_t len = read(worker->pipe, bytes, sizeof bytes);

	if (len > 0) {
		buffer_add(&worker->bytes, view_of(bytes, (size_t)len));
	}
	return len == 0 || (len < 0 && errno != EINTR);
}

bool runner_wait(struct runner *runner, struct run *ret_run)
{
	struct pollfd ends[WORKERS_MAX];

	for (;;) {
		for (unsigned i = 0; i < runner->count; i++) {
			const struct worker *worker = &runner->workers[i];

			ends[i] = (struct pollfd){ worker->pid ? worker->pipe : -1, POLLIN, 0 };
		}
		if (poll(ends, runner->count, -1) < 0) {
			return false;
		}
		for (unsigned i = 0; i < runner->count; i++) {
			if (ends[i].revents && read_some(&runner->workers[i])) {
				finish(&runner->workers[i], ret_run);
				return true;
			}
		}
	}
}

void run_done(struct run *run)
{
	buffer_done(&run->text);
}
